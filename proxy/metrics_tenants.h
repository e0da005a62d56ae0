/* proxy/metrics_tenants — the series of proxy/metrics.def that tell of tenants.
 * Owns:       nothing.
 * Invariants: the number of series is bounded: by policies and classes, and by tenants.top.
 * Threads:    any.          Used by: proxy/metrics. */
#ifndef PROXY_METRICS_TENANTS_H
#define PROXY_METRICS_TENANTS_H

#include "proxy/overview.h"

#include <stdio.h>

/* Each writes the samples of the row that names it. */
void tenants_counted(FILE *out, const char *name, const struct overview *o);
void tenant_keys(FILE *out, const char *name, const struct overview *o);
void tenant_bytes(FILE *out, const char *name, const struct overview *o);
void malformed_keys(FILE *out, const char *name, const struct overview *o);
void rate_limited(FILE *out, const char *name, unsigned id, const char *policy);

#endif
