/* sync/compare — looks at keys in both stores, closely.
 * Invariants: Redis is asked first: what the archive has then is not older than what Redis' state came from, unless a copy is owed.
 * Threads:    one per pair of connections. */
#ifndef SYNC_COMPARE_H
#define SYNC_COMPARE_H

#include "sync/moves.h"

struct compared {
    struct slice key;
    int64_t redis, archive; /* versions; 0: none */
    bool same;              /* absent or expired on both sides counts as the same, whatever the versions */
    bool owed;              /* Redis has a mark for it: the copy is on its way */
};

/* The close look. deep: the values are compared, not the versions. */
MUST_USE enum err compare_keys(const struct moves_stores *s, struct arena *a, struct compared *keys, size_t n,
                               bool deep);

/* Whether Redis has each of these keys at all. Cheap when it has all of them, or none. */
MUST_USE enum err compare_presence(struct link *l, const struct slice *keys, size_t n, bool *ret);

#endif
