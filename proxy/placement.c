#include "proxy/placement.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/errands.h"
#include "proxy/ledger.h"
#include "proxy/loop.h"
#include "proxy/server.h"
#include "proxy/spot.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL        "placement"
#define TICK_MS        100
#define BUSY_TICK_MS   5   /* while requests wait */
#define NEARLY_CLEAN   500 /* marks that are carried in an instant */

struct placement {
    pthread_mutex_t
        lock; /* over spots, ledger, settings and known for those who ask from other threads; only [main] changes them */
    struct server *server;
    struct executor *executor;
    struct sync *sync;
    struct errands *errands;
    uv_timer_t timer;
    uv_async_t wake;
    int closing; /* handles that are not closed yet */
    char proxy[16];
    enum sync_mode mode; /* sync's, once errands_sync_busy is over */
    int64_t mode_epoch;
    struct ledger ledger;
    struct spot spots[STATS_POLICIES];
    size_t nspots;
    const struct settings *settings;
    bool known, saving;
    bool told_up; /* whether the archive was up when the loops were told last */
    bool nudge;   /* loops hold requests because a connection failed: they are told again after the look */
    bool asked, well, there; /* Redis: a look has ended; the last one went well; something is there */
    struct redis_identity who;
    int64_t marks, well_since_us, looked_us;
    bool clean;      /* no marks, as of a look that began when all was quiet */
    int64_t claimed; /* epoch for which Redis was claimed last */
    uint64_t serial;
    _Atomic uint64_t quiet[256]; /* by loop: the serial */
    _Atomic bool doubt, suspect;
    _Atomic int64_t caught_up;
};

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
    a->archive[conf->index] = conf->primary != STORE_REDIS;
    a->phase[conf->index] = a->archive[conf->index] ? PHASE_ARCHIVE : PHASE_REDIS;
    a->any |= a->archive[conf->index];
}

void placement_copy(struct placement *p, const struct settings *settings, struct acting *ret)
{
    bool all = true, safe = p != NULL && settings->failover_automatic && executor_up(p->executor);

    memset(ret, 0, sizeof *ret);
    if (p != NULL)
        pthread_mutex_lock(&p->lock);
    for (size_t k = 0; k < settings->policy_count && k < STATS_POLICIES; k++) {
        const struct policy_conf *conf = &settings->policies[k];
        const struct spot *spot = p != NULL ? spot_of(p, conf->name) : NULL;
        if (spot != NULL)
            spot_tell(spot, conf, ledger_acted(&p->ledger, conf->name), p->known, safe, ret);
        else
            tell_alone(conf, ret);
        all &= ret->archive[k];
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

static void publish(struct placement *p)
{
    struct loop *l;

    p->told_up = executor_up(p->executor);
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

/* ---- facts ---- */

static bool is_quiet(const struct placement *p)
{
    for (unsigned i = 0; server_loop(p->server, i) != NULL && i < 256; i++)
        if (atomic_load(&p->quiet[i]) < p->serial)
            return false;
    return true;
}

static bool is_ours(const struct placement *p)
{
    return p->well && !atomic_load(&p->doubt) && p->who.epoch == p->ledger.epoch &&
           strcmp(p->who.run_id, p->ledger.run_id) == 0;
}

static uint32_t acted_fact(enum acted acted)
{
    static const uint32_t facts[] = {[ACTED_NONE] = FACT_NEW,
                                     [ACTED_REDIS] = FACT_LAST_REDIS,
                                     [ACTED_ARCHIVE] = FACT_LAST_ARCHIVE,
                                     [ACTED_JOURNAL] = FACT_LAST_ARCHIVE};
    return facts[acted];
}

static uint32_t redis_facts(const struct placement *p, const struct spot *spot, int64_t now_us)
{
    int64_t patience =
        spot_patience_us(spot, ledger_acted(&p->ledger, spot->name), p->settings->failover_return_after, now_us);
    uint32_t f = 0;

    f |= p->asked ? FACT_ASKED : 0;
    f |= p->there ? FACT_THERE : 0;
    f |= p->well ? FACT_REDIS : 0;
    f |= is_ours(p) ? FACT_OURS : 0;
    f |= p->well && now_us - p->well_since_us >= patience ? FACT_WELL : 0;
    f |= p->marks >= 0 && p->marks < NEARLY_CLEAN ? FACT_NEARLY_CLEAN : 0;
    f |= p->clean ? FACT_CLEAN : 0;
    f |= p->claimed == p->ledger.epoch ? FACT_CLAIMED : 0;
    return f;
}

static bool is_copied(const struct placement *p, const struct spot *spot)
{
    bool rests = spot->place != PLACE_LOSE || (p->mode == SYNC_IDLE && !errands_sync_busy(p->errands));
    return rests && executor_copies(p->executor) == 0;
}

static uint32_t facts_of(const struct placement *p, const struct spot *spot, const struct policy_conf *conf,
                         int64_t now_us)
{
    uint32_t f = redis_facts(p, spot, now_us);
    int64_t limit = place_limit_ms(spot->place);

    f |= p->known ? FACT_KNOWN | acted_fact(ledger_acted(&p->ledger, spot->name)) : 0;
    f |= executor_up(p->executor) ? FACT_ARCHIVE : 0;
    f |= conf->primary != STORE_REDIS ? FACT_WANT_ARCHIVE : 0;
    f |= p->settings->failover_automatic ? FACT_AUTOMATIC : 0;
    f |= is_quiet(p) ? FACT_QUIET : 0;
    f |= is_copied(p, spot) ? FACT_COPIED : 0;
    f |= atomic_load(&p->caught_up) == p->ledger.epoch ? FACT_CAUGHT_UP : 0;
    f |= limit > 0 && now_us - spot->since_us > limit * 1000 ? FACT_LATE : 0;
    return f;
}

/* ---- changes of place ---- */

static void enter(struct placement *p, struct spot *spot, enum place to)
{
    enum place from = spot->place;

    pthread_mutex_lock(&p->lock);
    spot_enter(spot, to, ledger_acted(&p->ledger, spot->name));
    pthread_mutex_unlock(&p->lock);
    p->clean = false;
    log_event(LOG_INFO, "placement", LOG_STR("policy", spot->name), LOG_STR("from", place_name(from)),
              LOG_STR("to", place_name(to)), LOG_STR("acting", phase_name(place_phase(to))),
              LOG_INT("epoch", p->ledger.epoch), LOG_INT("held_ms", spot->held_us / 1000));
}

static const struct policy_conf *conf_of(const struct settings *s, const char *name)
{
    for (size_t i = 0; i < s->policy_count; i++)
        if (strcmp(s->policies[i].name, name) == 0)
            return &s->policies[i];
    return NULL;
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

/* Goes where nothing has to be saved first, and stages the rest. True: something has changed. */
static bool evaluate(struct placement *p)
{
    int64_t now_us = clock_mono_us();
    bool changed = false, raised = false;

    for (size_t i = 0; i < p->nspots; i++) {
        struct spot *spot = &p->spots[i];
        const struct policy_conf *conf = conf_of(p->settings, spot->name);
        enum place to = conf != NULL ? place_next(spot->place, facts_of(p, spot, conf, now_us)) : spot->place;
        if (to == spot->place)
            continue;
        pthread_mutex_lock(&p->lock);
        bool save = spot_record(spot, to, &p->ledger, &raised);
        pthread_mutex_unlock(&p->lock);
        spot->staged = to;
        p->saving |= save;
        if (!save)
            enter(p, spot, to);
        changed |= !save;
    }
    return changed;
}

static bool is_busy(const struct placement *p)
{
    bool busy = false;
    for (size_t i = 0; i < p->nspots; i++)
        busy |= place_limit_ms(p->spots[i].place) > 0 || p->spots[i].place == PLACE_LOSE;
    return busy;
}

static bool wants_claim(const struct placement *p)
{
    for (size_t i = 0; i < p->nspots; i++)
        if ((p->spots[i].place == PLACE_CLAIM || p->spots[i].place == PLACE_FIRST) &&
            p->claimed != p->ledger.epoch)
            return !p->saving;
    return false;
}

static bool is_leaving(const struct placement *p)
{
    for (size_t i = 0; i < p->nspots; i++)
        if (p->spots[i].place == PLACE_LEAVE)
            return is_quiet(p) && executor_copies(p->executor) == 0;
    return false;
}

/* Looks at Redis when it is time to, or when something asks for it. */
static void look(struct placement *p)
{
    int64_t now_us = clock_mono_us();
    bool claim = wants_claim(p), leaving = is_leaving(p);
    bool due = !p->asked || now_us - p->looked_us >= p->settings->redis_probe_interval * 1000;

    if (errands_redis_busy(p->errands) || !(due || claim || leaving || atomic_load(&p->suspect)))
        return;
    p->nudge |= atomic_exchange(&p->suspect, false);
    p->looked_us = now_us;
    errands_look(p->errands, p->settings, claim, p->ledger.epoch, p->ledger.lost_epoch, leaving);
}

static void keep_ledger(struct placement *p)
{
    if (errands_archive_busy(p->errands) || !executor_up(p->executor))
        return;
    if (!p->known)
        errands_read(p->errands, CONTROL);
    else if (p->saving)
        errands_save(p->errands, CONTROL, p->ledger.version, ledger_write(&p->ledger));
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
    return p->known ? mode : SYNC_IDLE;
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

static void step(struct placement *p)
{
    bool changed = p->serial == 0 || p->told_up != executor_up(p->executor);

    while (!p->saving && evaluate(p))
        changed = true;
    if (changed)
        publish(p);
    if (!p->saving)
        atomic_store(&p->doubt, false); /* it has made Redis lost, or nothing can be done about it */
    keep_ledger(p);
    look(p);
    keep_mode(p);
    uv_timer_set_repeat(&p->timer, is_busy(p) ? BUSY_TICK_MS : TICK_MS);
    uv_timer_again(&p->timer);
}

/* ---- what errands bring ---- */

static void on_read(void *ctx, enum err e, const struct archive_found *found)
{
    struct placement *p = ctx;

    if (e == ERR_NONE) {
        pthread_mutex_lock(&p->lock);
        p->ledger.version = found->version;
        if (found->version != 0)
            ledger_read(&p->ledger, found->doc);
        p->known = true;
        for (size_t i = 0; i < p->nspots; i++)
            if (p->spots[i].place == PLACE_REDIS) /* it acted because nobody could be asked */
                p->spots[i].place = p->spots[i].staged = PLACE_START;
        pthread_mutex_unlock(&p->lock);
    }
    step(p);
}

/* What was staged happens. */
static void go_staged(struct placement *p)
{
    p->saving = false;
    for (size_t i = 0; i < p->nspots; i++) {
        struct spot *spot = &p->spots[i];
        bool first = spot->first && spot->staged == PLACE_REDIS;
        if (spot->staged == spot->place)
            continue;
        enter(p, spot, spot->staged);
        spot->first &= !first;
        if (first && conf_of(p->settings, spot->name)->dual_write)
            backfill(p, spot->name);
    }
    publish(p);
}

static void on_saved(void *ctx, enum err e)
{
    struct placement *p = ctx;

    if (e == ERR_NONE) {
        p->ledger.version++;
        go_staged(p);
    } else if (e != ERR_ARCHIVEDOWN) {
        p->known = p->saving =
            false; /* another was faster, or it may have been done: read it, then decide anew */
    }
    step(p);
}

static void on_looked(void *ctx, const struct look *look)
{
    struct placement *p = ctx;

    if (look->well && !p->well)
        p->well_since_us = clock_mono_us();
    if (look->well != p->well || !p->asked)
        log_event(LOG_DEBUG, "redis_look", LOG_INT("well", look->well), LOG_STR("why", look->why));
    p->asked = true;
    p->well = look->well;
    p->who = look->who;
    p->marks = look->marks;
    p->clean = look->after_quiet && look->marks == 0;
    if (look->well && look->claimed && look->who.epoch == p->ledger.epoch) {
        pthread_mutex_lock(&p->lock);
        snprintf(p->ledger.run_id, sizeof p->ledger.run_id, "%s", look->who.run_id);
        pthread_mutex_unlock(&p->lock);
        p->claimed = look->who.epoch;
    }
    if (p->nudge && is_ours(p))
        publish(p);
    p->nudge = false;
    step(p);
}

static void on_entered(void *ctx)
{
    step(ctx);
}

/* ---- the interface ---- */

static void on_timer(uv_timer_t *timer)
{
    step(timer->data);
}

static void on_wake(uv_async_t *wake)
{
    step(wake->data);
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
        for (size_t k = 0; k < nold; k++)
            if (strcmp(old[k].name, spot->name) == 0)
                *spot = old[k];
    }
}

struct placement *placement_start(struct server *s, uv_loop_t *main_loop, struct executor *e,
                                  struct sync *sync, const char *proxy)
{
    struct placement *p = calloc(1, sizeof *p);
    struct errands_ops ops = {on_read, on_saved, on_looked, on_entered, p};

    if (p == NULL)
        abort();
    p->server = s;
    p->executor = e;
    p->sync = sync;
    p->errands = errands_new(main_loop, executor_archive(e), sync, proxy, &ops);
    p->timer.data = p->wake.data = p;
    snprintf(p->proxy, sizeof p->proxy, "%s", proxy);
    ledger_init(&p->ledger);
    p->marks = -1;
    pthread_mutex_init(&p->lock, NULL);
    p->settings = config_current(server_config(s));
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
    settings_unref(p->settings);
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

void placement_settings(struct placement *p, const struct settings *now)
{
    pthread_mutex_lock(&p->lock);
    const struct settings *old = p->settings;
    p->settings = settings_ref(now);
    take_spots(p, now);
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < now->policy_count; i++) {
        const struct policy_conf *was = conf_of(old, now->policies[i].name);
        if (was != NULL && now->policies[i].dual_write && !was->dual_write)
            backfill(p, was->name);
    }
    settings_unref(old);
    publish(p);
    step(p);
}

void placement_choose(struct placement *p, const char *policy, bool archive)
{
    pthread_mutex_lock(&p->lock);
    for (size_t i = 0; i < p->nspots; i++)
        if (strcmp(p->spots[i].name, policy) == 0)
            p->spots[i].hurry = !archive;
    pthread_mutex_unlock(&p->lock);
    uv_async_send(&p->wake);
}

void placement_redis(struct placement *p, bool up, bool there)
{
    p->there = there;
    if (up != p->well)
        atomic_store(&p->suspect, true);
    step(p);
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

bool placement_is_archive(const struct placement *p, size_t policy)
{
    return p != NULL && policy < p->nspots && place_phase(p->spots[policy].place) == PHASE_ARCHIVE;
}

void placement_report(struct placement *p, struct placement_report *ret)
{
    *ret = (struct placement_report){0};
    pthread_mutex_lock(&p->lock);
    ret->epoch = p->ledger.epoch;
    ret->redis_ours = is_ours(p);
    snprintf(ret->proxy, sizeof ret->proxy, "%s", p->proxy);
    ret->npolicies = p->nspots;
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
