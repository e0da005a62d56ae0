/* tools/chaos — convctl chaos: a store that is cut off, paused or slow for some seconds, on purpose.
 * Owns:       nothing.
 * Invariants: the deadline is the proxy's: it ends also when convctl is killed.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_CHAOS_H
#define TOOLS_CHAOS_H

#include "tools/ctl.h"

int run_chaos(struct options *o, const struct args *args);

#endif
