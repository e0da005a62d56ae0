/* backends/redis/scout — finds out where Redis is, when redis.url names sentinels or the nodes of a cluster.
 *
 *     redis.url ─▶ scout ─┬─ sentinel: the master ─▶ config_found ─▶ everybody's settings: connections are made anew
 *                         └─ cluster: a node for general questions ─▶ config_found; the topology ─▶ on_topology
 *
 * Owns:       a thread, which may block; the connections on which it asks.
 * Invariants: it looks at least once a second, at once when a sentinel tells of a switch or somebody asks it to.
 *             What was found stays until something else is found.
 * Threads:    new, start, stop, free [main]; scout_ask and scout_report any; on_topology is called by the scout's own. */
#ifndef BACKENDS_REDIS_SCOUT_H
#define BACKENDS_REDIS_SCOUT_H

#include "backends/redis/topology.h"
#include "config/config.h"
#include "config/seeds.h"

struct scout;

struct scout_peer { /* a sentinel, or a node of a cluster */
    char address[216];
    bool up;
    char error[160];
};

struct scout_report {
    enum redis_kind kind;
    size_t count;
    struct scout_peer peers[SEEDS_MOST];
    char at[216];      /* the master; in a cluster the node for general questions; "": none was found yet */
    char error[512];   /* why the last look found nothing; "" */
    uint64_t switches; /* how often at has changed */
    size_t shards;     /* masters of the cluster */
    size_t covered;    /* its slots that somebody serves */
};

typedef void scout_topology_fn(void *ctx, struct topology *t);

/* on_topology: a new one, borrowed for the call; NULL when redis.url names no cluster any more. config outlives the scout. */
struct scout *scout_new(struct config *config, scout_topology_fn *on_topology, void *ctx);
void scout_start(struct scout *s);
/* Waits until the first look is over, or ms have passed. */
void scout_wait(struct scout *s, int64_t ms);
/* Look now: the settings have changed, or what is known seems outdated. */
void scout_ask(struct scout *s);
void scout_report(struct scout *s, struct scout_report *report);
/* Nothing is called back afterwards. scout_ask may be called until scout_free. */
void scout_stop(struct scout *s);
void scout_free(struct scout *own_s);

#endif
