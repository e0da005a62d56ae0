/* executor/journal — what of an op is noted in its keys' journals: its commands, as far as they can be run again on one key alone.
 * Owns:       nothing: bytes lie in the batch's arena.
 * Invariants: noted is what was run and not refused. A command that names several keys, or one whose outcome is drawn or depends on
 *             keys that it does not name, leaves the keys that it may write without a note, and so with a journal that overflows.
 * Threads:    [worker].          Used by: run. */
#ifndef EXECUTOR_JOURNAL_H
#define EXECUTOR_JOURNAL_H

#include "executor/op.h"
#include "executor/record.h"

struct journal {
    const struct op *op;
    struct arena *arena;
    struct journal_key *keys; /* as op->keys */
};

void journal_init(struct journal *j, const struct op *op, struct arena *a);
/* The step has run, and this is its reply. */
void journal_step(struct journal *j, const struct op_step *step, struct slice reply);
/* A command that is no step of the op (a script's) has run, and was not refused. Its keys are the op's. */
void journal_command(struct journal *j, const struct command *cmd, const struct slice *argv, size_t argc);
/* What was noted for the key. NULL: something that can't be repeated was done to it. */
const struct record_write *journal_write(const struct journal *j, size_t key, int64_t now_ms);

#endif
