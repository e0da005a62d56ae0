/* proxy/metrics_redis — the series of proxy/metrics.def that tell of Redis, as its INFO and the probe have it.
 * Owns:       nothing.
 * Invariants: what Redis has not told is missing, not 0.
 * Threads:    any.          Used by: proxy/metrics. */
#ifndef PROXY_METRICS_REDIS_H
#define PROXY_METRICS_REDIS_H

#include "proxy/overview.h"

#include <stdio.h>

/* Each writes the samples of the row that names it. */
void sentinel_up(FILE *out, const char *name, const struct overview *o);
void redis_states(FILE *out, const char *name, const struct overview *o);
void redis_rdb_ok(FILE *out, const char *name, const struct overview *o);
void redis_aof_ok(FILE *out, const char *name, const struct overview *o);
void redis_keys(FILE *out, const char *name, const struct overview *o);
void redis_keys_expiring(FILE *out, const char *name, const struct overview *o);

#endif
