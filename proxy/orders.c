#include "proxy/orders.h"

#include "base/log.h"
#include "config/seeds.h"
#include "proxy/depot.h"
#include "proxy/primary.h"
#include "sync/sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct moves *moves_of(const struct server *s)
{
    struct sync *sync = server_sync(s);
    return sync != NULL ? sync_moves(sync) : NULL;
}

static bool refuse(char *why, size_t why_cap, const char *text)
{
    snprintf(why, why_cap, "%s", text);
    return false;
}

static bool is_cluster(const struct server *s)
{
    const struct settings *now = config_current(server_config(s));
    bool cluster = redis_kind(now->redis_url) == REDIS_CLUSTER;

    settings_unref(now);
    return cluster;
}

/* False: there is no such policy. */
static bool name_policy(const struct server *s, const char *policy, char *name, size_t cap, char *why,
                        size_t why_cap)
{
    const struct settings *now = config_current(server_config(s));
    const struct policy_conf *p = primary_policy(now, policy, why, why_cap);

    if (p != NULL)
        snprintf(name, cap, "%s", p->name);
    settings_unref(now);
    return p != NULL;
}

size_t orders_list(const struct server *s, struct move_report *ret, size_t cap)
{
    struct moves *m = moves_of(s);
    return m != NULL ? moves_report(m, ret, cap) : 0;
}

uint64_t orders_move(struct server *s, struct move_order *order, const char *by, char *why, size_t why_cap)
{
    struct moves *m = moves_of(s);
    char policy[sizeof order->policy];

    if (m == NULL)
        return refuse(why, why_cap, "there is no archive (setting archive.url)");
    if (is_cluster(s))
        return refuse(why, why_cap, "Redis is a cluster: nothing is carried between it and the archive");
    memcpy(policy, order->policy, sizeof policy);
    if (!name_policy(s, policy, order->policy, sizeof order->policy, why, why_cap))
        return 0;
    uint64_t id = moves_order(m, order, why, why_cap);
    if (id != 0)
        log_event(LOG_INFO, "move_ordered", LOG_INT("id", (int64_t)id),
                  LOG_STR("kind", move_kind_name(order->kind)), LOG_STR("policy", order->policy),
                  LOG_INT("repair", order->repair), LOG_INT("deep", order->deep), LOG_STR("by", by));
    return id;
}

bool orders_abort(struct server *s, uint64_t id, const char *by, char *why, size_t why_cap)
{
    struct moves *m = moves_of(s);

    if (m == NULL || !moves_abort(m, id)) {
        snprintf(why, why_cap, "there is no move %" PRIu64 " that runs or waits", id);
        return false;
    }
    log_event(LOG_INFO, "move_aborted", LOG_INT("id", (int64_t)id), LOG_STR("by", by));
    return true;
}

bool orders_resume(struct server *s, uint64_t id, const char *by, char *why, size_t why_cap)
{
    struct moves *m = moves_of(s);

    if (m == NULL) {
        snprintf(why, why_cap, "move %" PRIu64 " can't go on: there is no such move", id);
        return false;
    }
    if (!moves_resume(m, id, why, why_cap))
        return false;
    log_event(LOG_INFO, "move_resumed", LOG_INT("id", (int64_t)id), LOG_STR("by", by));
    return true;
}

/* ---- moves that end ---- */

static void tell_ended(const struct move_report *m)
{
    bool well = m->state == MOVE_DONE && (m->order.kind == MOVE_TIER || m->found == m->repaired);

    log_event(well ? LOG_INFO : LOG_WARN, "move_ended", LOG_INT("id", (int64_t)m->id), LOG_STR("kind", move_kind_name(m->order.kind)),
              LOG_STR("policy", m->order.policy), LOG_STR("state", move_state_name(m->state)), LOG_INT("keys", m->done),
              LOG_INT("found", m->found), LOG_INT("repaired", m->repaired), LOG_STR("why", m->why));
}

void orders_second(const struct server *s)
{
    static uint64_t told[ORDERS_MOVES]; /* that have ended and are still listed */
    static size_t ntold;
    uint64_t now[ORDERS_MOVES];
    size_t n = 0;
    struct move_report list[ORDERS_MOVES];
    size_t listed = orders_list(s, list, ORDERS_MOVES);

    for (size_t i = listed; i-- > 0;) {
        bool known = false;
        if (list[i].state < MOVE_DONE)
            continue;
        for (size_t k = 0; k < ntold && !known; k++)
            known = told[k] == list[i].id;
        if (!known)
            tell_ended(&list[i]);
        now[n++] = list[i].id;
    }
    memcpy(told, now, n * sizeof *now);
    ntold = n;
}

/* ---- dual writes ---- */

static bool dual_write_of(struct server *s, const char *policy)
{
    const struct settings *now = config_current(server_config(s));
    const struct policy_conf *conf = settings_policy(now, policy);
    bool on = conf != NULL && conf->dual_write;

    settings_unref(now);
    return on;
}

/* 0: there is none. */
static uint64_t backfill_waiting(const struct server *s, const char *policy)
{
    struct move_report list[ORDERS_MOVES];
    size_t n = orders_list(s, list, ORDERS_MOVES);

    for (size_t i = 0; i < n; i++)
        if (list[i].order.kind == MOVE_BACKFILL && list[i].state <= MOVE_RUNNING &&
            strcmp(list[i].order.policy, policy) == 0)
            return list[i].id;
    return 0;
}

/* One of an earlier time has passed keys that were written without a mark since. */
static void end_backfill(struct server *s, const char *policy, const char *by)
{
    uint64_t id = backfill_waiting(s, policy);
    char why[100];

    if (id != 0 && !orders_abort(s, id, by, why, sizeof why))
        log_event(LOG_DEBUG, "move_over", LOG_INT("id", (int64_t)id));
}

/* Placement sees the setting change, and may have ordered it first. */
static void order_backfill(struct server *s, const char *by, struct orders_dual_write *ret)
{
    struct move_order order = {.kind = MOVE_BACKFILL};

    snprintf(order.policy, sizeof order.policy, "%s", ret->policy);
    ret->backfill = orders_move(s, &order, by, ret->warning, sizeof ret->warning);
    if (ret->backfill == 0 && (ret->backfill = backfill_waiting(s, ret->policy)) != 0)
        ret->warning[0] = '\0';
}

bool orders_dual_write(struct server *s, const char *policy, bool on, const char *by,
                       struct orders_dual_write *ret, char *why, size_t why_cap)
{
    struct config_pair pair = {NULL, on ? "1" : "0"};
    struct config_error error;
    char name[96];

    *ret = (struct orders_dual_write){.now = on};
    if (on && moves_of(s) == NULL)
        return refuse(why, why_cap, "there is no archive that could get copies (setting archive.url)");
    if (!name_policy(s, policy, ret->policy, sizeof ret->policy, why, why_cap))
        return false;
    ret->was = dual_write_of(s, ret->policy);
    if (!ret->was && on)
        end_backfill(s, ret->policy, by);
    snprintf(name, sizeof name, "%s.dual_write", ret->policy);
    pair.name = name;
    if (config_set(server_config(s), &pair, 1, &error) != ERR_NONE)
        return refuse(why, why_cap, error.text);
    log_event(LOG_INFO, "dual_write_set", LOG_STR("policy", ret->policy), LOG_INT("before", ret->was),
              LOG_INT("after", on), LOG_STR("by", by));
    if (on)
        order_backfill(s, by, ret);
    else
        snprintf(ret->warning, sizeof ret->warning,
                 "what is written from now on is lost when Redis loses it");
    return true;
}
