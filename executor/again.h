/* executor/again — a write that may have been done before, sent a second time: whether it was, and what it answered then.
 * Threads: [worker].          Used by: run. */
#ifndef EXECUTOR_AGAIN_H
#define EXECUTOR_AGAIN_H

#include "executor/cell.h"

/* One of the documents has the op's id. cells: as op->keys. */
bool again_is(const struct op *op, struct cell *const *cells);
/* Redis has done it (one of the documents is a copy that has its id), and its copy has not reached all keys that it writes. */
bool again_is_part(const struct op *op, struct cell *const *cells);
/* What has to be done of a step then. */
enum again_part {
    AGAIN_SKIP, /* nothing */
    AGAIN_RUN,
    AGAIN_EACH, /* it runs, and only the keys for which again_lacks is true keep what it does: it treats each for itself */
    AGAIN_LOST  /* nobody can tell: it takes from one key what it gives to another */
};
enum again_part again_part(const struct op *op, struct cell *const *cells, const struct op_step *step);
/* The key (its place in op->keys) has not got what the op writes. */
bool again_lacks(const struct op *op, struct cell *const *cells, size_t key);
/* The op's reply, with an element for each step where it is EXEC's: the length as it is now after a push, APPEND or SETRANGE, OK
 * after SET and its kin. Else the op fails with ERR_INDOUBT. */
void again_answer(struct op *op, struct cell *const *cells, int64_t now_ms);

#endif
