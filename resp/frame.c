#include "resp/frame.h"

#include "base/limits.h"

#include <string.h>

bool frame_number(const char *p, size_t n, int64_t *ret_value)
{
    bool negative = n > 0 && p[0] == '-';
    size_t i = n > 0 && (p[0] == '-' || p[0] == '+') ? 1 : 0;
    uint64_t value = 0;

    if (i == n || n - i > 19)
        return false;
    for (; i < n; i++) {
        unsigned digit = (unsigned)(p[i] - '0');
        if (digit > 9)
            return false;
        value = value * 10 + digit;
    }
    if (value > (uint64_t)INT64_MAX + negative)
        return false;
    *ret_value = negative ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool frame_count(const char *p, size_t n, int64_t *ret_value)
{
    size_t first = n > 0 && p[0] == '-' ? 1 : 0;

    if (n == 1 && p[0] == '0') {
        *ret_value = 0;
        return true;
    }
    return n > first && p[first] >= '1' && p[first] <= '9' && frame_number(p, n, ret_value);
}

/* The type byte says how a value goes on after its first line. */
enum shape { SHAPE_BAD, SHAPE_LINE, SHAPE_BULK, SHAPE_LIST, SHAPE_PAIRS, SHAPE_ATTRIBUTE };

static const uint8_t shapes[256] = {
    ['+'] = SHAPE_LINE, ['-'] = SHAPE_LINE, [':'] = SHAPE_LINE, ['_'] = SHAPE_LINE,  ['#'] = SHAPE_LINE,
    [','] = SHAPE_LINE, ['('] = SHAPE_LINE, ['$'] = SHAPE_BULK, ['!'] = SHAPE_BULK,  ['='] = SHAPE_BULK,
    ['*'] = SHAPE_LIST, ['~'] = SHAPE_LIST, ['>'] = SHAPE_LIST, ['%'] = SHAPE_PAIRS, ['|'] = SHAPE_ATTRIBUTE,
};

/* The end of the line at p: points at its CR, or NULL when it is not whole. *bad when it never can be:
 * another type byte, or no end within the limit. A status or an error may hold a lone LF (modules write what
 * they like); every client reads on to CR LF there, and so do we. */
static const char *line_end(const char *p, size_t n, bool *bad)
{
    const char *stop = p + (n < LIMIT_REPLY_LINE ? n : LIMIT_REPLY_LINE);
    const char *from = p;

    *bad = n > 0 && shapes[(unsigned char)p[0]] == SHAPE_BAD;
    if (*bad)
        return NULL;
    while (from < stop) {
        const char *lf = memchr(from, '\n', (size_t)(stop - from));
        if (lf == NULL)
            break;
        if (lf[-1] == '\r') /* p[0] is a type byte: lf is behind it */
            return lf - 1;
        if (p[0] != '+' && p[0] != '-') {
            *bad = true;
            return NULL;
        }
        from = lf + 1;
    }
    *bad = n >= LIMIT_REPLY_LINE;
    return NULL;
}

/* The number in the header of a bulk or an aggregate. Nulls are -1; an attribute can't be one. */
static bool header_count(const char *p, const char *end, enum shape shape, int64_t *ret_count)
{
    int64_t count;

    if (!frame_count(p + 1, (size_t)(end - p - 1), &count) || count < (shape == SHAPE_ATTRIBUTE ? 0 : -1))
        return false;
    if (shape != SHAPE_BULK && count > (int64_t)LIMIT_REPLY_ITEMS)
        return false;
    *ret_count = count > 0 && shape >= SHAPE_PAIRS ? 2 * count : count;
    return true;
}

/* Takes one header line, p[0] to end (its CR), into the counters. False when it is malformed. */
static bool take_header(struct frame *f, const char *p, const char *end)
{
    enum shape shape = shapes[(unsigned char)p[0]];
    int64_t count;

    if (shape != SHAPE_ATTRIBUTE)
        f->owed--;
    if (shape == SHAPE_LINE)
        return true;
    if (!header_count(p, end, shape, &count))
        return false;
    if (shape == SHAPE_BULK) {
        f->tail = count >= 0;
        f->body = f->tail ? (uint64_t)count : 0;
        return true;
    }
    f->owed += count > 0 ? (uint64_t)count : 0;
    return f->owed <= LIMIT_REPLY_ITEMS;
}

/* Passes what is there of a bulk body and its CR LF. FRAME_DONE: the body is behind us. */
static enum frame_status pass_body(struct frame *f, const char *p, size_t n, size_t *at)
{
    size_t have = n - *at;
    size_t take = f->body < have ? (size_t)f->body : have;

    f->body -= take;
    *at += take;
    if (f->body > 0 || n - *at < 2)
        return FRAME_MORE;
    if (p[*at] != '\r' || p[*at + 1] != '\n')
        return FRAME_BAD;
    *at += 2;
    f->tail = false;
    return FRAME_DONE;
}

/* The common case in one step: the length of a bulk that is all there, or 0: then the general way decides. */
static inline size_t whole_bulk(const char *p, size_t n)
{
    size_t len, head = n > 0 && p[0] == '$' ? frame_short_header(p, n, &len) : 0;

    if (head == 0 || n - head < len + 2 || p[head + len] != '\r' || p[head + len + 1] != '\n')
        return 0;
    return head + len + 2;
}

/* The same for a short line. */
static inline size_t whole_line(const char *p, size_t n)
{
    size_t i = 1, most = n < 32 ? n : 32;

    while (i < most && p[i] != '\r' && p[i] != '\n')
        i++;
    return i + 1 < most && p[i] == '\r' && p[i + 1] == '\n' ? i + 2 : 0;
}

/* The common values in one step: passes one into f->owed and returns its length (of an array: its header's), or 0. */
static inline size_t pass_common(struct frame *f, const char *p, size_t n)
{
    size_t items = 0, len = 0;

    if (n > 0 && p[0] == '$')
        len = whole_bulk(p, n);
    else if (n > 0 && (p[0] == '+' || p[0] == ':'))
        len = whole_line(p, n);
    else if (n > 0 && p[0] == '*')
        len = frame_short_header(p, n, &items);
    if (len == 0 || f->owed + items > LIMIT_REPLY_ITEMS)
        return 0;
    f->owed += items - 1;
    return len;
}

enum frame_status frame_scan(struct frame *f, const char *p, size_t n, size_t *used)
{
    size_t at = 0;
    enum frame_status status = FRAME_MORE;

    *used = 0;
    if (n == 0)
        return FRAME_MORE;
    if (f->owed == 0 && !f->tail)
        f->owed = 1;
    for (;;) {
        if (f->tail && (status = pass_body(f, p, n, &at)) != FRAME_DONE)
            break;
        if (f->owed == 0) {
            status = FRAME_DONE;
            break;
        }
        size_t common = pass_common(f, p + at, n - at);
        if (common > 0) {
            at += common;
            continue;
        }
        bool bad;
        const char *end = line_end(p + at, n - at, &bad);
        status = bad ? FRAME_BAD : FRAME_MORE;
        if (end == NULL)
            break;
        if (!take_header(f, p + at, end)) {
            status = FRAME_BAD;
            break;
        }
        at = (size_t)(end - p) + 2;
    }
    *used = at;
    return status;
}

size_t frame_length(const char *p, size_t n)
{
    struct frame f = {0};
    size_t used;
    return frame_scan(&f, p, n, &used) == FRAME_DONE ? used : 0;
}

size_t frame_aggregate(const char *p, size_t n, int64_t *items)
{
    enum shape shape = n > 0 ? shapes[(unsigned char)p[0]] : SHAPE_BAD;
    bool bad;

    if (shape < SHAPE_LIST)
        return 0;
    const char *end = line_end(p, n, &bad);
    if (end == NULL || !header_count(p, end, shape, items))
        return 0;
    return (size_t)(end - p) + 2;
}
