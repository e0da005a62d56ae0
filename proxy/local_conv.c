#include "proxy/internal.h"

#include "proxy/depot.h"
#include "proxy/primary.h"
#include "proxy/state.h"
#include "proxy/server.h"
#include "version.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES    64
#define LINE_CAP 320

/* The lines of an answer: redis-cli shows an array of texts well, whichever protocol it speaks. */
struct lines {
    size_t count;
    char text[LINES][LINE_CAP];
};

__attribute__((format(printf, 2, 3))) static void add(struct lines *l, const char *format, ...)
{
    va_list args;

    if (l->count == LINES)
        return;
    va_start(args, format);
    vsnprintf(l->text[l->count++], LINE_CAP, format, args);
    va_end(args);
}

static bool answer_lines(struct session *s, const struct lines *l)
{
    struct chain *out = slot_answer(s);

    build_array(out, l->count);
    for (size_t i = 0; i < l->count; i++)
        build_text(out, l->text[i]);
    slot_answered(s);
    return true;
}

static void word(struct slice arg, char *buf, size_t cap)
{
    snprintf(buf, cap, "%.*s", (int)(arg.len < cap ? arg.len : cap - 1), arg.p);
}

/* ---- STATUS ---- */

static void add_list(struct lines *l, const cJSON *doc, const char *name, const char *title)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(doc, name))
    {
        add(l, "%s: %s", title, item->valuestring);
    }
}

static void add_redis(struct lines *l, const struct overview *o)
{
    if (o->redis.up)
        add(l, "redis: up, %s", o->redis.version);
    else
        add(l, "redis: DOWN, %s", o->redis.known ? o->redis.error : "not reached yet");
}

static void add_archive(struct lines *l, const struct overview *o)
{
    const struct depot_report *a = &o->archive;
    char stored[64] = "documents not counted yet";

    if (a->stored.documents >= 0)
        snprintf(stored, sizeof stored, "%lld documents", (long long)a->stored.documents);
    if (!a->present)
        add(l, "archive: none, %s", a->executor.why);
    else if (a->executor.up)
        add(l, "archive: up, %s, %s, %zu commands in hand", a->executor.kind, stored,
            a->executor.waiting + a->executor.ready + a->executor.running);
    else
        add(l, "archive: DOWN, %s, %s, %s", a->executor.kind, stored, a->executor.why);
}

static bool do_status(struct session *s, const struct job *job)
{
    struct lines *l = calloc(1, sizeof *l);
    struct overview o;

    if (l == NULL)
        abort();
    overview_take(&o, s->loop->server);
    add(l, "convproxy " CONVPROXY_VERSION ": %s", overview_healthy(&o) ? "healthy" : "NOT HEALTHY");
    add_redis(l, &o);
    add_archive(l, &o);
    for (size_t i = 0; i < o.settings->policy_count; i++) {
        const struct policy_conf *p = &o.settings->policies[i];
        add(l, "policy %s (%s): primary %s, answered by %s", p->name, p->match, overview_primary(p),
            overview_acting(&o, p));
    }
    cJSON *health = state_health(&o);
    add_list(l, health, "reasons", "problem");
    add_list(l, health, "warnings", "warning");
    cJSON_Delete(health);
    overview_done(&o);
    answer_lines(s, l);
    free(l);
    return true;
}

/* ---- PRIMARY ---- */

static bool do_primary(struct session *s, const struct job *job)
{
    struct primary_change change;
    struct lines *l;
    char policy[64] = "", store[16], why[300], line[320];

    if (job->argc > 4)
        return local_error(s, "ERR wrong number of arguments for 'conv|primary' command");
    if (job->argc == 4)
        word(job->argv[2], policy, sizeof policy);
    word(job->argv[job->argc - 1], store, sizeof store);
    if (!primary_set(s->loop->server, policy, store, "conv primary", &change, why, sizeof why)) {
        snprintf(line, sizeof line, "ERR %s", why);
        return local_error(s, line);
    }
    local_see_settings(s);
    l = calloc(1, sizeof *l);
    if (l == NULL)
        abort();
    add(l, "policy %s: answered by %s, was %s", change.policy, change.after, change.before);
    for (size_t i = 0; i < change.nwarnings; i++)
        add(l, "warning: %s", change.warnings[i]);
    answer_lines(s, l);
    free(l);
    return true;
}

/* ---- FAULT ---- */

/* A plan in one argument, or in several as one types it without quotes. */
static bool read_plan(const struct job *job, char *plan, size_t cap)
{
    size_t at = 0;

    for (size_t i = 2; i < job->argc; i++) {
        if (at + job->argv[i].len + 2 > cap || memchr(job->argv[i].p, '\0', job->argv[i].len) != NULL)
            return false;
        if (i > 2)
            plan[at++] = ' ';
        memcpy(plan + at, job->argv[i].p, job->argv[i].len);
        at += job->argv[i].len;
    }
    plan[at] = '\0';
    return true;
}

static bool do_fault(struct session *s, const struct job *job)
{
    struct depot *depot = server_depot(s->loop->server);
    char plan[DEPOT_PLAN], why[200], line[256];

    if (job->argc == 2) {
        depot_faults(depot, plan, sizeof plan);
        build_text(slot_answer(s), plan);
        slot_answered(s);
        return true;
    }
    if (!read_plan(job, plan, sizeof plan))
        return local_error(s, "ERR the plan is too long, or no text");
    if (depot_set_faults(depot, s->loop->settings, plan, "conv fault", why, sizeof why))
        return local_ok(s);
    snprintf(line, sizeof line, "ERR %s", why);
    return local_error(s, line);
}

/* ---- HELP ---- */

static bool do_help(struct session *s, const struct job *job)
{
    static const char *const text[] = {
        "CONV <subcommand> [<arg> ...]. Subcommands are:",
        "STATUS",
        "    How both stores are, and which one answers for each policy.",
        "PRIMARY [<policy>] <redis|mongo>",
        "    Lets that store answer from now on; mongo means the archive, whichever it is. Nothing is copied "
        "in",
        "    this version: what only the other store has is not seen until it answers again.",
        "FAULT [<plan>]",
        "    Shows the faults in force for the archive, or sets them; \"\" ends them. Needs archive.faults.",
        "    Example: op=commit delay=100ms fail=10% error=lost-after; op=ping hang",
        "HELP",
        "    Prints this help.",
    };
    struct chain *out = slot_answer(s);

    build_array(out, sizeof text / sizeof text[0]);
    for (size_t i = 0; i < sizeof text / sizeof text[0]; i++)
        build_status(out, text[i]);
    slot_answered(s);
    return true;
}

bool local_conv(struct session *s, const struct job *job)
{
    static const struct {
        const char *name;
        bool (*fn)(struct session *s, const struct job *job);
    } subs[] = {{"fault", do_fault}, {"help", do_help}, {"primary", do_primary}, {"status", do_status}};

    for (size_t i = 0; i < sizeof subs / sizeof subs[0]; i++)
        if (slice_is(job->argv[1], subs[i].name))
            return subs[i].fn(s, job);
    return local_unknown_sub(s, job);
}
