/* sync/value — whole states of keys in Redis: read in one step, put back in one step.
 * Invariants: a state is value, expiry, version and executed sessions of one moment (I10, H25). A restore replaces exactly the version
 *             that was read (I10, H24).
 * Threads:    one per link. */
#ifndef SYNC_VALUE_H
#define SYNC_VALUE_H

#include "base/err.h"
#include "base/write_id.h"
#include "engine/arena.h"
#include "engine/object.h"
#include "sync/link.h"

#include <stdint.h>

struct redis_state {
    struct object object; /* type NONE: absent, torn or bad */
    int64_t version;      /* 0: Redis keeps none; -1, which fits nothing: torn */
    /* cvp:sess at that moment. A write that it covers has been done; one that it does not cover is not in the value. An older one
     * would have writes done twice, a newer one would have them lost. */
    int64_t epoch; /* cvp:ep at that moment; 0: Redis has none, since it was emptied */
    struct write_id *sessions;
    size_t nsessions;
    bool torn;       /* its type changed while it was read: read it again */
    const char *bad; /* a value that can't be carried (a module's type), in words; NULL: none */
};

/* The states of n keys, each of one moment. Keys and values are copied into the arena.
 * ERR_REDISDOWN (nothing was sent, or Redis refuses), ERR_REDISLOST: link_why says more, and the link is closed. */
MUST_USE enum err value_read(struct link *l, const struct slice *keys, size_t n, struct arena *a,
                             struct redis_state *ret);
/* Only the versions: 0 where there is none. */
MUST_USE enum err value_versions(struct link *l, const struct slice *keys, size_t n, int64_t *ret);

struct value_restore {
    const struct object
        *object; /* its key; type NONE: the key goes. A value that has expired by Redis' clock goes, too */
    int64_t expected; /* the version that must be there now; 0: none */
    int64_t version;  /* the one that it gets, absent or not */
    int64_t epoch;    /* cvp:ep must be that; 0: whatever it is */
    bool done;    /* out: false: it was written meanwhile, Redis has another epoch, or the value is damaged */
    bool damaged; /* out: no command makes such a value: Redis has neither value nor version of it now */
};
/* cvp:ep; 0: there is none. */
MUST_USE enum err value_epoch(struct link *l, int64_t *ret);
/* All n, whose keys are distinct, in as few transactions as can be; takes their marks away too. Errors as of value_read: after
 * ERR_REDISLOST some that are not done may be. */
MUST_USE enum err value_restore(struct link *l, struct value_restore *restores, size_t n);

#endif
