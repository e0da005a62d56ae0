/* executor/apply — one op on the cells of its batch: whether it may run, its commands, and what they leave.
 * Owns:       nothing but the reply, which is the op's.
 * Invariants: an op that is refused (watched keys, ERR_MOVED, a copy without its predecessor) changes nothing, and has no
 *             influence on the others of the batch.
 * Threads:    [worker].          Used by: run. */
#ifndef EXECUTOR_APPLY_H
#define EXECUTOR_APPLY_H

#include "executor/cell.h"
#include "executor/run.h"

/* What the ops of a batch share. */
struct batch {
    struct archive_handle *handle;
    struct run_counts *counts;
    struct arena arena; /* lives as long as the batch */
    struct chain out;   /* of the command that runs */
    int64_t now_us;     /* wall */
    uint64_t random;    /* never 0 */
    bool spoiled;       /* an op has left its cells as it must not: nothing of the batch may be committed */
};

/* cells: as op->keys. Afterwards the op has a reply, an error, or wants to park. */
void apply_op(struct batch *b, struct op *op, struct cell *const *cells);
/* For struct call: what the commands of a batch draw from. */
uint64_t apply_random(void *batch);

#endif
