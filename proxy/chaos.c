#include "proxy/chaos.h"

#include "backends/redis/faults.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/depot.h"
#include "proxy/loop.h"
#include "proxy/server.h"
#include "proxy/subscriber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct chaos {
    struct server *server;
    struct depot *depot;
    pthread_mutex_t lock;
    struct chaos_order orders[CHAOS_STORES];
    int64_t until_us[CHAOS_STORES];
    char plan[DEPOT_PLAN]; /* of the archive, as it is told back */
};

struct chaos *chaos_new(struct server *server, struct depot *depot)
{
    struct chaos *c = calloc(1, sizeof *c);

    if (c == NULL)
        abort();
    c->server = server;
    c->depot = depot;
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

void chaos_free(struct chaos *own_c)
{
    if (own_c == NULL)
        return;
    valve_set(redis_valve(), VALVE_OPEN, 0, 0, 0);
    pthread_mutex_destroy(&own_c->lock);
    free(own_c);
}

/* ---- what is done to a store; the lock is held ---- */

static void cut_loop(struct loop *l, void *unused)
{
    if (l->closed)
        return;
    pool_cut(&l->pool);
    subscriber_cut(l->subscriber);
}

/* Connections that do nothing would not meet the valve before they do something. */
static bool set_redis(struct chaos *c, const struct chaos_order *o, int64_t until_us)
{
    struct loop *l;

    valve_set(redis_valve(), o->kind, o->delay_ms * 1000, o->jitter_ms * 1000, until_us);
    for (unsigned i = 0; o->kind == VALVE_CUT && (l = server_loop(c->server, i)) != NULL; i++)
        loop_post(l, cut_loop, NULL);
    return true;
}

static void plan_of(const struct chaos_order *o, char *plan, size_t cap)
{
    int64_t jitter = o->jitter_ms < o->delay_ms ? o->jitter_ms : o->delay_ms;

    plan[0] = '\0';
    if (o->kind == VALVE_CUT)
        snprintf(plan, cap, "op=all fail=100%% error=down");
    else if (o->kind == VALVE_PAUSE)
        snprintf(plan, cap, "op=all hang");
    else if (o->kind == VALVE_DELAY)
        snprintf(plan, cap, "op=all delay=%lld..%lldms", (long long)(o->delay_ms - jitter), (long long)(o->delay_ms + jitter));
}

/* A plan that somebody else has set is left alone: his word came later, or counts more. */
static bool set_archive(struct chaos *c, const struct settings *now, const struct chaos_order *o, char *why, size_t why_cap)
{
    char plan[DEPOT_PLAN], there[DEPOT_PLAN];

    depot_faults(c->depot, there, sizeof there);
    if (there[0] != '\0' && strcmp(there, c->plan) != 0) {
        snprintf(why, why_cap, "a plan of faults is in force for the archive (%s); convctl fault \"\" ends it", there);
        return false;
    }
    plan_of(o, plan, sizeof plan);
    if (!depot_set_faults(c->depot, now, plan, "chaos", why, why_cap))
        return false;
    depot_faults(c->depot, c->plan, sizeof c->plan);
    return true;
}

/* ---- orders ---- */

static bool is_allowed(const struct settings *now, enum chaos_store store)
{
    return store == CHAOS_REDIS ? now->redis_faults : now->archive_faults;
}

static bool check(const struct settings *now, const struct chaos_order *o, char *why, size_t why_cap)
{
    if (!is_allowed(now, o->store))
        snprintf(why, why_cap, "faults are not allowed here: set %s.faults to yes first", chaos_store_name(o->store));
    else if (!(o->seconds >= 0.1) || o->seconds > CHAOS_SECONDS_MAX)
        snprintf(why, why_cap, "expected 0.1 to %d seconds", CHAOS_SECONDS_MAX);
    else if (o->kind == VALVE_DELAY && (o->delay_ms < 1 || o->delay_ms > CHAOS_DELAY_MAX))
        snprintf(why, why_cap, "expected a delay of 1 to %d ms", CHAOS_DELAY_MAX);
    else if (o->jitter_ms < 0 || o->jitter_ms > o->delay_ms)
        snprintf(why, why_cap, "the jitter is more than the delay");
    else
        return true;
    return false;
}

bool chaos_begin(struct chaos *c, const struct settings *now, const struct chaos_order *order, const char *by, char *why,
                 size_t why_cap)
{
    struct chaos_order o = *order;
    char text[64];

    if (o.kind != VALVE_DELAY)
        o.delay_ms = o.jitter_ms = 0;
    if (!check(now, &o, why, why_cap))
        return false;
    int64_t until_us = clock_mono_us() + (int64_t)(o.seconds * 1e6);
    pthread_mutex_lock(&c->lock);
    bool ok = o.store == CHAOS_REDIS ? set_redis(c, &o, until_us) : set_archive(c, now, &o, why, why_cap);
    if (ok) {
        c->orders[o.store] = o;
        c->until_us[o.store] = until_us;
        chaos_text(&o, text, sizeof text);
        log_event(LOG_WARN, "chaos_began", LOG_STR("store", chaos_store_name(o.store)), LOG_STR("fault", text),
                  LOG_INT("ms", (int64_t)(o.seconds * 1000)), LOG_STR("by", by));
    }
    pthread_mutex_unlock(&c->lock);
    return ok;
}

/* The lock is held. */
static void end(struct chaos *c, enum chaos_store store, const char *by)
{
    static const struct chaos_order none = {.kind = VALVE_OPEN};
    const struct settings *now = config_current(server_config(c->server));
    char why[DEPOT_PLAN + 120], text[64];

    if (c->orders[store].kind != VALVE_OPEN) {
        chaos_text(&c->orders[store], text, sizeof text);
        if (store == CHAOS_REDIS)
            set_redis(c, &none, 0);
        else if (!set_archive(c, now, &none, why, sizeof why))
            log_event(LOG_WARN, "chaos_left_alone", LOG_STR("reason", why));
        c->orders[store].kind = VALVE_OPEN;
        c->plan[0] = store == CHAOS_ARCHIVE ? '\0' : c->plan[0];
        log_event(LOG_WARN, "chaos_ended", LOG_STR("store", chaos_store_name(store)), LOG_STR("fault", text), LOG_STR("by", by));
    }
    settings_unref(now);
}

void chaos_end(struct chaos *c, enum chaos_store store, const char *by)
{
    pthread_mutex_lock(&c->lock);
    end(c, store, by);
    pthread_mutex_unlock(&c->lock);
}

void chaos_tick(struct chaos *c)
{
    const struct settings *now = config_current(server_config(c->server));

    pthread_mutex_lock(&c->lock);
    for (int store = 0; store < CHAOS_STORES; store++) {
        if (c->orders[store].kind == VALVE_OPEN)
            continue;
        if (clock_mono_us() >= c->until_us[store])
            end(c, (enum chaos_store)store, "deadline");
        else if (!is_allowed(now, (enum chaos_store)store))
            end(c, (enum chaos_store)store, "setting");
    }
    pthread_mutex_unlock(&c->lock);
    settings_unref(now);
}

void chaos_report(struct chaos *c, struct chaos_report *ret)
{
    int64_t now_us = clock_mono_us();

    pthread_mutex_lock(&c->lock);
    for (int store = 0; store < CHAOS_STORES; store++) {
        ret->orders[store] = c->orders[store];
        ret->orders[store].store = (enum chaos_store)store;
        int64_t left_us = c->until_us[store] - now_us;
        ret->orders[store].seconds = left_us > 0 ? (double)left_us / 1e6 : 0;
    }
    pthread_mutex_unlock(&c->lock);
}
