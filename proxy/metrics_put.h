/* proxy/metrics_put — writes one sample, or one histogram, of Prometheus' text format.
 * Owns:       nothing.
 * Invariants: label values are escaped; the bounds of all latencies are the same ones.
 * Threads:    any.          Used by: proxy/metrics and what writes series for it.
 * Source:     Prometheus text exposition format 0.0.4. */
#ifndef PROXY_METRICS_PUT_H
#define PROXY_METRICS_PUT_H

#include "base/hist.h"

#include <stdio.h>

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* One sample: pairs is name, value, name, value, NULL; NULL: no labels. */
void metrics_put(FILE *out, const char *name, double value, const char *const *pairs);
/* Cumulative buckets, sum and count, in s. label: another label and its value, or NULL. */
void metrics_put_histogram(FILE *out, const char *name, const struct hist_sum *h, const char *label,
                           const char *value);

#endif
