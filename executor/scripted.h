/* executor/scripted — EVAL and its kin on the keys of an op.
 * Owns:       nothing: what a script writes lies in the batch's arena, as what any command writes.
 * Invariants: a script runs on its op's keys. One that uses others runs to its end on what the archive has of them, and is thrown
 *             away: the op wants them then, and runs again when it is first in their lanes, too. A script that is ended by its
 *             limits leaves nothing; one that ends with an error leaves what it has written before, as in Redis.
 *             Journals get the commands that it has run, as if they had come one by one: it is never run again itself.
 * Threads:    [worker].          Used by: apply. */
#ifndef EXECUTOR_SCRIPTED_H
#define EXECUTOR_SCRIPTED_H

#include "engine/call.h"
#include "executor/apply.h"
#include "executor/journal.h"

/* A key that a script uses and that its op does not name. */
struct scripted_key {
    struct slice key; /* lies in the op's memory */
    bool wanted;      /* false: an argument of a malformed command, which may be none */
};

struct scripted {
    struct batch *batch;
    struct op *op;
    struct keyspace *keys;   /* objects: the op's keys first, then others */
    struct journal *journal; /* NULL: none of its keys keeps one */
    int64_t now_ms;
    void (*fetch)(void *ctx, struct slice key, struct object *o);
    void *fetch_ctx;
    /* its own */
    struct scripted_key *others;
    size_t nothers, nwanted;
    size_t cap;           /* of others, keys->objects, and trims; 0 at first */
    uint32_t *index;      /* of others: their places + 1, by hash (open addressing) */
    size_t index_size;
    uint8_t *trims;       /* by object: enum cmd_trim of the last write that asks for one */
    const struct slice *argv; /* of the command that runs */
    struct chain *reply;
    size_t before;        /* of the arena, when the script began */
    bool malformed;
    const char *refusal;  /* of a key; NULL: none */
};

bool scripted_is(const struct command *cmd);
/* Runs the step's script. Its reply goes to out; or the op has failed. */
void scripted_run(struct scripted *s, const struct op_step *step, struct chain *out);
/* What it has used must be the op's before it counts: op->wanted says so. Call it when all steps have run. */
void scripted_end(struct scripted *s);

#endif
