/* proxy/everywhere — commands about all keys, or about all nodes, while Redis is a cluster: they go to every master, and to the archive
 * when it has some of the keys.
 *
 *   SCAN               one master after the other: the client's cursor is the node's times 1000 plus its number; then the archive's
 *                      own, which are KEYSPACE_ARCHIVE plus a hash
 *   DBSIZE, KEYS …     all at once (proxy/gather)
 *
 * Invariants: a key is told by the store that acts for it only. What one of them refuses is the reply, and what the others did stays.
 * Threads:    [loop] only.          Used by: proxy/cluster. */
#ifndef PROXY_EVERYWHERE_H
#define PROXY_EVERYWHERE_H

#include "proxy/managed.h"

bool everywhere_is(const struct command *cmd);
/* One of them, outside MULTI. False: it must wait; the session is paused. */
bool everywhere_command(struct session *s, const struct job *job);

#endif
