/* backends/redis/pool — a loop's connections to Redis.
 * Owns:       the upstreams: redis.connections for each (lane, database, protocol version) that was ever wanted, and
 *             pinned ones, which serve one client at a time and are lent again afterwards (pitfalls 4 and 6).
 * Why more than one: Redis writes 64 KB to a connection and then turns to the next, and reads one at a time; with two, the
 *             loop works on one while Redis works on the other. More gain nothing: each one splits the pipeline.
 * Threads:    [loop] only.          Used by: proxy/session. */
#ifndef BACKENDS_REDIS_POOL_H
#define BACKENDS_REDIS_POOL_H

#include "backends/redis/topology.h"
#include "backends/redis/upstream.h"

#define POOL_DIRECT_DBS      16 /* databases below are found by index, others by search and have one connection */
#define POOL_CONNECTIONS_MAX 8  /* most that redis.connections may say */

struct nodes;

struct pool {
    struct upstream_env env; /* first: upstreams give it back */
    struct upstream *direct[2][2][POOL_DIRECT_DBS][POOL_CONNECTIONS_MAX]; /* [lane][resp - 2][db][share] */
    struct upstream **others;                       /* shared, higher databases */
    size_t nothers;
    struct upstream **pinned; /* all pinned ones */
    bool *lent;               /* by the same index */
    size_t npinned;
    struct nodes *nodes;    /* NULL: Redis is no cluster; otherwise database 0 is theirs */
    bool clustered;         /* it is one now */
    uint32_t era;           /* grows whenever a slot may be elsewhere than before */
    void (*on_moved)(void *ctx); /* a slot is not where it was; NULL: nobody wants to know. ctx is env's */
    uv_timer_t tick;
};

void pool_init(struct pool *p, struct turn *turn, const struct settings *settings, const struct upstream_ops *ops,
               void (*count)(void *ctx, enum upstream_count what, int by), void *ctx);
/* A shared connection, made when it is wanted for the first time. The same client (its id) gets the same one as long as
 * redis.connections stays. */
struct upstream *pool_shared(struct pool *p, enum lane lane, int db, enum resp resp, uint64_t client);
/* The one for requests that nothing may hold up; database 0. */
struct upstream *pool_urgent(struct pool *p, enum resp resp);
/* A connection for one client, or NULL when redis.pinned_max are lent. */
struct upstream *pool_borrow(struct pool *p, int db, enum resp resp);
/* The caller has queued what resets the connection (UNWATCH); the next borrower's commands come behind it. */
void pool_return(struct pool *p, struct upstream *own_u);
size_t pool_lent(const struct pool *p);
/* The newest snapshot; connections are made anew when it names another Redis. Must outlive its use here. */
void pool_settings(struct pool *p, const struct settings *settings);
/* Which Redis may be asked for guarded keys from now on. Connections that are not good under it are made anew, gently. */
void pool_guard(struct pool *p, const struct upstream_guard *guard);
/* Another one than before: a key's requests may go to another node now. */
static inline uint32_t pool_era(const struct pool *p)
{
    return p->era;
}
/* Where slots are from now on; NULL: Redis is no cluster any more. */
void pool_topology(struct pool *p, const struct topology *t);
/* In a cluster: which node the next pool_shared and pool_borrow choose. The node for general questions; the one that serves a
 * slot; a master by its number in the topology. */
void pool_aim_any(struct pool *p);
void pool_aim_slot(struct pool *p, uint16_t slot);
/* For a read that replicas may answer. */
void pool_aim_reader(struct pool *p, uint16_t slot);
void pool_aim_master(struct pool *p, size_t i);
/* The node that u is connected to. */
void pool_aim_as(struct pool *p, const struct upstream *u);
/* That node is the one that u is connected to. */
bool pool_aims_at(const struct pool *p, const struct upstream *u);
/* Every connection ends at once, as if Redis had ended it. */
void pool_cut(struct pool *p);
/* Ends everything; what is in flight fails with ERR_CANCELLED. Run the loop until its handles are closed. */
void pool_close(struct pool *p);

#endif
