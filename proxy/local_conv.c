#include "proxy/internal.h"

#include "proxy/depot.h"
#include "proxy/lines.h"
#include "proxy/primary.h"
#include "proxy/state.h"
#include "proxy/server.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- STATUS ---- */

static void add_list(struct lines *l, const cJSON *doc, const char *name, const char *title)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, cJSON_GetObjectItemCaseSensitive(doc, name))
    {
        lines_add(l, "%s: %s", title, item->valuestring);
    }
}

static void add_redis(struct lines *l, const struct overview *o)
{
    if (o->redis.up)
        lines_add(l, "redis: up, %s", o->redis.version);
    else
        lines_add(l, "redis: DOWN, %s", o->redis.known ? o->redis.error : "not reached yet");
}

static void add_archive(struct lines *l, const struct overview *o)
{
    const struct depot_report *a = &o->archive;
    char stored[64] = "documents not counted yet";

    if (a->stored.documents >= 0)
        snprintf(stored, sizeof stored, "%lld documents", (long long)a->stored.documents);
    if (!a->present)
        lines_add(l, "archive: none, %s", a->executor.why);
    else if (a->executor.up)
        lines_add(l, "archive: up, %s, %s, %zu commands in hand", a->executor.kind, stored,
                  a->executor.waiting + a->executor.ready + a->executor.running);
    else
        lines_add(l, "archive: DOWN, %s, %s, %s", a->executor.kind, stored, a->executor.why);
}

static void add_sync(struct lines *l, const struct overview *o)
{
    const struct sync_report *s = &o->sync;

    if (!o->placed)
        return;
    lines_add(
        l, "sync: epoch %lld, %lld keys owed to the archive, %llu copied, %llu handed over, %llu quarantined",
        (long long)o->places.epoch, (long long)(s->copier.dirty > 0 ? s->copier.dirty : 0),
        (unsigned long long)s->copier.copied, (unsigned long long)(s->handoff.restored + s->handoff.merged),
        (unsigned long long)s->handoff.quarantined);
    if (s->why[0] != '\0')
        lines_add(l, "problem: sync: %s", s->why);
}

static void add_reason(void *ctx, const char *sentence, bool lowers)
{
    lines_add(ctx, "  %s: %s", lowers ? "lowered" : "warning", sentence);
}

static void add_policy(struct lines *l, const struct overview *o, const struct policy_conf *p)
{
    const struct placement_policy *at = overview_place(o, p);
    struct guarantee g;

    lines_add(l, "policy %s (%s): primary %s, answered by %s", p->name, p->match, overview_primary(p),
              overview_acting(o, p));
    if (at != NULL)
        lines_add(l, "  phase %s: %s", phase_name(place_phase(at->place)), place_help(at->place));
    overview_guarantee(o, p, &g);
    lines_add(l, "  promise %s: %s", guarantee_name(g.level), guarantee_promise(g.level));
    guarantee_each(&g, add_reason, l);
}

static bool do_status(struct session *s, const struct job *job)
{
    struct lines *l = lines_new();
    struct overview o;

    overview_take(&o, s->loop->server);
    lines_add(l, "convproxy " CONVPROXY_VERSION ": %s", overview_healthy(&o) ? "healthy" : "NOT HEALTHY");
    add_redis(l, &o);
    add_archive(l, &o);
    add_sync(l, &o);
    for (size_t i = 0; i < o.settings->policy_count; i++)
        add_policy(l, &o, &o.settings->policies[i]);
    cJSON *health = state_health(&o);
    add_list(l, health, "reasons", "problem");
    add_list(l, health, "warnings", "warning");
    cJSON_Delete(health);
    overview_done(&o);
    lines_answer(s, l);
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
        lines_word(job->argv[2], policy, sizeof policy);
    lines_word(job->argv[job->argc - 1], store, sizeof store);
    if (!primary_set(s->loop->server, policy, store, "conv primary", &change, why, sizeof why)) {
        snprintf(line, sizeof line, "ERR %s", why);
        return local_error(s, line);
    }
    local_see_settings(s);
    l = lines_new();
    lines_add(l, "policy %s: to be answered by %s, was %s", change.policy, change.after, change.before);
    for (size_t i = 0; i < change.nwarnings; i++)
        lines_add(l, "warning: %s", change.warnings[i]);
    lines_answer(s, l);
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
        "    How both stores are, which one answers for each policy, and what is promised for its writes.",
        "PRIMARY [<policy>] <redis|mongo>",
        "    Lets that store answer from now on; mongo means the archive, whichever it is.",
        "DUALWRITE <ON|OFF> [<policy>]",
        "    Copies of all writes in the other store. ON orders a BACKFILL.",
        "BACKFILL [RATE <keys a second>] [<policy>]",
        "    Copies every key of Redis to the archive.",
        "DRAIN [RATE <keys a second>] [<policy>]",
        "    Copies every key that is owed to the archive.",
        "VERIFY [DEEP] [REPAIR] [RATE <keys a second>] [<policy>]",
        "    Compares both stores, by versions or (DEEP) by content, and repairs what differs.",
        "AUDIT [REPAIR] [RATE <keys a second>] [<policy>]",
        "    Looks for keys without an expiry, and gives them one.",
        "TIERS [SWEEP [<policy>] | DEMOTE <key> | PROMOTE <key>]",
        "    Which keys are working (in Redis), warm or cold (in the archive alone); SWEEP applies the rules now.",
        "MOVES",
        "    How far those are.",
        "ABORT <id>",
        "    Ends one.",
        "RESUME <id>",
        "    Lets one go on that was aborted, was interrupted, or has failed.",
        "CHAOS [<redis|archive> <cut|pause|delay> <seconds> [<delay ms> [<jitter ms>]] | OFF]",
        "    Shows, begins or ends a fault of a store; it ends by itself. Needs redis.faults or archive.faults.",
        "TENANTS [<policy>]",
        "    How many keys each tenant has, by the last count.",
        "QUARANTINE LIST [<number>]",
        "    States that had to give way; those with higher numbers.",
        "QUARANTINE SHOW <number>",
        "    One of them, and what the key holds now.",
        "QUARANTINE RESTORE <number> [AS <key>]",
        "    Puts it back as the key's value (what the key holds then is kept), or under another key that does not exist.",
        "QUARANTINE DROP <number>",
        "    Takes it out for good.",
        "FAULT [<plan>]",
        "    Shows the faults in force for the archive, or sets them; \"\" ends them. Needs archive.faults.",
        "    Example: op=commit delay=100ms fail=10% error=lost-after; op=ping hang",
        "HELP",
        "    Prints this help.",
    };
    return local_help(s, text, sizeof text / sizeof text[0]);
}

bool local_conv(struct session *s, const struct job *job)
{
    static const struct {
        const char *name;
        bool (*fn)(struct session *s, const struct job *job);
    } subs[] = {{"abort", moves_do_abort}, {"audit", moves_do_order},          {"backfill", moves_do_order}, {"chaos", chaos_do},
                {"drain", moves_do_order}, {"dualwrite", moves_do_dual_write}, {"fault", do_fault},
                {"help", do_help},         {"moves", moves_do_list},           {"primary", do_primary},
                {"quarantine", quarantine_do}, {"resume", moves_do_resume}, {"status", do_status}, {"tenants", tenants_do_list}, {"tiers", tiers_do},          {"verify", moves_do_order}};

    for (size_t i = 0; i < sizeof subs / sizeof subs[0]; i++)
        if (slice_is(job->argv[1], subs[i].name))
            return subs[i].fn(s, job);
    return local_unknown_sub(s, job);
}
