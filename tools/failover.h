/* tools/failover — convctl failover and failback: the two procedures of the runbook, each from the look before to the look after.
 * Owns:       nothing between calls.
 * Invariants: nothing is changed before the checks are passed and the operator has agreed. Steps run in the order of their table; whoever
 *             interrupts is told which were done, what holds now, and how to go on or back.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_FAILOVER_H
#define TOOLS_FAILOVER_H

#include "tools/ctl.h"

int run_failover(struct options *o, const struct args *args);
int run_failback(struct options *o, const struct args *args);

#endif
