/* tools/tiers — convctl tiers: what has left Redis, the rules applied now, one key moved.
 * Owns:       nothing.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_TIERS_H
#define TOOLS_TIERS_H

#include "tools/ctl.h"

int run_tiers(struct options *o, const struct args *args);

#endif
