#include "proxy/metrics.h"

#include "proxy/backups.h"
#include "router/command.h"
#include "version.h"

#include <cjson/cJSON.h>
#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <string.h>

/* Label values: backslash, quote and line feed are escaped, as the format wants it. */
static void put_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\n')
            fputs("\\n", out);
        else if (*text == '\\' || *text == '"')
            fprintf(out, "\\%c", *text);
        else
            putc(*text, out);
    }
}

/* Counts are written whole, not as 1.2e+07, so that people can read them. */
static void put_number(FILE *out, double value)
{
    if (value == (double)(int64_t)value)
        fprintf(out, "%.0f\n", value);
    else
        fprintf(out, "%.9g\n", value);
}

/* One sample: pairs is name, value, name, value, NULL. */
static void put(FILE *out, const char *name, double value, const char *const *pairs)
{
    fputs(name, out);
    for (size_t i = 0; pairs != NULL && pairs[i] != NULL; i += 2) {
        fprintf(out, "%s%s=\"", i == 0 ? "{" : ",", pairs[i]);
        put_escaped(out, pairs[i + 1]);
        putc('"', out);
    }
    fputs(pairs != NULL ? "} " : " ", out);
    put_number(out, value);
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- series: one function a row of SERIES ---- */

static const struct {
    int64_t us;
    const char *le;
} latency_bounds[] = {
    {50, "0.00005"}, {100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"},  {1000, "0.001"}, {2500, "0.0025"},
    {5000, "0.005"}, {10000, "0.01"}, {25000, "0.025"}, {50000, "0.05"},  {100000, "0.1"}, {250000, "0.25"},
    {500000, "0.5"}, {1000000, "1"},  {2500000, "2.5"}, {10000000, "10"},
};

#define BOUNDS (sizeof latency_bounds / sizeof latency_bounds[0])

/* Cumulative buckets, sum and count. label: another label and its value, or NULL. */
static void put_histogram(FILE *out, const char *name, const struct hist_sum *h, const char *label,
                          const char *value)
{
    char full[80];

    snprintf(full, sizeof full, "%s_bucket", name);
    for (size_t i = 0; i <= BOUNDS; i++) {
        const char *le = i < BOUNDS ? latency_bounds[i].le : "+Inf";
        double seen = (double)(i < BOUNDS ? hist_count_le(h, latency_bounds[i].us) : h->count);
        put(out, full, seen, label != NULL ? PAIRS(label, value, "le", le) : PAIRS("le", le));
    }
    snprintf(full, sizeof full, "%s_sum", name);
    put(out, full, (double)h->sum / 1e6, label != NULL ? PAIRS(label, value) : NULL);
    snprintf(full, sizeof full, "%s_count", name);
    put(out, full, (double)h->count, label != NULL ? PAIRS(label, value) : NULL);
}

static void redis_latency(FILE *out, const char *name, const struct overview *o)
{
    put_histogram(out, name, &o->latency, NULL, NULL);
}

/* ---- of the archive ---- */

static void sentinel_up(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; o->scout.kind == REDIS_SENTINEL && i < o->scout.count; i++)
        put(out, name, o->scout.peers[i].up, PAIRS("sentinel", o->scout.peers[i].address));
}

static void archive_up(FILE *out, const char *name, const struct overview *o)
{
    put(out, name, o->archive.executor.up, PAIRS("kind", o->archive.executor.kind));
}

static void archive_command_latency(FILE *out, const char *name, const struct overview *o)
{
    put_histogram(out, name, &o->archive.executor.latency, NULL, NULL);
}

static void archive_operation_latency(FILE *out, const char *name, const struct overview *o)
{
    for (int op = 0; op < TRACE_OPS; op++) {
        struct trace_stat calls = {.us = {0}};
        if (depot_calls(server_depot(o->server), (enum trace_op)op, &calls))
            put_histogram(out, name, &calls.us, "operation", trace_op_name((enum trace_op)op));
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
            put(out, name, (double)calls.errors[errors[i]],
                PAIRS("operation", trace_op_name((enum trace_op)op), "error", err_name(errors[i])));
    }
}

static void archive_queue(FILE *out, const char *name, const struct overview *o)
{
    const struct executor_report *e = &o->archive.executor;

    put(out, name, (double)e->waiting, PAIRS("state", "waiting"));
    put(out, name, (double)e->ready, PAIRS("state", "ready"));
    put(out, name, (double)e->running, PAIRS("state", "running"));
    put(out, name, (double)e->parked, PAIRS("state", "parked"));
}

static void archive_documents(FILE *out, const char *name, const struct overview *o)
{
    if (o->archive.stored.documents >= 0)
        put(out, name, (double)o->archive.stored.documents, NULL);
}

static void archive_bytes(FILE *out, const char *name, const struct overview *o)
{
    if (o->archive.stored.bytes >= 0)
        put(out, name, (double)o->archive.stored.bytes, NULL);
}

/* ---- of policies ---- */

static void persist_errors(FILE *out, const char *name, unsigned id, const char *policy)
{
    for (int i = 0; i < PERSIST_REASONS; i++) {
        enum persist_reason r = (enum persist_reason)i;
        put(out, name, (double)STATS_SUM(policies[id].persist_errors[r]),
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
        put(out, full, (double)seen, PAIRS("policy", policy, "le", le));
    }
    snprintf(full, sizeof full, "%s_sum", name);
    put(out, full, (double)sum, PAIRS("policy", policy));
    snprintf(full, sizeof full, "%s_count", name);
    put(out, full, (double)seen, PAIRS("policy", policy));
}

static void context_retrievals(FILE *out, const char *name, unsigned id, const char *policy)
{
    put(out, name, (double)STATS_SUM(policies[id].reads_hit), PAIRS("policy", policy, "result", "hit"));
    put(out, name, (double)STATS_SUM(policies[id].reads_miss), PAIRS("policy", policy, "result", "miss"));
    put(out, name, (double)STATS_SUM(policies[id].reads_error), PAIRS("policy", policy, "result", "error"));
}

static void json_untouched(FILE *out, const char *name, unsigned id, const char *policy)
{
    put(out, name, (double)STATS_SUM(policies[id].json_not_array),
        PAIRS("policy", policy, "why", "not_array"));
    put(out, name, (double)STATS_SUM(policies[id].json_invalid), PAIRS("policy", policy, "why", "invalid"));
}

static void acting_primary(FILE *out, const char *name, const struct overview *o)
{
    static const char *const stores[] = {"redis", "archive"};

    for (size_t i = 0; i < o->settings->policy_count; i++)
        for (size_t s = 0; s < sizeof stores / sizeof stores[0]; s++) {
            const struct policy_conf *p = &o->settings->policies[i];
            bool acts = strcmp(overview_acting(o, p), stores[s]) == 0;
            put(out, name, acts, PAIRS("policy", p->name, "store", stores[s]));
        }
}

static void dual_write(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; i < o->settings->policy_count; i++) {
        const struct policy_conf *p = &o->settings->policies[i];
        put(out, name, overview_dual_write(o, p), PAIRS("policy", p->name));
    }
}

static void phases(FILE *out, const char *name, const struct overview *o)
{
    static const enum phase all[] = {PHASE_REDIS, PHASE_HOLD, PHASE_ARCHIVE, PHASE_CATCHUP};

    for (size_t i = 0; i < o->places.npolicies; i++)
        for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
            const struct placement_policy *p = &o->places.policies[i];
            put(out, name, place_phase(p->place) == all[k],
                PAIRS("policy", p->name, "phase", phase_name(all[k])));
        }
}

static void failovers(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; i < o->places.npolicies; i++)
        put(out, name, (double)o->places.policies[i].failovers, PAIRS("policy", o->places.policies[i].name));
}

static void longest_pauses(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; i < o->places.npolicies; i++)
        put(out, name, (double)o->places.policies[i].held_max_us / 1e6,
            PAIRS("policy", o->places.policies[i].name));
}

static void guarantees(FILE *out, const char *name, const struct overview *o)
{
    struct guarantee g;

    for (size_t i = 0; i < o->settings->policy_count; i++) {
        const struct policy_conf *p = &o->settings->policies[i];
        overview_guarantee(o, p, &g);
        for (int level = 0; level < GUARANTEE_LEVELS; level++)
            put(out, name, (int)g.level == level,
                PAIRS("policy", p->name, "level", guarantee_name((enum guarantee_level)level)));
    }
}

static void dirty_keys(FILE *out, const char *name, const struct overview *o)
{
    if (o->sync.copier.dirty >= 0)
        put(out, name, (double)o->sync.copier.dirty, NULL);
}

static void acl_denied(FILE *out, const char *name, const struct overview *o)
{
    for (int reason = 0; reason < ACL_REASONS; reason++)
        put(out, name, (double)STATS_SUM(acl_denied[reason]), PAIRS("reason", acl_reason_name((enum acl_reason)reason)));
}

static void moves(FILE *out, const char *name, const struct overview *o)
{
    for (int kind = MOVE_BACKFILL; kind <= MOVE_TTL_AUDIT; kind++)
        for (int state = MOVE_WAITING; state <= MOVE_FAILED; state++) {
            unsigned n = 0;
            for (size_t i = 0; i < o->nmoves; i++)
                n += (int)o->moves[i].order.kind == kind && (int)o->moves[i].state == state;
            put(out, name, n,
                PAIRS("kind", move_kind_name((enum move_kind)kind), "state",
                      move_state_name((enum move_state)state)));
        }
}

static void mismatches(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; i < o->settings->policy_count; i++) {
        const char *policy = o->settings->policies[i].name;
        put(out, name, (double)overview_mismatches(o, policy), PAIRS("policy", policy));
    }
}

static void backup_times(FILE *out, const char *name, const struct overview *o)
{
    for (int kind = 0; kind < BACKUP_KINDS; kind++) {
        int64_t at_ms = backups_last(depot_backups(server_depot(o->server)), (enum backup_kind)kind);
        put(out, name, (double)(at_ms / 1000), PAIRS("kind", backup_kind_name((enum backup_kind)kind)));
    }
}

static void build_info(FILE *out, const char *name, const struct overview *o)
{
    char hiredis[24];

    snprintf(hiredis, sizeof hiredis, "%d.%d.%d", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    put(out, name, 1,
        PAIRS("version", CONVPROXY_VERSION, "libuv", uv_version_string(), "hiredis", hiredis, "cjson",
              cJSON_Version(), "microhttpd", MHD_get_version(), "compiler", __VERSION__));
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
            put(out, row->name, row->policy(id), PAIRS("policy", policy));
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
            put(out, row->name, row->command(id), PAIRS("command", command));
    }
}

static void write_row(FILE *out, const struct row *row, const struct overview *o)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name, row->type);
    if (row->value != NULL)
        put(out, row->name, row->value(o), NULL);
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
