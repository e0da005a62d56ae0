/* backends/redis/health — what is known about Redis, and the line in the log when that changes.
 * Owns:       the report behind a lock, and the latencies of the last minute's PINGs.
 * Invariants: health_settle alone changes up; it logs a change of up once, with the reason.
 * Threads:    health_report from any; the rest from the probe's loop.          Used by: backends/redis/probe.
 */
#ifndef BACKENDS_REDIS_HEALTH_H
#define BACKENDS_REDIS_HEALTH_H

#include "backends/redis/probe.h"
#include "base/hist.h"

#include <pthread.h>

struct health {
    pthread_mutex_t lock; /* of report; only the loop writes it */
    struct probe_report report;
    struct hist_window pings;
    int64_t logged_us;
};

void health_init(struct health *h);
void health_done(struct health *h);
void health_report(struct health *h, struct probe_report *report);

/* Where the connection stands; state as in struct probe_report, failures in a row. */
void health_link(struct health *h, const char *state, unsigned failures);
/* A connection was made. */
void health_there(struct health *h);
void health_ping(struct health *h, int64_t took_us);
void health_clock(struct health *h, int64_t offset_us);
void health_databases(struct health *h, int databases);
/* text: Redis's INFO. Fields that it does not have keep their value.
 * Source: redis.io/commands/info, lines of name:value. */
void health_info(struct health *h, const char *text);
/* The end of a probe; reason is "" when all is well. Returns whether up changed (or became known). */
bool health_settle(struct health *h, const char *reason);

#endif
