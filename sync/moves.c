#include "sync/moves.h"

#include "base/clock.h"
#include "sync/claim.h"
#include "sync/link.h"
#include "sync/move.h"
#include "sync/suspects.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define KEPT      32
#define METER_US  500000 /* the rate is measured over at least this long */
#define CREDIT_US 50000  /* so much of the rate may be used at once */
#define REST_US   2000000
#define NAP_MS    5

static const struct move_row rows[] = {
    [MOVE_BACKFILL] = {"backfill", 0, backfill_step},
    [MOVE_DRAIN] = {"drain", NO_SCAN, drain_step},
    [MOVE_VERIFY] = {"verify", 1, verify_step},
    [MOVE_TTL_AUDIT] = {"ttl-audit", 0, audit_step},
    [MOVE_TIER] = {"tier", 0, tier_step},
};
static const char *const states[] = {"waiting", "running", "done", "aborted", "failed"};

#define KINDS (sizeof rows / sizeof rows[0])

struct move {
    struct move_report report; /* under the lock */
    bool at_work;              /* under the lock: moves_run has it in hand */
    struct move_at at;         /* moves_run's */
    double credit;             /* keys that the rate allows now */
    int64_t credited_us, worked_us, metered_us, metered_done;
};

struct moves {
    pthread_mutex_t lock;
    struct move *list[KEPT]; /* the oldest first */
    size_t n;
    uint64_t last_id;
    char held[160]; /* why none can run at present; "": they can */
};

struct moves *moves_new(void)
{
    struct moves *m = calloc(1, sizeof *m);

    if (m == NULL)
        abort();
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

/* What it needs to go on. */
static void forget(struct move *mv)
{
    suspects_free(mv->at.place.suspects);
    mv->at.place.suspects = NULL;
}

/* It is over. One that is done never goes on; others may. */
static void rest(struct move *mv)
{
    page_done(&mv->at.page);
    page_init(&mv->at.page);
    if (mv->report.state == MOVE_DONE)
        forget(mv);
}

void moves_free(struct moves *own_m)
{
    if (own_m == NULL)
        return;
    for (size_t i = 0; i < own_m->n; i++) {
        rest(own_m->list[i]);
        forget(own_m->list[i]);
        free(own_m->list[i]);
    }
    pthread_mutex_destroy(&own_m->lock);
    free(own_m);
}

/* ---- orders ---- */

static bool is_over(const struct move *mv)
{
    return mv->report.state != MOVE_WAITING && mv->report.state != MOVE_RUNNING;
}

static const char *why_not(const struct move_order *o)
{
    if ((size_t)o->kind >= KINDS)
        return "no such kind of move";
    if (o->policy[0] == '\0')
        return "it needs the name of a policy";
    if (o->rate < 0)
        return "the rate can't be negative";
    if (o->repair && o->kind != MOVE_VERIFY && o->kind != MOVE_TTL_AUDIT)
        return "only verify and ttl-audit can repair";
    if (o->deep && o->kind != MOVE_VERIFY)
        return "only verify can be deep";
    return NULL;
}

/* The lock is held. */
static struct move *same_as(struct moves *m, const struct move_order *o)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct move_order *other = &m->list[i]->report.order;
        if (!is_over(m->list[i]) && other->kind == o->kind && strcmp(other->policy, o->policy) == 0)
            return m->list[i];
    }
    return NULL;
}

/* The lock is held. False: all moves that are kept are still to be done. */
static bool make_room(struct moves *m)
{
    if (m->n < KEPT)
        return true;
    for (size_t i = 0; i < m->n; i++) {
        if (is_over(m->list[i]) && !m->list[i]->at_work) {
            forget(m->list[i]);
            free(m->list[i]);
            memmove(&m->list[i], &m->list[i + 1], (--m->n - i) * sizeof m->list[0]);
            return true;
        }
    }
    return false;
}

/* The lock is held. */
static uint64_t add(struct moves *m, const struct move_order *o)
{
    struct move *mv = calloc(1, sizeof *mv);

    if (mv == NULL)
        abort();
    mv->report = (struct move_report){.id = ++m->last_id, .order = *o, .total = -1, .eta_s = -1};
    mv->at.tally.total = -1;
    page_init(&mv->at.page);
    m->list[m->n++] = mv;
    return mv->report.id;
}

uint64_t moves_order(struct moves *m, const struct move_order *order, char *why, size_t why_cap)
{
    const char *reason = why_not(order);
    uint64_t id = 0;

    if (reason != NULL) {
        snprintf(why, why_cap, "%s", reason);
        return 0;
    }
    pthread_mutex_lock(&m->lock);
    struct move *same = same_as(m, order);
    if (same != NULL)
        snprintf(why, why_cap, "move %llu does that already", (unsigned long long)same->report.id);
    else if (!make_room(m))
        snprintf(why, why_cap, "%d moves are waiting already", KEPT);
    else
        id = add(m, order);
    pthread_mutex_unlock(&m->lock);
    return id;
}

/* The lock is held. */
static void end(struct move *mv, enum move_state state)
{
    struct move_report *r = &mv->report;

    r->state = state;
    r->ended_us = clock_wall_us();
    r->eta_s = state == MOVE_DONE ? 0 : -1;
    if (r->started_us != 0 && r->ended_us > r->started_us)
        r->rate = (double)r->done * 1e6 / (double)(r->ended_us - r->started_us);
    if (state == MOVE_DONE) {
        r->total = r->done;
        r->why[0] = '\0';
    }
    if (!mv->at_work)
        rest(mv);
}

bool moves_abort(struct moves *m, uint64_t id)
{
    bool found = false;

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n && !found; i++) {
        found = m->list[i]->report.id == id && !is_over(m->list[i]);
        if (found)
            end(m->list[i], MOVE_ABORTED);
    }
    pthread_mutex_unlock(&m->lock);
    return found;
}

/* The lock is held. Why this one can't go on; NULL: it can. What was done since by a newer one of the kind would be done again, and a
 * backfill from before a time without dual writes has passed keys that were written since. */
static const char *why_no_resume(struct moves *m, const struct move *mv)
{
    const struct move_report *r = &mv->report;

    if (!is_over(mv))
        return "it is not over";
    if (r->state == MOVE_DONE)
        return "it is done";
    for (size_t i = 0; i < m->n; i++) {
        const struct move_report *other = &m->list[i]->report;
        if (other->id > r->id && other->order.kind == r->order.kind && strcmp(other->order.policy, r->order.policy) == 0)
            return "there is a newer one of the kind";
    }
    return NULL;
}

/* The lock is held. */
static void wait_again(struct move *mv)
{
    struct move_report *r = &mv->report;

    r->state = MOVE_WAITING;
    r->ended_us = 0;
    r->rate = 0;
    r->why[0] = '\0';
}

bool moves_resume(struct moves *m, uint64_t id, char *why, size_t why_cap)
{
    const char *reason = "there is no such move";

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n; i++) {
        if (m->list[i]->report.id != id)
            continue;
        reason = why_no_resume(m, m->list[i]);
        if (reason == NULL)
            wait_again(m->list[i]);
    }
    pthread_mutex_unlock(&m->lock);
    if (reason != NULL)
        snprintf(why, why_cap, "move %llu can't go on: %s", (unsigned long long)id, reason);
    return reason == NULL;
}

/* The lock is held. The running one, else the one that waits for longest. */
static struct move *next_move(struct moves *m)
{
    struct move *first = NULL;

    for (size_t i = 0; i < m->n; i++) {
        if (m->list[i]->report.state == MOVE_RUNNING)
            return m->list[i];
        if (first == NULL && m->list[i]->report.state == MOVE_WAITING)
            first = m->list[i];
    }
    return first;
}

bool moves_any(struct moves *m)
{
    pthread_mutex_lock(&m->lock);
    bool any = next_move(m) != NULL;
    pthread_mutex_unlock(&m->lock);
    return any;
}

bool moves_filled(struct moves *m, const char *policy)
{
    bool filled = true;

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n; i++) {
        const struct move_report *r = &m->list[i]->report;
        if (r->order.kind == MOVE_BACKFILL && strcmp(r->order.policy, policy) == 0)
            filled = r->state == MOVE_DONE;
    }
    pthread_mutex_unlock(&m->lock);
    return filled;
}

static struct move_report report_of(const struct moves *m, const struct move *mv, const struct move *next)
{
    struct move_report r = mv->report;

    if (mv == next && m->held[0] != '\0') {
        memcpy(r.why, m->held, sizeof r.why);
        r.rate = 0;
        r.eta_s = -1;
    }
    return r;
}

size_t moves_report(struct moves *m, struct move_report *ret, size_t cap)
{
    pthread_mutex_lock(&m->lock);
    const struct move *next = next_move(m);
    size_t n = m->n < cap ? m->n : cap;
    for (size_t i = 0; i < n; i++)
        ret[i] = report_of(m, m->list[m->n - 1 - i], next);
    pthread_mutex_unlock(&m->lock);
    return n;
}

void moves_hold(struct moves *m, const char *why)
{
    pthread_mutex_lock(&m->lock);
    snprintf(m->held, sizeof m->held, "%s", why);
    pthread_mutex_unlock(&m->lock);
}

/* ---- work ---- */

/* The policy may have gone or changed since the last slice. Where the archive acts Redis' state must not be carried. */
static bool prepare(struct move_at *at, const struct moves_stores *stores, const struct move_order *order)
{
    const struct settings *s = stores->settings;

    at->stores = stores;
    at->order = order;
    at->policy = settings_policy(s, order->policy);
    if (at->policy == NULL) {
        snprintf(at->tally.why, sizeof at->tally.why, "there is no policy '%s'", order->policy);
        return false;
    }
    if (stores->is_redis != NULL && !stores->is_redis(stores->ctx, at->policy)) {
        snprintf(at->tally.why, sizeof at->tally.why, "the archive acts for '%s'", order->policy);
        return false;
    }
    at->policies = policy_set_new(s);
    if (at->policies == NULL)
        abort();
    at->glob = policy_glob(at->policy->match);
    return true;
}

/* A cursor is good for the server that gave it only. */
static enum err check_server(struct move_at *at)
{
    struct redis_identity who;
    struct move_place *place = &at->place;
    int scans = rows[at->order->kind].scans;
    enum err e = claim_look(at->stores->link, &who);

    if (e != ERR_NONE)
        return e;
    if (place->stage >= scans && place->run_id[0] != '\0' && strcmp(place->run_id, who.run_id) != 0) {
        place->stage = scans;
        place->cursor = 0;
        place->seen = (struct tiers_seen){0};
        at->tally.done = place->before;
    }
    memcpy(place->run_id, who.run_id, sizeof place->run_id);
    return ERR_NONE;
}

static void put_away(struct move_at *at)
{
    policy_set_free(at->policies);
    free(at->glob);
    at->policies = NULL;
    at->glob = NULL;
}

/* How many keys the next step may look at. */
static size_t allowance(struct move *mv, int64_t now_us)
{
    const struct move_at *at = &mv->at;
    int64_t rate = at->order->rate > 0 ? at->order->rate : at->stores->settings->sync_rate;

    if (rate == 0)
        return MOVE_PAGE;
    double most = (double)rate * CREDIT_US / 1e6;
    mv->credit += (double)rate * (double)(now_us - mv->credited_us) / 1e6;
    mv->credited_us = now_us;
    if (mv->credit > (most > 1 ? most : 1))
        mv->credit = most > 1 ? most : 1;
    if (mv->credit < 1)
        return 0;
    return mv->credit < MOVE_PAGE ? (size_t)mv->credit : MOVE_PAGE;
}

static int count_ranges(const struct move_at *at)
{
    int n = 0;

    for (size_t i = 0; i < MOVE_RANGES / 64; i++)
        n += __builtin_popcountll(at->place.ranges[i]);
    return n;
}

static void meter(struct move *mv, int64_t now_us)
{
    struct move_report *r = &mv->report;
    int64_t took = now_us - mv->metered_us;

    if (took >= METER_US) {
        double rate = (double)(r->done - mv->metered_done) * 1e6 / (double)took;
        r->rate = r->rate > 0 ? (r->rate + rate) / 2 : rate;
        mv->metered_us = now_us;
        mv->metered_done = r->done;
    }
    r->eta_s = -1;
    if (r->rate > 0 && r->total >= r->done)
        r->eta_s = (int64_t)((double)(r->total - r->done) / r->rate + 0.5);
}

/* False: it was aborted. One that was aborted and resumed during a step goes on. */
static bool publish(struct moves *m, struct move *mv)
{
    const struct move_tally *t = &mv->at.tally;
    struct move_report *r = &mv->report;

    pthread_mutex_lock(&m->lock);
    bool runs = !is_over(mv);
    if (runs) {
        r->done = t->done;
        r->total = t->total >= 0 && t->total < t->done ? t->done : t->total;
        r->found = t->found;
        r->repaired = t->repaired;
        r->ranges = count_ranges(&mv->at);
        memcpy(r->why, t->why, sizeof r->why);
        memcpy(r->examples, t->examples, sizeof r->examples);
        meter(mv, clock_mono_us());
    }
    pthread_mutex_unlock(&m->lock);
    return runs;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = NAP_MS * 1000000}, NULL);
}

static const char *trouble_of(const struct moves_stores *s, enum err e)
{
    bool redis = e == ERR_REDISDOWN || e == ERR_REDISLOST;
    return redis ? link_why(s->link) : archive_why(s->handle);
}

/* One step, or a nap when the rate allows none. */
static enum err step(struct move *mv, enum move_step *ret)
{
    struct move_at *at = &mv->at;

    *ret = STEP_MORE;
    at->looked = 0;
    at->limit = allowance(mv, clock_mono_us());
    if (at->limit == 0) {
        nap();
        return ERR_NONE;
    }
    at->tally.why[0] = '\0';
    enum err e = rows[at->order->kind].step(at, ret);
    mv->credit -= (double)at->looked;
    if (e != ERR_NONE)
        snprintf(at->tally.why, sizeof at->tally.why, "%s", trouble_of(at->stores, e));
    return e;
}

static enum err work(struct moves *m, struct move *mv, int64_t until_us, enum move_step *ret)
{
    const struct moves_stores *s = mv->at.stores;
    enum err e = check_server(&mv->at);

    if (e != ERR_NONE)
        snprintf(mv->at.tally.why, sizeof mv->at.tally.why, "%s", trouble_of(s, e));

    *ret = STEP_MORE;
    while (e == ERR_NONE && (*ret == STEP_MORE || *ret == STEP_WAIT) && clock_mono_us() < until_us &&
           s->go_on(s->ctx)) {
        e = step(mv, ret);
        if (!publish(m, mv))
            break;
        if (*ret == STEP_WAIT)
            nap();
    }
    return e;
}

/* The lock is held. */
static void begin(struct move *mv)
{
    int64_t now = clock_mono_us();

    mv->at_work = true;
    if (now - mv->worked_us > REST_US) { /* the time in which it could not run is not its own */
        mv->metered_us = mv->credited_us = now;
        mv->metered_done = mv->report.done;
    }
    if (mv->report.state == MOVE_RUNNING)
        return;
    mv->report.state = MOVE_RUNNING;
    if (mv->report.started_us == 0)
        mv->report.started_us = clock_wall_us();
}

enum err moves_run(struct moves *m, const struct moves_stores *stores, int64_t slice_ms)
{
    enum move_step last = STEP_BAD;
    enum err e = ERR_NONE;

    pthread_mutex_lock(&m->lock);
    struct move *mv = next_move(m);
    m->held[0] = '\0';
    if (mv != NULL)
        begin(mv);
    pthread_mutex_unlock(&m->lock);
    if (mv == NULL)
        return ERR_NONE;
    struct move_order order = mv->report.order; /* never changes */
    if (prepare(&mv->at, stores, &order))
        e = work(m, mv, clock_mono_us() + slice_ms * 1000, &last);
    put_away(&mv->at);
    publish(m, mv);
    pthread_mutex_lock(&m->lock);
    mv->at_work = false;
    mv->worked_us = clock_mono_us();
    if (is_over(mv))
        rest(mv);
    else if (last == STEP_OVER || last == STEP_BAD)
        end(mv, last == STEP_OVER ? MOVE_DONE : MOVE_FAILED);
    pthread_mutex_unlock(&m->lock);
    return e;
}

const char *move_kind_name(enum move_kind k)
{
    return rows[k].name;
}

const char *move_state_name(enum move_state s)
{
    return states[s];
}

bool move_kind_parse(const char *text, enum move_kind *ret)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (strcasecmp(text, rows[i].name) == 0) {
            *ret = (enum move_kind)i;
            return true;
        }
    }
    return false;
}
