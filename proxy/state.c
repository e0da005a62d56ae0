#include "proxy/state.h"

#include "config/url.h"
#include "proxy/state_parts.h"
#include "router/command.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- health ---- */

static void say_reason(void *list, const char *sentence)
{
    say(list, sentence);
}

static cJSON *reasons(const struct overview *o)
{
    cJSON *list = cJSON_CreateArray();

    overview_troubles(o, say_reason, list);
    return list;
}

static void warn_of_redis(cJSON *list, const struct probe_report *r)
{
    char sentence[200];

    if (r->maxmemory > 0 && strcmp(r->maxmemory_policy, "noeviction") != 0) {
        snprintf(sentence, sizeof sentence,
                 "Redis may evict conversations: its maxmemory-policy is %s, expected noeviction",
                 r->maxmemory_policy);
        say(list, sentence);
    }
    if (r->clock_offset_us > 1000000 || r->clock_offset_us < -1000000) {
        snprintf(sentence, sizeof sentence, "the clocks of Redis and of this machine differ by %.1f s",
                 (double)r->clock_offset_us / 1e6);
        say(list, sentence);
    }
}

/* A store that is away but answers for nobody: keys outside of all policies, or the next switch. */
static void warn_of_absence(cJSON *list, const struct overview *o)
{
    char sentence[300];

    if (overview_healthy(o) && o->redis.known && !o->redis.up) {
        snprintf(sentence, sizeof sentence, "Redis is down (%s): keys of no policy are not served",
                 o->redis.error);
        say(list, sentence);
    }
    if (overview_healthy(o) && o->archive.present && !o->archive.executor.up) {
        snprintf(sentence, sizeof sentence, "the archive is down (%s): it can't take over",
                 o->archive.executor.why);
        say(list, sentence);
    }
}

/* Whoever did not order it must not look for another cause. */
static void warn_of_chaos(cJSON *list, const struct chaos_report *report)
{
    char fault[64], sentence[200];

    for (int store = 0; store < CHAOS_STORES; store++) {
        const struct chaos_order *o = &report->orders[store];
        if (o->kind == VALVE_OPEN)
            continue;
        chaos_text(o, fault, sizeof fault);
        snprintf(sentence, sizeof sentence, "%s suffers on purpose (%s) for %.0f s more: convctl chaos off ends it",
                 store == CHAOS_REDIS ? "Redis" : "the archive", fault, o->seconds);
        say(list, sentence);
    }
}

/* What is not wrong now, but will surprise somebody. */
static cJSON *warnings(const struct overview *o)
{
    cJSON *list = cJSON_CreateArray();
    char sentence[DEPOT_PLAN + 80];

    warn_of_redis(list, &o->redis);
    warn_of_absence(list, o);
    warn_of_chaos(list, &o->chaos);
    if (o->archive.faults[0] != '\0') {
        snprintf(sentence, sizeof sentence, "faults are in force for the archive: %s", o->archive.faults);
        say(list, sentence);
    }
    return list;
}

/* For /healthz; add_archive has it all. */
static void add_archive_store(cJSON *stores, const struct overview *o)
{
    cJSON *archive = object_in(stores, "archive");

    text(archive, "kind", o->archive.executor.kind);
    flag(archive, "up", o->archive.executor.up);
    text(archive, "error", o->archive.executor.why);
    number(archive, "latencyMs", o->archive.ping_ms);
    number(archive, "waiting", (double)(o->archive.executor.waiting + o->archive.executor.ready));
    text(archive, "faults", o->archive.faults);
}

static void add_stores(cJSON *doc, const struct overview *o)
{
    cJSON *stores = object_in(doc, "stores");
    cJSON *redis = object_in(stores, "redis");

    flag(redis, "up", o->redis.up);
    text(redis, "state", o->redis.state);
    text(redis, "error", o->redis.error);
    moment(redis, "since", o->redis.since_us);
    number(redis, "latencyMs", (double)o->redis.latency_us / 1000);
    state_add_where(redis, o);
    add_archive_store(stores, o);
}

static void add_verdict(cJSON *doc, const struct overview *o)
{
    bool healthy = overview_healthy(o);

    flag(doc, "healthy", healthy);
    text(doc, "status", healthy ? "ok" : "unavailable");
    cJSON_AddItemToObject(doc, "reasons", reasons(o));
    cJSON_AddItemToObject(doc, "warnings", warnings(o));
}

cJSON *state_health(const struct overview *o)
{
    cJSON *doc = cJSON_CreateObject();

    add_verdict(doc, o);
    add_stores(doc, o);
    state_add_placement(doc, o);
    return doc;
}

cJSON *state_ready(const struct overview *o)
{
    cJSON *doc = cJSON_CreateObject();
    cJSON *why = cJSON_CreateArray();

    if (o->draining)
        say(why, "the proxy is ending and takes no new clients");
    if (!o->redis.known)
        say(why, "the first probe of Redis has not ended yet");
    flag(doc, "ready", cJSON_GetArraySize(why) == 0);
    cJSON_AddItemToObject(doc, "reasons", why);
    return doc;
}

/* The archive's, in the words of the probe of Redis. */
static void add_archive_memory(cJSON *doc, const struct overview *o)
{
    bool gave_up = o->archive.attempts >= (uint64_t)o->settings->redis_reconnect_attempts;

    text(doc, "connectionState", o->archive.executor.up ? "connected" : gave_up ? "error" : "reconnecting");
    number(doc, "reconnectAttempts", (double)o->archive.attempts);
    number(doc, "latencyMs", o->archive.ping_ms);
}

/* Of the store that the service depends on: Redis, unless the archive answers for all policies. */
cJSON *state_memory(const struct overview *o)
{
    cJSON *doc = cJSON_CreateObject();
    size_t archived = 0;

    for (size_t i = 0; i < o->settings->policy_count; i++)
        archived += overview_archive_acts(o, &o->settings->policies[i]);
    flag(doc, "healthy", overview_healthy(o));
    if (archived > 0 && archived == o->settings->policy_count) {
        add_archive_memory(doc, o);
        return doc;
    }
    text(doc, "connectionState", strcmp(o->redis.state, "failed") == 0 ? "error" : o->redis.state);
    number(doc, "reconnectAttempts", o->redis.reconnects);
    number(doc, "latencyMs", (double)o->redis.latency_us / 1000);
    return doc;
}

/* ---- the whole state ---- */

static void add_latency(cJSON *in, const struct overview *o)
{
    cJSON *latency = object_in(in, "latencyMs");

    number(latency, "p50", o->p50_ms);
    number(latency, "p95", o->p95_ms);
    number(latency, "p99", o->p99_ms);
    number(latency, "ping", (double)o->redis.latency_us / 1000);
    text(latency, "of", o->latency_of_probe ? "pings of the last 60 s" : "commands of the last 60 s");
}

static void add_redis_info(cJSON *redis, const struct probe_report *r)
{
    text(redis, "version", r->version);
    text(redis, "mode", r->mode);
    text(redis, "role", r->role);
    text(redis, "runId", r->run_id);
    number(redis, "databases", r->databases);
    number(redis, "clockOffsetMs", (double)r->clock_offset_us / 1000);
    number(redis, "usedMemory", (double)r->used_memory);
    number(redis, "maxMemory", (double)r->maxmemory);
    text(redis, "maxMemoryPolicy", r->maxmemory_policy);
    flag(redis, "appendOnly", r->aof_enabled != 0);
    number(redis, "evictedKeys", (double)r->evicted_keys);
    number(redis, "keyspaceHits", (double)r->keyspace_hits);
    number(redis, "keyspaceMisses", (double)r->keyspace_misses);
    number(redis, "connectedClients", (double)r->connected_clients);
    number(redis, "uptimeSeconds", (double)r->uptime_s);
}

static void add_redis(cJSON *doc, const struct overview *o)
{
    cJSON *redis = object_in(doc, "redis");
    char *url = redis_url_hide(o->settings->redis_url);

    text(redis, "url", url);
    free(url);
    flag(redis, "up", o->redis.up);
    flag(redis, "known", o->redis.known);
    text(redis, "state", o->redis.state);
    text(redis, "error", o->redis.error);
    moment(redis, "since", o->redis.since_us);
    number(redis, "reconnectAttempts", o->redis.reconnects);
    state_add_where(redis, o);
    add_latency(redis, o);
    add_redis_info(redis, &o->redis);
}

static void add_archive_work(cJSON *archive, const struct executor_report *e)
{
    cJSON *queue = object_in(archive, "queue");

    number(queue, "waiting", (double)e->waiting);
    number(queue, "ready", (double)e->ready);
    number(queue, "running", (double)e->running);
    number(queue, "parked", (double)e->parked);
    number(archive, "commands", (double)e->ops);
    number(archive, "batches", (double)e->batches);
    number(archive, "commits", (double)e->commits);
    number(archive, "documentsWritten", (double)e->documents);
    number(archive, "races", (double)e->races);
    number(archive, "refused", (double)e->refused);
    number(archive, "late", (double)e->late);
    number(archive, "failed", (double)e->failed);
    number(archive, "sweeps", (double)e->sweeps);
    number(archive, "swept", (double)e->swept);
}

static void add_chaos(cJSON *doc, const struct chaos_report *report)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "chaos");
    char fault[64];

    for (int store = 0; store < CHAOS_STORES; store++) {
        const struct chaos_order *o = &report->orders[store];
        if (o->kind == VALVE_OPEN)
            continue;
        cJSON *row = object_at_end(list);
        chaos_text(o, fault, sizeof fault);
        text(row, "store", chaos_store_name(o->store));
        text(row, "fault", fault);
        number(row, "secondsLeft", o->seconds);
    }
}

static void add_archive(cJSON *doc, const struct overview *o)
{
    const struct executor_report *e = &o->archive.executor;
    cJSON *archive = object_in(doc, "archive");

    text(archive, "kind", e->kind);
    flag(archive, "up", e->up);
    text(archive, "error", e->why);
    text(archive, "faults", o->archive.faults);
    if (!o->archive.present)
        return;
    number(archive, "attempts", (double)o->archive.attempts);
    if (o->archive.stored.documents >= 0)
        number(archive, "documents", (double)o->archive.stored.documents);
    if (o->archive.stored.bytes >= 0)
        number(archive, "bytes", (double)o->archive.stored.bytes);
    cJSON *latency = object_in(archive, "latencyMs");
    number(latency, "p50", hist_quantile(&e->latency, 0.50) / 1000);
    number(latency, "p95", hist_quantile(&e->latency, 0.95) / 1000);
    number(latency, "p99", hist_quantile(&e->latency, 0.99) / 1000);
    number(latency, "ping", o->archive.ping_ms);
    add_archive_work(archive, e);
}

static void add_clients(cJSON *doc, const struct overview *o)
{
    cJSON *clients = object_in(doc, "clients");

    number(clients, "connected", (double)overview_clients());
    number(clients, "max", (double)o->settings->max_clients);
    number(clients, "accepted", (double)STATS_SUM(clients_accepted));
    number(clients, "closed", (double)STATS_SUM(clients_closed));
    number(clients, "refused", (double)STATS_SUM(clients_refused));
    number(clients, "closedForOutput", (double)STATS_SUM(clients_output_closed));
}

static void add_traffic(cJSON *doc)
{
    cJSON *traffic = object_in(doc, "traffic");
    cJSON *upstream = object_in(doc, "upstream");

    number(traffic, "requests", (double)STATS_SUM(requests));
    number(traffic, "replies", (double)STATS_SUM(replies));
    number(traffic, "bytesIn", (double)STATS_SUM(bytes_in));
    number(traffic, "bytesOut", (double)STATS_SUM(bytes_out));
    number(traffic, "protocolErrors", (double)STATS_SUM(protocol_errors));
    number(traffic, "backpressurePauses", (double)STATS_SUM(backpressure_pauses));
    number(traffic, "bufferedBytes", (double)STATS_SUM(memory));
    number(upstream, "open", (double)STATS_SUM(upstream_open));
    number(upstream, "pinned", (double)STATS_SUM(upstream_pinned));
    number(upstream, "connects", (double)STATS_SUM(upstream_connects));
    number(upstream, "connectFailures", (double)STATS_SUM(upstream_connect_failures));
    number(upstream, "lost", (double)STATS_SUM(upstream_lost));
    number(upstream, "timeouts", (double)STATS_SUM(upstream_timeouts));
}

static void add_loops(cJSON *doc)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "loops");

    for (unsigned i = 0; i < stats_loops(); i++) {
        const struct stats *s = stats_of_loop(i);
        uint64_t closed = counter_get(&s->clients_closed), accepted = counter_get(&s->clients_accepted);
        cJSON *item = object_at_end(list);
        number(item, "clients", accepted > closed ? (double)(accepted - closed) : 0);
        number(item, "requests", (double)counter_get(&s->requests));
        number(item, "upstreamOpen", (double)counter_get(&s->upstream_open));
        number(item, "bufferedBytes", (double)counter_get(&s->memory));
    }
}

static const char *reason_text(enum persist_reason r, char *buf, size_t cap)
{
    bool archive = strcmp(persist_reason_store(r), "archive") == 0;

    snprintf(buf, cap, "%s%s", archive ? "archive " : "", persist_reason_name(r));
    return buf;
}

static void add_persist_errors(cJSON *policy, unsigned id)
{
    cJSON *errors = object_in(policy, "persistErrors");
    cJSON *by = cJSON_CreateObject();
    uint64_t total = 0;
    char name[40];

    for (int r = 0; r < PERSIST_REASONS; r++) {
        uint64_t n = STATS_SUM(policies[id].persist_errors[r]);
        total += n;
        if (n > 0) /* "archive down", but "oom" alone, as ever */
            number(by, reason_text((enum persist_reason)r, name, sizeof name), (double)n);
    }
    number(errors, "total", (double)total);
    cJSON_AddItemToObject(errors, "byReason", by);
}

static void add_policy_counters(cJSON *policy, unsigned id)
{
    cJSON *reads = object_in(policy, "reads");
    cJSON *json = object_in(policy, "json");
    cJSON *appends = object_in(policy, "appends");
    uint64_t count = STATS_SUM(policies[id].msg_count), sum = STATS_SUM(policies[id].msg_sum);

    number(reads, "hit", (double)STATS_SUM(policies[id].reads_hit));
    number(reads, "miss", (double)STATS_SUM(policies[id].reads_miss));
    number(reads, "error", (double)STATS_SUM(policies[id].reads_error));
    number(policy, "writes", (double)STATS_SUM(policies[id].writes));
    number(policy, "unarchived", (double)STATS_SUM(policies[id].unarchived));
    number(policy, "ttlRestored", (double)STATS_SUM(policies[id].ttl_restored));
    number(json, "trimmed", (double)STATS_SUM(policies[id].trimmed_json));
    number(json, "notArray", (double)STATS_SUM(policies[id].json_not_array));
    number(json, "invalid", (double)STATS_SUM(policies[id].json_invalid));
    number(appends, "count", (double)count);
    number(appends, "meanMessagesBefore", count > 0 ? (double)sum / (double)count : 0);
    add_persist_errors(policy, id);
}

struct policy_settings {
    const char *policy;
    cJSON *into;
};

static void take_policy_setting(void *ctx, const struct config_view *view)
{
    struct policy_settings *want = ctx;

    if (view->policy != NULL && strcmp(view->policy, want->policy) == 0)
        cJSON_AddStringToObject(want->into, view->row->name, view->value);
}

static void add_policies(cJSON *doc, const struct overview *o)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "policies");

    for (size_t i = 0; i < o->settings->policy_count; i++) {
        const struct policy_conf *p = &o->settings->policies[i];
        cJSON *item = object_at_end(list);
        text(item, "name", p->name);
        struct policy_settings want = {p->name, object_in(item, "settings")};
        config_get(server_config(o->server), "*", take_policy_setting, &want);
        state_add_place(item, o, p);
        add_policy_counters(item, stats_policy_id(p->name));
    }
}

static void add_command(cJSON *list, unsigned id, const char *name)
{
    uint64_t calls = STATS_SUM(commands[id].calls);

    if (calls == 0)
        return;
    cJSON *item = object_at_end(list);
    text(item, "name", name);
    number(item, "calls", (double)calls);
    number(item, "errors", (double)STATS_SUM(commands[id].errors));
    number(item, "seconds", (double)STATS_SUM(commands[id].usec) / 1e6);
}

static void add_commands(cJSON *doc)
{
    cJSON *list = cJSON_AddArrayToObject(doc, "commands");

    for (uint16_t id = 0; id < command_count(); id++)
        add_command(list, id, command_at(id)->name);
    add_command(list, STATS_UNKNOWN, "unknown");
}

static void add_process(cJSON *doc, const struct overview *o)
{
    text(doc, "version", CONVPROXY_VERSION);
    number(doc, "pid", (double)getpid());
    moment(doc, "startedAt", server_started_us(o->server));
    number(doc, "uptimeSeconds", o->uptime_s);
    flag(doc, "draining", o->draining);
    number(doc, "threads", server_threads(o->server));
    number(doc, "residentBytes", o->resident_bytes);
    number(doc, "cpuSeconds", o->cpu_s);
    cJSON *listen = cJSON_AddArrayToObject(doc, "listen");
    for (size_t i = 0; i < o->settings->listen.count; i++)
        say(listen, o->settings->listen.items[i]);
}

cJSON *state_full(const struct overview *o)
{
    cJSON *doc = cJSON_CreateObject();

    add_process(doc, o);
    add_verdict(doc, o);
    add_redis(doc, o);
    add_archive(doc, o);
    add_chaos(doc, &o->chaos);
    state_add_sync(doc, o);
    add_clients(doc, o);
    add_traffic(doc);
    number(doc, "persistErrors", (double)overview_persist_errors());
    add_policies(doc, o);
    add_loops(doc);
    add_commands(doc);
    return doc;
}
