#include "proxy/primary.h"

#include "base/log.h"
#include "proxy/overview.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SUFFIX ".primary"

/* ---- what a switch hides ---- */

__attribute__((format(printf, 2, 3))) static void warn(struct primary_change *c, const char *format, ...)
{
    va_list args;

    if (c->nwarnings == PRIMARY_WARNINGS)
        return;
    va_start(args, format);
    vsnprintf(c->warnings[c->nwarnings++], sizeof c->warnings[0], format, args);
    va_end(args);
}

/* Every key is handed over when it is asked for, or by and by: nothing is hidden. */
static void warn_of_redis(struct primary_change *c, const struct overview *o, const struct policy_conf *p)
{
    if (!o->redis.up)
        warn(c, "Redis is down (%s): the archive goes on answering until it is back", o->redis.error);
}

static void warn_of_archive(struct primary_change *c, const struct overview *o, const struct policy_conf *p)
{
    if (!p->dual_write && o->redis.there)
        warn(c, "dual_write is off: what was never copied to the archive will not be seen until Redis "
                "answers again "
                "(convctl backfill copies it)");
    if (!o->archive.executor.up)
        warn(c, "the archive is down (%s): Redis goes on answering until it is back",
             o->archive.executor.why);
}

static void tell(struct server *s, struct primary_change *c, const struct policy_conf *p, bool archive)
{
    struct overview o;

    overview_take(&o, s);
    if (archive)
        warn_of_archive(c, &o, p);
    else
        warn_of_redis(c, &o, p);
    overview_done(&o);
}

/* ---- the switch ---- */

const struct policy_conf *primary_policy(const struct settings *now, const char *policy, char *why,
                                         size_t why_cap)
{
    const char *name = policy[0] != '\0' ? policy : "conv";

    for (size_t i = 0; i < now->policy_count; i++)
        if (strcasecmp(now->policies[i].name, name) == 0)
            return &now->policies[i];
    if (policy[0] == '\0' && now->policy_count == 1)
        return &now->policies[0];
    snprintf(why, why_cap,
             policy[0] != '\0' ? "there is no policy '%s'" : "which policy? none is named conv%s", policy);
    return NULL;
}

static void order(struct server *s, const struct policy_conf *p, bool archive, const char *by,
                  struct primary_change *ret)
{
    depot_choose(server_depot(s), p->name, archive);
    ret->after = archive ? "archive" : "redis";
    tell(s, ret, p, archive);
    log_event(LOG_INFO, "primary_set", LOG_STR("policy", p->name), LOG_STR("before", ret->before),
              LOG_STR("after", ret->after), LOG_STR("by", by));
}

static void begin(const struct server *s, const struct policy_conf *p, struct primary_change *ret)
{
    struct overview o;

    overview_take(&o, s);
    *ret = (struct primary_change){.before = overview_acting(&o, p)};
    overview_done(&o);
    snprintf(ret->policy, sizeof ret->policy, "%s", p->name);
}

static bool set(struct server *s, const struct policy_conf *p, const char *store, char *why, size_t why_cap)
{
    char name[128];
    struct config_pair pair = {name, store};
    struct config_error error;

    snprintf(name, sizeof name, "%s" SUFFIX, p->name);
    if (strcasecmp(store, "redis") != 0 && server_executor(s) == NULL) {
        snprintf(why, why_cap, "there is no archive that could answer (setting archive.url)");
        return false;
    }
    bool ok = config_set(server_config(s), &pair, 1, &error) == ERR_NONE;
    if (!ok)
        snprintf(why, why_cap, "%s", error.text);
    return ok;
}

bool primary_set(struct server *s, const char *policy, const char *store, const char *by,
                 struct primary_change *ret, char *why, size_t why_cap)
{
    const struct settings *now = config_current(server_config(s));
    const struct policy_conf *p = primary_policy(now, policy, why, why_cap);
    bool ok = p != NULL;

    if (ok)
        begin(s, p, ret);
    ok = ok && set(s, p, store, why, why_cap);
    if (ok)
        order(s, p, strcasecmp(store, "redis") != 0, by, ret);
    settings_unref(now);
    return ok;
}

bool primary_ordered(struct server *s, const char *name, const char *by, struct primary_change *ret)
{
    const struct settings *now = config_current(server_config(s));
    const char *dot = strrchr(name, '.');
    const struct policy_conf *p = NULL;

    if (dot != NULL && strcasecmp(dot, SUFFIX) == 0)
        for (size_t i = 0; i < now->policy_count && p == NULL; i++)
            if (strlen(now->policies[i].name) == (size_t)(dot - name) &&
                strncasecmp(now->policies[i].name, name, (size_t)(dot - name)) == 0)
                p = &now->policies[i];
    if (p != NULL) {
        begin(s, p, ret);
        order(s, p, p->primary != STORE_REDIS, by, ret);
    }
    settings_unref(now);
    return p != NULL;
}
