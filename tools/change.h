/* tools/change — convctl's commands that change settings, stores and faults.
 * Owns:       nothing.
 * Invariants: who is at a terminal is asked before the stores change places.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_CHANGE_H
#define TOOLS_CHANGE_H

#include "tools/ctl.h"

int run_settings(struct options *o, const struct args *args);
int run_primary(struct options *o, const struct args *args);
int run_fault(struct options *o, const struct args *args);

/* Shows a line for each place that the policy goes through, until the store ("redis" or "archive") answers: EXIT_OK; at most a minute. */
int primary_wait(const struct options *o, const char *policy, const char *store);

#endif
