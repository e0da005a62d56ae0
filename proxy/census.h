/* proxy/census — how much the archive holds: documents and bytes, counted now and then on libuv's pool.
 * Owns:       a handle on the archive, and the last count.
 * Invariants: one count at a time; it is made again when something was written since, and never so often that counting takes
 *             more than a small part of a thread (CENSUS_SHARE).
 * Threads:    [main] but for census_last: any.          Used by: proxy/depot. */
#ifndef PROXY_CENSUS_H
#define PROXY_CENSUS_H

#include "backends/archive/archive.h"

#include <uv.h>

#define CENSUS_SHARE  200      /* a count that took 10 ms is made again after 2 s at the earliest */
#define CENSUS_MIN_US 1000000  /* pause after a change */
#define CENSUS_MAX_US 60000000 /* pause without one: sweeps, other processes */

struct census;

struct census *census_start(uv_loop_t *main_loop, struct archive *a);
/* Before the archive is closed; a count that runs is waited for. */
void census_stop(struct census *own_c);
/* written: grows with every document written. */
void census_tick(struct census *c, int64_t now_us, uint64_t written);
/* -1 where nothing is known. */
void census_last(struct census *c, struct archive_stats *ret);

#endif
