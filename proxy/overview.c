#include "proxy/overview.h"

#include "base/clock.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double resident_bytes(void)
{
    long long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "re");

    if (f == NULL)
        return 0;
    if (fscanf(f, "%lld %lld", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
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
    o->resident_bytes = resident_bytes();
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

void overview_take(struct overview *o, const struct server *server)
{
    memset(o, 0, sizeof *o);
    o->server = server;
    o->settings = config_current(server_config(server));
    o->now_us = clock_wall_us();
    o->uptime_s = (double)(o->now_us - server_started_us(server)) / 1e6;
    o->draining = server_draining(server);
    server_redis(server, &o->redis);
    depot_report(server_depot(server), &o->archive);
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

bool overview_archive_acts(const struct overview *o, const struct policy_conf *policy)
{
    return policy->primary != STORE_REDIS || depot_acts(server_depot(o->server), policy->index);
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
    return false; /* nothing copies in this version */
}

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

double overview_open_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    double n = 0;

    if (dir == NULL)
        return 0;
    for (const struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - 1; /* the one that looked */
}

double overview_max_fds(void)
{
    struct rlimit limit = {0};

    getrlimit(RLIMIT_NOFILE, &limit);
    return (double)limit.rlim_cur;
}
