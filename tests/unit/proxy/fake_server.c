#include "fake_server.h"

#include "base/clock.h"
#include "proxy/backups.h"
#include "proxy/inside.h"
#include "proxy/chaos.h"
#include "sync/tracer.h"

#include <stdio.h>
#include <stdlib.h>

struct server *fake_server_new(const char *const *sets, size_t count)
{
    struct server *s = calloc(1, sizeof *s);
    struct config_start start = {.sets = sets, .set_count = count};
    struct config_error err;

    s->config = config_new();
    if (config_load(s->config, &start, &err) != ERR_NONE) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    s->started_us = clock_wall_us() - 3600 * INT64_C(1000000);
    s->threads = 1;
    s->redis = (struct probe_report){
        .up = true, .known = true, .databases = 16, .state = "connected", .version = "7.2.4"};
    s->archive = (struct depot_report){.executor = {.kind = "none", .why = "archive.url is empty"},
                                       .stored = {-1, -1}};
    return s;
}

void fake_server_archive(struct server *s, const char *why)
{
    s->archive = (struct depot_report){
        .present = true, .executor = {.kind = "sqlite", .up = why == NULL}, .stored = {7, 4096}};
    if (why != NULL)
        snprintf(s->archive.executor.why, sizeof s->archive.executor.why, "%s", why);
    s->archive_acts = true;
}

void fake_server_place(struct server *s, const char *policy, enum place place)
{
    struct placement_policy *p = &s->places.policies[s->places.npolicies++];

    fake_server_archive(s, NULL);
    s->archive_acts = place_phase(place) == PHASE_ARCHIVE;
    snprintf(p->name, sizeof p->name, "%s", policy);
    p->place = place;
    p->since_us = s->started_us;
    snprintf(p->why, sizeof p->why, "a test");
    s->places.epoch = 257;
    s->sync.copier.dirty = -1;
    s->sync.pass_total = -1;
    if (s->moves == NULL)
        s->moves = moves_new();
    s->placed = true;
}

void fake_server_free(struct server *own_s)
{
    warm_free(own_s->warm);
    tiers_free(own_s->tiers);
    uses_free(own_s->uses);
    config_free(own_s->config);
    moves_free(own_s->moves);
    free(own_s);
}

struct stats *fake_stats(void)
{
    static struct stats stats;

    if (stats_loops() == 0) {
        hist_window_init(&stats.redis_latency_window, 10000000);
        stats_register(&stats);
    }
    return &stats;
}

struct config *server_config(const struct server *s)
{
    return s->config;
}

void server_redis(const struct server *s, struct probe_report *report)
{
    *report = s->redis;
}

void server_scout(const struct server *s, struct scout_report *report)
{
    memset(report, 0, sizeof *report);
}

void server_redis_moved(const struct server *s)
{
}

int64_t server_started_us(const struct server *s)
{
    return s->started_us;
}

bool server_draining(const struct server *s)
{
    return s->draining;
}

unsigned server_threads(const struct server *s)
{
    return s->threads;
}

int64_t server_tls_expires(const struct server *s)
{
    return 0;
}

/* ---- proxy/depot: the depot is the server itself ---- */

struct depot *server_depot(const struct server *s)
{
    return (struct depot *)s;
}

static const struct server *server_of(const struct depot *d)
{
    return (const struct server *)d;
}

void depot_report(const struct depot *d, struct depot_report *ret)
{
    *ret = server_of(d)->archive;
}

const char *depot_why(const struct depot *d)
{
    return server_of(d)->archive.executor.why;
}

struct backups *depot_backups(const struct depot *d)
{
    static struct backups *backups;

    if (backups == NULL)
        backups = backups_new();
    return backups;
}

struct chaos *depot_chaos(const struct depot *d)
{
    return NULL;
}

bool chaos_begin(struct chaos *c, const struct settings *now, const struct chaos_order *order, const char *by, char *why,
                 size_t why_cap)
{
    snprintf(why, why_cap, "not in a unit test");
    return false;
}

void chaos_end(struct chaos *c, enum chaos_store store, const char *by)
{
}

void chaos_report(struct chaos *c, struct chaos_report *ret)
{
    *ret = (struct chaos_report){0};
}

bool depot_acts(const struct depot *d, size_t policy)
{
    return server_of(d)->archive_acts;
}

bool depot_calls(const struct depot *d, enum trace_op op, struct trace_stat *sum)
{
    if (server_of(d)->archive.present)
        *sum = server_of(d)->calls;
    return server_of(d)->archive.present;
}

void depot_faults(const struct depot *d, char *buf, size_t cap)
{
    snprintf(buf, cap, "%s", server_of(d)->archive.faults);
}

bool depot_set_faults(struct depot *d, const struct settings *now, const char *plan, const char *by,
                      char *why, size_t why_cap)
{
    snprintf(why, why_cap, "not in a unit test");
    return false;
}

/* There are no loops. */
bool inside_open(struct server *s, struct link *l, int64_t patience_ms)
{
    link_fail(l, "there are no loops");
    return false;
}

struct clerk *server_clerk(const struct server *s)
{
    return NULL;
}

struct executor *server_executor(const struct server *s)
{
    return NULL;
}

/* ---- between the stores: what the test has put there ---- */

struct placement *server_placement(const struct server *s)
{
    return s->placed ? (struct placement *)s : NULL;
}

struct tracer *server_tracer(const struct server *s)
{
    return NULL;
}

struct sync *server_sync(const struct server *s)
{
    return s->placed ? (struct sync *)s : NULL;
}

void placement_report(struct placement *p, struct placement_report *ret)
{
    *ret = ((const struct server *)p)->places;
}

void tracer_report(struct tracer *t, struct tracer_report *ret)
{
    *ret = (struct tracer_report){0};
}

void sync_report(struct sync *sync, struct sync_report *ret)
{
    *ret = ((const struct server *)sync)->sync;
}

struct moves *sync_moves(struct sync *sync)
{
    return ((const struct server *)sync)->moves;
}

bool placement_is_archive(struct placement *p, size_t policy)
{
    return false;
}

struct warm *sync_warm(struct sync *sync)
{
    struct server *s = (struct server *)sync;
    s->warm = s->warm != NULL ? s->warm : warm_new();
    return s->warm;
}

struct tiers *sync_tiers(struct sync *sync)
{
    struct server *s = (struct server *)sync;
    s->tiers = s->tiers != NULL ? s->tiers : tiers_new();
    return s->tiers;
}

struct uses *sync_uses(struct sync *sync)
{
    struct server *s = (struct server *)sync;
    s->uses = s->uses != NULL ? s->uses : uses_new();
    return s->uses;
}

void sync_demote(struct sync *s, int64_t epoch, struct slice key, sync_done done, void *ctx)
{
    done(ctx, ERR_RACE);
}

void sync_handoff(struct sync *s, int64_t epoch, const struct slice *keys, size_t n, sync_done done, void *ctx)
{
    done(ctx, ERR_RACE);
}

void depot_choose(struct depot *d, const char *policy, bool archive)
{
}

struct tenants *depot_tenants(const struct depot *d)
{
    return NULL;
}

struct limiter *server_limiter(const struct server *s)
{
    return NULL;
}
