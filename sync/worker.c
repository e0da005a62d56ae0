/* The thread for what takes long: CATCHUP's pass, the copier's rounds, moves. */
#include "sync/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "sync/moves_state.h"

#define ROUND 256
#define CYCLE_US                                                                                             \
    200000 /* a mark is carried at most this often: a hot key must not be copied with every write */
#define IDLE_MS         100
#define IDLE_LOOK_MS    1000
#define SLICE_MS        100 /* of moves, between two rounds */
#define BACKOFF_MS      100
#define BACKOFF_MOST_MS 1000

struct rounds {
    bool recovered;   /* claims of an earlier life, or of a round that failed, have gone back */
    int64_t begun_us; /* the cycle: once over all marks that there were then */
    int64_t to_do;    /* marks of the cycle; 0: it is over */
};

struct worker {
    struct side *side;
    struct rounds rounds;
    struct pass pass;
    struct page page;
    struct tiering tiering;
    int64_t backoff_ms; /* 0: all is well */
};

/* ---- the copier ---- */

static bool is_due(const struct rounds *r)
{
    return r->to_do > 0 || clock_mono_us() - r->begun_us >= CYCLE_US;
}

/* One round of the cycle. When it finds fewer marks than it could take, it has had all: what is left was marked meanwhile, and is for
 * the next cycle. */
static enum err round_of(struct side *t, struct rounds *r)
{
    uint64_t claimed = atomic_load(&t->copied.claimed);
    size_t left = 0;
    bool begins = r->to_do <= 0;

    if (begins)
        r->begun_us = clock_mono_us();
    enum err e = copier_round(&t->copier, ROUND, &left);
    if (e != ERR_NONE)
        return e;
    r->to_do = begins ? (int64_t)left : r->to_do - ROUND;
    if (atomic_load(&t->copied.claimed) - claimed < ROUND || left == 0)
        r->to_do = 0;
    return ERR_NONE;
}

static enum err carry(struct side *t, struct rounds *r)
{
    if (atomic_exchange(&t->sync->claims_left, false))
        r->recovered = false;
    enum err e = r->recovered ? ERR_NONE : copier_recover(&t->copier);

    if (e == ERR_NONE && is_due(r))
        e = round_of(t, r);
    r->recovered = e == ERR_NONE; /* else some may be claimed still */
    return e;
}

/* ---- moves ---- */

static enum err run_moves(struct side *t)
{
    struct moves_stores stores;

    tiering_stores(t, &stores);
    return moves_run(t->sync->moves, &stores, SLICE_MS);
}

/* ---- the thread ---- */

static bool is_redis(void *side, const struct policy_conf *policy)
{
    return side_is_redis(side, policy);
}

/* Nothing is carried; what operators order is kept all the same. */
static void idle(struct side *t)
{
    bool urgent;

    while (side_pause(t, IDLE_LOOK_MS))
        if (side_renew(t) && moves_unsaved(t->sync->moves, &urgent) && urgent)
            side_tell(t, logbook_keep(t->sync->logbook, t->handle, t->settings));
}

static void catch_up(struct worker *w)
{
    struct side *t = w->side;
    struct sync *s = t->sync;
    int64_t epoch = t->epoch;
    uint64_t turn = t->at_work;

    pthread_mutex_lock(&s->lock);
    side_rest(t);
    pthread_mutex_unlock(&s->lock);
    s->ops.caught_up(s->ops.ctx, epoch);
    pthread_mutex_lock(&s->lock);
    if (atomic_load(&s->turn) == turn)
        side_begin(t);
    pthread_mutex_unlock(&s->lock);
}

/* *ret_any: there may be more to do at once. */
static enum err work(struct worker *w, bool *ret_any)
{
    struct side *t = w->side;
    struct moves *moves = t->sync->moves;
    enum err e = side_open(t);

    if (e == ERR_NONE)
        e = logbook_keep(t->sync->logbook, t->handle, t->settings);
    if (e != ERR_NONE)
        return e;
    if (t->mode == SYNC_COPY)
        logbook_go_on(t->sync->logbook, t->settings, is_redis, t);
    if (t->mode == SYNC_CATCHUP && !w->pass.over) {
        e = pass_step(t, &w->pass, &w->page);
        *ret_any = true;
        if (e == ERR_NONE && w->pass.over)
            catch_up(w);
        return e;
    }
    e = carry(t, &w->rounds);
    *ret_any = w->rounds.to_do > 0;
    if (e == ERR_NONE && t->mode == SYNC_COPY && side_goes_on(t))
        e = tiering_step(t, &w->tiering, &w->page, ret_any);
    if (e == ERR_NONE && t->mode == SYNC_COPY && side_goes_on(t) && moves_any(moves)) {
        e = run_moves(t);
        w->rounds.recovered = e == ERR_NONE;
        *ret_any = true;
    }
    return e;
}

static void turn_begins(struct worker *w)
{
    static const char *const why[] = {[SYNC_IDLE] = "waits until Redis acts",
                                      [SYNC_COPY] = "",
                                      [SYNC_CATCHUP] = "waits until Redis has caught up"};
    struct side *t = w->side;

    w->rounds = (struct rounds){.to_do = 0};
    w->tiering = (struct tiering){.kept_us = w->tiering.kept_us};
    w->backoff_ms = 0;
    logbook_listen(t->sync->logbook);
    if (t->mode == SYNC_CATCHUP)
        pass_begin(t, &w->pass);
    if (t->mode != SYNC_COPY)
        tiering_refuse(t->sync, ERR_MOVED);
    moves_hold(t->sync->moves, why[t->mode]);
}

/* How long to rest now, in ms. */
static int64_t judge(struct worker *w, enum err e, bool any)
{
    struct side *t = w->side;

    side_tell(t, e);
    if (e == ERR_NONE) {
        w->backoff_ms = 0;
        return any ? 0 : IDLE_MS;
    }
    w->backoff_ms = w->backoff_ms == 0 ? BACKOFF_MS : 2 * w->backoff_ms;
    if (w->backoff_ms > BACKOFF_MOST_MS)
        w->backoff_ms = BACKOFF_MOST_MS;
    moves_hold(t->sync->moves, side_why(t, e));
    return w->backoff_ms;
}

/* The side is at work. Returns when the turn is over. */
static void take_turn(struct worker *w)
{
    struct side *t = w->side;

    turn_begins(w);
    if (t->mode == SYNC_IDLE) {
        idle(t);
        return;
    }
    while (side_renew(t)) {
        bool any = false;
        enum err e = work(w, &any);
        if (!side_goes_on(t))
            return;
        int64_t rest_ms = judge(w, e, any);
        if (rest_ms > 0 && !side_pause(t, rest_ms))
            return;
    }
}

static void end_well(struct side *t)
{
    tiering_end(t);
    if (t->settings != NULL && logbook_end(t->sync->logbook, t->handle, t->settings) != ERR_NONE)
        log_event(LOG_WARN, "moves_not_kept", LOG_STR("reason", archive_why(t->handle)));
}

void *worker_main(void *side)
{
    struct worker w = {.side = side};
    struct sync *s = w.side->sync;

    page_init(&w.page);
    pthread_mutex_lock(&s->lock);
    while (!atomic_load(&s->closing)) {
        side_begin(w.side);
        pthread_mutex_unlock(&s->lock);
        take_turn(&w);
        pthread_mutex_lock(&s->lock);
        side_rest(w.side);
    }
    pthread_mutex_unlock(&s->lock);
    if (w.backoff_ms == 0)
        end_well(w.side);
    page_done(&w.page);
    return NULL;
}
