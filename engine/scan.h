/* engine/scan — HSCAN, SSCAN, ZSCAN: reading one value page by page.
 * Invariants: each name has a place, a number made of its bytes only. A page is a range of places, and the cursor the place
 *             where the next one begins. So a name that stays from the first page to the last is answered exactly once,
 *             whatever is added or removed in between, by whatever process; nothing is remembered between pages.
 * Threads:    one.          Used by: hashpages, sets, zpops. */
#ifndef ENGINE_SCAN_H
#define ENGINE_SCAN_H

#include "engine/call.h"

struct scan {
    uint64_t cursor;
    uint64_t end;         /* the page: places from cursor up to, without, end */
    int64_t count;        /* COUNT, or 10 */
    struct slice pattern; /* MATCH; p NULL: none */
    bool whole;           /* everything in one page */
};

/* A cursor as Redis reads it, by strtoul in base 10: a sign is fine, a NUL ends it, nothing at all is 0. */
bool scan_cursor(struct slice s, uint64_t *ret);

/* Reads "key cursor [MATCH pattern] [COUNT n]" from argument 1 on. The object, or NULL: no such key, another type, or
 * bad arguments, and it was answered. */
struct object *scan_begin(struct call *c, enum object_type type, struct scan *s);
/* Must be called before scan_takes. elements: of the object. whole: all at once, as Redis does for small encodings. */
void scan_page(struct scan *s, size_t elements, bool whole);
/* Whether the page has this name and the pattern matches it. */
bool scan_takes(const struct scan *s, struct slice name);

/* n names of an object, which is never empty, each `stride` bytes behind the one before. */
struct scan_names {
    const struct slice *first;
    size_t stride, n;
};
/* scan_page and scan_takes for all of them: the positions of those that the page has, *ret_n of them. */
size_t *scan_find(struct call *c, struct scan *s, struct scan_names names, bool whole, size_t *ret_n);
/* The reply's beginning; `items` bulks must follow. */
void scan_reply(struct call *c, const struct scan *s, size_t items);

#endif
