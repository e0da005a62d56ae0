/* sync/commands — the commands that build a value in Redis where there is no such key.
 * Invariants: what commands can say is exact: elements and their order, scores, a stream's ids, counts, groups, and what consumers
 *             owe, also of entries that are gone. What they can't: when a consumer was last seen (it is now), and an encoding
 *             that Redis would not choose for such a value (a restart of Redis forgets those, too).
 * Threads:    any.          Used by: sync/value. */
#ifndef SYNC_COMMANDS_H
#define SYNC_COMMANDS_H

#include "engine/object.h"
#include "sync/link.h"

#include <stddef.h>

/* Puts them, the expiry included; none for type NONE. link_owed tells how many. */
void commands_put(struct link *l, const struct object *o);
/* About how many bytes they are. */
size_t commands_size(const struct object *o);

#endif
