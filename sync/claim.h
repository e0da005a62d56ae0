/* sync/claim — makes a Redis ours for an epoch: who it is, and that nothing sent before is still executed there (docs/protocol.md, the fence).
 * Threads: one per link. */
#ifndef SYNC_CLAIM_H
#define SYNC_CLAIM_H

#include "base/err.h"
#include "sync/link.h"

#include <stdint.h>

struct redis_identity {
    char run_id[48];
    int64_t epoch; /* cvp:ep; 0: it has none */
    bool writable; /* a master that takes writes */
};

/* Errors as of value_read; the link is closed then. */
MUST_USE enum err claim_look(struct link *l, struct redis_identity *ret);
/* cvp:ep becomes epoch; connections of this or other proxies that were greeted in an epoch below `fence` are closed, and nothing
 * that they have sent is executed any more when this returns ERR_NONE. ERR_MOVED: Redis is claimed for a later epoch. */
MUST_USE enum err claim_redis(struct link *l, int64_t epoch, int64_t fence);

#endif
