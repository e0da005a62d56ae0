/* backends/redis/nodes — a loop's connections to the nodes of a Redis Cluster.
 * Owns:       for each node that was ever known: redis.connections shared ones for each (lane, protocol version) that was
 *             wanted; and the loop's own view of the slots, which redirections correct before the next topology comes.
 * Invariants: a node's connections live as long as this, also when it has left the cluster: others may hold on to them.
 *             What is chosen is what was aimed at last: a slot, a master, or the node for general questions.
 * Threads:    [loop] only.          Used by: backends/redis/pool. */
#ifndef BACKENDS_REDIS_NODES_H
#define BACKENDS_REDIS_NODES_H

#include "backends/redis/topology.h"
#include "backends/redis/upstream.h"

struct nodes;

struct nodes *nodes_new(struct upstream_env *env);
/* Its upstreams are the pool's to end. */
void nodes_free(struct nodes *own_n);
void nodes_take(struct nodes *n, const struct topology *t);
void nodes_each(struct nodes *n, void (*fn)(struct upstream *u, void *arg), void *arg);

void nodes_aim_slot(struct nodes *n, uint16_t slot);
/* The same, for a read that replicas may answer: nodes_shared prefers one of them that can be asked. */
void nodes_aim_reader(struct nodes *n, uint16_t slot);
void nodes_aim_master(struct nodes *n, size_t i); /* as the topology has them */
void nodes_aim_url(struct nodes *n, const char *url);
void nodes_aim_any(struct nodes *n);
/* Of what is aimed at: its URL, a shared connection. */
const char *nodes_url(const struct nodes *n);
struct upstream *nodes_shared(struct nodes *n, enum lane lane, enum resp resp, unsigned share);

/* upstream_env's on_redirect. True: the slot is another's than was known, or nobody's now. */
bool nodes_redirect(struct nodes *n, struct upstream *u, struct upstream_request *r,
                    const struct redirect *to);
/* Sends what has waited long enough. True: something waits on. */
bool nodes_tick(struct nodes *n, int64_t now_us);
/* What waits fails. */
void nodes_cancel(struct nodes *n);

#endif
