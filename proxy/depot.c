#include "proxy/depot.h"

#include "base/log.h"
#include "config/seeds.h"
#include "proxy/archived.h"
#include "proxy/backups.h"
#include "proxy/census.h"
#include "proxy/chaos.h"
#include "proxy/clerk.h"
#include "proxy/fence.h"
#include "proxy/owed.h"
#include "proxy/parking.h"
#include "proxy/placement.h"
#include "proxy/server.h"
#include "proxy/tenants.h"
#include "sync/sync.h"
#include "sync/tracer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MORE_HANDLES 9 /* beside the workers': the housekeeper's, placement's, census', backups', the clerk's, tenants', sync's two */

struct depot {
    struct server *server;
    struct archive *archive; /* the executor's; NULL: there is none */
    struct executor *executor;
    struct placement *placement;
    struct sync *sync;
    struct tracer *tracer;
    struct owed *owed; /* outlives the executor, which brings them back */
    struct census *census;
    struct clerk *_Atomic clerk;
    struct backups *backups;
    struct chaos *chaos;
    struct tenants *tenants;
    bool taken;                         /* another process owns it */
    char why[160];                      /* there is none */
    _Atomic uint64_t unanswered_before; /* when it went down */
};

/* ---- what happens to it ---- */

static void add_pings(const struct depot *d, struct trace_stat *sum)
{
    trace_stats(d->archive, TRACE_PING, sum);
}

static uint64_t unanswered(const struct trace_stat *pings)
{
    return pings->us.count - pings->errors[ERR_NONE];
}

static void on_health(void *ctx, bool up, const char *why)
{
    struct depot *d = ctx;
    struct trace_stat pings = {.us = {0}};

    if (up) {
        log_event(LOG_INFO, "archive_up", LOG_STR("kind", archive_kind(d->archive)));
        return;
    }
    add_pings(d, &pings);
    uint64_t before = unanswered(&pings);
    atomic_store(&d->unanswered_before,
                 before > 0 ? before - 1 : 0); /* the one that has just shown it counts */
    log_event(LOG_WARN, "archive_down", LOG_STR("kind", archive_kind(d->archive)), LOG_STR("reason", why));
}

static void on_done(void *ctx, struct op *own_list)
{
    archived_done(((struct depot *)ctx)->server, own_list);
}

/* ---- life ---- */

struct depot *depot_open(struct server *s, const struct settings *now, bool heir)
{
    bool taken = false;
    struct archive_options options = {.owner = heir ? ARCHIVE_HEIR : ARCHIVE_OWNED,
                                      .ret_taken = &taken,
                                      .url = now->archive_url,
                                      .workers = (unsigned)now->archive_workers + MORE_HANDLES,
                                      .connect_timeout = now->archive_connect_timeout,
                                      .timeout = now->archive_timeout};
    struct depot *d = calloc(1, sizeof *d);

    if (d == NULL)
        abort();
    struct executor_ops ops = {.done = on_done, .health = on_health, .ctx = d};
    d->server = s;
    d->backups = backups_new();
    d->chaos = chaos_new(s, d);
    if (now->archive_url[0] == '\0') {
        snprintf(d->why, sizeof d->why, "archive.url is empty");
        return d;
    }
    if (!settings_has_archive(now)) {
        snprintf(d->why, sizeof d->why, "beside a Redis Cluster it has only policies whose primary is mongo, and there is none");
        return d;
    }
    d->archive = trace_wrap(archive_open(&options, d->why, sizeof d->why));
    d->taken = taken;
    if (d->archive == NULL) {
        log_event(LOG_ERROR, "archive_closed", LOG_STR("reason", d->why));
        return d;
    }
    log_event(LOG_INFO, "archive_opened", LOG_STR("kind", archive_kind(d->archive)));
    d->owed = owed_new();
    d->executor = executor_new(d->archive, now, &ops);
    return d;
}

static void on_caught_up(void *ctx, int64_t epoch)
{
    struct depot *d = ctx;
    if (d->placement != NULL)
        placement_caught_up(d->placement, epoch);
}

static bool on_is_redis(void *ctx, const struct policy_conf *policy)
{
    const struct depot *d = ctx;
    return d->placement != NULL && !placement_is_archive(d->placement, policy->index);
}

static bool on_fence(void *ctx, bool (*go_on)(void *arg), void *arg)
{
    const struct depot *d = ctx;
    return fence_wait(d->server, go_on, arg);
}

static bool on_is_awaited(void *ctx, struct slice key)
{
    const struct depot *d = ctx;
    return parking_awaits(server_parking(d->server), 0, key);
}

static void start_beside(struct depot *d, uv_loop_t *main_loop)
{
    struct sync_ops ops = {.caught_up = on_caught_up, .is_redis = on_is_redis, .fence = on_fence, .is_awaited = on_is_awaited, .ctx = d};
    const struct settings *now;
    uint32_t id;
    char proxy[16];

    if (getrandom(&id, sizeof id, 0) != sizeof id)
        abort();
    snprintf(proxy, sizeof proxy, "%08x", id);
    now = config_current(server_config(d->server));
    d->sync = sync_start(d->archive, now, proxy, &ops);
    d->tracer = tracer_start(d->sync, now, proxy);
    settings_unref(now);
    d->placement = placement_start(d->server, main_loop, d->executor, d->sync, d->owed, proxy);
    d->census = census_start(main_loop, d->archive);
    backups_start(d->backups, main_loop, d->archive);
}

void depot_start(struct depot *d, uv_loop_t *main_loop)
{
    atomic_store(&d->clerk, clerk_start(d->server, d->archive));
    if (d->archive != NULL)
        start_beside(d, main_loop);
    d->tenants = tenants_start(d->server, d, d->archive); /* it asks placement who acts */
}

void depot_tick(struct depot *d, int64_t now_us)
{
    struct executor_report report;

    chaos_tick(d->chaos);
    if (d->census == NULL)
        return;
    executor_watch(d->executor);
    executor_report(d->executor, &report);
    census_tick(d->census, now_us, report.documents + report.swept);
    backups_tick(d->backups, now_us);
}

void depot_settings(struct depot *d, const struct settings *now)
{
    char plan[DEPOT_PLAN], why[160];

    if (d->archive == NULL)
        return;
    executor_settings(d->executor, now);
    if (d->sync != NULL)
        sync_settings(d->sync, now);
    if (d->tracer != NULL)
        tracer_settings(d->tracer, now);
    if (d->placement != NULL)
        placement_settings(d->placement, now);
    depot_faults(d, plan, sizeof plan);
    if (!now->archive_faults && plan[0] != '\0' &&
        !depot_set_faults(d, now, "", "archive.faults", why, sizeof why))
        log_event(LOG_ERROR, "archive_faults", LOG_STR("reason", why));
}

void depot_stop(struct depot *d)
{
    if (d->archive != NULL)
        trace_release(d->archive); /* what hangs there goes on */
    if (d->tenants != NULL)
        tenants_stop(d->tenants);
    clerk_stop(atomic_exchange(&d->clerk, NULL));
    if (d->archive == NULL)
        return;
    if (d->census != NULL)
        census_stop(d->census);
    backups_stop(d->backups);
    if (d->placement != NULL)
        placement_stop(d->placement);
    tracer_stop(d->tracer);
    if (d->sync != NULL)
        sync_stop(d->sync);
    d->sync = NULL;
    d->tracer = NULL;
    d->census = NULL;
    d->placement = NULL;
}

void depot_free(struct depot *own_d)
{
    if (own_d != NULL && own_d->executor != NULL)
        executor_free(own_d->executor);
    if (own_d != NULL)
        tenants_free(own_d->tenants);
    if (own_d != NULL)
        owed_free(own_d->owed);
    if (own_d != NULL)
        backups_free(own_d->backups);
    if (own_d != NULL)
        chaos_free(own_d->chaos);
    free(own_d);
}

/* ---- queries ---- */

struct clerk *depot_clerk(const struct depot *d)
{
    return atomic_load(&d->clerk);
}

bool depot_is_taken(const struct depot *d)
{
    return d->taken;
}

const char *depot_why(const struct depot *d)
{
    return d->why;
}

struct tenants *depot_tenants(const struct depot *d)
{
    return d->tenants;
}

struct executor *depot_executor(const struct depot *d)
{
    return d->executor;
}

struct placement *depot_placement(const struct depot *d)
{
    return d->placement;
}

struct tracer *depot_tracer(const struct depot *d)
{
    return d->tracer;
}

struct backups *depot_backups(const struct depot *d)
{
    return d->backups;
}

struct chaos *depot_chaos(const struct depot *d)
{
    return d->chaos;
}

struct owed *depot_owed(const struct depot *d)
{
    return d->owed;
}

struct sync *depot_sync(const struct depot *d)
{
    return d->sync;
}

void depot_report(const struct depot *d, struct depot_report *ret)
{
    struct trace_stat pings = {.us = {0}};

    memset(ret, 0, sizeof *ret);
    ret->present = d->archive != NULL;
    ret->stored = (struct archive_stats){.documents = -1, .bytes = -1};
    if (!ret->present) {
        ret->executor.kind = "none";
        snprintf(ret->executor.why, sizeof ret->executor.why, "%s", d->why);
        return;
    }
    executor_report(d->executor, &ret->executor);
    if (d->census != NULL)
        census_last(d->census, &ret->stored);
    add_pings(d, &pings);
    ret->ping_ms = hist_quantile(&pings.us, 0.5) / 1000;
    if (!ret->executor.up)
        ret->attempts = unanswered(&pings) - atomic_load(&d->unanswered_before);
    depot_faults(d, ret->faults, sizeof ret->faults);
}

bool depot_acts(const struct depot *d, size_t policy)
{
    return placement_is_archive(d->placement, policy);
}

void depot_choose(struct depot *d, const char *policy, bool archive)
{
    if (d->placement != NULL)
        placement_choose(d->placement, policy, archive);
}

bool depot_calls(const struct depot *d, enum trace_op op, struct trace_stat *sum)
{
    if (d->archive != NULL)
        trace_stats(d->archive, op, sum);
    return d->archive != NULL;
}

/* ---- faults ---- */

void depot_faults(const struct depot *d, char *buf, size_t cap)
{
    buf[0] = '\0';
    if (d->archive != NULL)
        trace_plan(d->archive, buf, cap);
}

bool depot_set_faults(struct depot *d, const struct settings *now, const char *plan, const char *by,
                      char *why, size_t why_cap)
{
    char before[DEPOT_PLAN], after[DEPOT_PLAN];

    if (d->archive == NULL) {
        snprintf(why, why_cap, "there is no archive: %s", d->why);
        return false;
    }
    if (plan[0] != '\0' && !now->archive_faults) {
        snprintf(why, why_cap, "faults are not allowed here: set archive.faults to yes first");
        return false;
    }
    depot_faults(d, before, sizeof before);
    if (!trace_set_plan(d->archive, plan, why, why_cap))
        return false;
    depot_faults(d, after, sizeof after);
    if (after[0] != '\0')
        log_event(LOG_WARN, "archive_faults", LOG_STR("plan", after), LOG_STR("by", by));
    else if (before[0] != '\0')
        log_event(LOG_WARN, "archive_faults_cleared", LOG_STR("by", by));
    return true;
}
