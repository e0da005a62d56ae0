/* sync/suspects — keys that looked different in the two stores. A write may have been on its way, so they are looked at again before
 * they count.
 * Owns:       copies of their keys.
 * Invariants: a key is told as different when it was so SUSPECTS_LOOKS times, SUSPECTS_PAUSE_MS apart, while the archive's version
 *             stood still, and no copy of it is owed.
 * Threads:    sync's worker.          Used by: sync/verify. */
#ifndef SYNC_SUSPECTS_H
#define SYNC_SUSPECTS_H

#include "sync/compare.h"

#define SUSPECTS_LOOKS    3
#define SUSPECTS_PAUSE_MS 100

struct suspects;

struct suspects *suspects_new(void);
void suspects_free(struct suspects *own_s);
size_t suspects_count(const struct suspects *s);
/* archive: the version there. */
void suspects_add(struct suspects *s, struct slice key, int64_t archive);
/* Looks again at up to most whose time has come. ret (room for most): those that are different for good, *ret_n of them, valid until
 * the arena is reset; they are no suspects any more. *ret_looked: 0: nobody's time has come. */
MUST_USE enum err suspects_look(struct suspects *s, const struct moves_stores *stores, struct arena *a,
                                bool deep, size_t most, struct compared *ret, size_t *ret_n,
                                size_t *ret_looked);

#endif
