/* executor/again — a write that may have been done before, sent a second time: whether it was, and what it answered then.
 * Threads: [worker].          Used by: run. */
#ifndef EXECUTOR_AGAIN_H
#define EXECUTOR_AGAIN_H

#include "executor/cell.h"

/* One of the documents has the op's id. cells: as op->keys. */
bool again_is(const struct op *op, struct cell *const *cells);
/* The op's reply, with an element for each step where it is EXEC's: the length as it is now after a push, APPEND or SETRANGE, OK
 * after SET and its kin. Else the op fails with ERR_INDOUBT. */
void again_answer(struct op *op, struct cell *const *cells, int64_t now_ms);

#endif
