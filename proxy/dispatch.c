#include "proxy/dispatch.h"

#include "base/limits.h"
#include "proxy/archived.h"
#include "proxy/cluster.h"
#include "proxy/coded.h"
#include "proxy/debug.h"
#include "proxy/hide.h"
#include "proxy/internal.h"
#include "proxy/keyspace.h"
#include "proxy/loan.h"
#include "proxy/local.h"
#include "proxy/login.h"
#include "proxy/monitor.h"
#include "proxy/outcome.h"
#include "proxy/scripting.h"
#include "proxy/pause.h"
#include "proxy/policing.h"
#include "proxy/pubsub.h"
#include "proxy/split.h"
#include "proxy/spread.h"
#include "proxy/tracing.h"
#include "proxy/tracking.h"
#include "proxy/transaction.h"
#include "proxy/waiting.h"

#include <stdio.h>
#include <string.h>

static bool forwards(const struct command *cmd)
{
    return cmd->route == ROUTE_FORWARD || cmd->route == ROUTE_SLOW || cmd->route == ROUTE_URGENT;
}

const struct command *dispatch_row(const struct loop *l, const struct job *job)
{
    const struct command *cmd = command_find(job->argv[0]);
    if (cmd == NULL)
        cmd = learned_find(l->learned, job->argv[0]);
    if (cmd == NULL || !cmd->container || job->argc < 2)
        return cmd;
    const struct command *sub = command_find_sub(cmd, job->argv[1]);
    if (sub == NULL && forwards(cmd))
        sub = learned_find_sub(l->learned, cmd, job->argv[1]);
    return sub != NULL ? sub : cmd;
}

static bool refuse(struct session *s, const struct job *job, enum err e, const char *detail)
{
    transaction_spoil(s);
    counter_add(&s->loop->stats->commands[job->cmd != NULL ? job->cmd->id : STATS_UNKNOWN].errors, 1);
    coded_job_error(slot_answer(s), s->loop, job, e, detail);
    slot_answered(s);
    return true;
}

/* "client|tracking" → "CLIENT TRACKING" */
static void spoken_name(const struct command *cmd, char *buf, size_t cap)
{
    size_t i = 0;
    for (; cmd->name[i] != '\0' && i + 1 < cap; i++) {
        char c = cmd->name[i];
        buf[i] = c == '|' ? ' ' : (char)(c >= 'a' && c <= 'z' ? c - 32 : c);
    }
    buf[i] = '\0';
}

bool dispatch_unsupported(struct session *s, const struct job *job)
{
    char name[64];
    spoken_name(job->cmd, name, sizeof name);
    return refuse(s, job, ERR_UNSUPPORTED, name);
}

/* What Redis answers when it queues a command that it does not have, with its limits on what it repeats. */
static bool refuse_unknown(struct session *s, const struct job *job)
{
    enum { MAX = 128 };
    struct slice verb = job->argv[0];
    char args[2 * MAX], line[4 * MAX];
    int n = 0;

    args[0] = '\0';
    for (size_t i = 1; i < job->argc && n < MAX; i++) {
        size_t room = (size_t)(MAX - n), len = job->argv[i].len;
        n += snprintf(args + n, sizeof args - (size_t)n, "'%.*s' ", (int)(len < room ? len : room),
                      job->argv[i].p);
    }
    snprintf(line, sizeof line, "ERR unknown command '%.*s', with args beginning with: %s",
             (int)(verb.len < MAX ? verb.len : MAX), verb.p, args);
    counter_add(&s->loop->stats->commands[STATS_UNKNOWN].errors, 1);
    return local_error(s, line);
}

/* The archive, when it has all keys, knows the table's commands only. */
static bool is_beyond_archive(const struct session *s, const struct job *job)
{
    return job->cmd == NULL && s->loop->acting.whole && s->db == 0;
}

/* Redis would not take it in MULTI. Only what was learned can tell. */
static bool is_unknown(const struct session *s, const struct job *job)
{
    return (job->cmd == NULL && s->loop->learned != NULL) || is_beyond_archive(s, job);
}

enum home dispatch_home(const struct loop *l, const struct job *job)
{
    enum home home = acting_home(l, job->cmd, job->argv, job->argc);
    if (home == HOME_NONE)
        return l->acting.whole && job->cmd != NULL ? HOME_ARCHIVE : HOME_REDIS;
    return home;
}

/* The archive has what the table has. */
static bool is_unknown_sub(const struct session *s, const struct job *job)
{
    return job->cmd != NULL && job->cmd->container && job->argc > 1 && forwards(job->cmd) &&
           (learned_knows_subs(s->loop->learned) || dispatch_home(s->loop, job) == HOME_ARCHIVE);
}

/* ---- to Redis ---- */

static bool wait_for(struct session *s, enum pause pause)
{
    s->pauses |= pause;
    counter_add(&s->loop->stats->backpressure_pauses, pause != PAUSE_ORDER);
    return false;
}

/* What is in flight is elsewhere. */
static bool must_wait_for_others(struct session *s, const struct upstream *u)
{
    return s->loop->topology != NULL ? !spread_may_send(s, u) : s->in_flight > 0 && s->current != u;
}

enum admission dispatch_admit(struct session *s, struct upstream *u, const struct job *job)
{
    const char *detail;

    if (must_wait_for_others(s, u)) {
        wait_for(s, PAUSE_ORDER);
        return ADMIT_LATER;
    }
    if (upstream_full(u)) {
        session_wait_upstream(s);
        wait_for(s, PAUSE_UPSTREAM);
        return ADMIT_LATER;
    }
    enum err e = upstream_ready(u, &detail);
    if (e == ERR_NONE && job->raw.len > 1024 && loop_over_memory(s->loop))
        e = ERR_NOMEM;
    if (e == ERR_NONE)
        return ADMIT_NOW;
    refuse(s, job, e, detail);
    return ADMIT_NEVER;
}

bool dispatch_may_send(struct upstream *u)
{
    const char *detail;
    return upstream_ready(u, &detail) == ERR_NONE && upstream_is_ours(u);
}

static struct upstream *shared_upstream(struct session *s, const struct job *job)
{
    if (job->urgent)
        return pool_urgent(&s->loop->pool, s->resp);
    return pool_shared(&s->loop->pool, job->slow ? LANE_SLOW : LANE_FAST, s->db, s->resp, s->id);
}

struct upstream *dispatch_upstream(struct session *s, const struct job *job)
{
    struct upstream *pinned = transaction_upstream(s);
    bool elsewhere = s->loop->topology != NULL && pinned != NULL && !pool_aims_at(&s->loop->pool, pinned);
    return pinned != NULL && !elsewhere ? pinned : shared_upstream(s, job);
}

/* The client was told that Redis can't or won't be asked; a managed write is a message that was not kept. */
static void count_not_sent(struct session *s, const struct job *job, enum err e)
{
    const struct plan *plan = &s->loop->plan;
    struct slot told = {.loop = s->loop};

    if (plan->policy == NULL)
        return;
    told.policy = loop_policy_id(s->loop, plan->policy);
    told.managed_write = (job->cmd->flags & CMD_WRITE) != 0 || plan->nkeys > 0;
    told.retrieval = !told.managed_write;
    outcome_failed(&told, e);
}

/* The archive has some of the keys. False: Redis has all that the request is about. */
static bool is_archives(struct session *s, const struct job *job, bool *ret_taken)
{
    enum home home = dispatch_home(s->loop, job);
    const char *refusal =
        home == HOME_REDIS || home == HOME_ARCHIVE ? keyspace_refusal(s->loop, job, home) : NULL;

    if (home == HOME_ARCHIVE && job->cmd->container)
        *ret_taken = local_unknown_sub(s, job);
    else if (home == HOME_ARCHIVE)
        *ret_taken = refusal != NULL ? local_error(s, refusal) : archived_command(s, job);
    else if (home == HOME_BOTH)
        *ret_taken =
            split_can(job->cmd) ? split_command(s, job) : refuse(s, job, ERR_CROSSSTORE, job->cmd->name);
    else if (keyspace_handles(s, job->cmd))
        *ret_taken = keyspace_command(s, job);
    else if (refusal != NULL)
        *ret_taken = local_error(s, refusal);
    else
        return false;
    return true;
}

/* It must wait while the stores change places, or Redis' connection is not where it goes. */
static bool is_taken(struct session *s, const struct job *job, bool *ret_taken)
{
    if (hold_is_calm(s->loop))
        return s->loop->acting.guarded && hide_takes(s, job, ret_taken);
    enum gate gate =
        keyspace_handles(s, job->cmd) || scripting_is_keyless(job) ? hold_gate_any(s) : hold_gate(s, job->cmd, job->argv, job->argc);

    *ret_taken = gate == GATE_REFUSED;
    return gate != GATE_GO || ((s->loop->acting.any || hold_tiers(s->loop)) && is_archives(s, job, ret_taken)) ||
           (s->loop->acting.guarded && hide_takes(s, job, ret_taken));
}

enum admission dispatch_admit_planned(struct session *s, struct upstream *u, const struct job *job)
{
    const struct policy_conf *policy = s->loop->plan.policy;

    if (policy != NULL && !dispatch_may_send(u)) {
        enum gate gate = hold_for_redis(s, policy);
        if (gate != GATE_GO)
            return gate == GATE_WAIT ? ADMIT_LATER : ADMIT_NEVER;
    }
    return dispatch_admit(s, u, job);
}

static bool forward(struct session *s, const struct job *job)
{
    bool taken;

    if (scripting_is(job->cmd) && scripting_takes(s, job))
        return true;
    if ((s->loop->acting.guarded || s->loop->acting.any) && is_taken(s, job, &taken))
        return taken;
    if (tracing_refuses(s->loop, job, s->db))
        return local_error(s, TRACING_REFUSAL);
    if (tracing_wants(s, job) && tracing_waits(s, &taken))
        return taken;
    struct upstream *u = dispatch_upstream(s, job);

    if (must_wait_for_others(s, u))
        return wait_for(s, PAUSE_ORDER); /* before the plan is made: it would be made twice */
    const struct plan *plan = managed_plan_redis(s, job, false);
    if (plan->kind == PLAN_REFUSED) {
        if (plan->error == ERR_TOO_LARGE)
            count_not_sent(s, job, plan->error);
        return refuse(s, job, plan->error, job->cmd->name);
    }
    if (plan->kind == PLAN_BLOCK && (s->pinned_for & LOAN_WATCH) != 0)
        u = shared_upstream(s, job); /* its EXEC would end the client's watches */
    enum admission a = dispatch_admit_planned(s, u, job);
    if (a == ADMIT_NOW && scripting_is(job->cmd))
        scripting_prepare(s->loop, u, job);
    if (a == ADMIT_NOW)
        managed_send(s, u, job);
    else if (a == ADMIT_NEVER)
        count_not_sent(s, job, ERR_REDISDOWN);
    return a != ADMIT_LATER;
}

bool dispatch_forward(struct session *s, const struct job *job)
{
    bool taken = forward(s, job);

    if (taken && s->tracing != NULL)
        tracing_drop(s);
    return taken;
}

bool dispatch_ask(struct session *s, const struct job *job, struct chain *own_requests, uint32_t n,
                  void (*finish)(struct slot *slot))
{
    struct upstream *u = dispatch_upstream(s, job);
    enum admission a = dispatch_admit(s, u, job);

    if (a != ADMIT_NOW) {
        chain_clear(own_requests);
        return a == ADMIT_NEVER;
    }
    struct slot *slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    slot->finish = finish;
    chain_move(upstream_out(u), own_requests);
    slot_send(slot, u, n, job->slow);
    return true;
}

bool dispatch_forward_collect(struct session *s, const struct job *job, void (*finish)(struct slot *slot))
{
    struct chain request;

    chain_init(&request, &s->loop->turn.chunks);
    managed_put_raw(&request, job);
    return dispatch_ask(s, job, &request, 1, finish);
}

bool dispatch_redis_up(struct session *s)
{
    const char *detail;
    return upstream_ready(pool_shared(&s->loop->pool, LANE_FAST, s->db, s->resp, s->id), &detail) == ERR_NONE;
}

/* ---- by route ---- */

static bool refuse_for_good(struct session *s, const struct job *job)
{
    char name[64];
    spoken_name(job->cmd, name, sizeof name);
    transaction_spoil(s);
    char line[192];
    snprintf(line, sizeof line,
             "ERR %s would take over a connection that others share: convproxy does not pass it on", name);
    build_error(slot_answer(s), line);
    slot_answered(s);
    return true;
}

static bool route(struct session *s, struct job *job)
{
    switch ((enum cmd_route)job->cmd->route) {
    case ROUTE_FORWARD:
        return waiting_is_asked(job) ? waiting_command(s, job) : dispatch_forward(s, job);
    case ROUTE_SLOW:
        job->slow = true;
        return debug_refuses(s, job) || dispatch_forward(s, job);
    case ROUTE_URGENT:
        job->slow = job->urgent = true;
        return dispatch_forward(s, job);
    case ROUTE_LOCAL:
        return local_command(s, job);
    case ROUTE_MULTI:
        return transaction_command(s, job);
    case ROUTE_PUBSUB:
        return pubsub_command(s, job);
    case ROUTE_BLOCKING:
        return waiting_command(s, job);
    case ROUTE_UNSUPPORTED:
        return dispatch_unsupported(s, job);
    case ROUTE_REFUSED:
        return refuse_for_good(s, job);
    }
    return true;
}

/* Inside MULTI all but a few commands wait for EXEC. Those that would change the shared connection can't. */
static bool route_in_multi(struct session *s, struct job *job)
{
    if (is_unknown(s, job))
        return refuse_unknown(s, job);
    if (is_unknown_sub(s, job))
        return local_unknown_sub(s, job);
    if (job->cmd != NULL && (job->cmd->flags & CMD_NO_MULTI) != 0 && job->cmd->route != ROUTE_MULTI)
        return local_error(s, "ERR Command not allowed inside a transaction");
    switch (job->cmd != NULL ? (enum cmd_route)job->cmd->route : ROUTE_FORWARD) {
    case ROUTE_MULTI:
        return transaction_command(s, job);
    case ROUTE_UNSUPPORTED:
        return dispatch_unsupported(s, job);
    case ROUTE_REFUSED:
        return refuse_for_good(s, job);
    case ROUTE_LOCAL:
        return local_in_multi(s, job);
    case ROUTE_PUBSUB:
        return pubsub_in_multi(s, job);
    case ROUTE_SLOW:
        if (debug_refuses(s, job))
            return true;
        job->slow = true;
        break;
    case ROUTE_FORWARD:
    case ROUTE_URGENT:
    case ROUTE_BLOCKING: /* inside MULTI nothing blocks */
        break;
    }
    transaction_queue(s, job);
    return true;
}

/* Redis takes these lines as a browser that was tricked into talking to it, and closes. */
static bool is_http(const struct job *job)
{
    return slice_is(job->argv[0], "POST") || slice_is(job->argv[0], "Host:");
}

/* EXEC with arguments ends the transaction, and every watch, as in Redis. */
static bool refuse_arity(struct session *s, const struct job *job)
{
    if (strcmp(job->cmd->name, "exec") != 0)
        return refuse(s, job, ERR_ARITY, job->cmd->name);
    transaction_drop(s);
    return local_error(
        s, "EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command");
}

static bool dispatch_allowed(struct session *s, struct job *job)
{
    bool taken;

    if (s->loop->topology != NULL && cluster_takes(s, job, &taken))
        return taken;
    if (transaction_is_open(s))
        return route_in_multi(s, job);
    if (is_beyond_archive(s, job))
        return refuse_unknown(s, job);
    return job->cmd != NULL ? route(s, job) : dispatch_forward(s, job);
}

static bool dispatch_job(struct session *s, struct job *job)
{
    if (job->cmd != NULL && !command_arity_ok(job->cmd, job->argc))
        return refuse_arity(s, job);
    if (s->loop->pausing != NULL && pause_holds(s, job))
        return false;
    if (s->subs != NULL && pubsub_refuses(s, job))
        return true;
    if (s->monitor != NULL && monitor_refuses(s, job))
        return true;
    if (s->loop->policing != NULL && policing_refuses(s, job))
        return true;
    if (atomic_load_explicit(s->loop->monitors_all, memory_order_relaxed) != 0)
        return monitor_watch(s, job, dispatch_allowed);
    return dispatch_allowed(s, job);
}

/* What Redis looks at before the user's rights, then those. False: the client was told. */
static bool may(struct session *s, const struct job *job)
{
    if (login_needed(s) && (job->cmd == NULL || (job->cmd->flags & CMD_NO_AUTH) == 0))
        return login_refuse(s, job);
    if (job->cmd == NULL)
        return !refuse_unknown(s, job);
    if (job->cmd->container && job->argc > 1)
        return !local_unknown_sub(s, job);
    if (!command_arity_ok(job->cmd, job->argc))
        return !refuse_arity(s, job);
    return login_lets(s, job);
}

bool dispatch(struct session *s, const struct request *r, struct slice raw)
{
    struct job job = {.argv = r->argv, .argc = r->argc, .raw = raw, .inline_ = r->was_inline};

    if (slot_must_wait(s))
        return wait_for(s, PAUSE_PIPELINE);
    job.cmd = dispatch_row(s->loop, &job);
    job.slow = raw.len > LIMIT_HUGE_REQUEST || r->argc > LIMIT_HUGE_ARGS;
    if (job.cmd == NULL && is_http(&job)) {
        session_close(s, "HTTP on the RESP port");
        return true;
    }
    s->last_command = job.cmd != NULL ? job.cmd->name : "unknown";
    if (s->tracking != NULL)
        tracking_ensure(s);
    bool taken = (s->guarded && !may(s, &job)) || dispatch_job(s, &job);
    counter_add(&s->loop->stats->requests, taken);
    s->held_since_us = taken ? 0 : s->held_since_us;
    s->policed &= !taken;
    if (s->mute != 0 && taken)
        local_replied(s);
    return taken;
}
