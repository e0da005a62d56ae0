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
    struct object object; /* type NONE: absent */
    int64_t version;      /* 0: Redis keeps none */
    bool torn;            /* its type changed while it was read: read it again */
    const char *bad;      /* a value that can't be carried (a module's type), in words; NULL: none */
};

/* The states of n keys, each of one moment; *ret_sessions: all of cvp:sess as of a moment that is not later than any of them.
 * ERR_REDISDOWN, ERR_REDISLOST: link_why says more. */
MUST_USE enum err value_read(struct link *l, const struct slice *keys, size_t n, struct arena *a,
                             struct redis_state *ret, struct write_id **ret_sessions, size_t *ret_nsessions);
/* Only the versions: 0 where there is none. One HMGET. */
MUST_USE enum err value_versions(struct link *l, const struct slice *keys, size_t n, int64_t *ret);

struct value_restore {
    const struct object *object; /* its key; type NONE: the key goes */
    int64_t expected;            /* the version that must be there now; 0: none */
    int64_t version;             /* the one that it gets */
    bool done;                   /* out: false: it was written meanwhile */
};
/* All n in as few transactions as can be; takes their marks away too. */
MUST_USE enum err value_restore(struct link *l, struct value_restore *restores, size_t n);

#endif
