/* proxy/slowlog — the slowest commands as clients saw them, whatever store answered. The SLOWLOG of Redis, told in the
 * same shape, but with the time in the proxy's queues and on the wire included.
 * Owns:    one ring for the process (a lock; only slow commands take it).
 * Threads: any. */
#ifndef PROXY_SLOWLOG_H
#define PROXY_SLOWLOG_H

#include "base/chain.h"

#include <stdint.h>

struct slot;

void slowlog_add(const struct slot *slot, int64_t us);
/* The newest count entries (-1: all) as SLOWLOG GET answers them. */
void slowlog_get(struct chain *out, int64_t count);
int64_t slowlog_len(void);
void slowlog_reset(void);

#endif
