/* backends/redis/pool — a loop's connections to Redis.
 * Owns:       the upstreams: one for each (lane, database, protocol version) that was ever wanted, and pinned ones,
 *             which serve one client at a time and are lent again afterwards (pitfalls 4 and 6).
 * Threads:    [loop] only.          Used by: proxy/session. */
#ifndef BACKENDS_REDIS_POOL_H
#define BACKENDS_REDIS_POOL_H

#include "backends/redis/upstream.h"

#define POOL_DIRECT_DBS 16 /* databases below are found by index, others by search */

struct pool {
    struct upstream_env env; /* first: upstreams give it back */
    struct upstream *direct[2][2][POOL_DIRECT_DBS]; /* [lane][resp - 2][db] */
    struct upstream **others;                       /* shared, higher databases */
    size_t nothers;
    struct upstream **pinned; /* all pinned ones */
    bool *lent;               /* by the same index */
    size_t npinned;
    uv_timer_t tick;
};

void pool_init(struct pool *p, struct turn *turn, const struct settings *settings, const struct upstream_ops *ops,
               void (*count)(void *ctx, enum upstream_count what, int by), void *ctx);
/* The shared connection; made when it is wanted for the first time. */
struct upstream *pool_shared(struct pool *p, enum lane lane, int db, enum resp resp);
/* A connection for one client, or NULL when redis.pinned_max are lent. */
struct upstream *pool_borrow(struct pool *p, int db, enum resp resp);
/* The caller has queued what resets the connection (UNWATCH); the next borrower's commands come behind it. */
void pool_return(struct pool *p, struct upstream *own_u);
size_t pool_lent(const struct pool *p);
/* The newest snapshot; connections are made anew when it names another Redis. Must outlive its use here. */
void pool_settings(struct pool *p, const struct settings *settings);
/* Ends everything; what is in flight fails with ERR_CANCELLED. Run the loop until its handles are closed. */
void pool_close(struct pool *p);

#endif
