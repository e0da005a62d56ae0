/* sync/uses — how often keys are used: estimates for the rules of docs/tiers.md, which outlive the process.
 *
 *   a sketch: two rows of counters, a key has one in each ─▶ every minute, compressed ─▶ control document "uses" ─▶ the next process
 *
 * Owns:       the counters, half a MB, and as many as they were when they were kept last.
 * Invariants: a count is never too low but for what came after the last keeping of a process that was killed; now and then it is too high.
 *             When more than half of the counters are in use all are halved, once a day: what was used long ago counts for less. Processes that share
 *             an archive add up what they have seen.
 * Threads:    touch, count: any, without a lock; the rest: sync's worker. */
#ifndef SYNC_USES_H
#define SYNC_USES_H

#include "backends/archive/archive.h"

#define USES_MOST 255 /* so often or more often */

struct uses;

struct uses *uses_new(void);
void uses_free(struct uses *own_u);

/* The key is being used. Before uses_load has gone well nothing is counted. */
void uses_touch(struct uses *u, struct slice key);
unsigned uses_count(const struct uses *u, struct slice key);

/* What was kept counts from now on. Errors as of the archive; a damaged document is none: counting begins anew. */
MUST_USE enum err uses_load(struct uses *u, struct archive_handle *h);
bool uses_is_loaded(const struct uses *u);
/* Something was counted since it was kept last. */
bool uses_is_owed(const struct uses *u);
/* Adds what was counted since to what is kept. */
MUST_USE enum err uses_keep(struct uses *u, struct archive_handle *h);

#endif
