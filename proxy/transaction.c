#include "proxy/transaction.h"

#include "base/limits.h"
#include "proxy/archived.h"
#include "proxy/aside.h"
#include "proxy/dispatch.h"
#include "proxy/hide.h"
#include "proxy/hold.h"
#include "proxy/keyspace.h"
#include "proxy/scripting.h"
#include "proxy/tracing.h"
#include "proxy/loan.h"
#include "proxy/pause.h"

#include <stdlib.h>
#include <string.h>

struct transaction {
    bool spoiled;
    bool slow;      /* a queued command belongs on the slow deadline */
    bool may_write; /* as CLIENT PAUSE WRITE sees it */
    bool about_all; /* a queued command names no key, so it may be about all */
    bool scripted;  /* a queued command is a script */
    bool traced;    /* a queued script may change keys that it does not name */
    bool unguarded; /* a queued command must not reach a Redis that is guarded */
    int slot;       /* of a cluster, where the keys of the queued commands are; -1: there is none yet */
    unsigned home;  /* where the keys of the queued commands live: enum home */
    size_t count;
    struct chain queued; /* the requests, as RESP */
};

bool transaction_is_open(const struct session *s)
{
    return s->txn != NULL;
}

static void answer_error(struct session *s, const char *line)
{
    build_error(slot_answer(s), line);
    slot_answered(s);
}

static void answer_ok(struct session *s)
{
    build_status(slot_answer(s), "OK");
    slot_answered(s);
}

bool transaction_may_write(const struct session *s)
{
    return s->txn != NULL && s->txn->may_write;
}

int *transaction_slot(struct session *s)
{
    return s->txn != NULL ? &s->txn->slot : NULL;
}

size_t transaction_length(const struct session *s)
{
    return s->txn != NULL ? s->txn->count : 0;
}

struct slice transaction_queued(struct session *s)
{
    return s->txn->spoiled ? (struct slice){NULL, 0} : chain_flat(&s->txn->queued);
}

/* ---- the pinned connection ---- */

/* Lends it to the next one; its keys are no longer watched then. */
static void unpin(struct session *s, bool send_unwatch)
{
    if ((s->pinned_for & LOAN_WATCH) == 0)
        return;
    /* A WATCH that still waits for its connection is not taken back: UNWATCH goes behind it. */
    if (send_unwatch && (upstream_state(s->pinned) == UP_READY || upstream_in_flight(s->pinned) > 0)) {
        build_command(upstream_out(s->pinned), "UNWATCH", NULL);
        slot_send_unheard(s->loop, s->pinned);
    }
    s->pinned_generation = 0;
    loan_end(s, LOAN_WATCH);
}

static bool watches(const struct session *s)
{
    return (s->pinned_for & LOAN_WATCH) != 0;
}

/* WATCH was answered: from here on it is this very connection that must live until EXEC. */
static void watch_finish(struct slot *slot)
{
    struct session *s = slot->session;
    if (s != NULL && watches(s) && s->pinned_generation == 0 && !slot->failed)
        s->pinned_generation = upstream_generation(s->pinned);
}

struct upstream *transaction_upstream(struct session *s)
{
    if (watches(s) && s->pinned_generation == 0 && s->in_flight == 0) {
        s->watch_refused = true;
        unpin(s, false);
    }
    return s->pinned;
}

/* ---- the five commands ---- */

static void drop_queue(struct session *s)
{
    if (s->txn == NULL)
        return;
    chain_clear(&s->txn->queued);
    free(s->txn);
    s->txn = NULL;
}

void transaction_drop(struct session *s)
{
    drop_queue(s);
    aside_drop(s);
    unpin(s, true);
    archived_unwatch(s);
    s->watch_refused = false;
}

static bool do_multi(struct session *s, const struct job *job)
{
    if (s->txn != NULL) {
        answer_error(s, "ERR MULTI calls can not be nested");
        return true;
    }
    s->txn = calloc(1, sizeof *s->txn);
    if (s->txn == NULL)
        abort();
    s->txn->slot = -1;
    chain_init(&s->txn->queued, &s->loop->turn.chunks);
    answer_ok(s);
    return true;
}

/* What ends watches comes behind them: the archive tells only with its answer what is watched. True: it must wait. */
static bool waits_for_watch(struct session *s)
{
    if (s->watching == 0 || s->in_flight == 0)
        return false;
    s->pauses |= PAUSE_ORDER;
    return true;
}

static bool do_discard(struct session *s, const struct job *job)
{
    if (s->txn == NULL) {
        answer_error(s, "ERR DISCARD without MULTI");
        return true;
    }
    if (waits_for_watch(s))
        return false;
    transaction_drop(s);
    answer_ok(s);
    return true;
}

static bool refuse_mixed(struct session *s, const struct job *job)
{
    build_err(slot_answer(s), ERR_CROSSSTORE, job->cmd->name);
    slot_answered(s);
    return true;
}

static bool watch(struct session *s, const struct job *job)
{
    enum home home = acting_home(s->loop, job->cmd, job->argv, job->argc);
    if (home == HOME_BOTH || (home == HOME_ARCHIVE && watches(s)) ||
        (home == HOME_REDIS && s->watched != NULL))
        return refuse_mixed(s, job);
    if (home == HOME_ARCHIVE)
        return archived_watch(s, job);
    bool fresh = !watches(s);
    if (s->pinned == NULL && s->in_flight > 0) {
        s->pauses |= PAUSE_ORDER;
        return false;
    }
    if (fresh && !loan_take(s, LOAN_WATCH))
        return true;
    enum admission a = dispatch_admit(s, s->pinned, job);
    if (a != ADMIT_NOW) {
        if (fresh)
            unpin(s, false);
        return a == ADMIT_NEVER;
    }
    struct slot *slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    slot->finish = watch_finish;
    managed_put_raw(upstream_out(s->pinned), job);
    slot_send(slot, s->pinned, 1, false);
    return true;
}

static bool do_watch(struct session *s, const struct job *job)
{
    if (s->txn != NULL) {
        answer_error(s, "ERR WATCH inside MULTI is not allowed");
        return true;
    }
    enum gate gate = hold_gate(s, job->cmd, job->argv, job->argc);
    return gate == GATE_GO ? watch(s, job) : gate == GATE_REFUSED;
}

static bool do_unwatch(struct session *s, const struct job *job)
{
    if (s->txn != NULL) {
        transaction_queue(s, job);
        return true;
    }
    if (waits_for_watch(s))
        return false;
    unpin(s, true);
    archived_unwatch(s);
    s->watch_refused = false;
    answer_ok(s);
    return true;
}

/* Plans the queued requests anew, one by one, and sends them as one block. */
static void send_all(struct session *s, struct upstream *u, const struct job *exec)
{
    struct loop *l = s->loop;
    struct transaction *txn = s->txn;
    if (txn->scripted)
        scripting_prepare_all(l, u, chain_flat(&txn->queued));
    struct slot *slot = slot_new(s, SLOT_BLOCK, exec->cmd, exec->argv, exec->argc);
    struct block *b = block_new(u, loop_block_now_ms(l));
    struct chain *out = upstream_out(u);

    slot->block = b;
    slot->finish = block_finish_all;
    if (s->tracing != NULL)
        tracing_attach(slot);
    block_open(out);
    block_add_all(slot, chain_flat(&txn->queued), out);
    block_close(out);
    if (watches(s))
        slot_forget_copy(slot); /* what it has watched is not known elsewhere: it can't be repeated */
    slot_send(slot, u, (uint32_t)block_commands(b) + 2, txn->slow);
    if (s->aside != NULL)
        aside_sent(slot);
}

/* Answers that need no Redis. True: it was one. */
static bool exec_here(struct session *s)
{
    if (s->txn == NULL) {
        answer_error(s, "ERR EXEC without MULTI");
        return true;
    }
    if (s->txn->spoiled) {
        transaction_drop(s);
        answer_error(s, "EXECABORT Transaction discarded because of previous errors.");
        return true;
    }
    if (s->watch_refused || (watches(s) && s->in_flight == 0 && loan_is_lost(s))) {
        transaction_drop(s);
        build_null_array(slot_answer(s), s->resp);
        slot_answered(s);
        return true;
    }
    if (s->txn->count == 0 && !watches(s) && s->watched == NULL) {
        drop_queue(s);
        build_array(slot_answer(s), 0);
        slot_answered(s);
        return true;
    }
    return false;
}

/* Also what names no key, when the archive has all keys or what is watched. */
static bool is_archives(const struct session *s)
{
    return s->txn->home == HOME_ARCHIVE || s->watched != NULL ||
           (s->txn->home == HOME_NONE && s->loop->acting.whole);
}

static bool exec_archived(struct session *s, const struct job *exec)
{
    if (watches(s) ||
        (s->txn->home & HOME_REDIS) != 0) { /* watches keys of one store, writes those of the other */
        transaction_drop(s);
        return refuse_mixed(s, exec);
    }
    if (!archived_exec(s, exec, chain_flat(&s->txn->queued), s->txn->about_all))
        return false;
    transaction_drop(s);
    return true;
}

static enum admission admission(enum gate gate)
{
    return gate == GATE_GO ? ADMIT_NOW : gate == GATE_WAIT ? ADMIT_LATER : ADMIT_NEVER;
}

/* The stores may have changed places since the commands were queued. */
static enum admission admit_keys(struct session *s, const struct policy_conf **ret_policy)
{
    *ret_policy = NULL;
    if (!s->loop->acting.guarded && !s->loop->acting.any)
        return ADMIT_NOW;
    return admission(hold_gate_all(s, chain_flat(&s->txn->queued), &s->txn->home, ret_policy));
}

static enum admission admit_redis(struct session *s, struct upstream *u, const struct job *job,
                                  const struct policy_conf *policy)
{
    enum gate gate = policy != NULL && !dispatch_may_send(u) ? hold_for_redis(s, policy) : GATE_GO;
    return gate == GATE_GO ? dispatch_admit(s, u, job) : admission(gate);
}

static bool must_wait_for_exec(struct session *s)
{
    if (waits_for_watch(s))
        return true;
    if (watches(s) && s->in_flight > 0) {
        s->pauses |= PAUSE_ORDER; /* WATCH must be answered before its connection can be judged */
        return true;
    }
    return false;
}

static bool do_exec(struct session *s, const struct job *job)
{
    const struct policy_conf *policy;
    bool taken;

    if (must_wait_for_exec(s))
        return false;
    if (exec_here(s))
        return true;
    enum admission a = admit_keys(s, &policy);
    if (a == ADMIT_NOW && s->txn->home == HOME_BOTH) {
        transaction_drop(s);
        return refuse_mixed(s, job);
    }
    if (a == ADMIT_NOW && is_archives(s))
        return exec_archived(s, job);
    if (a == ADMIT_NOW && s->txn->unguarded && s->loop->acting.guarded) {
        transaction_drop(s);
        answer_error(s, "TRYAGAIN Transaction discarded: the stores have changed places since it was queued");
        return true;
    }
    if (a == ADMIT_NOW && s->txn->traced && s->loop->acting.guarded && tracing_waits(s, &taken))
        return taken;
    struct upstream *u = s->pinned;
    if (u == NULL)
        u = pool_shared(&s->loop->pool, s->txn->slow ? LANE_SLOW : LANE_FAST, s->db, s->resp, s->id);
    switch (a == ADMIT_NOW ? admit_redis(s, u, job, policy) : a) {
    case ADMIT_LATER:
        return false;
    case ADMIT_NEVER:
        transaction_drop(s);
        return true;
    case ADMIT_NOW:
        break;
    }
    send_all(s, u, job);
    drop_queue(s);
    unpin(s, false); /* EXEC ends all watches; the next borrower's commands come behind it */
    return true;
}

/* ---- queueing ---- */

void transaction_spoil(struct session *s)
{
    if (s->txn != NULL)
        s->txn->spoiled = true;
}

/* What a guarded Redis must not run, the archive may while it has all keys; EXEC looks again. */
static const char *refusal_of_guard(struct session *s, const struct job *job)
{
    const struct acting *a = &s->loop->acting;
    const char *refusal = hide_refusal_in_multi(s, job);

    if (refusal == NULL || (a->guarded && !(a->whole && s->db == 0)))
        return refusal;
    s->txn->unguarded = true;
    return NULL;
}

void transaction_queue(struct session *s, const struct job *job)
{
    struct transaction *txn = s->txn;

    if (s->aside != NULL && aside_denies(s, job))
        return;
    if (txn->queued.len + job->raw.len > LIMIT_MULTI_BYTES) {
        txn->spoiled = true;
        answer_error(s, "ERR the commands queued in this MULTI are too large for convproxy");
        return;
    }
    const struct plan *plan = managed_plan(s->loop, job, s->resp, true);
    if (plan->kind == PLAN_REFUSED) {
        txn->spoiled = true;
        build_err(slot_answer(s), plan->error, job->cmd->name);
        slot_answered(s);
        return;
    }
    if (plan->policy != NULL && managed_leaves_database(s, job)) {
        txn->spoiled = true;
        build_err(slot_answer(s), ERR_OTHERDB, job->cmd->name);
        slot_answered(s);
        return;
    }
    unsigned home = txn->home | acting_home(s->loop, job->cmd, job->argv, job->argc);
    if (home == HOME_BOTH || keyspace_handles(s, job->cmd)) {
        txn->spoiled = true;
        refuse_mixed(s, job);
        return;
    }
    const char *refusal = s->loop->acting.any ? keyspace_refusal(s->loop, job, home) : NULL;
    if (refusal == NULL)
        refusal = refusal_of_guard(s, job);
    if (refusal != NULL) {
        txn->spoiled = true;
        answer_error(s, refusal);
        return;
    }
    txn->home = home;
    managed_put_raw(&txn->queued, job);
    txn->count++;
    txn->slow |= job->slow;
    txn->traced |= tracing_wants(s, job);
    txn->may_write |= pause_may_write(job->cmd);
    txn->about_all |= job->cmd != NULL && (command_sees_others(job->cmd) || scripting_is(job->cmd));
    txn->scripted |= scripting_is(job->cmd);
    if (scripting_is(job->cmd))
        scripting_see(s->loop, job);
    build_status(slot_answer(s), "QUEUED");
    slot_answered(s);
}

static const struct {
    const char *name;
    bool (*fn)(struct session *s, const struct job *job);
} handlers[] = {
    {"multi", do_multi}, {"exec", do_exec},       {"discard", do_discard},
    {"watch", do_watch}, {"unwatch", do_unwatch},
};

#define HANDLERS (sizeof handlers / sizeof handlers[0])

static size_t find(const struct command *cmd)
{
    size_t i = 0;
    while (i < HANDLERS && strcmp(handlers[i].name, cmd->name) != 0)
        i++;
    return i;
}

bool transaction_handles(const struct command *cmd)
{
    return find(cmd) < HANDLERS;
}

bool transaction_command(struct session *s, const struct job *job)
{
    /* Every row of route MULTI has one: tests/unit/proxy/test_tables.c */
    bool taken = handlers[find(job->cmd)].fn(s, job);

    if (taken && s->tracing != NULL)
        tracing_drop(s);
    return taken;
}
