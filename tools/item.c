#include "tools/item.h"

#include "engine/dict.h"
#include "engine/list.h"
#include "engine/number.h"
#include "engine/stream.h"
#include "engine/streamargs.h"
#include "engine/zset.h"

#include <inttypes.h>
#include <string.h>

#define SAFE_INT 9007199254740992.0 /* above it a double has gaps */

/* ---- bytes ---- */

/* The length of the UTF-8 character at p, by the Unicode standard's table 3-7; 0: it is none, or a NUL. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
    static const struct {
        unsigned char first, last, low, high; /* of the first byte, and of the second */
        size_t len;
    } rows[] = {{0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (p[0] < rows[i].first || p[0] > rows[i].last)
            continue;
        if (rows[i].len > n || (rows[i].len > 1 && (p[1] < rows[i].low || p[1] > rows[i].high)))
            return 0;
        for (size_t k = 2; k < rows[i].len; k++)
            if (p[k] < 0x80 || p[k] > 0xbf)
                return 0;
        return rows[i].len;
    }
    return 0;
}

static bool is_text(struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;

    for (size_t at = 0, len; at < s.len; at += len)
        if ((len = utf8_length(p + at, s.len - at)) == 0)
            return false;
    return true;
}

static const char digits64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void write_b64(FILE *out, struct slice s)
{
    const unsigned char *p = (const unsigned char *)s.p;

    fputs("{\"b64\":\"", out);
    for (size_t i = 0; i < s.len; i += 3) {
        size_t left = s.len - i;
        unsigned v = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) | (left > 2 ? p[i + 2] : 0);
        putc(digits64[v >> 18], out);
        putc(digits64[v >> 12 & 63], out);
        putc(left > 1 ? digits64[v >> 6 & 63] : '=', out);
        putc(left > 2 ? digits64[v & 63] : '=', out);
    }
    fputs("\"}", out);
}

void item_write_text(FILE *out, struct slice s)
{
    if (!is_text(s)) {
        write_b64(out, s);
        return;
    }
    putc('"', out);
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c == 127)
            fprintf(out, "\\u%04x", c);
        else if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else
            putc(c, out);
    }
    putc('"', out);
}

static bool read_b64(const char *text, struct arena *a, struct slice *ret)
{
    size_t n = strlen(text), at = 0;
    unsigned char *to = arena_get(a, n / 4 * 3 + 1);
    unsigned bits = 0, v = 0;

    if (n % 4 != 0)
        return false;
    for (size_t i = 0; i < n; i++) {
        const char *digit = text[i] != '=' ? strchr(digits64, text[i]) : NULL;
        if (digit == NULL && (text[i] != '=' || i + 2 < n || text[n - 1] != '='))
            return false;
        if (digit == NULL)
            continue;
        v = v << 6 | (unsigned)(digit - digits64);
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        to[at++] = (unsigned char)(v >> bits);
    }
    *ret = (struct slice){(const char *)to, at};
    return true;
}

static bool read_text(const cJSON *item, struct arena *a, struct slice *ret)
{
    const cJSON *b64 = cJSON_GetObjectItemCaseSensitive(item, "b64");

    if (cJSON_IsString(b64))
        return read_b64(b64->valuestring, a, ret);
    if (!cJSON_IsString(item))
        return false;
    *ret = arena_copy(a, (struct slice){item->valuestring, strlen(item->valuestring)});
    return true;
}

/* As a number, or as text where a double could not hold it. */
static void write_int(FILE *out, int64_t n)
{
    bool safe = (double)n > -SAFE_INT && (double)n < SAFE_INT;
    fprintf(out, safe ? "%" PRId64 : "\"%" PRId64 "\"", n);
}

static bool read_int(const cJSON *item, int64_t *ret)
{
    if (cJSON_IsString(item))
        return number_int((struct slice){item->valuestring, strlen(item->valuestring)}, ret);
    if (!cJSON_IsNumber(item) || item->valuedouble <= -SAFE_INT || item->valuedouble >= SAFE_INT)
        return false;
    *ret = (int64_t)item->valuedouble;
    return (double)*ret == item->valuedouble;
}

/* ---- all types but streams ---- */

static void write_list(FILE *out, const struct list *l)
{
    for (size_t i = 0; i < l->count; i++) {
        fputs(i > 0 ? "," : "", out);
        item_write_text(out, *list_at(l, i));
    }
}

static void write_dict(FILE *out, const struct dict *d, bool values)
{
    for (size_t i = 0; i < d->count; i++) {
        fputs(i > 0 ? "," : "", out);
        item_write_text(out, d->entries[i].name);
        if (values) {
            putc(',', out);
            item_write_text(out, d->entries[i].value);
        }
    }
}

static void write_zset(FILE *out, const struct zset *z)
{
    char score[NUMBER_TEXT];

    for (size_t i = 0; i < z->count; i++) {
        number_print_double(score, z->rows[i].score);
        fputs(i > 0 ? "," : "", out);
        item_write_text(out, z->rows[i].member);
        fprintf(out, ",\"%s\"", score);
    }
}

static bool read_list(const cJSON *value, struct arena *a, struct object *o)
{
    struct slice text;
    const cJSON *item;

    o->v.list = list_new(a, 0);
    cJSON_ArrayForEach(item, value)
    {
        if (!read_text(item, a, &text))
            return false;
        list_push(o->v.list, text, false);
    }
    return o->v.list->count > 0;
}

static bool read_dict(const cJSON *value, struct arena *a, struct object *o)
{
    struct slice name, text = {"", 0};
    const cJSON *item;

    o->v.hash = dict_new(a, 0);
    cJSON_ArrayForEach(item, value)
    {
        if (!read_text(item, a, &name))
            return false;
        if (o->type == OBJECT_HASH && ((item = item->next) == NULL || !read_text(item, a, &text)))
            return false;
        if (!dict_set(o->v.hash, name, text))
            return false;
    }
    return o->v.hash->count > 0;
}

static bool read_zset(const cJSON *value, struct arena *a, struct object *o)
{
    struct slice member;
    double score;
    const cJSON *item;

    o->v.zset = zset_new(a, 0);
    cJSON_ArrayForEach(item, value)
    {
        if (!read_text(item, a, &member) || (item = item->next) == NULL || !cJSON_IsString(item) ||
            !number_double((struct slice){item->valuestring, strlen(item->valuestring)}, &score) ||
            !zset_set(o->v.zset, member, score))
            return false;
    }
    return o->v.zset->count > 0;
}

/* ---- streams ---- */

static void write_id(FILE *out, struct stream_id id)
{
    fprintf(out, "\"%" PRIu64 "-%" PRIu64 "\"", id.ms, id.seq);
}

static void write_group(FILE *out, const struct stream_group *g)
{
    fputs("{\"name\":", out);
    item_write_text(out, g->name);
    fputs(",\"last_id\":", out);
    write_id(out, g->last_id);
    fputs(",\"entries_read\":", out);
    write_int(out, g->entries_read);
    fputs(",\"consumers\":[", out);
    for (size_t i = 0; i < g->nconsumers; i++) {
        fputs(i > 0 ? "," : "", out);
        item_write_text(out, g->consumers[i].name);
    }
    fputs("],\"pending\":[", out);
    for (size_t i = 0; i < g->npending; i++) {
        const struct stream_pending *p = &g->pending[i];
        fputs(i > 0 ? ",[" : "[", out);
        write_id(out, p->id);
        fprintf(out, ",%" PRIu32 ",", p->consumer);
        write_int(out, p->delivered_ms);
        putc(',', out);
        write_int(out, (int64_t)p->deliveries);
        putc(']', out);
    }
    fputs("]}", out);
}

static void write_stream(FILE *out, const struct stream *s)
{
    fputs("{\"entries\":[", out);
    for (size_t i = 0; i < s->count; i++) {
        const struct stream_entry *e = stream_at(s, i);
        fputs(i > 0 ? ",[" : "[", out);
        write_id(out, e->id);
        for (uint32_t k = 0; k < e->npairs; k++) {
            putc(',', out);
            item_write_text(out, e->pairs[k]);
        }
        putc(']', out);
    }
    fputs("],\"last_id\":", out);
    write_id(out, s->last_id);
    fputs(",\"max_deleted_id\":", out);
    write_id(out, s->max_deleted_id);
    fputs(",\"entries_added\":", out);
    write_int(out, (int64_t)s->entries_added);
    fputs(",\"groups\":[", out);
    for (size_t i = 0; i < s->ngroups; i++) {
        fputs(i > 0 ? "," : "", out);
        write_group(out, &s->groups[i]);
    }
    fputs("]}", out);
}

static const cJSON *member(const cJSON *doc, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(doc, name);
}

static bool read_id(const cJSON *item, struct stream_id *ret)
{
    return cJSON_IsString(item) &&
           stream_id_parse((struct slice){item->valuestring, strlen(item->valuestring)}, 0, ret);
}

static bool read_entry(const cJSON *row, struct arena *a, struct stream *s)
{
    struct stream_entry e = {0};
    int n = cJSON_GetArraySize(row);

    if (!cJSON_IsArray(row) || n < 3 || n % 2 == 0 || !read_id(row->child, &e.id) ||
        (s->count > 0 && stream_id_compare(stream_at(s, s->count - 1)->id, e.id) >= 0))
        return false;
    e.pairs = arena_get(a, (size_t)(n - 1) * sizeof *e.pairs);
    for (const cJSON *item = row->child->next; item != NULL; item = item->next)
        if (!read_text(item, a, &e.pairs[e.npairs++]))
            return false;
    stream_append(s, e);
    return true;
}

static bool read_pending(const cJSON *row, struct stream *s, struct stream_group *g)
{
    struct stream_id id;
    int64_t consumer, delivered_ms, deliveries;

    if (cJSON_GetArraySize(row) != 4 || !read_id(row->child, &id) || !read_int(row->child->next, &consumer) ||
        consumer < 0 || (size_t)consumer >= g->nconsumers || !read_int(row->child->next->next, &delivered_ms) ||
        !read_int(row->child->next->next->next, &deliveries))
        return false;
    *stream_pending_add(s, g, id) = (struct stream_pending){.id = id,
                                                            .consumer = (uint32_t)consumer,
                                                            .delivered_ms = delivered_ms,
                                                            .deliveries = (uint64_t)deliveries};
    return true;
}

static bool read_group(const cJSON *row, struct arena *a, struct stream *s)
{
    struct slice name;
    struct stream_id last;
    int64_t entries_read;
    const cJSON *item;

    if (!read_text(member(row, "name"), a, &name) || !read_id(member(row, "last_id"), &last) ||
        !read_int(member(row, "entries_read"), &entries_read))
        return false;
    struct stream_group *g = stream_group_add(s, name);
    if (g == NULL)
        return false;
    g->last_id = last;
    g->entries_read = entries_read;
    cJSON_ArrayForEach(item, member(row, "consumers"))
    {
        /* in the order of their names, so that positions are the file's */
        if (!read_text(item, a, &name) || stream_consumer_find(g, name) >= 0 ||
            stream_consumer_add(s, g, name, 0) + 1 != g->nconsumers)
            return false;
    }
    cJSON_ArrayForEach(item, member(row, "pending"))
    {
        if (!read_pending(item, s, g))
            return false;
    }
    return true;
}

static bool read_stream(const cJSON *value, struct arena *a, struct object *o)
{
    struct stream *s = o->v.stream = stream_new(a);
    const cJSON *item;
    int64_t added;

    if (!read_id(member(value, "last_id"), &s->last_id) || !read_id(member(value, "max_deleted_id"), &s->max_deleted_id) ||
        !read_int(member(value, "entries_added"), &added))
        return false;
    s->entries_added = (uint64_t)added;
    cJSON_ArrayForEach(item, member(value, "entries"))
    {
        if (!read_entry(item, a, s))
            return false;
    }
    cJSON_ArrayForEach(item, member(value, "groups"))
    {
        if (!read_group(item, a, s))
            return false;
    }
    return true;
}

/* ---- the line ---- */

static void write_value(FILE *out, const struct object *o)
{
    switch ((enum object_type)o->type) {
    case OBJECT_NONE:
        fputs("null", out);
        return;
    case OBJECT_STRING:
        item_write_text(out, o->v.string);
        return;
    case OBJECT_STREAM:
        write_stream(out, o->v.stream);
        return;
    case OBJECT_LIST:
    case OBJECT_HASH:
    case OBJECT_SET:
    case OBJECT_ZSET:
        break;
    }
    putc('[', out);
    if (o->type == OBJECT_LIST)
        write_list(out, o->v.list);
    else if (o->type == OBJECT_ZSET)
        write_zset(out, o->v.zset);
    else
        write_dict(out, o->v.hash, o->type == OBJECT_HASH);
    putc(']', out);
}

void item_write(FILE *out, const struct object *o)
{
    fputs("{\"key\":", out);
    item_write_text(out, o->key);
    fprintf(out, ",\"type\":\"%s\"", object_type_name((enum object_type)o->type));
    if (o->type != OBJECT_NONE && o->expire_ms >= 0)
        fprintf(out, ",\"expire_at\":%" PRId64, o->expire_ms);
    fputs(",\"value\":", out);
    write_value(out, o);
    putc('}', out);
}

static bool read_value(const cJSON *value, struct arena *a, struct object *o)
{
    switch ((enum object_type)o->type) {
    case OBJECT_NONE:
        return cJSON_IsNull(value);
    case OBJECT_STRING:
        return read_text(value, a, &o->v.string);
    case OBJECT_LIST:
        return cJSON_IsArray(value) && read_list(value, a, o);
    case OBJECT_HASH:
    case OBJECT_SET:
        return cJSON_IsArray(value) && read_dict(value, a, o);
    case OBJECT_ZSET:
        return cJSON_IsArray(value) && read_zset(value, a, o);
    case OBJECT_STREAM:
        return cJSON_IsObject(value) && read_stream(value, a, o);
    }
    return false;
}

static bool read_type(const cJSON *item, struct object *o)
{
    for (unsigned t = OBJECT_NONE; cJSON_IsString(item) && t <= OBJECT_STREAM; t++)
        if (strcmp(item->valuestring, object_type_name((enum object_type)t)) == 0) {
            o->type = (uint8_t)t;
            return true;
        }
    return false;
}

bool item_read(const cJSON *line, struct arena *a, struct object *ret, const char **why)
{
    const cJSON *expire = member(line, "expire_at");

    *ret = (struct object){.expire_ms = -1};
    if (!read_text(member(line, "key"), a, &ret->key)) {
        *why = "it has no key";
        return false;
    }
    if (!read_type(member(line, "type"), ret)) {
        *why = "its type is none that Redis has";
        return false;
    }
    if (expire != NULL && !cJSON_IsNull(expire) && (!read_int(expire, &ret->expire_ms) || ret->expire_ms < 0)) {
        *why = "expire_at is no time in ms since 1970";
        return false;
    }
    *why = "its value is not of the form that its type has";
    return read_value(member(line, "value"), a, ret);
}
