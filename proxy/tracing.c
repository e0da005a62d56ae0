#include "proxy/tracing.h"

#include "proxy/copies.h"
#include "proxy/dispatch.h"
#include "proxy/hold.h"
#include "proxy/server.h"
#include "sync/tracer.h"

#include <stdlib.h>

struct tracing {
    struct loop *loop;
    struct session *session; /* NULL: it does not wait any more */
    uint64_t id;
    bool begun;
};

/* ---- which ones ---- */

static bool names_no_key(const struct job *job)
{
    return job->argc > 2 && job->argv[2].len == 1 && job->argv[2].p[0] == '0';
}

static bool any_marked(const struct loop *l)
{
    for (size_t i = 0; i < l->settings->policy_count && i < STATS_POLICIES; i++)
        if (l->acting.marked[i])
            return true;
    return false;
}

bool tracing_refuses(const struct loop *l, const struct job *job, int db)
{
    return job->cmd != NULL && job->cmd->ttl == TTL_SCRIPT && db == 0 && names_no_key(job) && hold_tiers(l);
}

bool tracing_wants(const struct session *s, const struct job *job)
{
    const struct loop *l = s->loop;

    if (job->cmd == NULL || job->cmd->ttl != TTL_SCRIPT || s->db != 0 || !l->acting.guarded)
        return false;
    if (l->settings->script_trace == TRACE_NO ||
        (l->settings->script_trace == TRACE_KEYLESS && !names_no_key(job)))
        return false;
    return server_tracer(l->server) != NULL && any_marked(l) && !plan_script_has_flag(job->argv[1], "no-writes");
}

/* ---- before it is sent ---- */

static void end_unheard(struct loop *l, uint64_t id)
{
    tracer_end(server_tracer(l->server), id, l->acting.epoch, false, NULL, NULL);
}

static void take_begun(struct loop *l, void *own_tracing)
{
    struct tracing *t = own_tracing;

    t->begun = true;
    if (t->session == NULL) {
        end_unheard(l, t->id);
        free(t);
        return;
    }
    session_resume(t->session, PAUSE_ORDER);
}

/* [tracer] The loop has ended, and its clients with it. */
static void on_begun(void *ctx, enum err e)
{
    struct tracing *t = ctx;

    if (!loop_try_post(t->loop, take_begun, t))
        free(t);
}

static void begin(struct session *s)
{
    struct tracing *t = calloc(1, sizeof *t);

    if (t == NULL)
        abort();
    t->loop = s->loop;
    t->session = s;
    s->tracing = t;
    tracer_begin(server_tracer(s->loop->server), &t->id, on_begun, t);
}

bool tracing_waits(struct session *s, bool *ret_taken)
{
    enum gate gate = hold_gate_still(s);

    *ret_taken = gate == GATE_REFUSED;
    if (gate != GATE_GO)
        return true;
    if (s->tracing == NULL)
        begin(s);
    if (s->tracing->begun)
        return false;
    session_pause(s, PAUSE_ORDER);
    return true;
}

void tracing_attach(struct slot *slot)
{
    struct session *s = slot->session;

    slot->traced = s->tracing->id;
    if (slot->kind == SLOT_RAW)
        slot->kind = SLOT_COLLECT;
    hold_count(slot);
    free(s->tracing);
    s->tracing = NULL;
}

void tracing_drop(struct session *s)
{
    struct tracing *t = s->tracing;

    s->tracing = NULL;
    if (t == NULL)
        return;
    t->session = NULL;
    if (!t->begun)
        return; /* take_begun has it */
    end_unheard(s->loop, t->id);
    free(t);
}

/* ---- when it has run ---- */

struct ending {
    struct loop *loop;
    struct slot *slot;
    enum err result;
};

static bool is_redis_s(enum err e)
{
    return e == ERR_REDISDOWN || e == ERR_REDISLOST;
}

/* Redis has it, with its marks, and is not lost: the copy may come later, as with all that Redis does when it is out of memory. */
static bool is_there(struct loop *l, const struct slot *slot)
{
    return dispatch_may_send(pool_shared(&l->pool, LANE_FAST, 0, (enum resp)slot->resp, 0));
}

static void take_ended(struct loop *l, void *own_ending)
{
    struct ending *e = own_ending;
    struct slot *slot = e->slot;
    bool ok = e->result == ERR_NONE || (is_redis_s(e->result) && is_there(l, slot));

    if (!ok)
        slot_fail(slot, ERR_REDISLOST, "finding what it has changed");
    else if (!copies_take(slot))
        slot_complete(slot);
    free(e);
}

/* [tracer, sync] */
static void on_ended(void *ctx, enum err e)
{
    struct ending *ending = ctx;

    ending->result = e;
    if (loop_try_post(ending->loop, take_ended, ending))
        return;
    slot_free_orphan(ending->slot);
    free(ending);
}

void tracing_take(struct slot *slot)
{
    struct loop *l = slot->loop;
    struct ending *e = malloc(sizeof *e);
    uint64_t id = slot->traced;

    if (e == NULL)
        abort();
    *e = (struct ending){.loop = l, .slot = slot};
    slot->traced = 0;
    tracer_end(server_tracer(l->server), id, l->acting.epoch, true, on_ended, e);
}

void tracing_over(struct slot *slot)
{
    uint64_t id = slot->traced;

    slot->traced = 0;
    end_unheard(slot->loop, id);
}
