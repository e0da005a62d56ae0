#include "engine/record.h"
#include "engine/stream.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define ID_TEXT 48 /* two 64-bit numbers, a dash, a NUL */

/* How many bytes at the beginning are ASCII without NUL, in steps of eight: most of what people write, found out much faster
 * than character by character. A byte less 1 has its top bit set when it is 0 or above 128; 128 itself has it anyway. */
static size_t ascii_prefix(struct slice s)
{
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    size_t at = 0;

    for (uint64_t word; at + sizeof word <= s.len; at += sizeof word) {
        memcpy(&word, s.p + at, sizeof word);
        if ((((word - ones) | word) & tops) != 0)
            break;
    }
    return at;
}

bool record_is_text(struct slice s)
{
    size_t at = ascii_prefix(s);
    return at == s.len || bson_utf8_validate(s.p + at, s.len - at, false);
}

/* ---- reading ---- */

bool record_bad(struct record_reader *r, const char *why)
{
    r->why = why;
    return false;
}

bool record_next(struct record_reader *r, bson_iter_t *it, bool *ok)
{
    if (bson_iter_next(it))
        return true;
    *ok = it->err_off == 0 || record_bad(r, "an array is damaged");
    return false;
}

bool record_read_value(const bson_iter_t *it, struct slice *ret)
{
    bson_subtype_t subtype;
    const uint8_t *bytes;
    uint32_t len;

    if (BSON_ITER_HOLDS_UTF8(it)) {
        ret->p = bson_iter_utf8(it, &len);
        ret->len = len;
        return true;
    }
    if (!BSON_ITER_HOLDS_BINARY(it))
        return false;
    bson_iter_binary(it, &subtype, &len, &bytes);
    ret->p = (const char *)bytes;
    ret->len = len;
    return subtype == BSON_SUBTYPE_BINARY && bytes != NULL;
}

static bool read_int(const bson_iter_t *it, int64_t *ret)
{
    *ret = bson_iter_as_int64(it);
    return BSON_ITER_HOLDS_INT32(it) || BSON_ITER_HOLDS_INT64(it);
}

static bool read_double(const bson_iter_t *it, double *ret)
{
    int64_t n;

    if (read_int(it, &n)) {
        *ret = (double)n;
        return true;
    }
    *ret = bson_iter_double(it);
    return BSON_ITER_HOLDS_DOUBLE(it) && !isnan(*ret);
}

static bool read_position(const bson_iter_t *it, uint32_t *ret)
{
    int64_t n;

    if (!read_int(it, &n) || n < 0 || n > INT32_MAX)
        return false;
    *ret = (uint32_t)n;
    return true;
}

/* The digits from *p to the byte `end`; *p moves behind it. */
static bool read_part(const char **p, char end, uint64_t *ret)
{
    const char *s = *p;

    *ret = 0;
    for (; *s >= '0' && *s <= '9'; s++)
        if (__builtin_mul_overflow(*ret, 10, ret) || __builtin_add_overflow(*ret, (uint64_t)(*s - '0'), ret))
            return false;
    if (s == *p || *s != end)
        return false;
    *p = s + 1;
    return true;
}

static bool read_id(const bson_iter_t *it, struct stream_id *ret)
{
    uint32_t len;
    const char *text = bson_iter_utf8(it, &len);
    const char *p = text;

    return text != NULL && read_part(&p, '-', &ret->ms) && read_part(&p, '\0', &ret->seq) &&
           p == text + len + 1;
}

static bool read_field(const bson_iter_t *it, enum record_kind kind, void *to)
{
    switch (kind) {
    case RECORD_VALUE:
        return record_read_value(it, to);
    case RECORD_DOUBLE:
        return read_double(it, to);
    case RECORD_INT:
        return read_int(it, to);
    case RECORD_POSITION:
        return read_position(it, to);
    case RECORD_DATE:
        *(int64_t *)to = bson_iter_date_time(it);
        return BSON_ITER_HOLDS_DATE_TIME(it);
    case RECORD_ID:
        return read_id(it, to);
    case RECORD_ARRAY:
        return BSON_ITER_HOLDS_ARRAY(it) && bson_iter_recurse(it, to);
    }
    return false;
}

bool record_read(struct record_reader *r, const bson_iter_t *it, const struct record_field *fields, size_t n,
                 void *record)
{
    bson_iter_t field;
    unsigned seen = 0;

    if (!BSON_ITER_HOLDS_DOCUMENT(it) || !bson_iter_recurse(it, &field))
        return record_bad(r, "an element is not a document");
    while (bson_iter_next(&field)) {
        size_t i = 0;
        while (i < n && strcmp(fields[i].name, bson_iter_key(&field)) != 0)
            i++;
        if (i == n)
            continue;
        if (seen & 1u << i || !read_field(&field, fields[i].kind, (char *)record + fields[i].at))
            return record_bad(r, "a field of an element is twice there or of a wrong type");
        seen |= 1u << i;
    }
    return (field.err_off == 0 && seen == (1u << n) - 1) || record_bad(r, "an element lacks a field");
}

/* ---- writing ---- */

bool record_write_value(bson_t *doc, const char *name, struct slice value)
{
    const char *p = value.len > 0 ? value.p : "";

    if (value.len > BSON_MAX_SIZE)
        return false;
    if (record_is_text(value))
        return bson_append_utf8(doc, name, -1, p, (int)value.len);
    return bson_append_binary(doc, name, -1, BSON_SUBTYPE_BINARY, (const uint8_t *)p, (uint32_t)value.len);
}

static bool write_id(bson_t *doc, const char *name, struct stream_id id)
{
    char text[ID_TEXT];
    int n = snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);

    return bson_append_utf8(doc, name, -1, text, n);
}

static bool write_field(bson_t *doc, const struct record_field *f, const void *from)
{
    switch (f->kind) {
    case RECORD_VALUE:
        return record_write_value(doc, f->name, *(const struct slice *)from);
    case RECORD_DOUBLE:
        return bson_append_double(doc, f->name, -1, *(const double *)from);
    case RECORD_INT:
        return bson_append_int64(doc, f->name, -1, *(const int64_t *)from);
    case RECORD_POSITION:
        return bson_append_int32(doc, f->name, -1, (int32_t) * (const uint32_t *)from);
    case RECORD_DATE:
        return bson_append_date_time(doc, f->name, -1, *(const int64_t *)from);
    case RECORD_ID:
        return write_id(doc, f->name, *(const struct stream_id *)from);
    case RECORD_ARRAY:
        return true;
    }
    return false;
}

bool record_write(bson_t *doc, const struct record_field *fields, size_t n, const void *record)
{
    for (size_t i = 0; i < n; i++)
        if (!write_field(doc, &fields[i], (const char *)record + fields[i].at))
            return false;
    return true;
}

const char *record_index(struct record_index *at, size_t i)
{
    const char *text;

    bson_uint32_to_string((uint32_t)i, &text, at->text, sizeof at->text);
    return text;
}

bool record_write_item(bson_t *array, size_t i, const struct record_field *fields, size_t n,
                       const void *record)
{
    struct record_index at;
    bson_t item;

    if (!bson_append_document_begin(array, record_index(&at, i), -1, &item))
        return false;
    bool ok = record_write(&item, fields, n, record);
    return bson_append_document_end(array, &item) && ok;
}
