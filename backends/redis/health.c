#include "backends/redis/health.h"

#include "base/clock.h"
#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LATENCY_SLICE_US  10000000 /* HIST_SLICES of them are the last minute */
#define SAME_STATE_LOG_US 10000000

void health_init(struct health *h)
{
    memset(h, 0, sizeof *h);
    pthread_mutex_init(&h->lock, NULL);
    hist_window_init(&h->pings, LATENCY_SLICE_US);
    h->report.databases = 16;
    h->report.since_us = clock_wall_us();
}

void health_done(struct health *h)
{
    pthread_mutex_destroy(&h->lock);
}

void health_report(struct health *h, struct probe_report *report)
{
    pthread_mutex_lock(&h->lock);
    *report = h->report;
    pthread_mutex_unlock(&h->lock);
}

void health_link(struct health *h, const char *state, unsigned failures)
{
    pthread_mutex_lock(&h->lock);
    h->report.reconnects = failures;
    snprintf(h->report.state, sizeof h->report.state, "%s", state);
    pthread_mutex_unlock(&h->lock);
}

void health_there(struct health *h)
{
    pthread_mutex_lock(&h->lock);
    h->report.there = true;
    pthread_mutex_unlock(&h->lock);
}

void health_ping(struct health *h, int64_t took_us)
{
    int64_t now = clock_mono_us();
    struct hist_sum sum = {0};

    hist_window_record(&h->pings, took_us, now);
    hist_window_add_to(&h->pings, now, &sum);
    pthread_mutex_lock(&h->lock);
    h->report.latency_us = took_us;
    h->report.ping_p50_us = (int64_t)hist_quantile(&sum, 0.50);
    h->report.ping_p95_us = (int64_t)hist_quantile(&sum, 0.95);
    h->report.ping_p99_us = (int64_t)hist_quantile(&sum, 0.99);
    pthread_mutex_unlock(&h->lock);
}

void health_clock(struct health *h, int64_t offset_us)
{
    pthread_mutex_lock(&h->lock);
    h->report.clock_offset_us = offset_us;
    pthread_mutex_unlock(&h->lock);
}

void health_databases(struct health *h, int databases)
{
    pthread_mutex_lock(&h->lock);
    h->report.databases = databases;
    pthread_mutex_unlock(&h->lock);
}

/* ---- INFO ---- */

static void take_text(void *field, size_t size, const char *value, size_t len)
{
    snprintf(field, size, "%.*s", (int)len, value);
}

static void take_number(void *field, size_t size, const char *value, size_t len)
{
    *(int64_t *)field = strtoll(value, NULL, 10);
}

static void take_seconds(void *field, size_t size, const char *value, size_t len)
{
    *(int64_t *)field = (int64_t)(strtod(value, NULL) * 1e6);
}

static void take_word(void *field, size_t size, const char *value, size_t len)
{
    *(enum probe_word *)field = len == 2 && memcmp(value, "ok", 2) == 0 ? PROBE_OK : PROBE_NOT_OK;
}

#define FIELD(name, kind, field)                                                                             \
    {name, take_##kind, offsetof(struct probe_report, field), sizeof(((struct probe_report *)0)->field)}
static const struct {
    const char *name;
    void (*take)(void *field, size_t size, const char *value, size_t len);
    size_t offset, size;
} info_fields[] = {
    FIELD("redis_version", text, version),
    FIELD("redis_mode", text, mode),
    FIELD("role", text, role),
    FIELD("run_id", text, run_id),
    FIELD("maxmemory_policy", text, maxmemory_policy),
    FIELD("used_memory", number, used_memory),
    FIELD("used_memory_rss", number, used_memory_rss),
    FIELD("maxmemory", number, maxmemory),
    FIELD("evicted_keys", number, evicted_keys),
    FIELD("expired_keys", number, expired_keys),
    FIELD("keyspace_hits", number, keyspace_hits),
    FIELD("keyspace_misses", number, keyspace_misses),
    FIELD("connected_clients", number, connected_clients),
    FIELD("blocked_clients", number, blocked_clients),
    FIELD("maxclients", number, maxclients),
    FIELD("rejected_connections", number, rejected_connections),
    FIELD("uptime_in_seconds", number, uptime_s),
    FIELD("slave_read_only", number, replica_read_only),
    FIELD("aof_enabled", number, aof_enabled),
    FIELD("aof_last_write_status", word, aof_last_write),
    FIELD("rdb_last_bgsave_status", word, rdb_last_bgsave),
    FIELD("rdb_last_save_time", number, rdb_last_save_s),
    FIELD("rdb_changes_since_last_save", number, rdb_changes),
    FIELD("used_cpu_sys", seconds, cpu_sys_us),
    FIELD("used_cpu_user", seconds, cpu_user_us),
};

/* "db0" has the value "keys=3,expires=1,avg_ttl=0". False: it is another line. */
static bool take_database(struct probe_report *report, const char *line)
{
    long long keys, expiring;
    int db;

    if (line[0] != 'd' || line[1] != 'b') /* sscanf looks for the end of the whole text first */
        return false;
    if (sscanf(line, "db%d:keys=%lld,expires=%lld", &db, &keys, &expiring) != 3)
        return false;
    if (db >= 0 && db < PROBE_DATABASES) {
        report->keys[db] = keys;
        report->keys_expiring[db] = expiring;
    }
    return true;
}

static void take_line(struct probe_report *report, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (colon == NULL || take_database(report, line))
        return;
    size_t name_len = (size_t)(colon - line), value_len = len - name_len - 1;

    for (size_t i = 0; i < sizeof info_fields / sizeof info_fields[0]; i++)
        if (strlen(info_fields[i].name) == name_len && memcmp(info_fields[i].name, line, name_len) == 0)
            info_fields[i].take((char *)report + info_fields[i].offset, info_fields[i].size, colon + 1, value_len);
}

void health_info(struct health *h, const char *text)
{
    pthread_mutex_lock(&h->lock);
    h->report.replica_read_only = 0; /* a master has no such line, an empty database neither */
    memset(h->report.keys, 0, sizeof h->report.keys);
    memset(h->report.keys_expiring, 0, sizeof h->report.keys_expiring);
    while (*text != '\0') {
        size_t len = strcspn(text, "\r\n");
        take_line(&h->report, text, len);
        text += len;
        text += strspn(text, "\r\n");
    }
    pthread_mutex_unlock(&h->lock);
}

/* For another reason in the same state, operators get not more than one line in 10 s. */
static void log_outcome(struct health *h, bool changed, const char *before)
{
    const struct probe_report *r = &h->report;
    int64_t now = clock_mono_us();
    bool news = !r->up && strcmp(r->error, before) != 0 && now - h->logged_us >= SAME_STATE_LOG_US;

    if (!changed && !news)
        return;
    h->logged_us = now;
    if (r->up)
        log_event(LOG_INFO, "redis_up", LOG_STR("version", r->version), LOG_INT("latency_us", r->latency_us));
    else
        log_event(LOG_ERROR, "redis_error", LOG_STR("reason", r->error), LOG_INT("attempts", r->reconnects));
}

bool health_settle(struct health *h, const char *reason)
{
    struct probe_report *r = &h->report;
    bool up = reason[0] == '\0';
    bool changed = !r->known || up != r->up;
    char before[sizeof r->error];

    memcpy(before, r->error, sizeof before);
    pthread_mutex_lock(&h->lock);
    if (changed)
        r->since_us = clock_wall_us();
    r->known = true;
    r->up = up;
    snprintf(r->error, sizeof r->error, "%s", reason);
    pthread_mutex_unlock(&h->lock);
    log_outcome(h, changed, before);
    return changed;
}
