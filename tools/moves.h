/* tools/moves — convctl's commands for long work on keys: ordering it, watching it, ending it; and for dual writes.
 * Owns:       nothing.
 * Invariants: a move is watched until it is over, or the operator leaves (Ctrl-C): it goes on without him, and
 *             nobody may take that for the end.
 * Threads:    one.          Used by: tools/convctl. */
#ifndef TOOLS_MOVES_H
#define TOOLS_MOVES_H

#include "tools/ctl.h"

/* backfill, drain, verify, ttl-audit: the command is the kind. EXIT_UNHEALTHY also when a verify or an audit has found what it has not
 * repaired. */
int moves_run(struct options *o, const struct args *args);
int moves_show(struct options *o, const struct args *args);
int moves_abort(struct options *o, const struct args *args);
/* Watches it as moves_run does. */
int moves_resume(struct options *o, const struct args *args);
int moves_dual_write(struct options *o, const struct args *args);

/* For the procedures (tools/failover): orders one and watches it; watches one that was ordered already. */
int moves_do(const struct options *o, const char *kind, const char *policy);
int moves_watch(const struct options *o, double id);

#endif
