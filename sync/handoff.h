/* sync/handoff — gives keys back to Redis: the hand-over of docs/protocol.md, for a page of keys at a time.
 * Invariants: steps 1 to 5 in order; repeated by anybody they change nothing (NO_BASE, NO_CONFIRM, NO_CONDITION in the models). Between
 *             steps 3 and 5 a document is own "redis", dirty, and has as base the version that was found in Redis: over that one, and
 *             no other, the restore may be repeated without merging again.
 * Threads:    one per object, never a loop. */
#ifndef SYNC_HANDOFF_H
#define SYNC_HANDOFF_H

#include "backends/archive/archive.h"
#include "sync/link.h"
#include "sync/news.h"

#include <stdatomic.h>

/* What was done, in keys; any thread may read. */
struct handoff_counts {
    _Atomic uint64_t looked; /* asked for */
    _Atomic uint64_t equal;  /* there was nothing to do */
    _Atomic uint64_t kept;   /* Redis had it, and the document says so now */
    _Atomic uint64_t restored, merged, again, quarantined, failed;
};

struct handoff {
    struct archive_handle *handle;
    struct link *link;
    int64_t epoch;       /* f */
    bool versions_count; /* Redis has kept versions all along; false: a policy without dual writes */
    struct handoff_counts *counts;
    struct news news; /* keys that can't be handed over and were logged */
};

enum handoff_result {
    HANDOFF_DONE,  /* Redis has the key */
    HANDOFF_AGAIN, /* somebody was faster: try again */
    HANDOFF_BAD,   /* it can't be: damaged, or too large. It stays the archive's */
};

/* Each of n distinct keys gets its result. Redis must have been claimed (cvp:ep), for no later epoch. The error of a store that has failed (nothing is half done that a second call would not
 * mend): ERR_ARCHIVEDOWN, ERR_ARCHIVELOST, ERR_REDISDOWN, ERR_REDISLOST. */
MUST_USE enum err handoff_keys(struct handoff *h, const struct slice *keys, size_t n,
                               enum handoff_result *ret);

#endif
