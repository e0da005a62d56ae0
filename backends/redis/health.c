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

/* The fields of INFO that the report has; a size of 0 means a number. */
#define TEXT(field)   offsetof(struct probe_report, field), sizeof(((struct probe_report *)0)->field)
#define NUMBER(field) offsetof(struct probe_report, field), 0
static const struct {
    const char *name;
    size_t offset, size;
} info_fields[] = {
    {"redis_version", TEXT(version)},
    {"redis_mode", TEXT(mode)},
    {"role", TEXT(role)},
    {"run_id", TEXT(run_id)},
    {"maxmemory_policy", TEXT(maxmemory_policy)},
    {"used_memory", NUMBER(used_memory)},
    {"maxmemory", NUMBER(maxmemory)},
    {"evicted_keys", NUMBER(evicted_keys)},
    {"keyspace_hits", NUMBER(keyspace_hits)},
    {"keyspace_misses", NUMBER(keyspace_misses)},
    {"connected_clients", NUMBER(connected_clients)},
    {"uptime_in_seconds", NUMBER(uptime_s)},
    {"slave_read_only", NUMBER(replica_read_only)},
    {"aof_enabled", NUMBER(aof_enabled)},
};

static void take_line(struct probe_report *report, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    if (colon == NULL)
        return;
    size_t name_len = (size_t)(colon - line), value_len = len - name_len - 1;

    for (size_t i = 0; i < sizeof info_fields / sizeof info_fields[0]; i++) {
        if (strlen(info_fields[i].name) != name_len || memcmp(info_fields[i].name, line, name_len) != 0)
            continue;
        char *field = (char *)report + info_fields[i].offset;
        if (info_fields[i].size > 0)
            snprintf(field, info_fields[i].size, "%.*s", (int)value_len, colon + 1);
        else
            *(int64_t *)(void *)field = strtoll(colon + 1, NULL, 10);
    }
}

void health_info(struct health *h, const char *text)
{
    pthread_mutex_lock(&h->lock);
    h->report.replica_read_only = 0; /* a master has no such line */
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
