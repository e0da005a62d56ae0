/* sync/doubts — cvp:suspect in Redis: scripts whose changes are not known to have left versions and marks.
 *
 *   field: <proxy>:<number of the script>      value: when it was begun, ms
 *
 * Owns:       nothing.
 * Threads:    one per link.          Used by: sync/tracer. */
#ifndef SYNC_DOUBTS_H
#define SYNC_DOUBTS_H

#include "base/err.h"
#include "engine/arena.h"
#include "sync/link.h"

#include <stdint.h>

/* All: ERR_REDISDOWN, ERR_REDISLOST; link_why says more. */

/* Also when Redis is out of memory. */
MUST_USE enum err doubts_put(struct link *l, const char *proxy, uint64_t id, int64_t now_ms);
MUST_USE enum err doubts_drop(struct link *l, const struct slice *fields, size_t n);
struct slice doubts_field(char *buf, size_t cap, const char *proxy, uint64_t id);
/* Those of proxies that are gone (none of its connections is there), and this one's. The list is the arena's. */
MUST_USE enum err doubts_left(struct link *l, const char *proxy, struct arena *a, struct slice **ret_fields,
                              size_t *ret_n);

#endif
