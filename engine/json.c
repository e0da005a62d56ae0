#include "engine/json.h"

#include <stdint.h>
#include <string.h>

/* What is open around the place that is read, a bit each: 1 an object, 0 an array. */
struct reader {
    const char *p, *end;
    unsigned depth;
    uint64_t objects[JSON_DEPTH / 64];
};

/* What may come at a place. */
enum want { WANT_VALUE, WANT_VALUE_OR_CLOSE, WANT_NAME, WANT_NAME_OR_CLOSE, WANT_NEXT };

static int peek(const struct reader *r)
{
    return r->p < r->end ? (unsigned char)*r->p : -1;
}

static void skip_blanks(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r'))
        r->p++;
}

static bool take(struct reader *r, char c)
{
    if (peek(r) != c)
        return false;
    r->p++;
    return true;
}

static bool is_hex(int c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}

static bool read_escape(struct reader *r)
{
    int c = peek(r);

    if (c < 0 || strchr("\"\\/bfnrtu", c) == NULL || c == '\0')
        return false;
    r->p++;
    for (int i = 0; c == 'u' && i < 4; i++, r->p++)
        if (!is_hex(peek(r)))
            return false;
    return true;
}

static bool read_string(struct reader *r)
{
    if (!take(r, '"'))
        return false;
    for (int c; (c = peek(r)) >= ' ';) {
        r->p++;
        if (c == '"')
            return true;
        if (c == '\\' && !read_escape(r))
            return false;
    }
    return false;
}

static bool read_digits(struct reader *r)
{
    const char *from = r->p;

    while (peek(r) >= '0' && peek(r) <= '9')
        r->p++;
    return r->p > from;
}

static bool read_number(struct reader *r)
{
    take(r, '-');
    if (!take(r, '0') && !read_digits(r))
        return false;
    if (take(r, '.') && !read_digits(r))
        return false;
    if ((peek(r) | 32) != 'e')
        return true;
    r->p++;
    if (!take(r, '+'))
        take(r, '-');
    return read_digits(r);
}

static bool read_word(struct reader *r)
{
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t len = strlen(words[i]);
        if ((size_t)(r->end - r->p) >= len && memcmp(r->p, words[i], len) == 0) {
            r->p += len;
            return true;
        }
    }
    return false;
}

static bool in_object(const struct reader *r)
{
    unsigned at = r->depth - 1;
    return (r->objects[at / 64] >> (at % 64) & 1) != 0;
}

static bool enter(struct reader *r, bool object, enum want *next)
{
    if (r->depth == JSON_DEPTH)
        return false;
    uint64_t bit = UINT64_C(1) << (r->depth % 64), *word = &r->objects[r->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    r->depth++;
    r->p++;
    *next = object ? WANT_NAME_OR_CLOSE : WANT_VALUE_OR_CLOSE;
    return true;
}

static bool leave(struct reader *r, enum want *next)
{
    if (r->depth == 0 || !take(r, in_object(r) ? '}' : ']'))
        return false;
    r->depth--;
    *next = WANT_NEXT;
    return true;
}

static bool read_value(struct reader *r, enum want *next)
{
    int c = peek(r);

    *next = WANT_NEXT;
    if (c == '{' || c == '[')
        return enter(r, c == '{', next);
    if (c == '"')
        return read_string(r);
    return c == '-' || (c >= '0' && c <= '9') ? read_number(r) : read_word(r);
}

static bool read_name(struct reader *r, enum want *next)
{
    if (!read_string(r))
        return false;
    skip_blanks(r);
    *next = WANT_VALUE;
    return take(r, ':');
}

static bool read_next(struct reader *r, enum want *next)
{
    if (!take(r, ','))
        return leave(r, next);
    *next = in_object(r) ? WANT_NAME : WANT_VALUE;
    return true;
}

static bool step(struct reader *r, enum want *want)
{
    switch (*want) {
    case WANT_VALUE:
        return read_value(r, want);
    case WANT_VALUE_OR_CLOSE:
        return peek(r) == ']' ? leave(r, want) : read_value(r, want);
    case WANT_NAME:
        return read_name(r, want);
    case WANT_NAME_OR_CLOSE:
        return peek(r) == '}' ? leave(r, want) : read_name(r, want);
    case WANT_NEXT:
        return read_next(r, want);
    }
    return false;
}

bool json_is_valid(struct slice text)
{
    struct reader r = {.p = text.p, .end = text.p + text.len};
    enum want want = WANT_VALUE;

    for (;;) {
        skip_blanks(&r);
        if (want == WANT_NEXT && r.depth == 0)
            return r.p == r.end;
        if (!step(&r, &want))
            return false;
    }
}
