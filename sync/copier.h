/* sync/copier — carries marked keys from Redis to the archive: claim, look at the versions, copy what is newer, take the mark away (I9).
 * Invariants: a mark goes only when the archive has the marked version or a higher one. A claim that was not finished goes back.
 * Threads:    one per object, never a loop. */
#ifndef SYNC_COPIER_H
#define SYNC_COPIER_H

#include "backends/archive/archive.h"
#include "sync/link.h"
#include "sync/news.h"
#include "sync/recent.h"

#include <stdatomic.h>

struct copier_counts {
    _Atomic uint64_t claimed, unmarked, copied, tombstones, races, failed, bytes;
    _Atomic int64_t dirty;     /* SCARD at the last look; -1: not known */
    _Atomic int64_t oldest_us; /* mono: since when the set was never empty; 0: it is */
};

struct warm; /* sync/warm.h */

struct copier {
    struct archive_handle *handle;
    struct link *link;
    char proxy[24]; /* whose claims these are */
    int64_t epoch;  /* under which Redis is read */
    struct copier_counts *counts;
    struct news news; /* keys that can't be carried and were logged */
    struct recent recent;
    struct warm *warm; /* NULL: no key has left Redis */
};

/* All claims go back to the marks: with one proxy they are of other lives of it, or of a call that has failed. */
MUST_USE enum err copier_recover(struct copier *c);
/* Works on up to limit marks; *ret_left: how many are left (SCARD). A mark that can't be carried now stays: others were faster, or its
 * value is none for an archive. Redis must have been claimed (cvp:ep), for no later epoch. Errors: ERR_REDISDOWN, ERR_REDISLOST, ERR_ARCHIVEDOWN, ERR_ARCHIVELOST; copier_recover is due then. */
MUST_USE enum err copier_round(struct copier *c, size_t limit, size_t *ret_left);
/* These keys now, whether they are marked or not: the archive has what Redis had when it was called, or more, when it returns ERR_NONE.
 * Beside a round's errors: ERR_RACE (others were always faster), ERR_TOO_LARGE, ERR_ARCHIVEBAD (a value that can't be carried). */
MUST_USE enum err copier_keys(struct copier *c, const struct slice *keys, size_t n);

#endif
