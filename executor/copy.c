#include "executor/copy.h"

#include "base/version.h"
#include "router/keys.h"

#include <stdlib.h>

#define UNSURE_MS 2000 /* so near its end a key may be gone for one store and there for the other */

static bool is_dying(const struct cell *c, int64_t now_ms)
{
    return c->object.type != OBJECT_NONE && c->object.expire_ms >= 0 &&
           llabs(c->object.expire_ms - now_ms) <= UNSURE_MS;
}

static enum copy_verdict refuse(const char *why, const char **ret_why)
{
    *ret_why = why;
    return COPY_REFUSED;
}

/* A later version alone does not say that the write is in it: it may be of an epoch in which Redis' state was left behind (H13b). */
static enum copy_verdict look_at_later(const struct op *op, const struct op_key *k, const struct cell *c,
                                       const char **ret_why)
{
    const struct record *r = cell_record(c);

    if (record_has(r, &op->id) || (r->redis && version_epoch(c->version) == version_epoch(k->copied)))
        return COPY_DONE;
    return refuse("the archive has a state of another epoch", ret_why);
}

static enum copy_verdict look_at(const struct op *op, const struct op_key *k, const struct cell *c,
                                 int64_t now_ms, const char **ret_why)
{
    if (c->version >= k->copied)
        return look_at_later(op, k, c, ret_why);
    if (is_dying(c, now_ms))
        return refuse("the key is about to expire", ret_why);
    if (k->fresh)
        return cell_is_there(c, now_ms) ? refuse("the key was new in Redis only", ret_why) : COPY_RUN;
    if (c->version != k->copied - 1) {
        (void)refuse("the state before it is missing", ret_why);
        return COPY_EARLY;
    }
    return cell_record(c)->redis ? COPY_RUN : refuse("the archive has written the key itself", ret_why);
}

struct naming {
    const struct op *op;
    const struct slice *argv;
    bool unknown; /* one of its keys has no version */
};

static bool look_for_version(void *ctx, struct key_ref ref)
{
    struct naming *n = ctx;
    n->unknown |= n->op->keys[op_find_key(n->op, n->argv[ref.arg])].copied == 0;
    return !n->unknown;
}

/* All that its outcome depends on has a version, and so was looked at. */
static bool is_known(const struct op *op, const struct op_step *step)
{
    struct naming n = {.op = op, .argv = op->argv + step->argv};

    if (step->cmd == NULL || step->fn == NULL || command_sees_others(step->cmd))
        return false;
    keys_each(step->cmd, n.argv, step->argc, look_for_version, &n);
    return !n.unknown;
}

/* Scripts say neither that they write nor that they don't. */
static bool only_reads(const struct command *cmd)
{
    return cmd != NULL && (cmd->flags & CMD_WRITE) == 0 &&
           ((cmd->flags & CMD_READONLY) != 0 || cmd->nspecs == 0);
}

static bool can_run(const struct op *op)
{
    for (size_t i = 0; i < op->nsteps; i++)
        if (!only_reads(op->steps[i].cmd) && !is_known(op, &op->steps[i]))
            return false;
    return true;
}

enum copy_verdict copy_look(const struct op *op, struct cell *const *cells, int64_t now_ms,
                            const char **ret_why)
{
    size_t done = 0, left = 0, early = 0;

    for (size_t i = 0; i < op->nkeys; i++) {
        if (op->keys[i].copied == 0)
            continue;
        enum copy_verdict v = look_at(op, &op->keys[i], cells[i], now_ms, ret_why);
        if (v == COPY_REFUSED)
            return v;
        early += v == COPY_EARLY;
        done += v == COPY_DONE;
        left += v == COPY_RUN;
    }
    if (early > 0 && done == 0)
        return COPY_EARLY;
    if (left == 0 && early == 0)
        return COPY_DONE;
    if (done > 0)
        return refuse("one key has it, another has not", ret_why);
    return can_run(op) ? COPY_RUN : refuse("a command can't be repeated here", ret_why);
}
