/* tools/look — convctl's commands that only look: status, watch, health.
 * Owns:       nothing.
 * Invariants: nothing is changed.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_LOOK_H
#define TOOLS_LOOK_H

#include "tools/ctl.h"

int run_status(struct options *o, const struct args *args);
int run_watch(struct options *o, const struct args *args);
int run_health(struct options *o, const struct args *args);

#endif
