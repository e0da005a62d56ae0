#include "proxy/archived.h"

#include "proxy/aside.h"
#include "executor/blocking.h"
#include "proxy/coded.h"
#include "proxy/copies.h"
#include "proxy/depot.h"
#include "proxy/dispatch.h"
#include "proxy/outcome.h"
#include "proxy/owed.h"
#include "proxy/scripting.h"
#include "proxy/server.h"
#include "proxy/slot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char archived_target;

struct watched {
    struct watched *next;
    int64_t version;
    size_t len;
    char key[];
};

static bool answer_err(struct session *s, enum err e, const char *detail)
{
    build_err(slot_answer(s), e, detail);
    slot_answered(s);
    return true;
}

static bool must_wait(struct session *s, bool for_all)
{
    if (s->in_flight == 0 || (!for_all && s->current == &archived_target))
        return false;
    session_pause(s, PAUSE_ORDER);
    return true;
}

static bool refuse_planned(struct session *s, const struct job *job, enum err e)
{
    coded_job_error(slot_answer(s), s->loop, job, e, job->cmd->name);
    slot_answered(s);
    return true;
}

bool archived_refuses(struct session *s)
{
    if (s->loop->executor == NULL)
        return answer_err(s, ERR_ARCHIVEDOWN, depot_why(server_depot(s->loop->server)));
    if (s->db != 0) {
        build_error(slot_answer(s), "ERR the archive serves database 0 only");
        slot_answered(s);
        return true;
    }
    return false;
}

/* ---- what the archive has ---- */

static void ask(struct slot *slot, struct op *op)
{
    struct loop *l = slot->loop;

    slot->op = op;
    slot->archived = true;
    slot->asked_next = NULL;
    slot->asked_back = l->asked_tail;
    *l->asked_tail = slot;
    l->asked_tail = &slot->asked_next;
}

static void forget(struct slot *slot)
{
    struct loop *l = slot->loop;

    slot->op = NULL;
    *slot->asked_back = slot->asked_next;
    if (slot->asked_next != NULL)
        slot->asked_next->asked_back = slot->asked_back;
    else
        l->asked_tail = slot->asked_back;
}

void archived_submit(struct loop *l, struct op *own_op)
{
    if (own_op->scripted)
        scripting_attach(l, own_op);
    own_op->home = l->index;
    own_op->next = NULL;
    *l->ops_tail = own_op;
    l->ops_tail = &own_op->next;
}

void archived_send(struct slot *slot, struct op *own_op)
{
    ask(slot, own_op);
    own_op->owner = slot;
    archived_submit(slot->loop, own_op);
}

/* Some command of it sees, or changes, keys that it does not name. */
static bool is_about_all(const struct op *op)
{
    size_t i = 0;

    if (op->scripted) /* it may use keys that it does not declare */
        return true;
    while (i < op->nsteps && (op->steps[i].cmd == NULL || !command_sees_others(op->steps[i].cmd)))
        i++;
    return i < op->nsteps;
}

/* What is owed to Redis for the op's keys: the most that any of them asks for. */
static uint8_t role_of(const struct loop *l, const struct op *op)
{
    uint8_t role = OP_PLAIN;

    for (size_t i = 0; op->writes && i < op->nkeys; i++) {
        const struct policy_conf *policy = policy_find(l->policies, op->keys[i].key);
        if (policy != NULL && policy->index < STATS_POLICIES && l->acting.op_role[policy->index] > role)
            role = l->acting.op_role[policy->index];
    }
    return role;
}

void archived_again(const struct loop *l, struct op *op)
{
    op->second = true;
    op->epoch = l->acting.epoch;
    op->role = role_of(l, op);
    op->now_ms = 0;
}

static void submit(struct slot *slot, struct op *op)
{
    struct session *s = slot->session;

    slot_defer(slot, &archived_target);
    op->epoch = slot->loop->acting.epoch;
    op->role = role_of(slot->loop, op);
    archived_send(slot, op);
    if (op->block_until_us != 0) {
        session_block(s, slot);
        session_pause(s, PAUSE_ORDER); /* what follows waits as long as this does */
    } else if (is_about_all(op)) {
        session_pause(s, PAUSE_ORDER); /* what follows has other lanes */
    }
}

void archived_flush(struct loop *l)
{
    struct op *list = l->ops;

    if (list == NULL)
        return;
    l->ops = NULL;
    l->ops_tail = &l->ops;
    executor_submit(l->executor, list);
}

/* ---- one command ---- */

static void count(struct slot *slot, const struct plan *plan, const struct job *job)
{
    struct loop *l = slot->loop;

    if (plan->policy == NULL)
        return;
    slot->policy = loop_policy_id(l, plan->policy);
    slot->managed_write = (job->cmd->flags & CMD_WRITE) != 0;
    slot->retrieval = !slot->managed_write;
    managed_count_json(l, plan);
    if (slot->managed_write && plan->kind != PLAN_BLOCK && plan->reply == REPLY_AS_IS)
        counter_add(&l->stats->policies[slot->policy].writes, 1);
}

/* A message that no document can hold was not kept; what else is refused is the client's mistake. */
static void count_refused(struct session *s, const struct plan *plan)
{
    struct slot told = {.loop = s->loop, .archived = true, .managed_write = true};

    if (plan->error != ERR_TOO_LARGE || plan->policy == NULL)
        return;
    told.policy = loop_policy_id(s->loop, plan->policy);
    outcome_failed(&told, plan->error);
}

static struct op *op_of_job(struct session *s, const struct job *job)
{
    struct chain built;

    if (!job->inline_)
        return op_new(OP_ONE, s->resp, job->raw);
    chain_init(&built, &s->loop->turn.chunks);
    managed_put_raw(&built, job);
    struct op *op = op_new(OP_ONE, s->resp, chain_flat(&built));
    chain_clear(&built);
    return op;
}

static void send_plan(struct session *s, const struct plan *plan, const struct job *job)
{
    bool block = plan->kind == PLAN_BLOCK;
    struct slot *slot = slot_new(s, block ? SLOT_BLOCK : SLOT_COLLECT, job->cmd, job->argv, job->argc);
    struct chain requests;

    count(slot, plan, job);
    if (plan->kind == PLAN_RAW) {
        struct op *op = op_of_job(s, job);
        op_may_block(op);
        submit(slot, op);
        return;
    }
    chain_init(&requests, &s->loop->turn.chunks);
    slot->block = block_new(NULL, loop_block_now_ms(s->loop));
    slot->finish = block ? block_finish_one : block_finish_single;
    block_add(slot->block, s->loop, plan, job->raw, &requests);
    struct op *op = op_new(block ? OP_EXEC : OP_ONE, s->resp, chain_flat(&requests));
    block_mark(slot->block, op);
    op_may_block(op);
    chain_clear(&requests);
    submit(slot, op);
}

bool archived_command(struct session *s, const struct job *job)
{
    bool about_all =
        job->cmd != NULL && (command_sees_others(job->cmd) || scripting_is(job->cmd)); /* sees what the client has done before */

    if (must_wait(s, about_all))
        return false;
    if (archived_refuses(s))
        return true;
    const struct plan *plan = managed_plan(s->loop, job, s->resp, true);
    if (plan->kind == PLAN_REFUSED) {
        count_refused(s, plan);
        return refuse_planned(s, job, plan->error);
    }
    send_plan(s, plan, job);
    return true;
}

/* ---- transactions ---- */

bool archived_exec(struct session *s, const struct job *exec, struct slice requests, bool about_all)
{
    struct loop *l = s->loop;
    struct chain out;

    if (must_wait(s, about_all))
        return false;
    if (archived_refuses(s))
        return true;
    struct slot *slot = slot_new(s, SLOT_BLOCK, exec->cmd, exec->argv, exec->argc);
    slot->block = block_new(NULL, loop_block_now_ms(l));
    slot->finish = block_finish_all;
    chain_init(&out, &l->turn.chunks);
    block_add_all(slot, requests, &out);
    struct op *op = op_new(OP_EXEC, s->resp, chain_flat(&out));
    block_mark(slot->block, op);
    chain_clear(&out);
    for (const struct watched *w = s->watched; w != NULL; w = w->next)
        op_watch(op, (struct slice){w->key, w->len}, w->version);
    archived_unwatch(s);
    submit(slot, op);
    if (s->aside != NULL)
        aside_sent(slot);
    return true;
}

bool archived_watch(struct session *s, const struct job *job)
{
    if (must_wait(s, false))
        return false;
    if (archived_refuses(s))
        return true;
    struct slot *slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    struct chain built;
    chain_init(&built, &s->loop->turn.chunks);
    managed_put_raw(&built, job);
    struct op *op = op_new(OP_WATCH, s->resp, chain_flat(&built));
    chain_clear(&built);
    s->watching++;
    submit(slot, op);
    return true;
}

static bool is_watched(const struct watched *w, struct slice key)
{
    while (w != NULL && (w->len != key.len || memcmp(w->key, key.p, key.len) != 0))
        w = w->next;
    return w != NULL;
}

/* The version of the first WATCH counts. An op's own keys are distinct. */
static void keep_watched(struct session *s, const struct op *op)
{
    const struct watched *before = s->watched;

    for (size_t i = 0; i < op->nkeys; i++) {
        const struct op_key *k = &op->keys[i];
        if (is_watched(before, k->key))
            continue;
        struct watched *w = malloc(sizeof *w + k->key.len);
        if (w == NULL)
            abort();
        w->next = s->watched;
        w->version = k->watched;
        w->len = k->key.len;
        memcpy(w->key, k->key.p, k->key.len);
        s->watched = w;
    }
}

void archived_unwatch(struct session *s)
{
    while (s->watched != NULL) {
        struct watched *w = s->watched;
        s->watched = w->next;
        free(w);
    }
}

/* ---- ends ---- */

void archived_abandon(struct slot *slot)
{
    if (slot->op != NULL && slot->op->block_until_us != 0)
        executor_cancel(slot->loop->executor, slot->op, true);
}

void archived_recall(struct session *s)
{
    struct slot *slot = s->blocked;
    if (slot != NULL && slot->op != NULL && !slot->op->cancelled)
        executor_cancel(s->loop->executor, slot->op, true);
}

bool archived_unblock(struct session *s, bool with_error)
{
    struct slot *slot = s->blocked;

    if (slot == NULL || slot->op == NULL || slot->op->cancelled || slot->op->timed_out)
        return false;
    slot->op->unblocked = with_error;
    executor_cancel(s->loop->executor, slot->op, false);
    return true;
}

/* It was called back in time. */
static bool not_begun(const struct op *op)
{
    return op->cancelled && (op->error == ERR_CANCELLED || op->parks || op->reply_len == 0);
}

static void take_back(struct slot *slot, const struct op *op)
{
    struct session *s = slot->session;
    struct chain request;

    chain_init(&request, &s->loop->turn.chunks);
    if (!s->ending) {
        blocking_request(op, turn_now(&s->loop->turn), &request);
        session_unread(s, chain_flat(&request));
    }
    chain_clear(&request);
    slot_take_back(slot);
    session_touch(s);
}

/* Nobody waits for the op any more but its watches. */
static void let_go(struct slot *slot, const struct op *op)
{
    struct session *s = slot->session;

    forget(slot);
    if (s != NULL && s->blocked == slot)
        session_block(s, NULL);
    if (s != NULL && op->form == OP_WATCH)
        s->watching--;
}

/* Messages are Redis's: at most once, and not while it is away. */
static void publish(struct loop *l, const struct slot *slot, const struct op *op)
{
    const char *detail;

    if (l->topology != NULL)
        pool_aim_any(&l->pool);
    struct upstream *u = pool_shared(&l->pool, LANE_FAST, 0, RESP2, slot->session != NULL ? slot->session->id : 0);
    if (upstream_ready(u, &detail) != ERR_NONE)
        return;
    chain_put(upstream_out(u), op->published, op->published_len);
    for (unsigned i = 0; i < op->publishes; i++)
        slot_send_unheard(l, u);
}

static void take_one(struct loop *l, struct op *op)
{
    struct slot *slot = op->owner;

    if (op->role == OP_COPY) {
        if (slot != NULL)
            let_go(slot, op);
        copies_done(l, slot, op);
        return;
    }
    if (slot == NULL) { /* see archived_second */
        op_free(op);
        return;
    }
    struct session *s = slot->session;
    let_go(slot, op);
    if (op->form == OP_WATCH && s != NULL && op->error == ERR_NONE)
        keep_watched(s, op);
    if (s != NULL && not_begun(op))
        take_back(slot, op);
    else if (op->error != ERR_NONE || not_begun(op))
        slot_fail(slot, op->error != ERR_NONE ? op->error : ERR_CANCELLED, op->detail);
    else {
        if (op->publishes > 0)
            publish(l, slot, op);
        slot_take_reply(slot, op->reply, op->reply_len);
    }
    op_free(op);
}

/* Its turn and its operation may each take archive.timeout; what waits for something to take, longer. */
static bool overdue(const struct op *op, int64_t now_us, int64_t patience_us)
{
    int64_t from = op->block_until_us > op->queued_us ? op->block_until_us : op->queued_us;
    return from < now_us - patience_us;
}

void archived_second(struct loop *l, int64_t now_us)
{
    int64_t patience = 2 * l->settings->archive_timeout;
    char text[64];

    snprintf(text, sizeof text, "%lld ms", (long long)patience);
    for (struct slot *slot = l->asked, *next; slot != NULL; slot = next) {
        struct op *op = slot->op;
        next = slot->asked_next;
        if (op->queued_us == 0 || op->queued_us >= now_us - patience * 1000)
            return; /* not submitted yet, or younger, as are those behind it */
        if (!overdue(op, now_us, patience * 1000))
            continue;
        let_go(slot, op);
        op->owner = NULL;
        if (op->role == OP_COPY)
            copies_late(slot);
        else
            slot_fail(slot, ERR_ARCHIVELOST, text);
    }
}

static void take_done(struct loop *l, void *list)
{
    for (struct op *op = list, *next; op != NULL; op = next) {
        next = op->next;
        take_one(l, op);
    }
}

/* Its loop has ended, and its clients with it. */
static void drop(struct op *list)
{
    for (struct op *op = list, *next; op != NULL; op = next) {
        next = op->next;
        if (op->owner != NULL)
            slot_free_orphan(op->owner);
        op_free(op);
    }
}

void archived_done(void *ctx, struct op *own_list)
{
    struct op *rest = own_list;

    while (rest != NULL) { /* one message for each loop */
        unsigned home = rest->home;
        struct op *mine = NULL, *others = NULL, **mine_tail = &mine, **others_tail = &others;
        for (struct op *op = rest, *next; op != NULL; op = next) {
            struct op ***tail = op->home == home ? &mine_tail : &others_tail;
            next = op->next;
            op->next = NULL;
            **tail = op;
            *tail = &op->next;
        }
        if (owed_is(mine))
            owed_take(mine);
        else if (!loop_try_post(server_loop(ctx, home), take_done, mine))
            drop(mine);
        rest = others;
    }
}
