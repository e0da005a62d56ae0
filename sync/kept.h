/* sync/kept — what the archive keeps of keys, decoded; and the documents that take its place.
 * Owns:       documents made by kept_seal, until kept_drop.
 * Invariants: a tombstone and a document whose time is over are both dead: type NONE. Tombstones that are made here go a day later, once they
 *             are clean.
 * Threads:    one per handle.          Used by: sync/handoff, sync/copier. */
#ifndef SYNC_KEPT_H
#define SYNC_KEPT_H

#include "backends/archive/archive.h"
#include "engine/object.h"
#include "executor/record.h"

struct kept {
    struct slice key;
    int64_t version;      /* 0: there is no document */
    bool dead;            /* there is none, or it says that the key is gone */
    bool dirty;           /* Redis is owed a copy */
    struct object object; /* dead: type NONE */
    struct record record;
    const char
        *damaged; /* why it can't be read; the rest but the version counts for nothing then. NULL: it can */
};

/* now_ms: since 1970, by which time is over. Errors as of archive_load; a document that the archive refuses to read is damaged. */
MUST_USE enum err kept_load(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *a,
                            int64_t now_ms, struct kept *ret);

/* A state that is to be kept. */
struct kept_state {
    const struct object *object; /* its key; type NONE, or expired: a tombstone */
    const struct record *record;
    int64_t version;
    int64_t expected; /* the version that is there now; 0: none */
    bool dirty;
};

/* ERR_TOO_LARGE: nothing was made. */
MUST_USE enum err kept_seal(const struct kept_state *s, int64_t now_ms, struct archive_write *ret);
/* All at once, or, when one of them spoils that, each by itself: ret[i] is ERR_NONE, ERR_RACE or ERR_ARCHIVEBAD. Returns what the
 * archive itself suffers from: ERR_ARCHIVEDOWN, ERR_ARCHIVELOST; then ret counts for nothing. n may be 0. */
MUST_USE enum err kept_commit(struct archive_handle *h, const struct archive_write *writes, size_t n,
                              enum err *ret);
void kept_drop(struct archive_write *writes, size_t n);

#endif
