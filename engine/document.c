#include "engine/document.h"
#include "base/decimal.h"
#include "base/limits.h"
#include "engine/call.h"
#include "engine/dict.h"
#include "engine/list.h"
#include "engine/number.h"
#include "engine/packed.h"
#include "engine/record.h"
#include "engine/streamdoc.h"
#include "engine/zset.h"

#include <stdlib.h>
#include <string.h>

#define HEX_PREFIX     "hex:"
#define HEX_PREFIX_LEN 4
#define ELEMENT_MIN    8 /* bytes of the smallest array element: type, "0", NUL, length, NUL */
#define ID_SMALL       512
#define COUNT(table)   (sizeof(table) / sizeof *(table))

/* ---- keys ---- */

static bool is_plain_id(struct slice key)
{
    bool reserved = key.len >= HEX_PREFIX_LEN && memcmp(key.p, HEX_PREFIX, HEX_PREFIX_LEN) == 0;

    return !reserved && record_is_text(key);
}

size_t document_id(struct slice key, char *buf, size_t cap)
{
    static const char digits[] = "0123456789abcdef";
    bool plain = is_plain_id(key);
    size_t len = plain ? key.len : HEX_PREFIX_LEN + 2 * key.len;

    if (cap <= len)
        return len;
    if (plain && len > 0)
        memcpy(buf, key.p, len);
    if (!plain)
        memcpy(buf, HEX_PREFIX, HEX_PREFIX_LEN);
    for (size_t i = 0; !plain && i < key.len; i++) {
        buf[HEX_PREFIX_LEN + 2 * i] = digits[(unsigned char)key.p[i] >> 4];
        buf[HEX_PREFIX_LEN + 2 * i + 1] = digits[key.p[i] & 15];
    }
    buf[len] = '\0';
    return len;
}

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool document_key(const char *id, struct arena *a, struct slice *ret_key)
{
    struct slice text = {id, strlen(id)};

    if (strncmp(id, HEX_PREFIX, HEX_PREFIX_LEN) != 0) {
        *ret_key = text;
        return record_is_text(text);
    }
    size_t n = (text.len - HEX_PREFIX_LEN) / 2;
    char *bytes = arena_get(a, n + 1);
    for (size_t i = 0; i < n; i++) {
        int high = digit(id[HEX_PREFIX_LEN + 2 * i]);
        int low = digit(id[HEX_PREFIX_LEN + 2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (char)(high << 4 | low);
    }
    *ret_key = (struct slice){bytes, n};
    /* One key, one id: what could be written plainly is not a key in hex. */
    return text.len % 2 == 0 && !is_plain_id(*ret_key);
}

/* ---- shapes ---- */

static const struct record_field hash_fields[] = {
    {"f", offsetof(struct dict_entry, name), RECORD_VALUE},
    {"v", offsetof(struct dict_entry, value), RECORD_VALUE},
};

static const struct record_field zset_fields[] = {
    {"m", offsetof(struct zset_row, member), RECORD_VALUE},
    {"s", offsetof(struct zset_row, score), RECORD_DOUBLE},
};

/* Which encodings a type may have. */
static const uint32_t encodings[] = {
    [OBJECT_NONE] = 0,
    [OBJECT_STRING] = 1u << ENC_RAW | 1u << ENC_EMBSTR | 1u << ENC_INT,
    [OBJECT_LIST] = 1u << ENC_QUICKLIST,
    [OBJECT_HASH] = 1u << ENC_LISTPACK | 1u << ENC_HASHTABLE,
    [OBJECT_SET] = 1u << ENC_INTSET | 1u << ENC_HASHTABLE,
    [OBJECT_ZSET] = 1u << ENC_LISTPACK | 1u << ENC_SKIPLIST,
    [OBJECT_STREAM] = 1u << ENC_STREAM,
};

/* ---- reading ---- */

static bool read_string(struct record_reader *r, const bson_iter_t *it, struct object *o)
{
    int64_t n;

    if (!record_read_value(it, &o->v.string))
        return record_bad(r, "v is neither text nor BinData");
    if (o->encoding == ENC_INT && !number_int(o->v.string, &n))
        return record_bad(r, "v is not an integer");
    return true;
}

static bool read_list(struct record_reader *r, bson_iter_t *it, struct object *o)
{
    struct slice value;
    bool ok = true;

    o->v.list = list_new(r->a, r->expected);
    while (record_next(r, it, &ok)) {
        if (!record_read_value(it, &value))
            return record_bad(r, "an element is neither text nor BinData");
        list_push(o->v.list, value, false);
    }
    return ok && (o->v.list->count > 0 || record_bad(r, "v is empty"));
}

static bool read_hash(struct record_reader *r, bson_iter_t *it, struct object *o)
{
    struct dict_entry e;
    bool ok = true;

    o->v.hash = dict_new(r->a, r->expected);
    while (record_next(r, it, &ok)) {
        if (!record_read(r, it, hash_fields, COUNT(hash_fields), &e))
            return false;
        if (!dict_set(o->v.hash, e.name, e.value))
            return record_bad(r, "a field stands twice");
    }
    return ok && (o->v.hash->count > 0 || record_bad(r, "v is empty"));
}

static bool read_set(struct record_reader *r, bson_iter_t *it, struct object *o)
{
    struct slice member;
    int64_t n;
    bool ok = true;

    o->v.set = dict_new(r->a, r->expected);
    while (record_next(r, it, &ok)) {
        if (!record_read_value(it, &member))
            return record_bad(r, "an element is neither text nor BinData");
        if (o->encoding == ENC_INTSET && !number_int(member, &n))
            return record_bad(r, "a member is not an integer");
        if (!dict_set(o->v.set, member, (struct slice){"", 0}))
            return record_bad(r, "a member stands twice");
    }
    return ok && (o->v.set->count > 0 || record_bad(r, "v is empty"));
}

static int row_compare(const struct zset_row *a, const struct zset_row *b)
{
    int order = (a->score > b->score) - (a->score < b->score);

    return order != 0 ? order : slice_compare(a->member, b->member);
}

static bool read_zset(struct record_reader *r, bson_iter_t *it, struct object *o)
{
    struct zset *z = zset_new(r->a, r->expected);
    struct dict *members = dict_new(r->a, r->expected);
    struct zset_row row;
    bool ok = true;

    o->v.zset = z;
    while (record_next(r, it, &ok)) {
        if (!record_read(r, it, zset_fields, COUNT(zset_fields), &row))
            return false;
        if (z->count > 0 && row_compare(&z->rows[z->count - 1], &row) >= 0)
            return record_bad(r, "members are not in order");
        if (!dict_set(members, row.member, (struct slice){"", 0}))
            return record_bad(r, "a member stands twice");
        zset_append(z, row.member, row.score);
    }
    return ok && (z->count > 0 || record_bad(r, "v is empty"));
}

static bool read_items(struct record_reader *r, const bson_iter_t *v, struct object *o)
{
    bson_iter_t it;

    if (!BSON_ITER_HOLDS_ARRAY(v) || !bson_iter_recurse(v, &it))
        return record_bad(r, "v is not an array");
    switch ((enum object_type)o->type) {
    case OBJECT_LIST:
        return read_list(r, &it, o);
    case OBJECT_HASH:
        return read_hash(r, &it, o);
    case OBJECT_SET:
        return read_set(r, &it, o);
    case OBJECT_ZSET:
        return read_zset(r, &it, o);
    case OBJECT_NONE:
    case OBJECT_STRING:
    case OBJECT_STREAM:
        break;
    }
    return false;
}

static bool read_v(struct record_reader *r, const bson_t *doc, struct object *o)
{
    bson_iter_t v, n;

    if (o->type == OBJECT_NONE)
        return true;
    if (!packed_find(doc, r->a, &v))
        return record_bad(r, "v is missing, or z is damaged");
    if (bson_iter_init_find(&n, doc, "n") && bson_iter_as_int64(&n) > 0)
        r->expected = (size_t)bson_iter_as_int64(&n);
    size_t most = (size_t)v.len / ELEMENT_MIN; /* of v's own document, which may have been packed */
    if (r->expected > most)
        r->expected = most;
    if (o->type == OBJECT_STRING)
        return read_string(r, &v, o);
    return o->type == OBJECT_STREAM ? streamdoc_read(r, &v, &o->v.stream) : read_items(r, &v, o);
}

/* The field's text, or NULL: missing, of another type, or with a NUL inside. */
static const char *text_field(const bson_t *doc, const char *name)
{
    bson_iter_t it;
    uint32_t len;

    if (!bson_iter_init_find(&it, doc, name) || !BSON_ITER_HOLDS_UTF8(&it))
        return NULL;
    const char *text = bson_iter_utf8(&it, &len);
    return strlen(text) == len ? text : NULL;
}

static bool read_type(struct record_reader *r, const bson_t *doc, struct object *o)
{
    const char *type = text_field(doc, "t");
    const char *encoding = text_field(doc, "enc");

    for (o->type = OBJECT_NONE; type != NULL && o->type <= OBJECT_STREAM; o->type++)
        if (strcmp(object_type_name(o->type), type) == 0)
            break;
    if (type == NULL || o->type > OBJECT_STREAM)
        return record_bad(r, "t is not a type");
    if (o->type == OBJECT_NONE)
        return true;
    for (o->encoding = 0; encoding != NULL && o->encoding < ENC_COUNT; o->encoding++)
        if (encodings[o->type] & 1u << o->encoding &&
            strcmp(object_encoding_name(o->encoding), encoding) == 0)
            return true;
    return record_bad(r, "enc is not an encoding of this type");
}

static bool read_expiry(struct record_reader *r, const bson_t *doc, struct object *o)
{
    bson_iter_t it;

    o->expire_ms = -1;
    if (!bson_iter_init_find(&it, doc, "exp") || BSON_ITER_HOLDS_NULL(&it))
        return true;
    o->expire_ms = bson_iter_date_time(&it);
    return (BSON_ITER_HOLDS_DATE_TIME(&it) && o->expire_ms >= 0) ||
           record_bad(r, "exp is not a date since 1970");
}

enum err document_decode(const bson_t *doc, struct arena *a, struct object *o, const char **why)
{
    struct record_reader r = {.a = a, .why = "_id is not a key"};
    const char *id = text_field(doc, "_id");

    *o = (struct object){.expire_ms = -1};
    if (id != NULL && document_key(id, a, &o->key) && read_type(&r, doc, o) && read_expiry(&r, doc, o) &&
        read_v(&r, doc, o))
        return ERR_NONE;
    *why = r.why;
    return ERR_IO;
}

/* ---- writing ---- */

static size_t digits_of(size_t i)
{
    size_t n = 1;
    for (; i >= 10; i /= 10)
        n++;
    return n;
}

/* One element: type, index, length, bytes. Returns the place behind it. Source: bsonspec.org, version 1.1. */
static char *put_element(char *p, size_t i, struct slice value)
{
    bool text = record_is_text(value);
    uint32_t len = (uint32_t)value.len + text; /* of a string, the NUL counts */

    *p++ = text ? BSON_TYPE_UTF8 : BSON_TYPE_BINARY;
    p += decimal_print(p, (int64_t)i);
    *p++ = '\0';
    len = BSON_UINT32_TO_LE(len);
    memcpy(p, &len, sizeof len);
    p += sizeof len;
    if (!text)
        *p++ = BSON_SUBTYPE_BINARY;
    if (value.len > 0)
        memcpy(p, value.p, value.len);
    p += value.len;
    if (text)
        *p++ = '\0';
    return p;
}

/* Histories are lists, and are written anew with each message: their bytes are put together here, which costs a tenth of what
 * appending one by one does. */
static bool write_list(bson_t *doc, const struct list *l)
{
    size_t size = 5; /* its own length, and the NUL at its end */
    bson_t v;

    for (size_t i = 0; i < l->count && size <= LIMIT_MANAGED_VALUE; i++)
        size += 7 + digits_of(i) + list_at(l, i)->len;
    char *bytes = size <= LIMIT_MANAGED_VALUE ? malloc(size) : NULL, *p = bytes;
    if (bytes == NULL)
        return false;
    uint32_t len = BSON_UINT32_TO_LE((uint32_t)size);
    memcpy(p, &len, sizeof len);
    p += sizeof len;
    for (size_t i = 0; i < l->count; i++)
        p = put_element(p, i, *list_at(l, i));
    *p = '\0';
    bool ok = bson_init_static(&v, (const uint8_t *)bytes, size) && BSON_APPEND_ARRAY(doc, "v", &v);
    free(bytes);
    return ok;
}

static bool write_set(bson_t *v, const struct dict *d)
{
    struct record_index at;

    for (size_t i = 0; i < d->count; i++)
        if (!record_write_value(v, record_index(&at, i), d->entries[i].name))
            return false;
    return true;
}

static bool write_hash(bson_t *v, const struct dict *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (!record_write_item(v, i, hash_fields, COUNT(hash_fields), &d->entries[i]))
            return false;
    return true;
}

static bool write_zset(bson_t *v, const struct zset *z)
{
    for (size_t i = 0; i < z->count; i++)
        if (!record_write_item(v, i, zset_fields, COUNT(zset_fields), &z->rows[i]))
            return false;
    return true;
}

static bool write_items(bson_t *v, const struct object *o)
{
    switch ((enum object_type)o->type) {
    case OBJECT_HASH:
        return write_hash(v, o->v.hash);
    case OBJECT_SET:
        return write_set(v, o->v.set);
    case OBJECT_ZSET:
        return write_zset(v, o->v.zset);
    case OBJECT_NONE:
    case OBJECT_STRING:
    case OBJECT_LIST:
    case OBJECT_STREAM:
        break;
    }
    return false;
}

static bool write_v(bson_t *doc, const struct object *o)
{
    bson_t v;

    if (o->type == OBJECT_NONE)
        return true;
    if (o->type == OBJECT_STRING)
        return record_write_value(doc, "v", o->v.string);
    if (o->type == OBJECT_STREAM)
        return streamdoc_write(doc, "v", o->v.stream);
    if (o->type == OBJECT_LIST)
        return write_list(doc, o->v.list);
    if (!bson_append_array_begin(doc, "v", -1, &v))
        return false;
    bool ok = write_items(&v, o);
    return bson_append_array_end(doc, &v) && ok;
}

static bool write_id(bson_t *doc, struct slice key)
{
    char small[ID_SMALL];
    size_t len = document_id(key, small, sizeof small);
    char *large = NULL;

    if (len >= sizeof small) {
        large = len < BSON_MAX_SIZE ? malloc(len + 1) : NULL;
        if (large == NULL)
            return false;
        document_id(key, large, len + 1);
    }
    bool ok = bson_append_utf8(doc, "_id", -1, large != NULL ? large : small, (int)len);
    free(large);
    return ok;
}

enum err document_encode(const struct object *o, bson_t *doc)
{
    bool ok = write_id(doc, o->key) && BSON_APPEND_UTF8(doc, "t", object_type_name(o->type)) &&
              BSON_APPEND_INT64(doc, "n", object_count(o)) &&
              (o->expire_ms >= 0 ? BSON_APPEND_DATE_TIME(doc, "exp", o->expire_ms)
                                 : BSON_APPEND_NULL(doc, "exp")) &&
              (o->type == OBJECT_NONE || BSON_APPEND_UTF8(doc, "enc", object_encoding_name(o->encoding))) &&
              write_v(doc, o);

    return ok && doc->len <= LIMIT_MANAGED_VALUE ? ERR_NONE : ERR_TOO_LARGE;
}
