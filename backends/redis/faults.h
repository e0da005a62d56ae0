/* backends/redis/faults — the valve that all of this process's connections to Redis pass: shared, pinned, subscribing, the probe's and
 * the blocking ones of sync. Those that ask sentinels or nodes where Redis is do not.
 * Owns:       the one valve.
 * Invariants: while it is cut nothing is dialed. Without a fault a connection asks one flag.
 * Threads:    any.          Used by: upstream, probe, dial, blocking; proxy/chaos. */
#ifndef BACKENDS_REDIS_FAULTS_H
#define BACKENDS_REDIS_FAULTS_H

#include "base/valve.h"

/* Lives as long as the process. */
struct valve *redis_valve(void);
/* Connections are refused now. */
static inline bool redis_is_cut(void)
{
    return valve_is_set(redis_valve()) && valve_now(redis_valve()) == VALVE_CUT;
}

#endif
