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

const char *overview_trouble(const struct overview *o)
{
    if (o->redis.up)
        return NULL;
    if (!o->redis.known)
        return "Redis has not been reached yet";
    return o->redis.error;
}

const char *overview_acting(const struct overview *o, const struct policy_conf *policy)
{
    return "redis"; /* the only store there is in this version */
}

bool overview_dual_write(const struct overview *o, const struct policy_conf *policy)
{
    return false; /* as above: there is no second store to copy to */
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
