#include "tools/failover.h"

#include "base/clock.h"
#include "tools/change.h"
#include "tools/failover_checks.h"
#include "tools/moves.h"
#include "tools/paint.h"

#include <string.h>

#define LOOK_S    1.0
#define GIVE_BACK_S 3600.0 /* for keys to be given back to Redis */

/* ---- telling ---- */

static void say(const struct procedure *p, const char *step, const char *text)
{
    if (p->options->json) {
        cJSON *doc = cJSON_CreateObject();
        cJSON_AddStringToObject(doc, "step", step);
        cJSON_AddStringToObject(doc, "text", text);
        ctl_print(doc);
        cJSON_Delete(doc);
    } else {
        printf("%-12s %s\n", step, text);
    }
    fflush(stdout);
}

/* The answer is none of the steps that --json prints. */
static int post(const struct procedure *p, const char *path, cJSON *own_json, cJSON **ret_doc)
{
    struct options quiet = *p->options;

    quiet.json = false;
    return ctl_change(&quiet, path, own_json, NULL, ret_doc);
}

/* ---- steps ---- */

static cJSON *for_policy(const struct procedure *p)
{
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "policy", p->policy);
    return json;
}

static int set_dual_write(struct procedure *p, bool on, double *ret_backfill)
{
    cJSON *json = for_policy(p), *doc = NULL;

    cJSON_AddBoolToObject(json, "on", on);
    int code = post(p, "/api/v1/dual-write", json, &doc);
    *ret_backfill = screen_number(doc, "backfill");
    cJSON_Delete(doc);
    return code;
}

/* Switched on, it orders a backfill, which is waited for: otherwise older messages would be missing for a while. */
static int dual_write_on(struct procedure *p)
{
    double backfill;
    int code = set_dual_write(p, true, &backfill);

    return code == EXIT_OK && backfill > 0 ? moves_watch(p->options, backfill) : code;
}

static int carry(struct procedure *p)
{
    return moves_do(p->options, "drain", p->policy);
}

static int change_primary(struct procedure *p)
{
    struct options quiet = *p->options;
    cJSON *json = for_policy(p);

    quiet.quiet = quiet.json || quiet.quiet;
    cJSON_AddStringToObject(json, "store", p->to_archive ? "mongo" : "redis");
    int code = post(p, "/api/v1/primary", json, NULL);
    return code == EXIT_OK ? primary_wait(&quiet, p->policy, p->to_archive ? "archive" : "redis") : code;
}

/* Redis answers already; all keys that nobody asks for are given back one after the other. */
static int give_back(struct procedure *p)
{
    double last = -1;

    for (int64_t end_us = clock_mono_us() + (int64_t)(GIVE_BACK_S * 1e6); !ctl_interrupted(); ctl_pause(LOOK_S / 4)) {
        if (!procedure_look(p))
            return p->code;
        if (strcmp(screen_text(p->item, "phase"), "redis") == 0)
            return EXIT_OK;
        double done = screen_number(p->state, "sync.handedOver");
        if (!p->options->json && !p->options->quiet && done - last >= 1000) {
            printf("%-12s %s keys given back\n", "", paint_count(done));
            fflush(stdout);
            last = done;
        }
        if (clock_mono_us() > end_us)
            break;
    }
    return ctl_interrupted() ? EXIT_INTERRUPTED : EXIT_UNHEALTHY;
}

static int compare(struct procedure *p)
{
    return moves_do(p->options, "verify", p->policy);
}

static bool is_well(const struct procedure *p, char *why, size_t cap)
{
    const char *acting = screen_text(p->item, "acting");

    if (strcmp(acting, p->to_archive ? "archive" : "redis") != 0)
        snprintf(why, cap, "%s answers", acting);
    else if (!screen_flag(p->state, "healthy"))
        snprintf(why, cap, "the proxy is not healthy (convctl health)");
    else if (screen_number(p->item, "persistErrors.total") > p->errors_before)
        snprintf(why, cap, "%.0f writes were not stored since the switch",
                 screen_number(p->item, "persistErrors.total") - p->errors_before);
    else
        return true;
    return false;
}

/* Whoever switched and left would not see what breaks in the first minutes. */
static int watch(struct procedure *p)
{
    char why[160];

    for (int64_t end_us = clock_mono_us() + (int64_t)(p->watch_s * 1e6);;) {
        if (ctl_interrupted())
            return EXIT_INTERRUPTED;
        if (!procedure_look(p))
            return p->code;
        if (!is_well(p, why, sizeof why)) {
            say(p, "not well", why);
            return EXIT_UNHEALTHY;
        }
        int64_t left_us = end_us - clock_mono_us();
        if (left_us <= 0)
            return EXIT_OK;
        ctl_pause(left_us < (int64_t)(LOOK_S * 1e6) ? (double)left_us / 1e6 : LOOK_S);
    }
}

static int dual_write_off(struct procedure *p)
{
    double backfill;
    return set_dual_write(p, false, &backfill);
}

/* ---- when which step is needed ---- */

static bool always(const struct procedure *p)
{
    return true;
}

static bool redis_is_up(const struct procedure *p)
{
    return screen_flag(p->state, "redis.up");
}

static bool lacks_dual_write(const struct procedure *p)
{
    return !screen_flag(p->item, "dualWriteWanted") && redis_is_up(p) && !p->acts_already;
}

static bool has_to_carry(const struct procedure *p)
{
    return !lacks_dual_write(p) && redis_is_up(p) && !p->acts_already;
}

static bool ends_dual_write(const struct procedure *p)
{
    return p->dual_write_off;
}

struct step {
    const char *name, *will;
    bool (*needed)(const struct procedure *p);
    int (*act)(struct procedure *p);
};

static const struct step to_archive[] = {
    {"dual-write", "switch dual writes on, and copy what was written before to the archive", lacks_dual_write, dual_write_on},
    {"drain", "carry what the archive is still owed", has_to_carry, carry},
    {"switch", "let the archive answer: requests wait for a moment, clients see no errors", always, change_primary},
    {"watch", "look for errors for a while", always, watch},
    {"dual-write", "switch dual writes off: Redis is not needed any more, and the way back is a copy of everything", ends_dual_write, dual_write_off},
    {NULL, NULL, NULL, NULL},
};

static const struct step to_redis[] = {
    {"switch", "let Redis answer: requests wait for a moment, clients see no errors", always, change_primary},
    {"give back", "give all keys back to Redis that nobody has asked for meanwhile", always, give_back},
    {"verify", "compare both stores", always, compare},
    {"watch", "look for errors for a while", always, watch},
    {"dual-write", "switch dual writes off: writes are not copied any more, what Redis loses is lost", ends_dual_write, dual_write_off},
    {NULL, NULL, NULL, NULL},
};

/* ---- the procedure ---- */

static void plan(const struct procedure *p, const struct step *steps)
{
    char text[200];
    int n = 0;

    for (const struct step *s = steps; s->name != NULL; s++) {
        if (!s->needed(p))
            continue;
        snprintf(text, sizeof text, "%d. %s: %s", ++n, s->name, s->will);
        say(p, "will", text);
    }
}

static void say_undo(const struct procedure *p)
{
    char text[160];

    snprintf(text, sizeof text, "convctl %s --policy %s", p->to_archive ? "failback" : "failover", p->policy);
    say(p, "to undo it", text);
    if (!p->copied_before)
        say(p, "", "then convctl dual-write off, as it was before");
}

/* What holds now, when it did not come to its end. */
static int stopped(struct procedure *p, const char *step, int code)
{
    char text[240];

    if (procedure_look(p))
        snprintf(text, sizeof text, "at step %s; now %s answers for %s (phase %s). The same command goes on; convctl primary %s takes it back",
                 step, screen_text(p->item, "acting"), p->policy, screen_text(p->item, "phase"), p->to_archive ? "redis" : "mongo");
    else
        snprintf(text, sizeof text, "at step %s; the proxy does not answer now, so nobody knows what holds", step);
    say(p, ctl_interrupted() ? "interrupted" : "failed", text);
    return ctl_interrupted() ? EXIT_INTERRUPTED : code;
}

static int go(struct procedure *p, const struct step *steps)
{
    bool needed[8] = {false};

    for (size_t i = 0; steps[i].name != NULL; i++) /* by what holds before the first one */
        needed[i] = steps[i].needed(p);
    p->errors_before = screen_number(p->item, "persistErrors.total");
    p->copied_before = !lacks_dual_write(p) || !p->to_archive;
    for (size_t i = 0; steps[i].name != NULL; i++) {
        if (!needed[i])
            continue;
        say(p, "step", steps[i].name);
        int code = steps[i].act(p);
        if (code != EXIT_OK || ctl_interrupted())
            return stopped(p, steps[i].name, code);
    }
    say(p, "done", p->to_archive ? "the archive answers" : "Redis answers");
    say_undo(p);
    return EXIT_OK;
}

static int prepare(struct procedure *p, const struct step *steps)
{
    if (!procedure_look(p))
        return p->code;
    bool stop = failover_checks(p, say);
    if (stop && !p->force) {
        say(p, "stopped", "nothing was changed; --force goes on all the same");
        return EXIT_UNHEALTHY;
    }
    if (p->acts_already && p->wanted_already) {
        say(p, "nothing", p->to_archive ? "the archive answers already, as it is wanted to" : "Redis answers already, as it is wanted to");
        p->over = true;
        return EXIT_OK;
    }
    plan(p, steps);
    if (p->dry_run) {
        p->over = true;
        return EXIT_OK;
    }
    return ctl_confirm(p->options->yes, p->to_archive ? "a failover" : "a failback", "Go on?");
}

static int run(struct options *o, const struct args *args, bool archive)
{
    const char *policy = args_value(args, "policy");
    const struct step *steps = archive ? to_archive : to_redis;
    struct procedure p = {.options = o,
                          .to_archive = archive,
                          .policy = policy != NULL ? policy : "conv",
                          .watch_s = 30,
                          .dual_write_off = args_flag(args, "dual-write-off"),
                          .dry_run = args_flag(args, "dry-run"),
                          .force = args_flag(args, "force")};

    if (!args_seconds(args, "watch", 0, 86400, &p.watch_s))
        return EXIT_WRONG_USAGE;
    int code = prepare(&p, steps);
    if (code == EXIT_OK && !p.over) {
        ctl_catch_interrupts();
        code = go(&p, steps);
    }
    procedure_done(&p);
    return code;
}

int run_failover(struct options *o, const struct args *args)
{
    return run(o, args, true);
}

int run_failback(struct options *o, const struct args *args)
{
    return run(o, args, false);
}
