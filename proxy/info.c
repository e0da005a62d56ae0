#include "proxy/info.h"

#include "proxy/headcount.h"
#include "proxy/overview.h"
#include "version.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static void number(FILE *out, const char *name, uint64_t value)
{
    fprintf(out, "%s:%" PRIu64 "\r\n", name, value);
}

/* INFO is read line by line: what others wrote must not end ours. */
static void text(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s:", name);
    for (; *value != '\0'; value++)
        putc(*value == '\r' || *value == '\n' ? ' ' : *value, out);
    fputs("\r\n", out);
}

unsigned info_port(const struct settings *settings)
{
    for (size_t i = 0; i < settings->listen.count; i++) {
        const char *address = settings->listen.items[i], *colon = strrchr(address, ':');
        if (strncmp(address, "unix:", 5) != 0 && colon != NULL)
            return (unsigned)strtoul(colon + 1, NULL, 10);
    }
    return 0;
}

static void server_section(FILE *out, const struct overview *o)
{
    struct utsname os = {0};
    uint64_t uptime = (uint64_t)o->uptime_s;

    uname(&os);
    text(out, "redis_version", o->redis.version[0] != '\0' ? o->redis.version : "7.0.0");
    text(out, "redis_mode", o->redis.mode[0] != '\0' ? o->redis.mode : "standalone");
    fprintf(out, "os:%s %s %s\r\n", os.sysname, os.release, os.machine);
    number(out, "arch_bits", sizeof(void *) * 8);
    text(out, "multiplexing_api", "epoll");
    number(out, "process_id", (uint64_t)getpid());
    number(out, "tcp_port", info_port(o->settings));
    number(out, "server_time_usec", (uint64_t)o->now_us);
    number(out, "uptime_in_seconds", uptime);
    number(out, "uptime_in_days", uptime / 86400);
}

static void clients_section(FILE *out, const struct overview *o)
{
    number(out, "connected_clients", overview_clients());
    number(out, "maxclients", (uint64_t)o->settings->max_clients);
    number(out, "blocked_clients", STATS_SUM(clients_blocked));
}

static void memory_section(FILE *out, const struct overview *o)
{
    number(out, "used_memory", STATS_SUM(memory));
    number(out, "used_memory_rss", (uint64_t)o->resident_bytes);
    number(out, "maxmemory", (uint64_t)o->settings->max_memory);
}

static void stats_section(FILE *out, const struct overview *o)
{
    number(out, "total_connections_received", STATS_SUM(clients_accepted));
    number(out, "total_commands_processed", STATS_SUM(requests));
    number(out, "total_net_input_bytes", STATS_SUM(bytes_in));
    number(out, "total_net_output_bytes", STATS_SUM(bytes_out));
    number(out, "rejected_connections", STATS_SUM(clients_refused));
    number(out, "pubsub_channels", headcount_names(TOPIC_CHANNEL));
    number(out, "pubsub_patterns", headcount_names(TOPIC_PATTERN));
    number(out, "pubsubshard_channels", headcount_names(TOPIC_SHARD));
}

/* Clients (redis-py, LangChain) ask these before they talk to what may be a cluster or a replica. */
static void replication_section(FILE *out, const struct overview *o)
{
    text(out, "role", "master");
    number(out, "connected_slaves", 0);
}

static void cluster_section(FILE *out, const struct overview *o)
{
    number(out, "cluster_enabled", 0);
}

/* Which keys there are only Redis knows. */
static void keyspace_section(FILE *out, const struct overview *o)
{
}

static void policy_line(FILE *out, const struct overview *o, const struct policy_conf *p)
{
    unsigned id = stats_policy_id(p->name);

    fprintf(out,
            "policy_%s:match=%s,primary=%s,acting=%s,dual_write=%d,writes=%" PRIu64 ",reads_hit=%" PRIu64
            ",reads_miss=%" PRIu64 ",reads_error=%" PRIu64 "\r\n",
            p->name, p->match, overview_primary(p), overview_acting(o, p), overview_dual_write(o, p),
            STATS_SUM(policies[id].writes), STATS_SUM(policies[id].reads_hit),
            STATS_SUM(policies[id].reads_miss), STATS_SUM(policies[id].reads_error));
}

struct sentences {
    FILE *out;
    bool any;
};

static void add_sentence(void *ctx, const char *sentence, bool lowers)
{
    struct sentences *s = ctx;
    fprintf(s->out, "%s%s", s->any ? "; " : "", sentence);
    s->any = true;
}

/* guarantee_NAME:both and guarantee_NAME_why: what lowers it, or will. */
static void guarantee_lines(FILE *out, const struct overview *o, const struct policy_conf *p)
{
    struct sentences s = {out, false};
    struct guarantee g;

    overview_guarantee(o, p, &g);
    fprintf(out, "guarantee_%s:%s\r\n", p->name, guarantee_name(g.level));
    fprintf(out, "guarantee_%s_promise:%s\r\n", p->name, guarantee_promise(g.level));
    fprintf(out, "guarantee_%s_why:", p->name);
    guarantee_each(&g, add_sentence, &s);
    fputs("\r\n", out);
}

static void phase_line(FILE *out, const struct overview *o, const struct policy_conf *p)
{
    const struct placement_policy *at = overview_place(o, p);

    if (at != NULL)
        fprintf(out,
                "phase_%s:%s,place=%s,failovers=%" PRIu64 ",last_pause_ms=%" PRId64
                ",longest_pause_ms=%" PRId64 "\r\n",
                p->name, phase_name(place_phase(at->place)), place_name(at->place), at->failovers,
                at->held_us / 1000, at->held_max_us / 1000);
}

static void sync_lines(FILE *out, const struct overview *o)
{
    const struct sync_report *s = &o->sync;

    if (!o->placed)
        return;
    number(out, "sync_epoch", (uint64_t)o->places.epoch);
    if (s->copier.dirty >= 0)
        number(out, "sync_dirty_keys", (uint64_t)s->copier.dirty);
    fprintf(out, "sync_copy_lag_seconds:%.3f\r\n", overview_copy_lag_s(o));
    number(out, "sync_copied", s->copier.copied);
    number(out, "sync_handed_over", s->handoff.restored + s->handoff.merged + s->handoff.kept);
    number(out, "sync_quarantined", s->handoff.quarantined);
    text(out, "sync_trouble", s->why);
}

static void redis_lines(FILE *out, const struct overview *o)
{
    number(out, "redis_up", o->redis.up);
    text(out, "redis_state", o->redis.state);
    text(out, "redis_error", o->redis.error);
    fprintf(out, "redis_latency_p50_ms:%.3f\r\nredis_latency_p95_ms:%.3f\r\nredis_latency_p99_ms:%.3f\r\n",
            o->p50_ms, o->p95_ms, o->p99_ms);
}

/* What is not known is left out. */
static void archive_lines(FILE *out, const struct overview *o)
{
    const struct depot_report *a = &o->archive;

    text(out, "archive_kind", a->executor.kind);
    number(out, "archive_up", a->executor.up);
    text(out, "archive_error", a->executor.why);
    number(out, "archive_waiting", a->executor.waiting + a->executor.ready);
    number(out, "archive_running", a->executor.running);
    number(out, "archive_parked", a->executor.parked);
    number(out, "archive_commands", a->executor.ops);
    number(out, "archive_failed", a->executor.failed + a->executor.refused);
    fprintf(out, "archive_latency_p50_ms:%.3f\r\narchive_latency_p99_ms:%.3f\r\n",
            hist_quantile(&a->executor.latency, 0.5) / 1000,
            hist_quantile(&a->executor.latency, 0.99) / 1000);
    if (a->stored.documents >= 0)
        number(out, "archive_documents", (uint64_t)a->stored.documents);
    if (a->stored.bytes >= 0)
        number(out, "archive_bytes", (uint64_t)a->stored.bytes);
    text(out, "archive_faults", a->faults);
}

static void convproxy_section(FILE *out, const struct overview *o)
{
    text(out, "convproxy_version", CONVPROXY_VERSION);
    number(out, "convproxy_process_id", (uint64_t)getpid());
    number(out, "convproxy_uptime_in_seconds", (uint64_t)o->uptime_s);
    number(out, "convproxy_threads", server_threads(o->server));
    number(out, "convproxy_draining", o->draining);
    number(out, "convproxy_healthy", overview_healthy(o));
    number(out, "convproxy_connected_clients", overview_clients());
    number(out, "convproxy_requests", STATS_SUM(requests));
    number(out, "convproxy_buffered_bytes", STATS_SUM(memory));
    number(out, "convproxy_resident_bytes", (uint64_t)o->resident_bytes);
    number(out, "convproxy_pubsub_subscriptions", STATS_SUM(pubsub_subscriptions));
    number(out, "convproxy_pubsub_messages", STATS_SUM(pubsub_messages));
    redis_lines(out, o);
    archive_lines(out, o);
    sync_lines(out, o);
    number(out, "upstream_connections", STATS_SUM(upstream_open));
    number(out, "upstream_timeouts", STATS_SUM(upstream_timeouts));
    number(out, "upstream_lost", STATS_SUM(upstream_lost));
    number(out, "history_persist_errors", overview_persist_errors());
    for (size_t i = 0; i < o->settings->policy_count; i++) {
        policy_line(out, o, &o->settings->policies[i]);
        phase_line(out, o, &o->settings->policies[i]);
        guarantee_lines(out, o, &o->settings->policies[i]);
    }
}

static const struct section {
    const char *name;
    void (*write)(FILE *out, const struct overview *o);
} sections[] = {
    {"Server", server_section},     {"Clients", clients_section},         {"Memory", memory_section},
    {"Stats", stats_section},       {"Replication", replication_section}, {"Cluster", cluster_section},
    {"Keyspace", keyspace_section}, {"Convproxy", convproxy_section},
};
#define SECTIONS (sizeof sections / sizeof sections[0])

static bool wanted(const char *section, const struct slice *names, size_t count)
{
    bool any = count == 0;

    for (size_t i = 0; i < count && !any; i++)
        any = slice_is(names[i], section) || slice_is(names[i], "default") || slice_is(names[i], "all") ||
              slice_is(names[i], "everything");
    return any;
}

/* Sections are parted by an empty line, as in Redis. */
static void write_sections(FILE *out, const struct overview *o, const struct slice *names, size_t count)
{
    bool first = true;

    for (size_t i = 0; i < SECTIONS; i++) {
        if (!wanted(sections[i].name, names, count))
            continue;
        fprintf(out, "%s# %s\r\n", first ? "" : "\r\n", sections[i].name);
        sections[i].write(out, o);
        first = false;
    }
}

char *info_standalone(const struct server *server, const struct slice *names, size_t count, size_t *ret_len)
{
    struct overview o;
    char *own_text = NULL;
    FILE *out = open_memstream(&own_text, ret_len);

    if (out == NULL)
        abort();
    overview_take(&o, server);
    write_sections(out, &o, names, count);
    overview_done(&o);
    fclose(out);
    return own_text;
}

char *info_convproxy(const struct server *server, size_t *ret_len)
{
    const struct slice name = {"convproxy", 9};
    return info_standalone(server, &name, 1, ret_len);
}

bool info_wants_convproxy(const struct slice *names, size_t count)
{
    return wanted("convproxy", names, count);
}
