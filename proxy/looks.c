#include "proxy/looks.h"

#include "executor/blocking.h"
#include "proxy/dispatch.h"
#include "proxy/parked.h"
#include "proxy/parked_state.h"
#include "proxy/reader.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "proxy/trial.h"

#include <stdlib.h>
#include <string.h>

/* ---- looking ---- */

static bool is_type(struct slice reply, const char *type)
{
    size_t n = strlen(type);
    return reply.len == n + 3 && reply.p[0] == '+' && memcmp(reply.p + 1, type, n) == 0;
}

static bool needs_group(const struct parked *w)
{
    return strcmp(w->cmd->name, "xreadgroup") == 0;
}

static bool may_try(const struct parked *w, size_t i)
{
    return !w->waiter->takes || parking_is_first(server_parking(w->session->loop->server), w->waiter, i);
}

/* What is there at its keys: it tries where it can, or hears that there is nothing to wait for any more. */
static void see(struct parked *w, struct slice replies)
{
    struct parking *p = server_parking(w->session->loop->server);
    struct reader r = {replies};
    bool gone = false;

    for (size_t i = 0; i < w->waiter->n; i++) {
        struct slice reply = reader_next(&r);
        bool there = is_type(reply, trial_type(w->cmd));
        gone |= !there && reply.len > 0 && reply.p[0] == '+';
        if (!there || !may_try(w, i))
            continue;
        parking_wake_own(p, w->waiter, i);
        w->looked = true;
    }
    if (gone && needs_group(w))
        parked_answer(w, LOOKS_NO_STREAM);
    else if (w->looked)
        session_resume(w->session, PAUSE_PARKED);
}

static bool look_over(struct slot *slot)
{
    struct parked *w = slot->ctx;

    if (w == NULL)
        return false;
    w->look = NULL;
    if (!slot->failed && w->state == PARKED_WAITS)
        see(w, chain_flat(&slot->reply));
    return false;
}

static bool is_wanted(const struct parked *w)
{
    if (w->state != PARKED_WAITS || w->look != NULL)
        return false;
    for (size_t i = 0; i < w->waiter->n; i++)
        if (needs_group(w) || may_try(w, i))
            return true;
    return false;
}

static void look(struct parked *w)
{
    struct session *s = w->session;
    struct loop *l = s->loop;
    struct upstream *u = pool_shared(&l->pool, LANE_FAST, s->db, RESP2, s->id);

    if (!dispatch_may_send(u) || upstream_full(u))
        return;
    for (size_t i = 0; i < w->waiter->n; i++) {
        struct slice argv[] = {{"TYPE", 4}, parking_key(w->waiter, i)};
        build_request(upstream_out(u), argv, 2);
    }
    bool guarded = l->acting.guarded && s->db == 0;
    struct slot *slot = slot_send_own(l, u, (uint32_t)w->waiter->n, guarded, look_over, NULL);
    slot->ctx = w;
    w->look = slot;
}

static void on_tick(uv_timer_t *timer)
{
    struct looks *k = timer->data;

    turn_now(&k->loop->turn);
    if (k->first == NULL) {
        uv_timer_stop(&k->timer);
        k->on = false;
        return;
    }
    for (struct parked *w = k->first; w != NULL; w = w->next)
        if (is_wanted(w))
            look(w);
}

struct looks *looks_new(struct loop *l)
{
    struct looks *k = calloc(1, sizeof *k);

    if (k == NULL)
        abort();
    k->loop = l;
    uv_timer_init(&l->uv, &k->timer);
    k->timer.data = k;
    return k;
}

static void on_closed(uv_handle_t *timer)
{
    free(timer->data);
}

void looks_free(struct looks *own_k)
{
    uv_close((uv_handle_t *)&own_k->timer, on_closed);
}

void looks_want(struct looks *k)
{
    if (!k->on)
        uv_timer_start(&k->timer, on_tick, LOOKS_MS, LOOKS_MS);
    k->on = true;
}

void looks_soon(struct looks *k)
{
    uv_timer_start(&k->timer, on_tick, 0, LOOKS_MS);
    k->on = true;
}

/* ---- the last id of a stream ---- */

static bool is_last(struct slice id)
{
    return id.len == 1 && id.p[0] == '$';
}

bool looks_has_last(const struct job *job)
{
    if (strcmp(job->cmd->name, "xread") != 0)
        return false;
    struct blocking_keys k = blocking_keys(job->cmd, job->argv, job->argc);
    for (size_t i = 0; i < k.n; i++)
        if (is_last(job->argv[k.first + k.n + i]))
            return true;
    return false;
}

/* What XINFO STREAM tells. A key without a stream is waited for from the first entry on, or refused by the try. */
static struct slice last_id(struct slice info)
{
    struct reader r = {info};

    for (int64_t n = reader_enter(&r); n > 1; n -= 2) {
        struct slice name = reader_bulk(reader_next(&r)), value = reader_bulk(reader_next(&r));
        if (slice_is(name, "last-generated-id") && value.p != NULL)
            return value;
    }
    return (struct slice){"0-0", 3};
}

/* The client's request with the ids in place of "$". */
static void put_ids(const struct session *s, struct slice infos, struct chain *out)
{
    struct reader r = {infos};
    struct request q;

    request_init(&q);
    if (session_first(s, &q)) {
        struct blocking_keys k = blocking_keys(command_of(q.argv, q.argc), q.argv, q.argc);
        build_array(out, q.argc);
        for (size_t i = 0; i < q.argc; i++) {
            struct slice word = q.argv[i];
            if (i >= k.first + k.n && is_last(word))
                word = last_id(reader_next(&r));
            build_bulk(out, word.p, word.len);
        }
    }
    request_done(&q);
}

/* Writes the ids into the input. */
static void take_ids(struct parked *w, struct slice infos)
{
    struct session *s = w->session;
    struct chain request;

    chain_init(&request, &s->loop->turn.chunks);
    put_ids(s, infos, &request);
    session_skip(s, w->input_len);
    w->input_len = request.len;
    session_unread(s, chain_flat(&request));
    chain_clear(&request);
}

/* When Redis was lost it is asked again, or who takes its place. */
static bool last_over(struct slot *slot)
{
    struct session *s = slot->session;

    if (s == NULL)
        return false;
    struct parked *w = s->parked;
    if (slot->begun && !s->ending)
        take_ids(w, chain_flat(&slot->reply));
    slot_take_back(slot);
    w->state = PARKED_NEW;
    if (w->ends != ENDS_NOT)
        parked_wait_on(w);
    else
        session_resume(s, PAUSE_PARKED);
    return true;
}

static uint32_t put_questions(const struct job *job, struct chain *out)
{
    struct blocking_keys k = blocking_keys(job->cmd, job->argv, job->argc);
    uint32_t n = 0;

    for (size_t i = 0; i < k.n; i++) {
        if (!is_last(job->argv[k.first + k.n + i]))
            continue;
        struct slice argv[] = {{"XINFO", 5}, {"STREAM", 6}, job->argv[k.first + i]};
        build_request(out, argv, 3);
        n++;
    }
    return n;
}

bool looks_ask_last(struct parked *w, const struct job *job)
{
    struct session *s = w->session;
    struct upstream *u = dispatch_upstream(s, job);
    bool guarded = managed_plan_redis(s, job, false)->guarded;

    enum admission a = dispatch_admit_planned(s, u, job);
    if (a == ADMIT_LATER)
        return false;
    if (a == ADMIT_NEVER) {
        parked_forget(s);
        return true;
    }
    struct slot *slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    slot->up.guarded = guarded;
    slot->then = last_over;
    w->state = PARKED_TRIES;
    session_pause(s, PAUSE_PARKED);
    uint32_t n = put_questions(job, upstream_out(u));
    slot_send(slot, u, n, false);
    return false;
}
