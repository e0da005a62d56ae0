/* proxy/series — what charts need, kept in the process: a page that was just opened shows the past.
 *
 *     once a second ─▶ 600 samples of 1 s (10 minutes) ─▶ 720 samples of 10 s (2 hours)
 *
 * Owns:       both rings and what was counted up to the last samples: some 130 KB, from the start on.
 * Invariants: what is not known is null, never 0. Of ten seconds the worst is kept where the worst matters (a store was down, copies
 *             were owed), the mean of rates, and latencies of all ten.
 * Threads:    series_second: main. series_json: any. */
#ifndef PROXY_SERIES_H
#define PROXY_SERIES_H

#include "proxy/overview.h"

#include <cjson/cJSON.h>

#define SERIES_SHORT_S 600  /* that are kept in samples of 1 s */
#define SERIES_LONG_S  7200 /* and of 10 s */

/* Once a second. */
void series_second(const struct overview *o);
/* The last so many seconds, in columns: {step_s, time: [s since 1970], requests: […], …, acting: {policy: ["redis", …]}}; samples
 * after `since` (s since 1970) only, 0: all. Up to SERIES_SHORT_S in steps of 1 s, above in steps of 10 s. */
cJSON *series_json(int64_t seconds, int64_t since);

#endif
