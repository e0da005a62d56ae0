#include "sync/move.h"

#define PRINTABLE 32 /* bytes of a key that are shown as an example */

bool move_wants(void *at, struct slice key)
{
    const struct move_at *a = at;
    return policy_find(a->policies, key) == a->policy;
}

void move_found(struct move_at *at, struct slice key)
{
    struct move_tally *t = &at->tally;
    size_t used = strlen(t->examples), n = key.len < PRINTABLE ? key.len : PRINTABLE;
    int64_t range = archive_hash(key) / ((1ll << ARCHIVE_HASH_BITS) / MOVE_RANGES);

    t->found++;
    at->place.ranges[range / 64] |= 1ull << (range % 64);
    if (used + n + 2 > sizeof t->examples)
        return;
    if (used > 0)
        t->examples[used++] = ' ';
    for (size_t i = 0; i < n; i++)
        t->examples[used++] = key.p[i] > ' ' && key.p[i] <= '~' ? key.p[i] : '?';
    t->examples[used] = '\0';
}

void move_done(struct move_at *at, size_t keys, double part)
{
    struct move_tally *t = &at->tally;

    t->done += (int64_t)keys;
    int64_t here = t->done - at->place.before;
    if (part > 0)
        t->total = at->place.before + (int64_t)((double)here / part + 0.5);
}

enum err move_page(struct move_at *at, uint64_t *ret_next)
{
    *ret_next = at->place.cursor;
    enum err e = page_of_redis(&at->page, at->stores->link, at->glob, ret_next, at->limit, move_wants, at);
    at->looked = at->page.looked > at->limit ? at->page.looked : at->limit;
    return e;
}

bool move_paged(struct move_at *at, uint64_t next)
{
    at->place.cursor = next;
    move_done(at, at->page.n, next == 0 ? 1 : page_progress(next));
    return next != 0;
}
