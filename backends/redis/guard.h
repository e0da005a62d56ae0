/* backends/redis/guard — the one Redis that managed keys may be sent to now (docs/protocol.md, I14 and the fence).
 * Owns:    nothing.          Used by: upstream, greeting, pool.
 * Threads: any. */
#ifndef BACKENDS_REDIS_GUARD_H
#define BACKENDS_REDIS_GUARD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define GUARD_RUN_ID 48
#define GUARD_PROXY  16

struct upstream_guard {
    bool on;                   /* false: any Redis will do, and nothing is looked at */
    int64_t epoch;             /* cvp:ep must be this one */
    char run_id[GUARD_RUN_ID]; /* "": any */
    char proxy[GUARD_PROXY];   /* this process */
    unsigned loop;
};

/* The sessions of both are named the same way. */
static inline bool guard_same_names(const struct upstream_guard *a, const struct upstream_guard *b)
{
    return strcmp(a->proxy, b->proxy) == 0 && a->loop == b->loop;
}

/* A connection that was greeted under a, by the Redis with this run id, is good under b. */
static inline bool guard_stays_good(const struct upstream_guard *a, const char *run_id,
                                    const struct upstream_guard *b)
{
    return a->on == b->on && a->epoch == b->epoch && guard_same_names(a, b) &&
           (!b->on || b->run_id[0] == '\0' || strcmp(b->run_id, run_id) == 0);
}

#endif
