/* proxy/metrics_tiers — the series of tiers (docs/tiers.md), for rows of metrics.def.
 * Owns:       nothing.
 * Threads:    any.          Used by: proxy/metrics. */
#ifndef PROXY_METRICS_TIERS_H
#define PROXY_METRICS_TIERS_H

#include "proxy/overview.h"

#include <stdio.h>

void metrics_tier_keys(FILE *out, const char *name, const struct overview *o);
void metrics_tier_bytes(FILE *out, const char *name, const struct overview *o);
void metrics_tier_moves(FILE *out, const char *name, const struct overview *o);
/* Working keys': time to Redis's reply; those that are away: time until they were back. */
void metrics_tier_reads(FILE *out, const char *name, const struct overview *o);

#endif
