/* tools/cleanup — convctl cleanup: deletes the keys that match a pattern, in both stores.
 * Owns:       nothing between calls.
 * Invariants: nothing is deleted before it was counted and agreed to. Keys that were not there then may be deleted, too: the pattern
 *             counts.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_CLEANUP_H
#define TOOLS_CLEANUP_H

#include "tools/ctl.h"

int run_cleanup(struct options *o, const struct args *args);

#endif
