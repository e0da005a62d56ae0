/* executor/replay — runs the commands of a journal on one object, outside of any archive.
 * Threads: any; one object at a time.          Used by: sync/handoff. */
#ifndef EXECUTOR_REPLAY_H
#define EXECUTOR_REPLAY_H

#include "engine/object.h"
#include "executor/record.h"

/* Applies write to o by the clock write->now_ms; steps that are trim or expiry run as they stand. False: the request is
 * damaged; o may have changed. Errors that commands answer (WRONGTYPE) change nothing and are fine. */
bool replay_write(struct object *o, struct arena *a, const struct record_write *write);

#endif
