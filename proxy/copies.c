#include "proxy/copies.h"

#include "base/mutant.h"
#include "executor/executor.h"
#include "executor/op.h"
#include "proxy/archived.h"
#include "proxy/hold.h"
#include "proxy/outcome.h"
#include "proxy/placement.h"
#include "proxy/scripting.h"
#include "proxy/server.h"
#include "router/copyable.h"
#include "sync/sync.h"

#include <stdlib.h>
#include <string.h>

/* What waits for a snapshot: a slot, or the op of a write that its client was told of already. Both the loop and sync have it; sync's
 * callback gives it back. */
struct copy_wait {
    struct copy_wait *next, **back; /* in loop.copies, as long as slot or op is there */
    struct loop *loop;
    struct slot *slot; /* NULL: it does not wait, or not any more */
    struct op *op;     /* the same */
    unsigned turn;     /* of op: see hold_enter */
    int64_t since_us;
    bool rests; /* sync has answered that it could not; it is asked again within a second */
    enum err result;
};

/* By its client, or as a part of something. */
static bool is_awaited(const struct slot *slot)
{
    return slot->session != NULL || slot->whole != NULL;
}

/* ---- kept ---- */

/* The archive has all its commands. */
static bool can_run(const struct loop *l, const struct op *op)
{
    size_t i = 0;
    while (i < op->nsteps && (op->steps[i].fn != NULL || scripting_knows(l, op, &op->steps[i])))
        i++;
    return i == op->nsteps;
}

void copies_keep(struct slot *slot, struct slice commands)
{
    struct loop *l = slot->loop;

    if (l->executor == NULL || block_is_mixed(slot->block))
        return;
    struct op *op = op_new(OP_EXEC, slot->session != NULL ? slot->session->resp : RESP2, commands);
    if (!can_run(l, op)) {
        op_free(op);
        return;
    }
    block_mark(slot->block, op);
    op->id = *block_id(slot->block);
    op->epoch = l->acting.epoch;
    op->now_ms = loop_redis_now_ms(l);
    slot->copy = op;
}

static struct op *made_again(struct op *own_op)
{
    struct op *op = op_again(own_op);

    op_free(own_op);
    return op;
}

/* ---- how it ends ---- */

static void count_unarchived(struct loop *l, struct slice key)
{
    const struct policy_conf *policy = policy_find(l->policies, key);
    if (policy != NULL)
        counter_add(&l->stats->policies[loop_policy_id(l, policy)].unarchived, 1);
}

static struct slice first_key(const struct slot *slot)
{
    return touched_key(block_touched(slot->block), 0);
}

/* The archive can't have it now, and nobody is to blame who may lose it: its mark stays, and the copier comes. */
static bool can_wait(enum err e, bool redis_is_there)
{
    switch (e) {
    case ERR_REDISDOWN: /* it refuses sync's questions */
    case ERR_REDISLOST:
        return redis_is_there;
    case ERR_ARCHIVEDOWN:
    case ERR_ARCHIVELOST:
    case ERR_ARCHIVEBAD:
    case ERR_ARCHIVEBUSY:
    case ERR_TOO_LARGE:
        return true;
    default:
        return false;
    }
}

/* The archive may lack it while Redis may be lost. */
static bool is_lost(enum err e)
{
    return e != ERR_NONE && !can_wait(e, false);
}

/* The Redis that was asked is still the one that has the write: a proxy that slept may have asked another. Its lease may be new while the
 * loop has yet to hear of the epoch that came with it. */
static bool is_of_now(const struct slot *slot)
{
    const struct loop *l = slot->loop;
    int64_t epoch = block_epoch(slot->block);

    return epoch == l->acting.epoch && placement_is_now(server_placement(l->server), epoch);
}

/* Redis has the write, and the archive has it, can't have it now, or may lack it while Redis may be lost. */
static void conclude(struct slot *slot, enum err e)
{
    bool acked = e == ERR_NONE || (is_of_now(slot) && can_wait(e, block_redis_is_there(slot->block)));

    if (!acked) {
        /* Redis has been lost meanwhile. It has the write: whoever tried again might have it twice. */
        slot_fail(slot, ERR_REDISLOST, "copying it to the archive");
        return;
    }
    if (e != ERR_NONE)
        count_unarchived(slot->loop, first_key(slot));
    slot_complete(slot);
}

/* ---- snapshots ---- */

static void forget(struct copy_wait *w)
{
    *w->back = w->next;
    if (w->next != NULL)
        w->next->back = w->back;
    w->slot = NULL;
    w->op = NULL;
}

/* Its client has been told. When Redis is lost before the archive has it, the archive does it itself. */
static void conclude_unheard(struct loop *l, struct op *own_op, unsigned turn, enum err e)
{
    bool lost = is_lost(e);

    if (e != ERR_NONE && !lost)
        count_unarchived(l, own_op->keys[0].key);
    if (lost)
        hold_owe(l, own_op);
    else
        op_free(own_op);
    hold_leave(l, turn);
}

static void take_copied(struct loop *l, void *own_wait)
{
    struct copy_wait *w = own_wait;
    struct slot *slot = w->slot;
    struct op *op = w->op;

    if (op != NULL && is_lost(w->result) && hold_can_tell(l, op)) {
        w->rests = true; /* that Redis is lost is found out later than that sync can't ask it */
        return;
    }
    if (slot != NULL || op != NULL)
        forget(w);
    if (slot != NULL)
        conclude(slot, w->result == ERR_NONE && !is_of_now(slot) ? ERR_MOVED : w->result);
    else if (op != NULL)
        conclude_unheard(l, op, w->turn, w->result);
    free(w);
}

/* [sync] */
static void on_copied(void *ctx, enum err e)
{
    struct copy_wait *w = ctx;

    w->result = e;
    if (loop_try_post(w->loop, take_copied, w))
        return;
    if (w->slot != NULL)
        slot_free_orphan(w->slot);
    if (w->op != NULL)
        op_free(w->op);
    free(w);
}

static struct copy_wait *wait_new(struct loop *l)
{
    struct copy_wait *w = calloc(1, sizeof *w);

    if (w == NULL)
        abort();
    *w = (struct copy_wait){.next = l->copies, .back = &l->copies, .loop = l, .since_us = l->turn.now_us};
    if (w->next != NULL)
        w->next->back = &w->next;
    l->copies = w;
    return w;
}

/* True: the slot waits for it. */
static bool ask_snapshot(struct slot *slot)
{
    struct loop *l = slot->loop;
    const struct touched *touched = block_touched(slot->block);
    struct slice *keys = malloc(touched->count * sizeof *keys);
    struct copy_wait *w = wait_new(l);

    if (keys == NULL)
        abort();
    for (size_t i = 0; i < touched->count; i++)
        keys[i] = touched_key(touched, i);
    w->slot = slot;
    sync_copy(server_sync(l->server), block_epoch(slot->block), keys, touched->count, on_copied, w);
    free(keys);
    return true;
}

static void ask_for_op(struct copy_wait *w)
{
    const struct op *op = w->op;
    struct slice *keys = malloc(op->nkeys * sizeof *keys);

    if (keys == NULL)
        abort();
    w->rests = false;
    for (size_t i = 0; i < op->nkeys; i++)
        keys[i] = op->keys[i].key;
    sync_copy(server_sync(w->loop->server), op->epoch, keys, op->nkeys, on_copied, w);
    free(keys);
}

void copies_ask(struct loop *l, struct op *own_op)
{
    struct copy_wait *w = wait_new(l);

    w->op = made_again(own_op);
    w->turn = hold_enter(l);
    ask_for_op(w);
}

/* Ends a wait for sync; while it rests nobody else has it. */
static void give_up(struct copy_wait *w, enum err e)
{
    struct loop *l = w->loop;
    struct slot *slot = w->slot;
    struct op *op = w->op;
    unsigned turn = w->turn;

    forget(w);
    if (w->rests)
        free(w);
    if (slot != NULL)
        conclude(slot, e);
    else
        conclude_unheard(l, op, turn, e);
}

void copies_recall(struct loop *l)
{
    for (struct copy_wait *w = l->copies, *next; w != NULL; w = next) {
        next = w->next;
        if (w->rests && !hold_can_tell(l, w->op))
            give_up(w, ERR_MOVED);
    }
}

void copies_end(struct loop *l)
{
    for (struct copy_wait *w = l->copies, *next; w != NULL; w = next) {
        next = w->next;
        if (!w->rests)
            continue;
        op_free(w->op);
        forget(w);
        free(w);
    }
}

void copies_second(struct loop *l, int64_t now_us)
{
    int64_t patience_us = 2 * l->settings->archive_timeout * 1000;

    for (struct copy_wait *w = l->copies, *next; w != NULL; w = next) {
        next = w->next;
        if (now_us - w->since_us >= patience_us)
            give_up(w, ERR_ARCHIVELOST);
        else if (w->rests)
            ask_for_op(w);
    }
}

/* ---- deltas ---- */

/* All that it does is the same there, and all its keys' versions are known. */
static bool is_delta(const struct op *op)
{
    for (size_t i = 0; i < op->nsteps; i++)
        if (!copyable(op->steps[i].cmd, op->argv + op->steps[i].argv, op->steps[i].argc))
            return false;
    for (size_t i = 0; i < op->nkeys; i++)
        if (op->keys[i].copied == 0)
            return false;
    return true;
}

static bool send_delta(struct slot *slot, bool waits)
{
    struct op *op = slot->copy;

    slot->copy = NULL;
    op->role = OP_COPY;
    if (waits) {
        archived_send(slot, op);
        slot->archived = false;
    } else {
        archived_submit(slot->loop, op);
    }
    return waits;
}

/* What the archive has not been asked for stays marked. */
static bool without(struct slot *slot)
{
    count_unarchived(slot->loop, first_key(slot));
    return false;
}

bool copies_take(struct slot *slot)
{
    struct loop *l = slot->loop;

    if (slot->block == NULL || !block_has_marked(slot->block))
        return false;
    bool waits = is_awaited(slot) && block_acks_both(slot->block) && !MUTANT(ack_early);
    if (l->executor == NULL || !executor_up(l->executor))
        return without(slot);
    if (waits)
        outcome_answered(slot);
    if (slot->copy != NULL && is_delta(slot->copy))
        return send_delta(slot, waits);
    return waits && ask_snapshot(slot);
}

/* Its client was told long ago. An archive that is up but slow gets the state that Redis has by then; until it has it, the op is not
 * forgotten: Redis may be lost first. */
static void done_unheard(struct loop *l, struct op *own_op)
{
    enum err e = own_op->error;
    bool slow = (e == ERR_ARCHIVEBUSY || e == ERR_ARCHIVELOST || e == ERR_ARCHIVEDOWN) &&
                executor_up(l->executor); /* "down" is also what has waited too long for its turn */

    if (is_lost(e) || slow) {
        copies_ask(l, own_op);
        return;
    }
    if (e != ERR_NONE)
        count_unarchived(l, own_op->keys[0].key);
    op_free(own_op);
}

void copies_done(struct loop *l, struct slot *slot, struct op *own_op)
{
    enum err e = own_op->error;

    if (slot == NULL) {
        done_unheard(l, own_op);
        return;
    }
    if (is_lost(e))
        slot->copy = made_again(own_op);
    else
        op_free(own_op);
    if (e != ERR_RACE || !is_awaited(slot))
        conclude(slot, e == ERR_RACE ? ERR_NONE : e);
    else
        ask_snapshot(slot);
}

void copies_late(struct slot *slot)
{
    conclude(slot, ERR_ARCHIVELOST);
}
