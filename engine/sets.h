/* engine/sets — what the commands of sets share.
 * Invariants: a set of integers answers them in numeric order, though its dict keeps them as they were added.
 * Threads:    one.          Used by: sets, setops. */
#ifndef ENGINE_SETS_H
#define ENGINE_SETS_H

#include "engine/call.h"

struct dict_entry;

/* o becomes an empty set, whatever it was. */
void sets_make(struct call *c, struct object *o, size_t expected);
/* True: added. The encoding follows. */
bool sets_add(struct object *o, struct slice member);
/* The members in the order in which they are answered. */
const struct dict_entry *sets_entries(struct call *c, const struct object *o);

#endif
