/* sync/busy — the marks in Redis that a proxy has claimed: between cvp:dirty and the archive (docs/protocol.md, I9).
 *
 *   cvp:dirty ──take──▶ cvp:busy:<proxy> ──settle──▶ gone, or back
 *      ▲ ◀──────────────recover────────────┘
 *
 * Invariants: a mark is in one of the sets at every moment; a write in the meantime puts it into cvp:dirty as well (H23).
 * Threads:    one per link.          Used by: sync/copier. */
#ifndef SYNC_BUSY_H
#define SYNC_BUSY_H

#include "base/err.h"
#include "engine/arena.h"
#include "sync/link.h"

#include <stdbool.h>
#include <stdint.h>

/* All: ERR_REDISDOWN, ERR_REDISLOST; link_why says more. */

/* Claims up to limit marks, drawn at random; the list is the arena's. */
MUST_USE enum err busy_take(struct link *l, const char *proxy, size_t limit, struct arena *a,
                            struct slice **ret_keys, size_t *ret_n);
/* Claims those of these keys that have a mark. */
MUST_USE enum err busy_take_these(struct link *l, const char *proxy, const struct slice *keys, size_t n);
/* done[i]: the claim is over; else it becomes a mark again. Nothing happens to what was not claimed. */
MUST_USE enum err busy_settle(struct link *l, const char *proxy, const struct slice *keys, const bool *done,
                              size_t n);
/* All claims, whoever made them, become marks again. */
MUST_USE enum err busy_recover(struct link *l);
/* How many marks are left that nobody has claimed. */
MUST_USE enum err busy_left(struct link *l, int64_t *ret);

#endif
