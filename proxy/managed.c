#include "proxy/managed.h"

#include "proxy/copies.h"
#include "proxy/parked.h"
#include "proxy/tracing.h"
#include "resp/frame.h"

#include <string.h>

bool managed_leaves_database(const struct session *s, const struct job *job)
{
    int64_t db;

    if (job->cmd == NULL || strcmp(job->cmd->name, "copy") != 0)
        return false;
    for (size_t i = 3; i + 1 < job->argc; i++)
        if (slice_is(job->argv[i], "db"))
            return frame_count(job->argv[i + 1].p, job->argv[i + 1].len, &db) && db != s->db;
    return false;
}

const struct plan *managed_plan_redis(struct session *s, const struct job *job, bool in_multi)
{
    struct loop *l = s->loop;
    struct plan_marks marks = {
        .keeps_id = l->acting.keeps_id, .marked = l->acting.marked, .count = STATS_POLICIES};

    l->plan.marks = l->acting.guarded && s->db == 0 ? &marks : NULL; /* the archive has database 0 only */
    plan_make(&l->plan, l->policies, job->cmd, job->argv, job->argc, s->resp, in_multi, loop_redis_now_ms(l));
    l->plan.marks = NULL;
    if (l->plan.policy != NULL && managed_leaves_database(s, job)) {
        l->plan.kind = PLAN_REFUSED;
        l->plan.error = ERR_OTHERDB;
    }
    return &l->plan;
}

const struct plan *managed_plan(struct loop *l, const struct job *job, enum resp resp, bool in_multi)
{
    plan_make(&l->plan, l->policies, job->cmd, job->argv, job->argc, resp, in_multi, loop_redis_now_ms(l));
    return &l->plan;
}

void managed_count_json(struct loop *l, const struct plan *plan)
{
    if (plan->policy == NULL)
        return;
    struct policy_stats *stats = &l->stats->policies[loop_policy_id(l, plan->policy)];
    counter_add(&stats->trimmed_json, plan->json.trimmed);
    counter_add(&stats->json_not_array, plan->json.not_array);
    counter_add(&stats->json_invalid, plan->json.invalid);
}

void managed_put_raw(struct chain *out, const struct job *job)
{
    if (job->inline_)
        build_request(out, job->argv, job->argc);
    else
        chain_put(out, job->raw.p, job->raw.len);
}

/* A part of a request is in no client's queue. */
static void queue(struct slot *slot, struct upstream *u, uint32_t replies, bool slow)
{
    if (slot->session != NULL)
        slot_send(slot, u, replies, slow);
    else
        upstream_queue(u, &slot->up, replies, slow);
}

static void send_block(struct slot *slot, struct upstream *u, const struct plan *plan, const struct job *job)
{
    struct chain *out = upstream_out(u);
    struct block *b = block_new(u, loop_block_now_ms(slot->loop));
    struct chain commands;

    slot->block = b;
    slot->finish = block_finish_one;
    block_open(out);
    if (plan->tracked) {
        chain_init(&commands, out->pool);
        block_add(b, slot->loop, plan, job->raw, &commands);
        block_track(slot, &commands, out);
    } else {
        block_add(b, slot->loop, plan, job->raw, out);
    }
    block_close(out);
    queue(slot, u, (uint32_t)block_commands(b) + 2, job->slow);
}

/* The steps are not sent: they are what a copy repeats. */
static void send_script(struct slot *slot, struct upstream *u, const struct plan *plan, enum resp resp,
                        const struct job *job)
{
    struct chain steps;

    slot->block = block_new(u, loop_block_now_ms(slot->loop));
    slot->finish = block_finish_script;
    chain_init(&steps, &slot->loop->turn.chunks);
    block_add(slot->block, slot->loop, plan, job->raw, &steps);
    block_track_script(slot, plan, resp, &steps, upstream_out(u));
    queue(slot, u, 1, job->slow);
}

/* One request stands for the client's. Its reply is passed on as it comes, unless it must be told in other words. */
static void send_single(struct slot *slot, struct upstream *u, const struct plan *plan, const struct job *job)
{
    struct chain *out = upstream_out(u);

    if (plan->kind == PLAN_RAW) {
        if (job->inline_ || !session_give_input(slot->session, job->raw, out))
            managed_put_raw(out, job);
    } else if (plan->reply == REPLY_AS_IS) {
        plan_emit(plan, 0, out, loop_redis_now_ms(slot->loop));
    } else {
        slot->block = block_new(u, loop_redis_now_ms(slot->loop));
        slot->finish = block_finish_single;
        block_add(slot->block, slot->loop, plan, job->raw, out);
    }
    queue(slot, u, 1, job->slow);
}

static enum slot_kind kind_of(const struct plan *plan)
{
    if (plan->kind == PLAN_BLOCK || plan->kind == PLAN_MARKED_SCRIPT)
        return SLOT_BLOCK;
    return plan->reply == REPLY_AS_IS && !plan->tries ? SLOT_RAW : SLOT_COLLECT;
}

static void count(struct slot *slot, const struct plan *plan, const struct job *job)
{
    bool write = (job->cmd->flags & CMD_WRITE) != 0 || plan->nkeys > 0; /* the second: scripts */

    slot->policy = loop_policy_id(slot->loop, plan->policy);
    slot->managed_write = write;
    slot->retrieval = !write;
    managed_count_json(slot->loop, plan);
    if (write && kind_of(plan) == SLOT_RAW)
        counter_add(&slot->loop->stats->policies[slot->policy].writes, 1);
}

static void send_plan(struct slot *slot, struct upstream *u, const struct plan *plan, enum resp resp,
                      const struct job *job)
{
    slot->up.guarded = plan->guarded || slot->traced != 0;
    if (plan->nkeys > 0 && parked_any(slot->loop))
        parked_note(slot, plan, slot->session != NULL ? slot->session->db : 0);
    if (plan->kind == PLAN_BLOCK)
        send_block(slot, u, plan, job);
    else if (plan->kind == PLAN_MARKED_SCRIPT)
        send_script(slot, u, plan, resp, job);
    else
        send_single(slot, u, plan, job);
}

void managed_send(struct session *s, struct upstream *u, const struct job *job)
{
    const struct plan *plan = &s->loop->plan;
    struct slot *slot = slot_new(s, kind_of(plan), job->cmd, job->argv, job->argc);

    if (s->tracing != NULL)
        tracing_attach(slot);
    if (plan->policy != NULL)
        count(slot, plan, job);
    send_plan(slot, u, plan, s->resp, job);
}

void managed_try(struct session *s, struct upstream *u, const struct job *job, const struct command *as, bool (*then)(struct slot *slot))
{
    const struct plan *plan = &s->loop->plan;
    struct slot *slot = slot_new(s, kind_of(plan), as, job->argv, job->argc);

    slot->then = then;
    if (plan->policy != NULL)
        count(slot, plan, job);
    send_plan(slot, u, plan, s->resp, job);
}

void managed_send_part(struct slot *part, struct upstream *u, enum resp resp, const struct job *job)
{
    const struct plan *plan = &part->loop->plan;

    if (kind_of(plan) == SLOT_BLOCK)
        part->kind = SLOT_BLOCK;
    send_plan(part, u, plan, resp, job);
}
