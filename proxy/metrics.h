/* proxy/metrics — what Prometheus reads, and the page that explains it; both from the rows of proxy/metrics.def.
 * Owns:       nothing.
 * Invariants: every sample has a finite value; label values are escaped; a name stands in the page once.
 * Threads:    any.          Used by: proxy/admin, main (--docs metrics).
 * Source:     Prometheus text exposition format 0.0.4. */
#ifndef PROXY_METRICS_H
#define PROXY_METRICS_H

#include "proxy/overview.h"

#include <stdio.h>

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

void metrics_write(FILE *out, const struct overview *o);
/* The page docs/metrics.md. */
void metrics_markdown(FILE *out);

#endif
