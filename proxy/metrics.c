#include "proxy/metrics.h"

#include "engine/packed.h"
#include "proxy/backups.h"
#include "proxy/metrics_put.h"
#include "proxy/metrics_redis.h"
#include "proxy/metrics_tenants.h"
#include "proxy/metrics_tiers.h"
#include "proxy/quarantined.h"
#include "router/command.h"
#include "version.h"

#include <cjson/cJSON.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <string.h>

/* ---- series: one function a row of SERIES ---- */

static void redis_latency(FILE *out, const char *name, const struct overview *o)
{
    metrics_put_histogram(out, name, &o->latency, NULL, NULL);
}

/* ---- of the archive ---- */

static void archive_up(FILE *out, const char *name, const struct overview *o)
{
    metrics_put(out, name, o->archive.executor.up, PAIRS("kind", o->archive.executor.kind));
}

static void archive_command_latency(FILE *out, const char *name, const struct overview *o)
{
    metrics_put_histogram(out, name, &o->archive.executor.latency, NULL, NULL);
}

static void archive_operation_latency(FILE *out, const char *name, const struct overview *o)
{
    for (int op = 0; op < TRACE_OPS; op++) {
        struct trace_stat calls = {.us = {0}};
        if (depot_calls(server_depot(o->server), (enum trace_op)op, &calls))
            metrics_put_histogram(out, name, &calls.us, "operation", trace_op_name((enum trace_op)op));
    }
}

static void archive_operation_errors(FILE *out, const char *name, const struct overview *o)
{
    static const enum err errors[] = {ERR_ARCHIVEDOWN, ERR_ARCHIVELOST, ERR_ARCHIVEBAD, ERR_RACE};

    for (int op = 0; op < TRACE_OPS; op++) {
        struct trace_stat calls = {.us = {0}};
        if (!depot_calls(server_depot(o->server), (enum trace_op)op, &calls))
            return;
        for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++)
            metrics_put(out, name, (double)calls.errors[errors[i]],
                PAIRS("operation", trace_op_name((enum trace_op)op), "error", err_name(errors[i])));
    }
}

static void archive_queue(FILE *out, const char *name, const struct overview *o)
{
    const struct executor_report *e = &o->archive.executor;

    metrics_put(out, name, (double)e->waiting, PAIRS("state", "waiting"));
    metrics_put(out, name, (double)e->ready, PAIRS("state", "ready"));
    metrics_put(out, name, (double)e->running, PAIRS("state", "running"));
    metrics_put(out, name, (double)e->parked, PAIRS("state", "parked"));
}

static void archive_documents(FILE *out, const char *name, const struct overview *o)
{
    if (o->archive.stored.documents >= 0)
        metrics_put(out, name, (double)o->archive.stored.documents, NULL);
}

static void quarantine_entries(FILE *out, const char *name, const struct overview *o)
{
    if (quarantined_entries() >= 0)
        metrics_put(out, name, (double)quarantined_entries(), NULL);
}

static void archive_bytes(FILE *out, const char *name, const struct overview *o)
{
    if (o->archive.stored.bytes >= 0)
        metrics_put(out, name, (double)o->archive.stored.bytes, NULL);
}

/* ---- of policies ---- */

static void persist_errors(FILE *out, const char *name, unsigned id, const char *policy)
{
    for (int i = 0; i < PERSIST_REASONS; i++) {
        enum persist_reason r = (enum persist_reason)i;
        metrics_put(out, name, (double)STATS_SUM(policies[id].persist_errors[r]),
            PAIRS("policy", policy, "store", persist_reason_store(r), "reason", persist_reason_name(r)));
    }
}

/* The count is the sum of the buckets just read: a loop may have counted in a bucket, but not yet in
 * msg_count. */
static void msg_count_before(FILE *out, const char *name, unsigned id, const char *policy)
{
    uint64_t sum = STATS_SUM(policies[id].msg_sum), seen = 0;
    char full[64], le[24];

    snprintf(full, sizeof full, "%s_bucket", name);
    for (int i = 0; i < STATS_MSG_BUCKETS; i++) {
        seen += STATS_SUM(policies[id].msg_buckets[i]);
        if (i < STATS_MSG_BUCKETS - 1)
            snprintf(le, sizeof le, "%" PRId64, stats_msg_bounds[i]);
        else
            snprintf(le, sizeof le, "+Inf");
        metrics_put(out, full, (double)seen, PAIRS("policy", policy, "le", le));
    }
    snprintf(full, sizeof full, "%s_sum", name);
    metrics_put(out, full, (double)sum, PAIRS("policy", policy));
    snprintf(full, sizeof full, "%s_count", name);
    metrics_put(out, full, (double)seen, PAIRS("policy", policy));
}

static void context_retrievals(FILE *out, const char *name, unsigned id, const char *policy)
{
    metrics_put(out, name, (double)STATS_SUM(policies[id].reads_hit), PAIRS("policy", policy, "result", "hit"));
    metrics_put(out, name, (double)STATS_SUM(policies[id].reads_miss), PAIRS("policy", policy, "result", "miss"));
    metrics_put(out, name, (double)STATS_SUM(policies[id].reads_error), PAIRS("policy", policy, "result", "error"));
}

static void json_untouched(FILE *out, const char *name, unsigned id, const char *policy)
{
    metrics_put(out, name, (double)STATS_SUM(policies[id].json_not_array),
        PAIRS("policy", policy, "why", "not_array"));
    metrics_put(out, name, (double)STATS_SUM(policies[id].json_invalid), PAIRS("policy", policy, "why", "invalid"));
}

static void acting_primary(FILE *out, const char *name, const struct overview *o)
{
    static const char *const stores[] = {"redis", "archive"};

    for (size_t i = 0; i < o->settings->policy_count; i++)
        for (size_t s = 0; s < sizeof stores / sizeof stores[0]; s++) {
            const struct policy_conf *p = &o->settings->policies[i];
            bool acts = strcmp(overview_acting(o, p), stores[s]) == 0;
            metrics_put(out, name, acts, PAIRS("policy", p->name, "store", stores[s]));
        }
}

static void dual_write(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; i < o->settings->policy_count; i++) {
        const struct policy_conf *p = &o->settings->policies[i];
        metrics_put(out, name, overview_dual_write(o, p), PAIRS("policy", p->name));
    }
}

static void phases(FILE *out, const char *name, const struct overview *o)
{
    static const enum phase all[] = {PHASE_REDIS, PHASE_HOLD, PHASE_ARCHIVE, PHASE_CATCHUP};

    for (size_t i = 0; i < o->places.npolicies; i++)
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
            const struct placement_policy *p = &o->places.policies[i];
            metrics_put(out, name, place_phase(p->place) == all[k],
                PAIRS("policy", p->name, "phase", phase_name(all[k])));
        }
}

static void failovers(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; i < o->places.npolicies; i++)
        metrics_put(out, name, (double)o->places.policies[i].failovers, PAIRS("policy", o->places.policies[i].name));
}

static void longest_pauses(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; i < o->places.npolicies; i++)
        metrics_put(out, name, (double)o->places.policies[i].held_max_us / 1e6,
            PAIRS("policy", o->places.policies[i].name));
}

static void guarantees(FILE *out, const char *name, const struct overview *o)
{
    struct guarantee g;

    for (size_t i = 0; i < o->settings->policy_count; i++) {
        const struct policy_conf *p = &o->settings->policies[i];
        overview_guarantee(o, p, &g);
        for (int level = 0; level < GUARANTEE_LEVELS; level++)
            metrics_put(out, name, (int)g.level == level,
                PAIRS("policy", p->name, "level", guarantee_name((enum guarantee_level)level)));
    }
}

static void dirty_keys(FILE *out, const char *name, const struct overview *o)
{
    if (o->sync.copier.dirty >= 0)
        metrics_put(out, name, (double)o->sync.copier.dirty, NULL);
}

static void acl_denied(FILE *out, const char *name, const struct overview *o)
{
    for (int reason = 0; reason < ACL_REASONS; reason++)
        metrics_put(out, name, (double)STATS_SUM(acl_denied[reason]), PAIRS("reason", acl_reason_name((enum acl_reason)reason)));
}

static void moves(FILE *out, const char *name, const struct overview *o)
{
    for (int kind = MOVE_BACKFILL; kind <= MOVE_TIER; kind++)
        for (int state = MOVE_WAITING; state <= MOVE_INTERRUPTED; state++) {
            unsigned n = 0;
            for (size_t i = 0; i < o->nmoves; i++)
                n += (int)o->moves[i].order.kind == kind && (int)o->moves[i].state == state;
            metrics_put(out, name, n,
                PAIRS("kind", move_kind_name((enum move_kind)kind), "state",
                      move_state_name((enum move_state)state)));
        }
}

static void mismatches(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; i < o->settings->policy_count; i++) {
        const char *policy = o->settings->policies[i].name;
        metrics_put(out, name, (double)overview_mismatches(o, policy), PAIRS("policy", policy));
    }
}

static void backup_times(FILE *out, const char *name, const struct overview *o)
{
    for (int kind = 0; kind < BACKUP_KINDS; kind++) {
        int64_t at_ms = backups_last(depot_backups(server_depot(o->server)), (enum backup_kind)kind);
        metrics_put(out, name, (double)(at_ms / 1000), PAIRS("kind", backup_kind_name((enum backup_kind)kind)));
    }
}

static void without_ttl(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; i < o->settings->policy_count; i++) {
        const char *policy = o->settings->policies[i].name;
        int64_t keys = overview_without_ttl(o, policy);
        if (keys >= 0)
            metrics_put(out, name, (double)keys, PAIRS("policy", policy));
    }
}

static void build_info(FILE *out, const char *name, const struct overview *o)
{
    char hiredis[24];

    snprintf(hiredis, sizeof hiredis, "%d.%d.%d", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    metrics_put(out, name, 1,
        PAIRS("version", CONVPROXY_VERSION, "libuv", uv_version_string(), "hiredis", hiredis, "cjson",
              cJSON_Version(), "microhttpd", MHD_get_version(), "zstd", packed_version(), "compiler", __VERSION__));
}

/* ---- the table ---- */

/* A function for each row whose sample is an expression. */
#define VALUE(name, type, help, expression)                                                                  \
    static double value_##name(const struct overview *o)                                                     \
    {                                                                                                        \
        return expression;                                                                                   \
    }
#define COUNTED(name, type, help, expression)                                                                \
    static double value_##name(unsigned id)                                                                  \
    {                                                                                                        \
        return expression;                                                                                   \
    }
#define POLICY  COUNTED
#define COMMAND COUNTED
#define SERIES(...)
#define POLICY_SERIES(...)
#include "proxy/metrics.def"
#undef VALUE
#undef POLICY
#undef COMMAND
#undef SERIES
#undef POLICY_SERIES

struct row {
    const char *name, *type, *labels, *help;
    /* How its samples are made: one of these is set. */
    double (*value)(const struct overview *o);
    double (*policy)(unsigned id);
    double (*command)(unsigned id);
    void (*series)(FILE *out, const char *name, const struct overview *o);
    void (*policy_series)(FILE *out, const char *name, unsigned id, const char *policy);
};

#define ROW(name, type, labels, help, how) {#name, #type, labels, help, how},
static const struct row rows[] = {
#define VALUE(name, type, help, expression)        ROW(name, type, "", help, .value = value_##name)
#define POLICY(name, type, help, expression)       ROW(name, type, "policy", help, .policy = value_##name)
#define COMMAND(name, type, help, expression)      ROW(name, type, "command", help, .command = value_##name)
#define SERIES(name, type, labels, help, function) ROW(name, type, labels, help, .series = function)
#define POLICY_SERIES(name, type, labels, help, function)                                                    \
    ROW(name, type, labels, help, .policy_series = function)
#include "proxy/metrics.def"
};
#define ROWS (sizeof rows / sizeof rows[0])

/* Policies by their number in the statistics: one that is gone from the settings keeps its counters. */
static void write_policies(FILE *out, const struct row *row)
{
    for (unsigned id = 0; id < STATS_POLICIES; id++) {
        const char *policy = stats_policy_name(id);
        if (policy != NULL && row->policy != NULL)
            metrics_put(out, row->name, row->policy(id), PAIRS("policy", policy));
        else if (policy != NULL)
            row->policy_series(out, row->name, id, policy);
    }
}

static const char *command_name(unsigned id)
{
    if (id == STATS_UNKNOWN)
        return "unknown";
    return id < command_count() ? command_at((uint16_t)id)->name : NULL;
}

static void write_commands(FILE *out, const struct row *row)
{
    for (unsigned id = 0; id < STATS_COMMANDS; id++) {
        const char *command = command_name(id);
        if (command != NULL && STATS_SUM(commands[id].calls) > 0)
            metrics_put(out, row->name, row->command(id), PAIRS("command", command));
    }
}

static void write_row(FILE *out, const struct row *row, const struct overview *o)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, row->type);
    if (row->value != NULL)
        metrics_put(out, row->name, row->value(o), NULL);
    else if (row->series != NULL)
        row->series(out, row->name, o);
    else if (row->command != NULL)
        write_commands(out, row);
    else
        write_policies(out, row);
}

void metrics_write(FILE *out, const struct overview *o)
{
    for (size_t i = 0; i < ROWS; i++)
        write_row(out, &rows[i], o);
}

void metrics_markdown(FILE *out)
{
    fputs("# Metrics\n\nWhat `GET /metrics` of the admin server tells, in Prometheus' text format. This page "
          "is made from "
          "`proxy/metrics.def`; change that file, then run `make docs`.\n\n"
          "| name | type | labels | what it is |\n|---|---|---|---|\n",
          out);
    for (size_t i = 0; i < ROWS; i++) {
        fprintf(out, "| `%s` | %s | ", rows[i].name, rows[i].type);
        if (rows[i].labels[0] != '\0')
            fprintf(out, "`%s`", rows[i].labels);
        fprintf(out, " | %s |\n", rows[i].help);
    }
}
