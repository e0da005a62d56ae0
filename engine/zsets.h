/* engine/zsets — what the commands of sorted sets share.
 * Threads: one.          Used by: zsets, zpops, zrange, zsetops, geo, geosearch. */
#ifndef ENGINE_ZSETS_H
#define ENGINE_ZSETS_H

#include "engine/call.h"
#include "engine/zset.h"

/* Argument 1's sorted set; NULL: there is none, or *wrong. */
struct object *zsets_of(struct call *c, bool *wrong);
/* Adds or moves; o may be a key that does not exist yet. True: added. The encoding follows. */
bool zsets_put(struct call *c, struct object *o, struct slice member, double score);
/* The key becomes the sorted set of n rows of unique members, which are put into order; with none it goes. */
void zsets_store(struct call *c, struct slice key, struct zset_row *rows, size_t n);
/* Takes n rows out of o; without any left the key goes. */
void zsets_remove(struct call *c, struct object *o, size_t from, size_t n);

struct zsets_pairs {
    bool scores;
    bool nested; /* a pair of its own for each member */
};
/* An array of n rows, the last one first with `backwards`. In RESP3 scores come in pairs. */
void zsets_answer(struct call *c, const struct zset_row *rows, size_t n, bool backwards, bool scores);
void zsets_answer_row(struct call *c, const struct zset_row *row, struct zsets_pairs pairs);

/* What ZADD does with one member. */
struct zsets_add {
    bool nx, xx, gt, lt, ch, incr;
};
/* The pairs of ZADD: members[i] gets scores[i]; replies. */
void zsets_add_all(struct call *c, const struct zsets_add *how, const double *scores, const struct slice *members, size_t n);

#endif
