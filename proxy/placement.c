#include "proxy/placement.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/loop.h"
#include "proxy/placement_state.h"
#include "proxy/server.h"
#include "sync/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTROL       "placement"
#define TICK_MS       100
#define BUSY_TICK_MS  5      /* while requests wait */
#define ROUND_US      300000 /* between two rounds among proxies */
#define BUSY_ROUND_US 20000

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
        if (spot != NULL)
            spot_tell(spot, conf, ledger_acted(&p->ledger, conf->name), view, ret);
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

/* What is to be saved is made of what is; true once for all changes that go together. */
static void begin_saving(struct placement *p)
{
    if (p->saving)
        return;
    ledger_copy(&p->next, &p->ledger);
    p->saving = true;
}

/* Shared, all proxies go there when the ledger says so; alone, what need not outlive the process happens at once. */
static bool go(struct placement *p, struct spot *spot, enum place to, bool *raised)
{
    struct ledger scratch = {0};

    ledger_copy(&scratch, p->saving ? &p->next : &p->ledger);
    bool save = spot_record(spot, to, &scratch, raised) || p->shared;
    if (save) {
        begin_saving(p);
        p->next.epoch = scratch.epoch;
        p->next.lost_epoch = scratch.lost_epoch;
        struct ledger_policy *row = ledger_policy(&p->next, spot->name);
        row->acted = ledger_acted(&scratch, spot->name);
        row->place = to;
        row->placed = true;
        p->next.serial = p->ledger.serial + 1;
        spot->staged = to;
    }
    ledger_done(&scratch);
    if (!save)
        enter(p, spot, to);
    return !save;
}

/* Shared, one proxy decides: the first that is heard. The others see the ledger change. */
static bool decides(const struct placement *p, int64_t now_us)
{
    return !p->shared || (p->known && facts_leased(p) && members_leads(&p->members, now_us));
}

/* Goes where nothing has to be saved first, and stages the rest. True: something has changed. */
static bool evaluate(struct placement *p)
{
    int64_t now_us = clock_mono_us();
    bool changed = false, raised = false;

    if (p->stale || !decides(p, now_us))
        return false;
    for (size_t i = 0; i < p->nspots; i++) {
        struct spot *spot = &p->spots[i];
        const struct policy_conf *conf = facts_conf(p->settings, spot->name);
        enum place to = conf != NULL ? place_next(spot->place, facts_of(p, spot, conf, now_us)) : spot->place;
        if (to != spot->place)
            changed |= go(p, spot, to, &raised);
    }
    return changed;
}

/* Membership, and the operator's word, which all proxies are to hear. */
static void amend_ledger(struct placement *p)
{
    const char *gone = decides(p, clock_mono_us()) ? members_gone(&p->members, clock_mono_us()) : NULL;

    if (!p->shared || !p->known || p->stale)
        return;
    if (gone != NULL) {
        begin_saving(p);
        ledger_remove_member(&p->next, gone);
        log_event(LOG_WARN, "proxy_gone", LOG_STR("proxy", gone));
    }
    for (size_t i = 0; i < p->nspots; i++) {
        struct spot *spot = &p->spots[i];
        if (spot->order == WANTED_NOTHING || spot->order == ledger_wanted(&p->ledger, spot->name))
            continue;
        begin_saving(p);
        ledger_policy(&p->next, spot->name)->wanted = spot->order;
    }
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
            return !p->saving && decides(p, clock_mono_us());
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

    if (errands_redis_busy(p->errands) || !(due || claim || leaving || atomic_load(&p->suspect)))
        return;
    p->nudge |= atomic_exchange(&p->suspect, false);
    p->looked_us = now_us;
    errands_look(p->errands, p->settings, claim, p->ledger.epoch, p->ledger.lost_epoch, leaving);
}

static void begin_round(struct placement *p)
{
    p->rounded_us = clock_mono_us();
    p->word.beat++;
    p->word.quiet = facts_quiet_here(p) ? p->ledger.serial : p->word.quiet;
    p->word.copied = facts_copied_here(p);
    p->word.lost = facts_lost_here(p, p->rounded_us);
    errands_round(p->errands, CONTROL, &p->members, p->word_version, members_write(&p->word));
}

static void keep_ledger(struct placement *p)
{
    int64_t pause = is_busy(p) || !p->known ? BUSY_ROUND_US : ROUND_US;

    if (errands_archive_busy(p->errands) || !executor_up(p->executor))
        return;
    if (p->saving)
        errands_save(p->errands, CONTROL, p->ledger.version, ledger_write(&p->next));
    else if (p->shared && (p->stale || clock_mono_us() - p->rounded_us >= pause))
        begin_round(p);
    else if (!p->shared && (p->stale || !p->known))
        errands_read(p->errands, CONTROL);
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
    bool changed =
        p->serial == 0 || p->told_up != executor_up(p->executor) || p->told_leased != facts_leased(p);

    if (atomic_exchange(&p->doubt, false))
        p->doubt_us = clock_mono_us();
    while (!p->saving && evaluate(p))
        changed = true;
    if (!p->saving)
        amend_ledger(p);
    if (changed)
        publish(p);
    keep_ledger(p);
    look(p);
    keep_mode(p);
    uv_timer_set_repeat(&p->timer, is_busy(p) ? BUSY_TICK_MS : TICK_MS);
    uv_timer_again(&p->timer);
}

/* ---- what errands bring: the ledger ---- */

static void take_ledger(struct placement *p, const struct archive_found *found)
{
    struct ledger fresh;

    ledger_init(&fresh);
    fresh.version = found->version;
    if (found->version != 0)
        ledger_read(&fresh, found->doc);
    if (fresh.epoch < p->ledger.epoch)
        fresh.epoch = p->ledger.epoch;
    if (fresh.serial != p->ledger.serial)
        p->serial_since_us = clock_mono_us();
    pthread_mutex_lock(&p->lock);
    ledger_done(&p->ledger);
    p->ledger = fresh;
    pthread_mutex_unlock(&p->lock);
    members_follow(&p->members, &p->ledger, clock_mono_us());
    errands_members(p->errands, &p->ledger);
}

/* What no other proxy has changed. */
static void go_where(struct placement *p, struct spot *spot, enum place to)
{
    bool first = spot->first && to == PLACE_REDIS;

    if (spot->place == PLACE_LOSE && to == PLACE_ARCHIVE)
        p->doubt_us = 0;
    if (to == PLACE_LOSE || to == PLACE_ARCHIVE)
        p->well_since_us = clock_mono_us(); /* its good time begins anew */
    if (spot->place == PLACE_CATCHUP && to == PLACE_REDIS && decides(p, clock_mono_us()))
        errands_tidy(p->errands);
    enter(p, spot, to);
    spot->first &= !first;
    if (first && facts_conf(p->settings, spot->name)->dual_write)
        backfill(p, spot->name);
}

/* Where the ledger says that all proxies are. True: somewhere else than before. */
static bool follow_ledger(struct placement *p)
{
    bool moved = false;

    for (size_t i = 0; i < p->nspots; i++) {
        struct spot *spot = &p->spots[i];
        const struct ledger_policy *row = ledger_policy(&p->ledger, spot->name);
        spot->staged = spot->place;
        if (row->wanted == spot->order)
            spot->order = WANTED_NOTHING;
        if (!p->shared || !row->placed || row->place == spot->place)
            continue;
        go_where(p, spot, row->place);
        moved = true;
    }
    return moved;
}

static void on_read(void *ctx, enum err e, const struct archive_found *found)
{
    struct placement *p = ctx;

    if (e == ERR_NONE) {
        take_ledger(p, found);
        p->known = true;
        p->stale = false;
        for (size_t i = 0; i < p->nspots; i++)
            if (p->spots[i].place == PLACE_REDIS) /* it acted because nobody could be asked */
                p->spots[i].place = p->spots[i].staged = PLACE_START;
    }
    step(p);
}

static void on_saved(void *ctx, enum err e)
{
    struct placement *p = ctx;

    p->saving = false;
    if (e == ERR_NONE) {
        if (p->next.serial != p->ledger.serial)
            p->serial_since_us = clock_mono_us();
        pthread_mutex_lock(&p->lock);
        ledger_copy(&p->ledger, &p->next);
        p->ledger.version++;
        pthread_mutex_unlock(&p->lock);
        members_follow(&p->members, &p->ledger, clock_mono_us());
        errands_members(p->errands, &p->ledger);
        for (size_t i = 0; i < p->nspots; i++)
            if (p->spots[i].staged != p->spots[i].place)
                go_where(p, &p->spots[i], p->spots[i].staged);
        publish(p);
    } else {
        for (size_t i = 0; i < p->nspots; i++)
            p->spots[i].staged = p->spots[i].place;
        p->stale = e != ERR_ARCHIVEDOWN; /* another was faster, or it may have been done: read it first */
    }
    step(p);
}

static void join(struct placement *p)
{
    begin_saving(p);
    if (ledger_add_member(&p->next, p->proxy))
        return;
    p->saving = false;
    log_event(LOG_ERROR, "too_many_proxies", LOG_INT("most", LEDGER_MEMBERS));
}

static void on_rounded(void *ctx, enum err e, const struct round *r)
{
    struct placement *p = ctx;
    int64_t now_us = clock_mono_us();
    bool was_known = p->known;

    if (e != ERR_NONE) {
        step(p);
        return;
    }
    p->word_version = r->version;
    p->stale = false;
    if (r->ledger.version != p->ledger.version || !p->known)
        take_ledger(p, &r->ledger);
    for (size_t i = 0; i < r->n; i++)
        members_hear(&p->members, r->ids[i], r->words[i].version, r->words[i].doc, now_us);
    p->known = ledger_has_member(&p->ledger, p->proxy);
    if (p->known)
        atomic_store(&p->lease_us, r->asked_us + MEMBERS_LEASE_US);
    else if (!p->saving)
        join(p);
    if (p->known && (follow_ledger(p) || !was_known))
        publish(p);
    step(p);
}

/* ---- what errands bring: Redis, sync ---- */

static void on_looked(void *ctx, const struct look *look)
{
    struct placement *p = ctx;

    if (look->well && !p->well)
        p->well_since_us = clock_mono_us();
    if (look->well != p->well || !p->asked)
        log_event(LOG_DEBUG, "redis_look", LOG_INT("well", look->well), LOG_STR("why", look->why));
    p->asked = true;
    p->look_began_us = p->looked_us;
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
    if (p->nudge && facts_is_ours(p))
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
        spot->order = now->policies[i].primary == STORE_REDIS ? WANTED_REDIS : WANTED_ARCHIVE;
        for (size_t k = 0; k < nold; k++)
            if (strcmp(old[k].name, spot->name) == 0)
                *spot = old[k];
    }
}

struct placement *placement_start(struct server *s, uv_loop_t *main_loop, struct executor *e,
                                  struct sync *sync, const char *proxy)
{
    struct placement *p = calloc(1, sizeof *p);
    struct errands_ops ops = {on_read, on_saved, on_rounded, on_looked, on_entered, p};

    if (p == NULL)
        abort();
    p->server = s;
    p->executor = e;
    p->sync = sync;
    p->errands = errands_new(main_loop, executor_archive(e), sync, proxy, &ops);
    p->timer.data = p->wake.data = p;
    snprintf(p->proxy, sizeof p->proxy, "%s", proxy);
    snprintf(p->members.self, sizeof p->members.self, "%s", proxy);
    p->shared = strcmp(archive_kind(executor_archive(e)), "sqlite") != 0;
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
    ledger_done(&p->next);
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
        const struct policy_conf *was = facts_conf(old, now->policies[i].name);
        if (was != NULL && now->policies[i].dual_write && !was->dual_write)
            backfill(p, was->name);
        if (was != NULL && now->policies[i].primary != was->primary)
            placement_choose(p, was->name, now->policies[i].primary != STORE_REDIS);
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
            p->spots[i].hurry = !archive, p->spots[i].order = archive ? WANTED_ARCHIVE : WANTED_REDIS;
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

bool placement_is_leased(const struct placement *p)
{
    return p == NULL || facts_leased(p);
}

void placement_report(struct placement *p, struct placement_report *ret)
{
    *ret = (struct placement_report){0};
    pthread_mutex_lock(&p->lock);
    ret->epoch = p->ledger.epoch;
    ret->redis_ours = facts_is_ours(p);
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
