/* The moves at work: on sync's worker. */
#include "sync/moves_state.h"

#include "base/clock.h"
#include "sync/claim.h"
#include "sync/link.h"
#include "sync/suspects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define METER_US  500000 /* the rate is measured over at least this long */
#define CREDIT_US 50000  /* so much of the rate may be used at once */
#define REST_US   2000000
#define NAP_MS    5

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
    int scans = moves_row(at->order->kind)->scans;
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

/* Suspects are not kept: whoever goes on begins where there were none. */
static void note_place(struct moves *m, struct move *mv)
{
    const struct suspects *suspects = mv->at.place.suspects;

    if (suspects != NULL && suspects_count(suspects) > 0)
        return;
    mv->saved = (struct move_saved){mv->report, mv->at.place};
    mv->saved.place.suspects = NULL;
    m->progressed = true;
}

/* False: it was aborted. One that was aborted and resumed during a step goes on. */
static bool publish(struct moves *m, struct move *mv)
{
    const struct move_tally *t = &mv->at.tally;
    struct move_report *r = &mv->report;

    pthread_mutex_lock(&m->lock);
    bool runs = !moves_is_over(mv);
    if (runs) {
        r->done = t->done;
        r->total = t->total >= 0 && t->total < t->done ? t->done : t->total;
        r->found = t->found;
        r->repaired = t->repaired;
        r->ranges = count_ranges(&mv->at);
        memcpy(r->why, t->why, sizeof r->why);
        memcpy(r->examples, t->examples, sizeof r->examples);
        meter(mv, clock_mono_us());
        note_place(m, mv);
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
    enum err e = moves_row(at->order->kind)->step(at, ret);
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
    struct move *mv = moves_next(m);
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
    if (moves_is_over(mv))
        moves_rest(mv);
    else if (last == STEP_OVER || last == STEP_BAD)
        moves_end(m, mv, last == STEP_OVER ? MOVE_DONE : MOVE_FAILED);
    pthread_mutex_unlock(&m->lock);
    return e;
}

