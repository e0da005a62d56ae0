/* backends/redis/topology — which node of a Redis Cluster serves which slot: one immutable, counted view.
 * Owns:       the nodes' names, and their replicas'.
 * Invariants: nodes are the masters that serve slots, in the order of their first slot: a replica that takes over from its
 *             master takes its place in the list, too.
 * Threads:    any; references are counted atomically.          Used by: scout, pool, proxy/cluster.
 * Source:     redis.io/commands/cluster-slots. */
#ifndef BACKENDS_REDIS_TOPOLOGY_H
#define BACKENDS_REDIS_TOPOLOGY_H

#include "config/seeds.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOPOLOGY_SLOTS  16384
#define TOPOLOGY_MOST   1000 /* nodes */
#define TOPOLOGY_NOBODY UINT16_MAX

struct redisReply;

struct topology_node {
    char *host;
    int port;
    char *url; /* with the login */
    size_t nreplicas;
    char **replicas; /* their URLs */
};

struct topology {
    _Atomic unsigned refs;
    size_t count;
    struct topology_node *nodes;
    size_t covered;                 /* slots that somebody serves */
    uint16_t owner[TOPOLOGY_SLOTS]; /* index in nodes, or TOPOLOGY_NOBODY */
};

/* slots: the reply of CLUSTER SLOTS by the node at host, whose name stands for one that it does not tell. seeds has the login.
 * NULL: it can't be read, or nobody serves any slot. */
struct topology *topology_new(const struct redisReply *slots, const struct redis_seeds *seeds,
                              const char *host);
struct topology *topology_ref(struct topology *t);
void topology_unref(struct topology *t);
bool topology_equal(const struct topology *a, const struct topology *b); /* NULL equals NULL */
/* The index of a node, or TOPOLOGY_NOBODY. */
uint16_t topology_find(const struct topology *t, const char *host, int port);

#endif
