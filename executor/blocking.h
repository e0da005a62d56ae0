/* executor/blocking — commands that wait: until when, what they answer when nothing came, and what they must remember.
 * Source:  redis.io/commands/blpop and its kin; redis-server 7.0.15.
 * Threads: any. */
#ifndef EXECUTOR_BLOCKING_H
#define EXECUTOR_BLOCKING_H

#include "executor/op.h"

/* When op->steps[op->blocking] gives up waiting (mono µs): 0 it does not wait at all, INT64_MAX: never. */
int64_t blocking_until(const struct op *op);
/* The reply says that there was nothing to take. When the op was parked before, a key of another type means that too, unless it
 * is where something that was found should go. objects: as for the op's keys. */
bool blocking_found_nothing(const struct op *op, struct slice reply, const struct object *objects);
/* What an XREAD has waited for was written and is gone again (XADD MAXLEN 0), which ends its wait too: out becomes its reply,
 * without entries. False: out is as it was. objects: as for the op's keys. */
bool blocking_came_and_went(const struct op *op, const struct object *objects, struct chain *out);
/* The op is about to be parked: "$" of XREAD becomes the last id of its stream as it is now. objects: as for the op's keys. */
void blocking_pin(struct op *op, const struct object *objects);
/* The op was woken by one of its keys, which is served before the others: its command with that key only, in memory of the
 * op. NULL: it has no other keys. */
const struct slice *blocking_narrow(struct op *op, size_t *ret_argc);
/* The op was parked before, and what it has waited for is no more: the error that says so. NULL: reply is right. */
const char *blocking_lost(const struct op *op, const char *reply, size_t n, const struct object *objects);
/* Where the keys stand that a command waits for: n of them from argument first on; rest: where the arguments behind them begin. A
 * well-formed one: keys_each has found them. */
struct blocking_keys {
    size_t first, n, rest;
};
struct blocking_keys blocking_keys(const struct command *cmd, const struct slice *argv, size_t argc);
/* The same for a command that is no op: the argument that says how long it waits, 0 when none does; and when it gives up waiting, which
 * is 0 also when the argument is no time. */
size_t blocking_time_arg(const struct command *cmd, const struct slice *argv, size_t argc);
int64_t blocking_end(const struct command *cmd, const struct slice *argv, size_t argc);
/* The command as a request that waits until then. */
void blocking_again(const struct command *cmd, const struct slice *argv, size_t argc, int64_t until_us, int64_t now_us,
                    struct chain *out);
/* The op's command as a request, that waits for what is left of its time and goes on where this one was. */
void blocking_request(const struct op *op, int64_t now_us, struct chain *out);
/* What it answers when its time is over. */
void blocking_time_over(struct op *op);

#endif
