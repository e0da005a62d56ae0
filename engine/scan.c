#include "engine/scan.h"
#include "engine/dict.h"
#include "engine/number.h"
#include "engine/pattern.h"

#include <string.h>

#define PLACES ((uint64_t)1 << 52) /* clients that keep cursors in doubles lose nothing */
#define SEED   0x636f6e7670726f78u /* never to change: cursors outlive the process that gave them */

bool scan_cursor(struct slice s, uint64_t *ret)
{
    const char *nul = s.len > 0 ? memchr(s.p, '\0', s.len) : NULL;
    size_t len = nul != NULL ? (size_t)(nul - s.p) : s.len, at = 0;
    bool minus = false;
    uint64_t value = 0;

    if (len > 0 && (s.p[0] == '-' || s.p[0] == '+')) {
        minus = s.p[at++] == '-';
        if (len == 1)
            return false;
    }
    for (; at < len; at++) {
        if (s.p[at] < '0' || s.p[at] > '9' || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, (uint64_t)(s.p[at] - '0'), &value))
            return false;
    }
    *ret = minus ? 0 - value : value;
    return true;
}

static bool parse_options(struct call *c, struct scan *s)
{
    for (size_t i = 3; i < c->argc; i += 2) {
        bool more = i + 1 < c->argc;
        if (more && call_is(c, i, "count")) {
            if (!call_int_arg(c, i + 1, &s->count))
                return false;
            if (s->count >= 1)
                continue;
        } else if (more && call_is(c, i, "match")) {
            s->pattern = c->argv[i + 1].len > 0 ? c->argv[i + 1] : (struct slice){"", 0};
            continue;
        }
        call_syntax_error(c);
        return false;
    }
    return true;
}

struct object *scan_begin(struct call *c, enum object_type type, struct scan *s)
{
    bool wrong;

    *s = (struct scan){.count = 10};
    if (!scan_cursor(c->argv[2], &s->cursor)) {
        call_error(c, "ERR invalid cursor");
        return NULL;
    }
    struct object *o = call_lookup_typed(c, c->argv[1], type, &wrong);
    if (wrong)
        return NULL;
    if (o == NULL) {
        s->end = PLACES;
        scan_reply(c, s, 0);
        return NULL;
    }
    return parse_options(c, s) ? o : NULL;
}

/* Places are spread evenly, so a range of count / elements of them holds about count names. */
void scan_page(struct scan *s, size_t elements, bool whole)
{
    uint64_t count = (uint64_t)s->count;

    s->whole = whole;
    s->end = PLACES;
    if (whole || count >= elements || s->cursor >= PLACES)
        return;
    uint64_t width = PLACES / elements * count;
    if (width < PLACES - s->cursor)
        s->end = s->cursor + width;
}

static uint64_t place_of(struct slice name)
{
    return dict_hash(name, SEED) % PLACES;
}

bool scan_takes(const struct scan *s, struct slice name)
{
    if (!s->whole) {
        uint64_t place = place_of(name);
        if (place < s->cursor || place >= s->end)
            return false;
    }
    return s->pattern.p == NULL || pattern_match(s->pattern, name);
}

size_t *scan_find(struct call *c, struct scan *s, struct scan_names names, bool whole, size_t *ret_n)
{
    size_t *found = arena_get(c->arena, names.n * sizeof *found);
    const char *at = (const char *)names.first;

    scan_page(s, names.n, whole);
    *ret_n = 0;
    for (size_t i = 0; i < names.n; i++, at += names.stride)
        if (scan_takes(s, *(const struct slice *)(const void *)at))
            found[(*ret_n)++] = i;
    return found;
}

void scan_reply(struct call *c, const struct scan *s, size_t items)
{
    char cursor[24];
    size_t n = number_print_int(cursor, s->end < PLACES ? (int64_t)s->end : 0);

    build_array(c->out, 2);
    build_bulk(c->out, cursor, n);
    build_array(c->out, items);
}
