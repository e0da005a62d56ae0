/* engine/streamnodes — how Redis would pack a stream's entries: approximate trims drop whole nodes only, and XINFO counts them.
 * Source:     measured on redis-server 7.0.15 with its defaults: 100 entries or 4096 bytes a node.
 * Invariants: the packing is that of a stream into which these entries were just added. Redis's differs from it when entries
 *             in front were deleted or trimmed exactly: it leaves gaps in nodes.
 * Threads:    one. */
#ifndef ENGINE_STREAMNODES_H
#define ENGINE_STREAMNODES_H

#include "engine/stream.h"

/* How many entries the node holds whose first entry is at from. */
size_t stream_node_length(const struct stream *s, size_t from);
/* The number of nodes, and that of the radix tree's own nodes above them. */
void stream_node_counts(const struct stream *s, size_t *ret_keys, size_t *ret_nodes);

#endif
