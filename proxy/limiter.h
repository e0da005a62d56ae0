/* proxy/limiter — how much each tenant has used of its limits: one table for the whole process.
 *
 *   a bucket is one time: when it will be full again. A command moves it on by 1/rate; more than the burst ahead, it must wait.
 *
 * Owns:       LIMITER_TENANTS places in sets of a few; a tenant that is new to a full set takes the place of the one that was silent
 *             for longest, whose bucket is mostly full by then, so that nothing is forgotten.
 * Invariants: memory is fixed. A limit holds for all loops together: a set has a lock of its own, held for some nanoseconds,
 *             and taken only where a policy has limits.
 * Threads:    any.          Used by: proxy/policing, proxy/state_tenants. */
#ifndef PROXY_LIMITER_H
#define PROXY_LIMITER_H

#include "base/slice.h"
#include "router/rate_class.h"

#include <stdbool.h>
#include <stdint.h>

#define LIMITER_TENANTS 8192
#define LIMITER_NAME    64 /* of a longer name that many bytes are shown */

struct limiter;

struct limit {
    int64_t count, per_ms; /* count 0: no limit */
    int64_t burst;         /* 1 or more */
};

struct limiter_use {
    char name[LIMITER_NAME];
    size_t name_len;
    uint64_t taken[RATE_CLASSES], refused[RATE_CLASSES];
    int64_t last_us; /* the clock that limiter_take was told */
};

struct limiter *limiter_new(void);
void limiter_free(struct limiter *own_l);
/* 0: the tenant may; else it may after so many microseconds at the earliest, and nothing was taken. policy: its stats id. */
int64_t limiter_take(struct limiter *l, unsigned policy, struct slice tenant, enum rate_class class,
                     const struct limit *limit, int64_t now_us);
/* What is known of the tenants of a policy, in no order; a lock is held. */
void limiter_each(struct limiter *l, unsigned policy, void (*fn)(void *ctx, const struct limiter_use *use), void *ctx);

#endif
