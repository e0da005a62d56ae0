#include "sync/sync.h"

#include "base/clock.h"
#include "sync/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TRIES       16  /* at a key that others keep changing */
#define PATIENCE_MS 100 /* until a Redis that does not answer is not waited for any more */

/* ---- turns ---- */

/* The settings of the turn, and what is made of them. The lock is held. */
static void renew(struct side *t)
{
    const struct sync *s = t->sync;

    if (t->settings == s->settings)
        return;
    policy_set_free(t->policies);
    settings_unref(t->settings);
    t->settings = settings_ref(s->settings);
    t->policies = policy_set_new(t->settings);
    if (t->policies == NULL)
        abort();
}

void side_begin(struct side *t)
{
    t->mode = t->sync->mode;
    t->epoch = t->sync->epoch;
    t->copier.epoch = t->handoff.epoch = t->epoch;
    renew(t);
    t->at_work = atomic_load(&t->sync->turn);
}

void side_rest(struct side *t)
{
    t->at_work = 0;
    pthread_cond_broadcast(&t->sync->rested);
}

bool side_goes_on(const struct side *t)
{
    return atomic_load(&t->sync->turn) == t->at_work;
}

bool side_renew(struct side *t)
{
    pthread_mutex_lock(&t->sync->lock);
    bool same = side_goes_on(t);
    if (same)
        renew(t);
    pthread_mutex_unlock(&t->sync->lock);
    return same;
}

bool side_is_redis(const struct side *t, const struct policy_conf *policy)
{
    const struct sync_ops *ops = &t->sync->ops;

    return ops->is_redis != NULL ? ops->is_redis(ops->ctx, policy) : policy->primary == STORE_REDIS;
}

void side_sleep(struct side *t, int64_t ms)
{
    struct timespec until = clock_after_us(ms * 1000);

    if (ms < 0)
        pthread_cond_wait(&t->call, &t->sync->lock);
    else
        pthread_cond_timedwait(&t->call, &t->sync->lock, &until);
}

bool side_pause(struct side *t, int64_t ms)
{
    struct sync *s = t->sync;
    uint64_t turn = t->at_work;

    pthread_mutex_lock(&s->lock);
    side_rest(t);
    if (atomic_load(&s->turn) == turn)
        side_sleep(t, ms);
    bool same = atomic_load(&s->turn) == turn;
    if (same)
        side_begin(t);
    pthread_mutex_unlock(&s->lock);
    return same;
}

enum err side_open(struct side *t)
{
    return link_open(t->link, t->settings) ? ERR_NONE : ERR_REDISDOWN;
}

const char *side_why(const struct side *t, enum err e)
{
    bool redis = e == ERR_REDISDOWN || e == ERR_REDISLOST;

    return redis ? link_why(t->link) : archive_why(t->handle);
}

void side_tell(struct side *t, enum err e)
{
    struct sync *s = t->sync;

    pthread_mutex_lock(&s->lock);
    snprintf(s->why, sizeof s->why, "%s", e == ERR_NONE ? "" : side_why(t, e));
    pthread_mutex_unlock(&s->lock);
}

/* ---- hand-over ---- */

/* Without dual writes Redis has written without versions, also until a backfill has passed. */
static bool is_counted(const struct side *t, struct slice key)
{
    const struct policy_conf *policy = policy_find(t->policies, key);
    return policy != NULL && policy->dual_write && moves_filled(t->sync->moves, policy->name);
}

/* Those that are counted alike and not done; *ret_from: where they stand among all. */
static size_t pick(struct side *t, const struct slice *keys, size_t n, const enum handoff_result *results,
                   bool counted, struct slice *ret, size_t *ret_from)
{
    size_t picked = 0;

    for (size_t i = 0; i < n; i++) {
        if (results[i] != HANDOFF_AGAIN || is_counted(t, keys[i]) != counted)
            continue;
        ret_from[picked] = i;
        ret[picked++] = keys[i];
    }
    return picked;
}

/* Those of the keys that are away are in hand now: taken[i]. False: one is just leaving. */
static bool take_away(struct side *t, const struct slice *keys, size_t n, bool *taken)
{
    struct warm *w = t->sync->warm;
    bool leaving = false;

    for (size_t i = 0; i < n; i++)
        taken[i] = false;
    for (size_t i = 0; i < n && !leaving && warm_active(w); i++)
        taken[i] = warm_take(w, keys[i], &leaving);
    return !leaving;
}

static void give_away(struct side *t, const struct slice *keys, size_t n, const bool *taken,
                      const enum handoff_result *came)
{
    struct sync *s = t->sync;

    for (size_t i = 0; i < n; i++) {
        if (!taken[i])
            continue;
        const struct policy_conf *policy = policy_find(t->policies, keys[i]);
        uint8_t from = warm_tier(s->warm, keys[i]);
        bool home = came[i] == HANDOFF_DONE;
        warm_came(s->warm, keys[i], home);
        if (home)
            tiers_moved(s->tiers, policy != NULL ? policy->name : "", (enum record_level)from, RECORD_WORKING, 1);
    }
}

static enum err once(struct side *t, const struct slice *keys, size_t n, enum handoff_result *results,
                     bool counted)
{
    bool taken[SYNC_BATCH];
    struct slice some[SYNC_BATCH];
    size_t from[SYNC_BATCH];
    enum handoff_result came[SYNC_BATCH];
    size_t picked = pick(t, keys, n, results, counted, some, from);

    if (picked == 0)
        return ERR_NONE;
    t->handoff.versions_count = counted;
    for (size_t i = 0; i < picked; i++)
        came[i] = HANDOFF_AGAIN;
    enum err e = ERR_NONE;
    if (take_away(t, some, picked, taken))
        e = handoff_keys(&t->handoff, some, picked, came);
    for (size_t i = 0; e != ERR_NONE && i < picked; i++)
        came[i] = HANDOFF_AGAIN;
    give_away(t, some, picked, taken, came);
    for (size_t i = 0; e == ERR_NONE && i < picked; i++)
        results[from[i]] = came[i];
    return e;
}

static bool any_again(const enum handoff_result *results, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (results[i] == HANDOFF_AGAIN)
            return true;
    }
    return false;
}

enum err side_handoff(struct side *t, const struct slice *keys, size_t n, enum handoff_result *results)
{
    enum err e = logbook_load(t->sync->logbook, t->handle, t->settings); /* whether versions count hangs on it */

    for (size_t at = 0; at < n && e == ERR_NONE; at += SYNC_BATCH) {
        size_t some = n - at < SYNC_BATCH ? n - at : SYNC_BATCH;
        for (size_t i = 0; i < some; i++)
            results[at + i] = HANDOFF_AGAIN;
        for (int try = 0; try < TRIES && e == ERR_NONE && side_goes_on(t) && any_again(results + at, some);
             try++) {
            e = once(t, keys + at, some, results + at, true);
            if (e == ERR_NONE)
                e = once(t, keys + at, some, results + at, false);
        }
    }
    return e;
}

/* ---- beginning and end ---- */

static void side_init(struct side *t, struct sync *s, struct archive *a, const char *proxy, const char *what)
{
    clock_cond_init(&t->call);
    t->sync = s;
    t->handle = archive_attach(a);
    t->link = link_new();
    atomic_store(&t->copied.dirty, -1);
    t->copier = (struct copier){.handle = t->handle, .link = t->link, .counts = &t->copied};
    t->handoff = (struct handoff){.handle = t->handle, .link = t->link, .counts = &t->handed};
    /* Each has claims of its own: what one gives up must not take away what the other has claimed. */
    snprintf(t->copier.proxy, sizeof t->copier.proxy, "%s%s", proxy, what);
}

static void side_done(struct side *t)
{
    link_free(t->link);
    archive_detach(t->handle);
    policy_set_free(t->policies);
    settings_unref(t->settings);
    pthread_cond_destroy(&t->call);
}

static void want_tiers(struct sync *s, const struct settings *settings)
{
    bool any = false;

    for (size_t i = 0; i < settings->policy_count; i++)
        any |= settings->policies[i].tiers;
    warm_want(s->warm, any);
}

struct sync *sync_start(struct archive *a, const struct settings *settings, const char *proxy,
                        const struct sync_ops *ops)
{
    struct sync *s = calloc(1, sizeof *s);

    if (s == NULL)
        abort();
    pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->rested);
    s->ops = *ops;
    s->settings = settings_ref(settings);
    s->turn = 1;
    s->asks_end = &s->asks;
    s->pass_total = -1;
    s->moves = moves_new();
    s->logbook = logbook_new(s->moves, proxy, strcmp(archive_kind(a), "sqlite") != 0);
    s->warm = warm_new();
    s->tiers = tiers_new();
    s->uses = uses_new();
    want_tiers(s, settings);
    side_init(&s->urgent, s, a, proxy, SYNC_URGENT);
    side_init(&s->worker, s, a, proxy, "");
    s->urgent.copier.warm = s->worker.copier.warm = s->warm;
    if (pthread_create(&s->urgent.thread, NULL, urgent_main, &s->urgent) != 0 ||
        pthread_create(&s->worker.thread, NULL, worker_main, &s->worker) != 0)
        abort();
    return s;
}

/* The lock is held. */
static bool is_behind(const struct side *t, uint64_t turn)
{
    return t->at_work != 0 && t->at_work < turn;
}

/* The lock is held. Nothing of older turns is at work when it returns. Redis is given some time to answer; who connects only then and
 * waits for it is interrupted, too. */
static void begin_turn(struct sync *s)
{
    uint64_t turn = atomic_fetch_add(&s->turn, 1) + 1;

    pthread_cond_signal(&s->urgent.call);
    pthread_cond_signal(&s->worker.call);
    while (is_behind(&s->urgent, turn) || is_behind(&s->worker, turn)) {
        struct timespec until = clock_after_us(PATIENCE_MS * 1000);
        if (pthread_cond_timedwait(&s->rested, &s->lock, &until) == 0)
            continue;
        if (is_behind(&s->urgent, turn))
            link_interrupt(s->urgent.link);
        if (is_behind(&s->worker, turn))
            link_interrupt(s->worker.link);
    }
}

void sync_enter(struct sync *s, enum sync_mode mode, int64_t epoch)
{
    pthread_mutex_lock(&s->lock);
    s->mode = mode;
    s->epoch = epoch;
    begin_turn(s);
    pthread_mutex_unlock(&s->lock);
}

void sync_stop(struct sync *own_s)
{
    if (own_s == NULL)
        return;
    pthread_mutex_lock(&own_s->lock);
    atomic_store(&own_s->closing, true);
    begin_turn(own_s);
    pthread_mutex_unlock(&own_s->lock);
    pthread_join(own_s->urgent.thread, NULL);
    pthread_join(own_s->worker.thread, NULL);
    side_done(&own_s->urgent);
    side_done(&own_s->worker);
    tiering_refuse(own_s, ERR_CANCELLED);
    logbook_free(own_s->logbook);
    moves_free(own_s->moves);
    warm_free(own_s->warm);
    tiers_free(own_s->tiers);
    uses_free(own_s->uses);
    settings_unref(own_s->settings);
    pthread_cond_destroy(&own_s->rested);
    pthread_mutex_destroy(&own_s->lock);
    free(own_s);
}

void sync_settings(struct sync *s, const struct settings *now)
{
    pthread_mutex_lock(&s->lock);
    settings_unref(s->settings);
    s->settings = settings_ref(now);
    want_tiers(s, now);
    pthread_mutex_unlock(&s->lock);
}

/* ---- report ---- */

static void add_copied(struct copier_counts *sum, const struct copier_counts *c)
{
    sum->claimed += c->claimed;
    sum->unmarked += c->unmarked;
    sum->copied += c->copied;
    sum->tombstones += c->tombstones;
    sum->races += c->races;
    sum->failed += c->failed;
    sum->bytes += c->bytes;
}

static void add_handed(struct handoff_counts *sum, const struct handoff_counts *h)
{
    sum->looked += h->looked;
    sum->equal += h->equal;
    sum->restored += h->restored;
    sum->merged += h->merged;
    sum->kept += h->kept;
    sum->again += h->again;
    sum->quarantined += h->quarantined;
    sum->failed += h->failed;
}

void sync_reclaim(struct sync *s)
{
    atomic_store(&s->claims_left, true);
}

void sync_report(struct sync *s, struct sync_report *ret)
{
    memset(ret, 0, sizeof *ret);
    pthread_mutex_lock(&s->lock);
    snprintf(ret->why, sizeof ret->why, "%s", s->why);
    ret->waiting = s->waiting;
    pthread_mutex_unlock(&s->lock);
    add_copied(&ret->copier, &s->worker.copied);
    add_copied(&ret->copier, &s->urgent.copied);
    ret->copier.dirty = s->worker.copied.dirty;
    ret->copier.oldest_us = s->worker.copied.oldest_us;
    add_handed(&ret->handoff, &s->worker.handed);
    add_handed(&ret->handoff, &s->urgent.handed);
    ret->pass_done = s->pass_done;
    ret->pass_total = s->pass_total;
}

struct moves *sync_moves(struct sync *s)
{
    return s->moves;
}

struct warm *sync_warm(struct sync *s)
{
    return s->warm;
}

struct tiers *sync_tiers(struct sync *s)
{
    return s->tiers;
}

struct uses *sync_uses(struct sync *s)
{
    return s->uses;
}
