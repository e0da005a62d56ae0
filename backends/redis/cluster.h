/* backends/redis/cluster — asks the nodes of a Redis Cluster who serves what.
 * Owns:       one connection, to the node that is asked, and the newest topology.
 * Invariants: the node asked last is asked first; then the other masters, then those of redis.url.
 * Threads:    [scout] only.          Used by: backends/redis/scout. */
#ifndef BACKENDS_REDIS_CLUSTER_H
#define BACKENDS_REDIS_CLUSTER_H

#include "backends/redis/scout.h"

struct cluster;

struct cluster *cluster_new(struct redis_seeds *own_seeds);
void cluster_free(struct cluster *own_x);

/* False: no node tells; report->error says more, and what was known stays. */
bool cluster_look(struct cluster *x, const struct settings *s, struct scout_report *report);
/* NULL before the first look that succeeded. */
struct topology *cluster_topology(const struct cluster *x);
/* The node for what concerns no key: the one that was asked, when it is a master, otherwise the first. */
const struct topology_node *cluster_contact(const struct cluster *x);

#endif
