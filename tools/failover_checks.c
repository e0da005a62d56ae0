#include "tools/failover_checks.h"

#include "tools/paint.h"

#include <string.h>

#define OWED_MANY 10000 /* keys: carrying them takes long enough to be told */

bool procedure_look(struct procedure *p)
{
    cJSON *state = ctl_document(p->options, "/api/v1/state", &p->code);

    if (state == NULL)
        return false;
    cJSON_Delete(p->state);
    p->state = state;
    p->item = paint_row(paint_find(state, "policies"), "name", p->policy);
    if (p->item != NULL)
        return true;
    fprintf(stderr, "convctl: there is no policy %s\n", p->policy);
    p->code = EXIT_WRONG_USAGE;
    return false;
}

void procedure_done(struct procedure *p)
{
    cJSON_Delete(p->state);
    p->state = NULL;
}

/* ---- checks ---- */

enum finding { FINE, WARN, STOP };

typedef enum finding check(const struct procedure *p, char *text, size_t cap);

static enum finding archive_up(const struct procedure *p, char *text, size_t cap)
{
    bool up = screen_flag(p->state, "archive.up");

    snprintf(text, cap, up ? "the archive is up (%s)" : "the archive is down (%s): the switch would wait for it",
             screen_text(p->state, "archive.kind"));
    return up ? FINE : STOP;
}

static enum finding redis_up(const struct procedure *p, char *text, size_t cap)
{
    if (screen_flag(p->state, "redis.up")) {
        snprintf(text, cap, "Redis is up (%s)", screen_text(p->state, "redis.version"));
        return FINE;
    }
    snprintf(text, cap, p->to_archive ? "Redis is down: what only Redis has is not seen until it is back"
                                      : "Redis is down: the switch would wait for it");
    return p->to_archive ? WARN : STOP;
}

static enum finding keeps(const struct procedure *p, char *text, size_t cap)
{
    const char *rule = screen_text(p->state, "redis.maxMemoryPolicy");
    bool evicts = screen_number(p->state, "redis.maxMemory") > 0 && strcmp(rule, "noeviction") != 0;

    if (p->to_archive || !screen_flag(p->state, "redis.up"))
        return text[0] = '\0', FINE;
    snprintf(text, cap, evicts ? "Redis may evict keys (maxmemory-policy %s): nothing is promised there" : "Redis does not evict (%s)", rule);
    return evicts ? WARN : FINE;
}

static enum finding dual_writes(const struct procedure *p, char *text, size_t cap)
{
    bool on = screen_flag(p->item, "dualWriteWanted");

    snprintf(text, cap, on                            ? "dual writes are on"
                        : !p->to_archive              ? "dual writes are off: the archive is not kept up to date afterwards"
                        : screen_flag(p->state, "redis.up") ? "dual writes are off: they are switched on first, and everything is copied"
                                                            : "dual writes are off, and Redis is down: what was never copied is not seen");
    return on ? FINE : WARN;
}

static enum finding owed(const struct procedure *p, char *text, size_t cap)
{
    double dirty = screen_number(p->state, "sync.dirtyKeys");

    snprintf(text, cap, "%s keys are owed to the archive, for %s", paint_count(dirty),
             paint_duration(screen_number(p->state, "sync.copyLagSeconds")));
    return dirty >= OWED_MANY ? WARN : FINE;
}

/* Also that a verify has found differences: the guarantee names it. */
static enum finding promise(const struct procedure *p, char *text, size_t cap)
{
    const cJSON *reason = cJSON_GetArrayItem(paint_find(p->item, "guarantee.loweredBy"), 0);
    bool differ = cJSON_IsString(reason) && strstr(reason->valuestring, "verify") != NULL;

    snprintf(text, cap, "promise %s%s%s%s", screen_text(p->item, "guarantee.level"), cJSON_IsString(reason) ? ": " : "",
             cJSON_IsString(reason) ? screen_text(reason, "") : "", differ ? " (convctl verify --repair)" : "");
    return differ ? STOP : cJSON_IsString(reason) ? WARN : FINE;
}

static enum finding place(const struct procedure *p, char *text, size_t cap)
{
    snprintf(text, cap, "%s answers for %s, wanted is %s, phase %s", screen_text(p->item, "acting"), p->policy,
             screen_text(p->item, "primary"), screen_text(p->item, "phase"));
    return strcmp(screen_text(p->item, "phase"), "hold") == 0 ? WARN : FINE;
}

static enum finding faults(const struct procedure *p, char *text, size_t cap)
{
    const char *plan = screen_text(p->state, "archive.faults");
    bool some = strcmp(plan, "-") != 0;

    snprintf(text, cap, some ? "a plan of faults is in force: %s" : "", plan);
    return some ? WARN : FINE;
}

static check *const checks[] = {place, redis_up, archive_up, keeps, dual_writes, owed, promise, faults};

static void find_place(struct procedure *p)
{
    const char *store = p->to_archive ? "archive" : "redis", *primary = screen_text(p->item, "primary");

    p->acts_already = strcmp(screen_text(p->item, "acting"), store) == 0 &&
                      (p->to_archive || strcmp(screen_text(p->item, "phase"), "redis") == 0);
    p->wanted_already = (strcmp(primary, "redis") == 0) == !p->to_archive;
}

bool failover_checks(struct procedure *p, void (*say)(const struct procedure *p, const char *step, const char *text))
{
    static const char *const words[] = {[FINE] = "ok", [WARN] = "warning", [STOP] = "stop"};
    char text[300];
    bool stop = false;

    find_place(p);
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++) {
        enum finding found = checks[i](p, text, sizeof text);
        if (text[0] != '\0')
            say(p, words[found], text);
        stop = stop || found == STOP;
    }
    return stop;
}
