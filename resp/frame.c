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

/* The end of the line at p: points at its CR, or NULL when it is not whole. *bad when it never can be. */
static const char *line_end(const char *p, size_t n, bool *bad)
{
    const char *lf = memchr(p, '\n', n < LIMIT_REPLY_LINE ? n : LIMIT_REPLY_LINE);
    *bad = lf == NULL ? n >= LIMIT_REPLY_LINE : (lf == p || lf[-1] != '\r');
    return *bad || lf == NULL ? NULL : lf - 1;
}

/* The type byte says how a value goes on after its first line. */
enum shape { SHAPE_BAD, SHAPE_LINE, SHAPE_BULK, SHAPE_LIST, SHAPE_PAIRS, SHAPE_ATTRIBUTE };

static const uint8_t shapes[256] = {
    ['+'] = SHAPE_LINE, ['-'] = SHAPE_LINE, [':'] = SHAPE_LINE, ['_'] = SHAPE_LINE,  ['#'] = SHAPE_LINE,
    [','] = SHAPE_LINE, ['('] = SHAPE_LINE, ['$'] = SHAPE_BULK, ['!'] = SHAPE_BULK,  ['='] = SHAPE_BULK,
    ['*'] = SHAPE_LIST, ['~'] = SHAPE_LIST, ['>'] = SHAPE_LIST, ['%'] = SHAPE_PAIRS, ['|'] = SHAPE_ATTRIBUTE,
};

/* Takes one header line, p[0] to end (its CR), into the counters. False when it is malformed. */
static bool take_header(struct frame *f, const char *p, const char *end)
{
    enum shape shape = shapes[(unsigned char)p[0]];
    int64_t count;

    if (shape == SHAPE_BAD)
        return false;
    if (shape != SHAPE_ATTRIBUTE)
        f->owed--;
    if (shape == SHAPE_LINE)
        return true;
    if (!frame_number(p + 1, (size_t)(end - p - 1), &count) || count < -1)
        return false;
    if (count <= 0 && shape != SHAPE_BULK)
        return true;
    if (shape == SHAPE_BULK) {
        if (count >= 0) {
            f->body = (uint64_t)count;
            f->tail = true;
        }
        return true;
    }
    if ((uint64_t)count > LIMIT_REPLY_ITEMS)
        return false;
    f->owed += shape == SHAPE_LIST ? (uint64_t)count : 2 * (uint64_t)count;
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

enum frame_status frame_scan(struct frame *f, const char *p, size_t n, size_t *used)
{
    size_t at = 0;
    enum frame_status status = FRAME_MORE;

    if (f->owed == 0 && !f->tail)
        f->owed = 1;
    for (;;) {
        if (f->tail && (status = pass_body(f, p, n, &at)) != FRAME_DONE)
            break;
        if (f->owed == 0) {
            status = FRAME_DONE;
            break;
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
    bool bad;
    if (n == 0 || shapes[(unsigned char)p[0]] < SHAPE_LIST)
        return 0;
    const char *end = line_end(p, n, &bad);
    if (end == NULL || !frame_number(p + 1, (size_t)(end - p - 1), items) || *items < -1)
        return 0;
    if (*items > 0 && shapes[(unsigned char)p[0]] >= SHAPE_PAIRS)
        *items *= 2;
    return (size_t)(end - p) + 2;
}
