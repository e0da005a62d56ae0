#include "proxy/placement.h"

#include "base/clock.h"
#include "base/log.h"
#include "config/seeds.h"
#include "proxy/agreement.h"
#include "proxy/loop.h"
#include "proxy/placement_state.h"
#include "proxy/server.h"
#include "sync/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS      100
#define BUSY_TICK_MS 5 /* while requests wait */

/* ---- what loops are told ---- */

static const struct spot *spot_of(const struct placement *p, const char *name)
{
    for (size_t i = 0; i < p->nspots; i++)
        if (strcmp(p->spots[i].name, name) == 0)
            return &p->spots[i];
    return NULL;
}

/* Without an archive all is Redis', unless the operator wants the archive, which can't be opened. */
static void tell_alone(const struct policy_conf *conf, struct acting *a)
{
    bool archive = conf->primary != STORE_REDIS;

    a->phase[conf->index] = archive ? PHASE_ARCHIVE : PHASE_REDIS;
    a->any |= archive;
}

/* The policy is new: placement has not seen it yet. */
static void tell_unknown(const struct policy_conf *conf, struct acting *a)
{
    a->phase[conf->index] = PHASE_HOLD;
    a->any = true;
}

/* Beside a cluster no connection to Redis is looked at, and what the archive has is nobody else's. */
static void tell_apart(const struct spot *spot, const struct policy_conf *conf, struct acting *a)
{
    bool archive = conf->primary != STORE_REDIS, there = place_phase(spot->place) == PHASE_ARCHIVE;

    a->phase[conf->index] = !archive ? PHASE_REDIS : there ? PHASE_ARCHIVE : PHASE_HOLD;
    a->escapes[conf->index] = archive;
    a->any |= archive;
}

void placement_copy(struct placement *p, const struct settings *settings, struct acting *ret)
{
    struct spot_view view = {0};
    bool all = true;

    memset(ret, 0, sizeof *ret);
    if (p != NULL) {
        pthread_mutex_lock(&p->lock);
        view = (struct spot_view){p->known, facts_leased(p),
                                  settings->failover_automatic && executor_up(p->executor)};
    }
    for (size_t k = 0; k < settings->policy_count && k < STATS_POLICIES; k++) {
        const struct policy_conf *conf = &settings->policies[k];
        const struct spot *spot = p != NULL ? spot_of(p, conf->name) : NULL;
        if (p != NULL && spot == NULL)
            tell_unknown(conf, ret);
        else if (spot != NULL && p->cluster)
            tell_apart(spot, conf, ret);
        else if (spot != NULL)
            spot_tell(spot, conf, ledger_acted(&p->ledger, conf->name), view, ret);
        else
            tell_alone(conf, ret);
        all &= ret->phase[k] == PHASE_ARCHIVE;
        ret->whole |= all && strcmp(conf->match, "*") == 0;
    }
    if (p != NULL) {
        ret->epoch = p->ledger.epoch;
        snprintf(ret->run_id, sizeof ret->run_id, "%s", p->ledger.run_id);
        snprintf(ret->proxy, sizeof ret->proxy, "%s", p->proxy);
        ret->serial = p->serial;
        pthread_mutex_unlock(&p->lock);
    }
}

void placement_publish(struct placement *p)
{
    struct loop *l;

    p->told_up = executor_up(p->executor);
    p->told_leased = facts_leased(p);
    pthread_mutex_lock(&p->lock);
    p->serial++;
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; (l = server_loop(p->server, i)) != NULL; i++) {
        struct acting *a = malloc(sizeof *a);
        if (a == NULL)
            abort();
        placement_copy(p, p->settings, a);
        if (!loop_try_post(l, acting_apply, a))
            free(a);
    }
}

/* ---- changes of place ---- */

static void enter(struct placement *p, struct spot *spot, enum place to)
{
    enum place from = spot->place;

    if (from == PLACE_LEAVE)
        owed_drop(p->owed); /* all is clean, or Redis goes on with its marks */
    pthread_mutex_lock(&p->lock);
    spot_enter(spot, to, ledger_acted(&p->ledger, spot->name));
    pthread_mutex_unlock(&p->lock);
    p->clean = false;
    log_event(LOG_INFO, "placement", LOG_STR("policy", spot->name), LOG_STR("from", place_name(from)),
              LOG_STR("to", place_name(to)), LOG_STR("acting", phase_name(place_phase(to))),
              LOG_INT("epoch", p->ledger.epoch), LOG_INT("held_ms", spot->held_us / 1000));
}

/* What this Redis held before anybody kept marks has to be carried to the archive, too. */
static void backfill(struct placement *p, const char *policy)
{
    struct move_order order = {.kind = MOVE_BACKFILL};
    char why[160];

    snprintf(order.policy, sizeof order.policy, "%s", policy);
    if (moves_order(sync_moves(p->sync), &order, why, sizeof why) == 0)
        log_event(LOG_WARN, "backfill_refused", LOG_STR("policy", policy), LOG_STR("reason", why));
}

/* Shared, all proxies go there when the ledger says so; alone, what need not outlive the process happens at once. */
static bool go(struct placement *p, struct spot *spot, enum place to, bool *raised)
{
    bool saving = p->saving;

    agreement_begin(p);
    if (!spot_record(spot, to, facts_marked(p, spot), &p->next, raised) && !p->shared) {
        p->saving = saving; /* it has recorded nothing */
        enter(p, spot, to);
        return true;
    }
    struct ledger_policy *row = ledger_policy(&p->next, spot->name);
    row->place = to;
    row->placed = true;
    p->next.serial = p->ledger.serial + 1;
    spot->staged = to;
    return false;
}

/* Goes where nothing has to be saved first, and stages the rest. True: something has changed. */
static bool evaluate(struct placement *p)
{
    int64_t now_us = clock_mono_us();
    bool changed = false, raised = false;

    if (p->stale || agreement_rests(p) || !agreement_decides(p, now_us))
        return false;
    for (size_t i = 0; i < p->nspots; i++) {
        struct spot *spot = &p->spots[i];
        const struct policy_conf *conf = settings_policy(p->settings, spot->name);
        bool apart = p->cluster && conf != NULL && conf->primary == STORE_REDIS; /* simply the cluster's */
        enum place to = apart           ? PLACE_REDIS
                        : conf != NULL ? place_next(spot->place, facts_of(p, spot, conf, now_us))
                                       : spot->place;
        if (to != spot->place && apart)
            enter(p, spot, to);
        else if (to != spot->place)
            changed |= go(p, spot, to, &raised);
    }
    return changed;
}

bool placement_is_busy(const struct placement *p)
{
    bool busy = false;
    for (size_t i = 0; i < p->nspots; i++)
        busy |= place_limit_ms(p->spots[i].place) > 0 || p->spots[i].place == PLACE_LOSE;
    return busy || owed_count(p->owed) > 0;
}

static bool wants_claim(const struct placement *p)
{
    for (size_t i = 0; i < p->nspots; i++)
        if ((p->spots[i].place == PLACE_CLAIM || p->spots[i].place == PLACE_FIRST) &&
            p->claimed != p->ledger.epoch)
            return !p->saving && agreement_decides(p, clock_mono_us());
    return false;
}

static bool is_leaving(const struct placement *p)
{
    for (size_t i = 0; i < p->nspots; i++)
        if (p->spots[i].place == PLACE_LEAVE)
            return facts_quiet(p, clock_mono_us()) && executor_copies(p->executor) == 0;
    return false;
}

/* Looks at Redis when it is time to, or when something asks for it. */
static void look(struct placement *p)
{
    int64_t now_us = clock_mono_us();
    bool claim = wants_claim(p), leaving = is_leaving(p);
    bool due = !p->asked || now_us - p->looked_us >= p->settings->redis_probe_interval * 1000;

    p->asked |= p->cluster;
    if (p->cluster || errands_redis_busy(p->errands) || !(due || claim || leaving || atomic_load(&p->suspect)))
        return;
    p->nudge |= atomic_exchange(&p->suspect, false);
    p->looked_us = now_us;
    errands_look(p->errands, p->settings, claim, p->ledger.epoch, p->ledger.lost_epoch, leaving);
}

static enum sync_mode wanted_mode(const struct placement *p)
{
    static const enum sync_mode modes[PLACES] = {[PLACE_REDIS] = SYNC_COPY,
                                                 [PLACE_DRAIN] = SYNC_COPY,
                                                 [PLACE_LEAVE] = SYNC_COPY,
                                                 [PLACE_CATCHUP] = SYNC_CATCHUP};
    enum sync_mode mode = SYNC_IDLE;

    for (size_t i = 0; i < p->nspots; i++)
        if (modes[p->spots[i].place] > mode)
            mode = modes[p->spots[i].place];
    return p->known && !p->cluster ? mode : SYNC_IDLE;
}

static void keep_mode(struct placement *p)
{
    enum sync_mode mode = wanted_mode(p);

    if (errands_sync_busy(p->errands) || (p->mode == mode && p->mode_epoch == p->ledger.epoch))
        return;
    p->mode = mode;
    p->mode_epoch = p->ledger.epoch;
    errands_enter(p->errands, mode, p->mode_epoch);
}

/* Policies that stay keep their place. */
static void take_spots(struct placement *p, const struct settings *now)
{
    struct spot old[STATS_POLICIES];
    size_t nold = p->nspots;

    memcpy(old, p->spots, sizeof old);
    p->nspots = 0;
    for (size_t i = 0; i < now->policy_count && i < STATS_POLICIES; i++) {
        struct spot *spot = &p->spots[p->nspots++];
        spot_init(spot, now->policies[i].name);
        spot->order = now->policies[i].primary == STORE_REDIS ? WANTED_REDIS : WANTED_ARCHIVE;
        for (size_t k = 0; k < nold; k++)
            if (strcmp(old[k].name, spot->name) == 0)
                *spot = old[k];
    }
}

static void give_orders(struct placement *p, const struct policy_conf *was, const struct policy_conf *now)
{
    if (now->dual_write && !was->dual_write)
        backfill(p, now->name);
    if (now->primary != was->primary)
        placement_choose(p, now->name, now->primary != STORE_REDIS);
}

/* Redis, when it was asked for, does not have to be well for long. */
static void take_orders(struct placement *p)
{
    for (size_t i = 0; i < p->nspots; i++) {
        enum wanted asked = (enum wanted)atomic_exchange(&p->spots[i].asked, WANTED_NOTHING);
        if (asked == WANTED_NOTHING)
            continue;
        p->spots[i].hurry = asked == WANTED_REDIS;
        p->spots[i].order = asked;
    }
}

/* True: there were new settings. */
static bool take_fresh(struct placement *p)
{
    pthread_mutex_lock(&p->lock);
    const struct settings *old = p->settings, *fresh = p->fresh;
    if (fresh != NULL) {
        p->settings = fresh;
        p->fresh = NULL;
        take_spots(p, fresh);
    }
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; fresh != NULL && i < fresh->policy_count; i++) {
        const struct policy_conf *was = settings_policy(old, fresh->policies[i].name);
        if (was != NULL)
            give_orders(p, was, &fresh->policies[i]);
    }
    if (fresh != NULL)
        settings_unref(old);
    return fresh != NULL;
}

/* What the archive lacks: once the epoch is raised it does that itself. While Redis acts its marks are enough. */
static void pay(struct placement *p)
{
    bool losing = false, archive = false, redis = true;

    for (size_t i = 0; i < p->nspots; i++) {
        enum place at = p->spots[i].place;
        losing |= at == PLACE_LOSE;
        redis &= at == PLACE_REDIS || at == PLACE_DRAIN;
        archive |= at == PLACE_SETTLE || place_phase(at) == PHASE_ARCHIVE;
    }
    if (redis)
        owed_drop(p->owed);
    if (archive && !losing && !p->saving && executor_up(p->executor))
        owed_send(p->owed, p->executor, p->ledger.epoch);
}

void placement_step(struct placement *p)
{
    bool changed =
        p->serial == 0 || p->told_up != executor_up(p->executor) || p->told_leased != facts_leased(p);

    changed |= take_fresh(p);
    take_orders(p);
    if (atomic_exchange(&p->doubt, false))
        p->doubt_us = clock_mono_us();
    while (!p->saving && evaluate(p))
        changed = true;
    if (!p->saving)
        agreement_amend(p);
    if (changed)
        placement_publish(p);
    pay(p);
    agreement_keep(p);
    look(p);
    keep_mode(p);
    uv_timer_set_repeat(&p->timer, placement_is_busy(p) ? BUSY_TICK_MS : TICK_MS);
    uv_timer_again(&p->timer);
}

void placement_go_where(struct placement *p, struct spot *spot, enum place to)
{
    bool first = spot->first && to == PLACE_REDIS;

    if (spot->place == PLACE_LOSE && to == PLACE_SETTLE)
        p->doubt_us = 0;
    if (to == PLACE_LOSE || to == PLACE_SETTLE || to == PLACE_ARCHIVE)
        p->well_since_us = clock_mono_us(); /* its good time begins anew */
    if (spot->place == PLACE_CATCHUP && to == PLACE_REDIS && agreement_decides(p, clock_mono_us()))
        errands_tidy(p->errands);
    enter(p, spot, to);
    spot->first &= !first;
    if (first && settings_policy(p->settings, spot->name)->dual_write)
        backfill(p, spot->name);
}

/* ---- what errands bring: Redis, sync ---- */

static void on_looked(void *ctx, const struct look *look)
{
    struct placement *p = ctx;

    if (look->well && !p->well)
        p->well_since_us = clock_mono_us();
    if (look->well != p->well || !p->asked)
        log_event(LOG_DEBUG, "redis_look", LOG_INT("well", look->well), LOG_STR("why", look->why));
    pthread_mutex_lock(&p->lock);
    p->asked = true;
    p->look_began_us = p->looked_us;
    p->well = look->well;
    p->who = look->who;
    if (look->well && look->claimed && look->who.epoch == p->ledger.epoch) {
        snprintf(p->ledger.run_id, sizeof p->ledger.run_id, "%s", look->who.run_id);
        snprintf(p->next.run_id, sizeof p->next.run_id, "%s",
                 look->who.run_id); /* which may be about to become it */
        p->claimed = look->who.epoch;
    }
    pthread_mutex_unlock(&p->lock);
    p->marks = look->marks;
    p->clean = look->after_quiet && look->marks == 0;
    if (p->nudge && facts_is_ours(p))
        placement_publish(p);
    p->nudge = false;
    placement_step(p);
}

static void on_entered(void *ctx)
{
    placement_step(ctx);
}

/* ---- the interface ---- */

static void on_timer(uv_timer_t *timer)
{
    placement_step(timer->data);
}

static void on_wake(uv_async_t *wake)
{
    placement_step(wake->data);
}

struct placement *placement_start(struct server *s, uv_loop_t *main_loop, struct executor *e,
                                  struct sync *sync, struct owed *owed, const char *proxy)
{
    struct placement *p = calloc(1, sizeof *p);
    struct errands_ops ops = {agreement_read, agreement_saved, agreement_rounded, on_looked, on_entered, p};

    if (p == NULL)
        abort();
    p->server = s;
    p->executor = e;
    p->sync = sync;
    p->owed = owed;
    p->errands = errands_new(main_loop, executor_archive(e), sync, proxy, &ops);
    p->timer.data = p->wake.data = p;
    snprintf(p->proxy, sizeof p->proxy, "%s", proxy);
    snprintf(p->members.self, sizeof p->members.self, "%s", proxy);
    p->shared = strcmp(archive_kind(executor_archive(e)), "sqlite") != 0;
    ledger_init(&p->ledger);
    p->marks = -1;
    pthread_mutex_init(&p->lock, NULL);
    p->settings = config_current(server_config(s));
    p->cluster = redis_kind(p->settings->redis_url) == REDIS_CLUSTER;
    take_spots(p, p->settings);
    uv_timer_init(main_loop, &p->timer);
    uv_timer_start(&p->timer, on_timer, 0, BUSY_TICK_MS); /* when the server knows it */
    uv_async_init(main_loop, &p->wake, on_wake);
    return p;
}

static void on_closed(uv_handle_t *handle)
{
    struct placement *p = handle->data;

    if (--p->closing > 0)
        return;
    ledger_done(&p->ledger);
    ledger_done(&p->next);
    settings_unref(p->settings);
    settings_unref(p->fresh);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* The handles are closed in a turn of the loop. */
void placement_stop(struct placement *own_p)
{
    struct placement *p = own_p;

    uv_timer_stop(&p->timer);
    p->saving = p->known = true; /* nothing is decided any more */
    errands_stop(p->errands);
    p->closing = 2;
    uv_close((uv_handle_t *)&p->timer, on_closed);
    uv_close((uv_handle_t *)&p->wake, on_closed);
}

/* Any thread may change settings: the main loop takes them. */
void placement_settings(struct placement *p, const struct settings *now)
{
    pthread_mutex_lock(&p->lock);
    settings_unref(p->fresh);
    p->fresh = settings_ref(now);
    pthread_mutex_unlock(&p->lock);
    uv_async_send(&p->wake);
}

void placement_choose(struct placement *p, const char *policy, bool archive)
{
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->nspots; i++)
        if (strcmp(p->spots[i].name, policy) == 0)
            atomic_store(&p->spots[i].asked, archive ? WANTED_ARCHIVE : WANTED_REDIS);
    pthread_mutex_unlock(&p->lock);
    uv_async_send(&p->wake);
}

void placement_redis(struct placement *p, bool up, bool there)
{
    p->there = there && !p->cluster;
    if (up != p->well && !p->cluster)
        atomic_store(&p->suspect, true);
    placement_step(p);
}

void placement_doubt(struct placement *p)
{
    atomic_store(&p->doubt, true);
    placement_suspect(p);
}

void placement_suspect(struct placement *p)
{
    atomic_store(&p->suspect, true);
    uv_async_send(&p->wake);
}

void placement_quiet(struct placement *p, unsigned loop, uint64_t serial)
{
    atomic_store(&p->quiet[loop % 256], serial);
    uv_async_send(&p->wake);
}

void placement_caught_up(struct placement *p, int64_t epoch)
{
    atomic_store(&p->caught_up, epoch);
    uv_async_send(&p->wake);
}

bool placement_is_archive(struct placement *p, size_t policy)
{
    if (p == NULL)
        return false;
    pthread_mutex_lock(&p->lock);
    bool archive = policy < p->nspots && place_phase(p->spots[policy].place) == PHASE_ARCHIVE;
    pthread_mutex_unlock(&p->lock);
    return archive;
}

bool placement_is_leased(const struct placement *p)
{
    return p == NULL || facts_leased(p);
}

bool placement_is_now(const struct placement *p, int64_t epoch)
{
    return p == NULL || (facts_leased(p) && atomic_load(&p->epoch) == epoch);
}

void placement_trouble(struct placement *p, char *text, size_t cap)
{
    pthread_mutex_lock(&p->lock);
    snprintf(text, cap, "%s", p->trouble);
    pthread_mutex_unlock(&p->lock);
}

void placement_report(struct placement *p, struct placement_report *ret)
{
    *ret = (struct placement_report){0};
    pthread_mutex_lock(&p->lock);
    ret->epoch = p->ledger.epoch;
    ret->redis_ours = facts_is_ours(p);
    snprintf(ret->proxy, sizeof ret->proxy, "%s", p->proxy);
    ret->npolicies = p->nspots;
    ret->nmembers = p->ledger.nmembers;
    for (size_t i = 0; i < p->nspots; i++) {
        const struct spot *s = &p->spots[i];
        struct placement_policy *to = &ret->policies[i];
        *to = (struct placement_policy){.place = s->place,
                                        .since_us = s->wall_us,
                                        .failovers = s->failovers,
                                        .held_us = s->held_us,
                                        .held_max_us = s->held_max_us};
        snprintf(to->name, sizeof to->name, "%s", s->name);
        snprintf(to->why, sizeof to->why, "%s", place_help(s->place));
    }
    pthread_mutex_unlock(&p->lock);
}
