#include "proxy/internal.h"

#include "proxy/levels.h"
#include "proxy/lines.h"
#include "proxy/orders.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static bool refuse(struct session *s, const char *why)
{
    char line[320];

    snprintf(line, sizeof line, "ERR %s", why);
    return local_error(s, line);
}

static double number(const cJSON *policy, const char *tier, const char *name)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(policy, tier), name);
    return cJSON_IsNumber(n) ? n->valuedouble : -1;
}

static void add_policy(struct lines *l, const cJSON *policy)
{
    const char *name = cJSON_GetObjectItemCaseSensitive(policy, "policy")->valuestring;
    bool on = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(policy, "on"));
    double working = number(policy, "working", "keys");
    char counted[32] = "not counted yet";

    if (working >= 0)
        snprintf(counted, sizeof counted, "%.0f", working);
    lines_add(l, "policy %s: tiers %s, working %s, warm %.0f (%.0f bytes), cold %.0f (%.0f bytes)", name, on ? "on" : "off", counted,
              number(policy, "warm", "keys"), number(policy, "warm", "bytes"), number(policy, "cold", "keys"),
              number(policy, "cold", "bytes"));
}

static bool do_report(struct session *s, const struct job *job)
{
    struct lines *l = lines_new();
    cJSON *doc = levels_all(s->loop->server);
    const cJSON *policy;

    if (!cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(doc, "known")))
        lines_add(l, "which keys have left Redis is not known yet");
    cJSON_ArrayForEach(policy, cJSON_GetObjectItemCaseSensitive(doc, "policies"))
    {
        add_policy(l, policy);
    }
    cJSON_Delete(doc);
    lines_answer(s, l);
    free(l);
    return true;
}

static bool do_sweep(struct session *s, const struct job *job)
{
    struct move_order order = {.kind = MOVE_TIER};
    char why[200], line[160];

    if (job->argc == 4)
        lines_word(job->argv[3], order.policy, sizeof order.policy);
    uint64_t id = orders_move(s->loop->server, &order, "conv", why, sizeof why);
    if (id == 0)
        return refuse(s, why);
    snprintf(line, sizeof line, "move %" PRIu64 ": tier of policy %s (CONV MOVES shows it)", id, order.policy);
    build_text(slot_answer(s), line);
    slot_answered(s);
    return true;
}

static bool order(struct session *s, const struct job *job, bool out)
{
    char why[200];

    if (job->argc != 4)
        return local_error(s, "ERR wrong number of arguments for 'conv|tiers' command");
    return levels_order(s->loop->server, job->argv[3], out, why, sizeof why) ? local_ok(s) : refuse(s, why);
}

static bool do_demote(struct session *s, const struct job *job)
{
    return order(s, job, true);
}

static bool do_promote(struct session *s, const struct job *job)
{
    return order(s, job, false);
}

bool tiers_do(struct session *s, const struct job *job)
{
    static const struct {
        const char *name;
        bool (*fn)(struct session *s, const struct job *job);
    } words[] = {{"sweep", do_sweep}, {"demote", do_demote}, {"promote", do_promote}};

    if (job->argc == 2)
        return do_report(s, job);
    for (size_t i = 0; i < sizeof words / sizeof words[0] && job->argc <= 4; i++)
        if (slice_is(job->argv[2], words[i].name))
            return words[i].fn(s, job);
    build_err(slot_answer(s), ERR_SYNTAX, NULL);
    slot_answered(s);
    return true;
}
