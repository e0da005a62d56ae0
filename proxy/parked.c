#include "proxy/parked.h"

#include "executor/blocking.h"
#include "proxy/dispatch.h"
#include "proxy/hold.h"
#include "proxy/loan.h"
#include "proxy/local.h"
#include "proxy/looks.h"
#include "proxy/parked_state.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "proxy/trial.h"

#include <stdlib.h>
#include <string.h>

#define UNBLOCKED "UNBLOCKED client unblocked via CLIENT UNBLOCK"

static struct parking *parking_of(const struct loop *l)
{
    return server_parking(l->server);
}

bool parked_any(const struct loop *l)
{
    return parking_any(parking_of(l));
}

/* ---- those of the loop ---- */

static void link_parked(struct parked *w)
{
    struct loop *l = w->session->loop;

    if (l->parked == NULL)
        l->parked = looks_new(l);
    w->next = l->parked->first;
    w->back = &l->parked->first;
    if (w->next != NULL)
        w->next->back = &w->next;
    l->parked->first = w;
    looks_want(l->parked);
}

static void on_closed(uv_handle_t *timer)
{
    free(timer->data);
}

/* The others may find what this one has left. */
static void pass_on(struct parked *w)
{
    for (size_t i = 0; i < w->waiter->n && w->waiter->takes; i++)
        if (w->place == w->waiter->n || w->place == i)
            parking_pass(parking_of(w->session->loop), w->waiter, i);
}

/* It waits no longer; what it has not followed is for the next one. */
static void end(struct parked *own_w)
{
    struct parked *w = own_w;
    struct session *s = w->session;

    if (w->look != NULL)
        w->look->ctx = NULL;
    if (w->tried)
        counter_add(&s->loop->stats->clients_blocked, (uint64_t)-1);
    if (w->state == PARKED_TRIES)
        pass_on(w);
    parking_leave(parking_of(s->loop), w->waiter);
    *w->back = w->next;
    if (w->next != NULL)
        w->next->back = w->back;
    s->parked = NULL;
    uv_timer_stop(&w->timer);
    uv_close((uv_handle_t *)&w->timer, on_closed);
}

void parked_finish(struct parked *own_w)
{
    struct session *s = own_w->session;
    size_t n = own_w->input_len;

    end(own_w);
    session_skip(s, n);
    s->held_since_us = 0;
    counter_add(&s->loop->stats->requests, 1);
    if (s->mute != 0)
        local_replied(s);
    session_resume(s, PAUSE_PARKED | (s->kept_slots == 0 ? PAUSE_HOLD : 0));
}

void parked_answer(struct parked *own_w, const char *error)
{
    struct session *s = own_w->session;
    struct chain *out = slot_answer(s);

    if (error != NULL)
        build_error(out, error);
    else
        build_null_array(out, s->resp);
    parked_finish(own_w);
    slot_answered(s);
}

/* ---- time ---- */

static void on_time(uv_timer_t *timer)
{
    struct parked *w = timer->data;

    turn_now(&w->session->loop->turn);
    if (w->state == PARKED_TRIES)
        w->ends = ENDS_NIL;
    else
        parked_answer(w, NULL);
}

static void start_timer(struct parked *w)
{
    struct loop *l = w->session->loop;
    int64_t left_us = w->until_us - l->turn.now_us;

    uv_timer_init(&l->uv, &w->timer);
    w->timer.data = w;
    if (w->until_us == INT64_MAX)
        return;
    uv_update_time(&l->uv);
    uv_timer_start(&w->timer, on_time, left_us > 0 ? (uint64_t)(left_us + 999) / 1000 : 0, 0);
}

/* ---- being tried ---- */

static bool park(struct session *s)
{
    session_pause(s, PAUSE_PARKED);
    return false;
}

void parked_wait_on(struct parked *w)
{
    struct session *s = w->session;

    w->state = PARKED_WAITS;
    w->looked = false;
    if (!w->tried)
        counter_add(&s->loop->stats->clients_blocked, 1);
    w->tried = true;
    switch (w->ends) {
    case ENDS_NOT:
        session_resume(s, PAUSE_PARKED); /* it looks what has woken it, and pauses again when nothing has */
        return;
    case ENDS_NIL:
        parked_answer(w, NULL);
        return;
    case ENDS_ERROR:
        parked_answer(w, UNBLOCKED);
        return;
    case ENDS_RECALLED:
        parked_recall(s);
        return;
    }
}

/* As Redis tells those who waited for a group. */
static const char *lost_group(const struct parked *w, enum trial_end e)
{
    if (!w->looked || strcmp(w->cmd->name, "xreadgroup") != 0)
        return NULL;
    return e == TRIAL_NO_GROUP ? "NOGROUP the consumer group this client was blocked on no longer exists"
                               : LOOKS_NO_STREAM;
}

/* Redis was lost before it answered, and nothing was to be taken: the client waits for better times. */
static bool may_wait_on(const struct parked *w, const struct slot *slot)
{
    return slot->failed && !slot->begun && !w->waiter->takes && w->tried;
}

static enum trial_end judge(const struct parked *w, const struct slot *slot, struct slice reply)
{
    enum trial_end e = may_wait_on(w, slot) ? TRIAL_NOTHING : trial_end(reply);

    if (e == TRIAL_NO_GROUP && w->tried && !w->looked)
        return TRIAL_OTHER_TYPE;
    if (e == TRIAL_OTHER_TYPE && (!w->tried || w->looked))
        return TRIAL_ERROR;
    return e;
}

static void replace(struct slot *slot, struct chain *own_reply)
{
    chain_clear(&slot->reply);
    slot->reply = *own_reply;
}

static void tell(struct slot *slot, const struct parked *w, enum trial_end e, struct slice reply)
{
    const char *lost = e == TRIAL_FOUND || !w->tried ? NULL : lost_group(w, trial_end(reply));
    struct chain out;

    chain_init(&out, slot->reply.pool);
    if (e == TRIAL_FOUND)
        trial_tell(w->cmd, reply, &out);
    else if (lost != NULL && trial_end(reply) != TRIAL_ERROR)
        build_error(&out, lost);
    else
        chain_put(&out, reply.p, reply.len);
    replace(slot, &out);
}

static bool try_over(struct slot *slot)
{
    struct session *s = slot->session;

    if (s == NULL)
        return false;
    struct parked *w = s->parked;
    struct slice reply = chain_flat(&slot->reply);
    enum trial_end e = judge(w, slot, reply);
    if (e == TRIAL_FOUND && slot->notes != NULL)
        parked_tell(slot);
    if (e == TRIAL_NOTHING || e == TRIAL_OTHER_TYPE) {
        slot_take_back(slot);
        parked_wait_on(w);
        return true;
    }
    tell(slot, w, e, reply);
    if (w->sending)
        w->over = true;
    else
        parked_finish(w);
    return false;
}

/* True: it is under way, or was answered; *ret_taken is what dispatch returns then. False: it must wait. */
static bool send_try(struct parked *w, const struct job *job, struct job *form)
{
    struct session *s = w->session;
    struct upstream *u = dispatch_upstream(s, form);
    const struct plan *plan = managed_plan_redis(s, form, false);

    if (plan->kind == PLAN_REFUSED) {
        build_err(slot_answer(s), plan->error, job->cmd->name);
        slot_answered(s);
        w->over = true;
        return true;
    }
    if (plan->kind == PLAN_BLOCK && (s->pinned_for & LOAN_WATCH) != 0)
        u = pool_shared(&s->loop->pool, LANE_FAST, s->db, s->resp, s->id); /* its EXEC would end the client's watches */
    enum admission a = dispatch_admit_planned(s, u, form);
    if (a == ADMIT_LATER)
        return false;
    w->over = a == ADMIT_NEVER;
    if (w->over)
        return true;
    w->state = PARKED_TRIES;
    w->sending = true;
    managed_try(s, u, form, w->cmd, try_over);
    w->sending = false;
    return true;
}

/* Tries at the places whose numbers are in which. */
static bool try_at(struct parked *w, const struct job *job, const size_t *which, size_t n)
{
    struct session *s = w->session;
    struct trial t;

    trial_init(&t, job->cmd, job->argv, job->argc, which, n);
    struct job form = {.cmd = t.cmd, .argv = t.argv, .argc = t.argc, .inline_ = true, .slow = job->slow};
    s->loop->plan.tries = true;
    bool sent = send_try(w, job, &form);
    s->loop->plan.tries = false;
    trial_done(&t);
    if (!sent)
        return false;
    if (w->over) { /* answered at once: the request is not input any more */
        end(w);
        return true;
    }
    return park(s);
}

/* ---- the first try ---- */

static bool try_first(struct parked *w, const struct job *job)
{
    struct parking *p = parking_of(w->session->loop);
    size_t n = 0, *which = malloc(w->waiter->n * sizeof *which);

    if (which == NULL)
        abort();
    for (size_t i = 0; i < w->waiter->n; i++)
        if (!w->waiter->takes || parking_is_first(p, w->waiter, i))
            which[n++] = w->waiter->places[i].arg;
    w->place = w->waiter->n;
    bool taken = false;
    if (n > 0)
        taken = try_at(w, job, which, n);
    else
        parked_wait_on(w);
    free(which);
    return n > 0 ? taken : park(w->session);
}

static struct parked *enter(struct session *s, const struct job *job)
{
    struct parked *w = calloc(1, sizeof *w);
    struct blocking_keys k = blocking_keys(job->cmd, job->argv, job->argc);

    if (w == NULL)
        abort();
    w->session = s;
    w->cmd = job->cmd;
    w->until_us = blocking_end(job->cmd, job->argv, job->argc);
    w->waiter = parking_enter(parking_of(s->loop), s->loop, w, trial_kind(job->cmd, job->argv, job->argc), trial_takes(job->cmd), s->db, job->argv + k.first, k.n);
    s->parked = w;
    link_parked(w);
    start_timer(w);
    return w;
}

/* With an id that is not new it does not wait at all. */
static bool forward_unblocked(struct session *s, const struct job *job)
{
    size_t n = blocking_keys(job->cmd, job->argv, job->argc).n, *all = malloc(n * sizeof *all);
    struct trial t;

    if (all == NULL)
        abort();
    for (size_t i = 0; i < n; i++)
        all[i] = i;
    trial_init(&t, job->cmd, job->argv, job->argc, all, n);
    struct job form = {.cmd = t.cmd, .argv = t.argv, .argc = t.argc, .inline_ = true, .slow = job->slow};
    bool taken = dispatch_forward(s, &form);
    trial_done(&t);
    free(all);
    return taken;
}

static bool go_on(struct parked *w, const struct job *job)
{
    struct parking *p = parking_of(w->session->loop);

    w->input_len = job->raw.len;
    switch (w->state) {
    case PARKED_TRIES:
        break;
    case PARKED_NEW:
        return looks_has_last(job) ? looks_ask_last(w, job) : try_first(w, job);
    case PARKED_WAITS:
        w->place = parking_next(p, w->waiter);
        if (w->place == w->waiter->n)
            break;
        size_t which = w->waiter->places[w->place].arg;
        bool taken = try_at(w, job, &which, 1);
        if (!taken && w->state == PARKED_WAITS)
            parking_wake_own(p, w->waiter, w->place); /* it could not be sent yet */
        return taken;
    }
    return park(w->session);
}

bool parked_command(struct session *s, const struct job *job)
{
    if (s->parked != NULL)
        return go_on(s->parked, job);
    const char *error = trial_time_error(job->cmd, job->argv, job->argc);
    if (error != NULL) {
        build_error(slot_answer(s), error);
        slot_answered(s);
        return true;
    }
    if (!trial_may_wait(job->cmd, job->argv, job->argc))
        return forward_unblocked(s, job);
    return go_on(enter(s, job), job);
}

/* ---- ends ---- */

void parked_forget(struct session *s)
{
    if (s->parked != NULL)
        end(s->parked);
}

static void make_input_again(struct parked *own_w)
{
    struct session *s = own_w->session;
    int64_t until = own_w->until_us;
    size_t n = own_w->input_len;
    struct chain rest;
    struct request r;

    end(own_w);
    request_init(&r);
    chain_init(&rest, &s->loop->turn.chunks);
    if (!s->ending && session_first(s, &r)) {
        blocking_again(command_of(r.argv, r.argc), r.argv, r.argc, until, turn_now(&s->loop->turn), &rest);
        session_skip(s, n);
        session_unread(s, chain_flat(&rest));
    }
    chain_clear(&rest);
    request_done(&r);
    session_resume(s, PAUSE_PARKED);
}

void parked_recall(struct session *s)
{
    struct parked *w = s->parked;

    if (w == NULL)
        return;
    if (w->state == PARKED_TRIES)
        w->ends = ENDS_RECALLED;
    else
        make_input_again(w);
}

bool parked_unblock(struct session *s, bool with_error)
{
    struct parked *w = s->parked;

    if (w == NULL || !w->tried)
        return false;
    if (w->state == PARKED_TRIES)
        w->ends = with_error ? ENDS_ERROR : ENDS_NIL;
    else
        parked_answer(w, with_error ? UNBLOCKED : NULL);
    return true;
}

bool parked_waits(const struct session *s)
{
    return s->parked != NULL && s->parked->tried;
}

size_t parked_input(const struct session *s)
{
    return s->parked != NULL ? s->parked->input_len : 0;
}

/* ---- the stores change places ---- */

/* Of its keys the farthest phase from REDIS that matters here. */
static enum phase phase_of(const struct parked *w)
{
    const struct acting *a = &w->session->loop->acting;
    enum phase worst = PHASE_REDIS;

    if (w->session->db != 0)
        return PHASE_REDIS;
    for (size_t i = 0; i < w->waiter->n; i++) {
        const struct policy_conf *policy = policy_find(w->session->loop->policies, parking_key(w->waiter, i));
        enum phase phase = policy != NULL && policy->index < STATS_POLICIES ? (enum phase)a->phase[policy->index] : PHASE_REDIS;
        if (phase == PHASE_HOLD || (phase == PHASE_ARCHIVE && worst != PHASE_HOLD))
            worst = phase;
    }
    return worst;
}

bool parked_stays(struct session *s)
{
    if (s->parked == NULL || !s->parked->tried || phase_of(s->parked) != PHASE_HOLD)
        return false;
    session_pause(s, PAUSE_PARKED);
    return true;
}

void parked_acting(struct loop *l)
{
    for (struct parked *w = l->parked != NULL ? l->parked->first : NULL, *next; w != NULL; w = next) {
        next = w->next;
        enum phase phase = phase_of(w);
        if (phase == PHASE_ARCHIVE) {
            parked_recall(w->session);
        } else if (phase != PHASE_HOLD && w->state == PARKED_WAITS) {
            looks_soon(l->parked);
            session_resume(w->session, PAUSE_PARKED);
        }
    }
}

/* ---- wakes ---- */

static void on_woken(struct loop *l, void *waiter)
{
    struct waiter *waits = waiter;

    if (!parking_told(parking_of(l), waits))
        return;
    struct parked *w = waits->owner;
    if (w->state == PARKED_WAITS)
        session_resume(w->session, PAUSE_PARKED);
}

struct parking *parked_parking_new(void)
{
    return parking_new(on_woken);
}

void parked_close(struct loop *l)
{
    if (l->parked != NULL)
        looks_free(l->parked);
    l->parked = NULL;
}

struct notes {
    int db;
    size_t n, len, cap;
    char bytes[]; /* of each key its length, as size_t, and itself */
};

void parked_note(struct slot *slot, const struct plan *plan, int db)
{
    const uint32_t makers = CAT_LIST | CAT_SORTEDSET | CAT_STREAM | CAT_GEO | CAT_KEYSPACE | CAT_SCRIPTING;

    if (plan->cmd == NULL || (plan->cmd->cats & makers) == 0 || plan->cmd->ttl == TTL_SHRINK)
        return;
    if (plan->tries && plan->cmd->ttl != TTL_COND)
        return;
    for (size_t i = plan->tries ? 1 : 0; i < plan->nkeys; i++) { /* what is tried makes something only where it moves it to */
        struct slice key = plan->keys[i].key;
        struct notes *n = slot->notes;
        size_t len = n != NULL ? n->len : 0, need = len + sizeof key.len + key.len;
        if (n == NULL || need > n->cap) {
            slot->notes = realloc(n, sizeof *n + 2 * need);
            if (slot->notes == NULL)
                abort();
            *slot->notes = (struct notes){.db = db, .n = n != NULL ? slot->notes->n : 0, .len = len, .cap = 2 * need};
        }
        n = slot->notes;
        memcpy(n->bytes + len, &key.len, sizeof key.len);
        memcpy(n->bytes + len + sizeof key.len, key.p, key.len);
        n->len = need;
        n->n++;
    }
}

void parked_tell(struct slot *slot)
{
    const struct notes *n = slot->notes;

    for (size_t i = 0, at = 0; i < n->n && !slot->failed; i++) {
        struct slice key = {n->bytes + at + sizeof key.len, 0};
        memcpy(&key.len, n->bytes + at, sizeof key.len);
        parking_wake(parking_of(slot->loop), n->db, key);
        at += sizeof key.len + key.len;
    }
    parked_free_notes(slot);
}

void parked_free_notes(struct slot *slot)
{
    free(slot->notes);
    slot->notes = NULL;
}
