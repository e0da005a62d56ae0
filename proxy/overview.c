#include "proxy/overview.h"

#include "base/clock.h"
#include "proxy/orders.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* Source: proc(5), statm: pages of the whole and of what is resident. */
static void look_at_memory(struct overview *o)
{
    long long size = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f == NULL)
        return;
    if (fscanf(f, "%lld %lld", &size, &resident) == 2) {
        o->mapped_bytes = (double)size * (double)sysconf(_SC_PAGESIZE);
        o->resident_bytes = (double)resident * (double)sysconf(_SC_PAGESIZE);
    }
    fclose(f);
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void look_at_process(struct overview *o)
{
    struct rusage use = {0};

    getrusage(RUSAGE_SELF, &use);
    o->cpu_s = seconds(use.ru_utime) + seconds(use.ru_stime);
    look_at_memory(o);
}

static void look_at_latency(struct overview *o)
{
    struct hist_sum window = {0};
    int64_t now = clock_mono_us();

    for (unsigned i = 0; i < stats_loops(); i++) {
        hist_add_to(&stats_of_loop(i)->redis_latency, &o->latency);
        hist_window_add_to(&stats_of_loop(i)->redis_latency_window, now, &window);
    }
    o->latency_of_probe = window.count == 0;
    o->p50_ms = (o->latency_of_probe ? (double)o->redis.ping_p50_us : hist_quantile(&window, 0.50)) / 1000;
    o->p95_ms = (o->latency_of_probe ? (double)o->redis.ping_p95_us : hist_quantile(&window, 0.95)) / 1000;
    o->p99_ms = (o->latency_of_probe ? (double)o->redis.ping_p99_us : hist_quantile(&window, 0.99)) / 1000;
}

static void look_between_stores(struct overview *o, const struct server *server)
{
    struct placement *placement = server_placement(server);
    struct sync *sync = server_sync(server);

    o->sync.copier.dirty = -1;
    o->sync.pass_total = -1;
    o->placed = placement != NULL && sync != NULL;
    if (!o->placed)
        return;
    placement_report(placement, &o->places);
    sync_report(sync, &o->sync);
    if (server_tracer(server) != NULL)
        tracer_report(server_tracer(server), &o->scripts);
    o->nmoves = orders_list(server, o->moves, OVERVIEW_MOVES);
}

void overview_take(struct overview *o, const struct server *server)
{
    memset(o, 0, sizeof *o);
    o->server = server;
    o->settings = config_current(server_config(server));
    o->now_us = clock_wall_us();
    o->uptime_s = (double)(o->now_us - server_started_us(server)) / 1e6;
    o->draining = server_draining(server);
    o->tls_expires = server_tls_expires(server);
    server_redis(server, &o->redis);
    chaos_report(depot_chaos(server_depot(server)), &o->chaos);
    server_scout(server, &o->scout);
    depot_report(server_depot(server), &o->archive);
    look_between_stores(o, server);
    /* So that a policy which no loop has met yet is listed, with zeros. */
    for (size_t i = 0; i < o->settings->policy_count; i++)
        stats_policy_id(o->settings->policies[i].name);
    look_at_latency(o);
    look_at_process(o);
}

void overview_done(struct overview *o)
{
    settings_unref(o->settings);
}

/* ---- who acts ---- */

const struct placement_policy *overview_place(const struct overview *o, const struct policy_conf *policy)
{
    for (size_t i = 0; i < o->places.npolicies; i++)
        if (strcmp(o->places.policies[i].name, policy->name) == 0)
            return &o->places.policies[i];
    return NULL;
}

static enum phase phase_of(const struct overview *o, const struct policy_conf *policy)
{
    const struct placement_policy *at = overview_place(o, policy);
    if (at != NULL)
        return place_phase(at->place);
    return overview_archive_acts(o, policy) ? PHASE_ARCHIVE : PHASE_REDIS;
}

/* While requests wait, whoever has acted before still counts. */
bool overview_archive_acts(const struct overview *o, const struct policy_conf *policy)
{
    const struct placement_policy *at = overview_place(o, policy);

    if (!o->placed && depot_acts(server_depot(o->server), policy->index))
        return true;
    if (at == NULL || at->place == PLACE_START || at->place == PLACE_FIRST)
        return policy->primary != STORE_REDIS;
    return place_phase(at->place) == PHASE_ARCHIVE || at->place == PLACE_RETURN;
}

const char *overview_acting(const struct overview *o, const struct policy_conf *policy)
{
    return overview_archive_acts(o, policy) ? "archive" : "redis";
}

const char *overview_primary(const struct policy_conf *policy)
{
    return policy->primary == STORE_REDIS ? "redis" : "archive";
}

static bool store_acts(const struct overview *o, bool archive)
{
    for (size_t i = 0; i < o->settings->policy_count; i++)
        if (overview_archive_acts(o, &o->settings->policies[i]) == archive)
            return true;
    return false;
}

/* Without policies everything is Redis's. */
static bool redis_is_needed(const struct overview *o)
{
    return o->settings->policy_count == 0 || store_acts(o, false);
}

static bool redis_is_missing(const struct overview *o)
{
    return !o->redis.up && redis_is_needed(o);
}

static bool archive_is_missing(const struct overview *o)
{
    return !o->archive.executor.up && store_acts(o, true);
}

bool overview_healthy(const struct overview *o)
{
    return !redis_is_missing(o) && !archive_is_missing(o);
}

void overview_troubles(const struct overview *o, void (*say)(void *ctx, const char *sentence), void *ctx)
{
    char sentence[256];

    if (redis_is_missing(o)) {
        snprintf(sentence, sizeof sentence, "redis: %s",
                 o->redis.known ? o->redis.error : "Redis has not been reached yet");
        say(ctx, sentence);
    }
    if (archive_is_missing(o)) {
        snprintf(sentence, sizeof sentence, "archive: %s", o->archive.executor.why);
        say(ctx, sentence);
    }
}

bool overview_dual_write(const struct overview *o, const struct policy_conf *policy)
{
    return o->placed && policy->dual_write && !overview_archive_acts(o, policy);
}

/* ---- what is promised ---- */

double overview_copy_lag_s(const struct overview *o)
{
    int64_t since = o->sync.copier.oldest_us;
    return since > 0 ? (double)(clock_mono_us() - since) / 1e6 : 0;
}

/* What the newest move of the kind that came to its end has left unrepaired; -1: there is none. */
static int64_t left_by_last(const struct overview *o, enum move_kind kind, const char *policy)
{
    for (size_t i = 0; i < o->nmoves; i++) {
        const struct move_report *m = &o->moves[i];
        if (m->order.kind == kind && m->state == MOVE_DONE && strcmp(m->order.policy, policy) == 0)
            return m->found - m->repaired;
    }
    return -1;
}

int64_t overview_mismatches(const struct overview *o, const char *policy)
{
    int64_t left = left_by_last(o, MOVE_VERIFY, policy);
    return left >= 0 ? left : 0;
}

int64_t overview_without_ttl(const struct overview *o, const char *policy)
{
    return left_by_last(o, MOVE_TTL_AUDIT, policy);
}

static void gather(const struct overview *o, const struct policy_conf *policy, struct guarantee_facts *f)
{
    const struct probe_report *r = &o->redis;

    *f = (struct guarantee_facts){.phase = phase_of(o, policy),
                                  .dual_write = policy->dual_write,
                                  .ack_both = policy->ack == ACK_BOTH,
                                  .redis_up = r->up,
                                  .replica = strcmp(r->role, "slave") == 0,
                                  .read_only = r->replica_read_only != 0,
                                  .no_aof = r->aof_enabled == 0,
                                  .clock_offset_ms = r->clock_offset_us / 1000,
                                  .archive_present = o->archive.present,
                                  .archive_up = o->archive.executor.up,
                                  .archive_racy = o->archive.stored.racy && o->places.nmembers > 1,
                                  .marks = o->sync.copier.dirty,
                                  .marks_age_s = (int64_t)overview_copy_lag_s(o),
                                  .mismatches = overview_mismatches(o, policy->name)};
    if (r->maxmemory > 0 && strcmp(r->maxmemory_policy, "noeviction") != 0)
        snprintf(f->evicts, sizeof f->evicts, "%s", r->maxmemory_policy);
}

void overview_guarantee(const struct overview *o, const struct policy_conf *policy, struct guarantee *ret)
{
    struct guarantee_facts f;

    gather(o, policy, &f);
    guarantee_of(&f, ret);
}

/* Not before the first probe has ended: until then nothing is known to be wrong. */
void overview_tell_guarantees(const struct overview *o, struct guarantee_log *log)
{
    struct guarantee g;

    for (size_t i = 0; i < o->settings->policy_count && o->redis.known; i++) {
        overview_guarantee(o, &o->settings->policies[i], &g);
        guarantee_log_tell(log, o->settings->policies[i].name, &g);
    }
}

/* ---- sums ---- */

uint64_t overview_clients(void)
{
    /* Closed first: a client that comes and goes in between must not make the difference negative. */
    uint64_t closed = STATS_SUM(clients_closed);
    uint64_t accepted = STATS_SUM(clients_accepted);
    return accepted > closed ? accepted - closed : 0;
}

uint64_t overview_persist_errors(void)
{
    uint64_t total = 0;

    for (unsigned id = 0; id < STATS_POLICIES && stats_policy_name(id) != NULL; id++)
        for (int r = 0; r < PERSIST_REASONS; r++)
            total += STATS_SUM(policies[id].persist_errors[r]);
    return total;
}

static double entries_of(const char *path)
{
    DIR *dir = opendir(path);
    double n = 0;

    if (dir == NULL)
        return 0;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

double overview_open_fds(void)
{
    double n = entries_of("/proc/self/fd");
    return n > 0 ? n - 1 : 0; /* the one that looked */
}

double overview_threads(void)
{
    return entries_of("/proc/self/task");
}

double overview_max_fds(void)
{
    struct rlimit limit = {0};

    getrlimit(RLIMIT_NOFILE, &limit);
    return (double)limit.rlim_cur;
}
