#include "proxy/tenants.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/depot.h"
#include "proxy/server.h"
#include "proxy/stats.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_MS 1000 /* how often the settings are looked at while nothing is to be counted */

struct tenants {
    struct server *server;
    struct depot *depot;
    struct archive_handle *handle; /* NULL: there is no archive */
    struct link *link;
    pthread_t thread;
    pthread_mutex_t lock; /* for what follows */
    pthread_cond_t call;
    bool stopping;
    struct tenancy *last[STATS_POLICIES];
    size_t count;
    char why[160];
};

bool tenants_wanted(const struct policy_conf *p)
{
    return p->tenant_segment > 0 || p->format != FORMAT_ANY;
}

/* False: it is time to stop. */
static bool rest(struct tenants *t, int64_t ms)
{
    struct timespec until = clock_after_us(ms * 1000);

    pthread_mutex_lock(&t->lock);
    while (!t->stopping && pthread_cond_timedwait(&t->call, &t->lock, &until) == 0)
        ;
    bool goes_on = !t->stopping;
    pthread_mutex_unlock(&t->lock);
    return goes_on;
}

/* ---- the last counts ---- */

/* The lock is held. */
static size_t find(const struct tenants *t, const char *policy)
{
    size_t i = 0;
    while (i < t->count && strcmp(tenancy_policy(t->last[i]), policy) != 0)
        i++;
    return i;
}

static void keep(struct tenants *t, struct tenancy *own)
{
    struct tenancy *old = own; /* there is no place: it goes */

    pthread_mutex_lock(&t->lock);
    size_t i = find(t, tenancy_policy(own));
    if (i < t->count) {
        old = t->last[i];
        t->last[i] = own;
    } else if (t->count < STATS_POLICIES) {
        old = NULL;
        t->last[t->count++] = own;
    }
    pthread_mutex_unlock(&t->lock);
    tenancy_unref(old);
}

/* Policies that are gone, or are no longer to be counted. */
static void forget(struct tenants *t, const struct settings *now)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->count;) {
        const struct policy_conf *p = settings_policy(now, tenancy_policy(t->last[i]));
        if (p != NULL && tenants_wanted(p)) {
            i++;
            continue;
        }
        tenancy_unref(t->last[i]);
        t->last[i] = t->last[--t->count];
    }
    pthread_mutex_unlock(&t->lock);
}

static void tell(struct tenants *t, const char *why)
{
    pthread_mutex_lock(&t->lock);
    snprintf(t->why, sizeof t->why, "%s", why);
    pthread_mutex_unlock(&t->lock);
}

/* ---- counting ---- */

static enum err page(struct tenants *t, struct tenancy *into, bool archive, const struct settings *now, size_t *looked, bool *more)
{
    if (archive)
        return tenancy_of_archive(into, t->handle, clock_wall_us() / 1000, looked, more);
    if (!link_is_open(t->link) && !link_open(t->link, now))
        return ERR_REDISDOWN;
    if (!rest(t, 0)) /* tenants_stop has looked for a link that was not there yet */
        return ERR_CANCELLED;
    return tenancy_of_redis(into, t->link, looked, more);
}

/* Once for each number of them: the same ones are found by every count. */
static void log_malformed(struct tenants *t, const struct tenancy *c)
{
    struct tenancy *before = tenants_last(t, tenancy_policy(c));
    bool known = before != NULL && tenancy_all(before)->malformed == tenancy_all(c)->malformed;
    const char *key;

    tenancy_unref(before);
    for (size_t i = 0; !known && (key = tenancy_example(c, i)) != NULL; i++)
        log_event(LOG_WARN, "malformed_json", LOG_STR("message", "Malformed JSON"), LOG_STR("policy", tenancy_policy(c)),
                  LOG_STR("key", key), LOG_STR("found_by", "count"), LOG_INT("count", tenancy_all(c)->malformed));
}

/* False: it is time to stop. own_now is a counted snapshot. */
static bool count_policy(struct tenants *t, const struct settings *own_now, size_t i)
{
    struct tenancy *c = tenancy_new(own_now, &own_now->policies[i]);
    bool archive = t->handle != NULL && depot_acts(t->depot, i), more = true, goes_on = true;
    int64_t from = clock_mono_us();
    size_t looked = 0;
    enum err e = ERR_NONE;

    while (e == ERR_NONE && more && goes_on) {
        e = page(t, c, archive, own_now, &looked, &more);
        if (e == ERR_NONE && more)
            goes_on = rest(t, (int64_t)looked * 1000 / own_now->tenants_rate);
    }
    if (e != ERR_NONE)
        tell(t, archive ? t->handle->why : link_why(t->link));
    if (e != ERR_NONE || !goes_on) {
        tenancy_unref(c);
        return goes_on;
    }
    tell(t, "");
    tenancy_seal(c, clock_mono_us() - from, clock_wall_us());
    log_malformed(t, c);
    keep(t, c);
    return true;
}

static bool count_all(struct tenants *t, const struct settings *now)
{
    bool goes_on = true;

    for (size_t i = 0; goes_on && i < now->policy_count; i++)
        if (tenants_wanted(&now->policies[i]))
            goes_on = count_policy(t, settings_ref(now), i);
    link_close(t->link);
    return goes_on;
}

/* The time between two counts passes in short pieces, so that a changed interval holds at once. */
static void *run(void *arg)
{
    struct tenants *t = arg;
    int64_t ended_us = 0;
    bool goes_on = true;

    while (goes_on) {
        const struct settings *now = config_current(server_config(t->server));
        int64_t interval = now->tenants_interval, left = interval - (clock_mono_us() - ended_us) / 1000;
        forget(t, now);
        if (interval > 0 && (ended_us == 0 || left <= 0)) {
            goes_on = count_all(t, now);
            ended_us = clock_mono_us();
            left = interval;
        }
        settings_unref(now);
        goes_on = goes_on && rest(t, interval == 0 || left > LOOK_MS ? LOOK_MS : left < 1 ? 1 : left);
    }
    return NULL;
}

/* ---- life ---- */

struct tenants *tenants_start(struct server *server, struct depot *depot, struct archive *a)
{
    struct tenants *t = calloc(1, sizeof *t);

    if (t == NULL)
        abort();
    t->server = server;
    t->depot = depot;
    t->handle = a != NULL ? archive_attach(a) : NULL;
    t->link = link_new();
    pthread_mutex_init(&t->lock, NULL);
    clock_cond_init(&t->call);
    if (pthread_create(&t->thread, NULL, run, t) != 0)
        abort();
    return t;
}

void tenants_stop(struct tenants *t)
{
    pthread_mutex_lock(&t->lock);
    t->stopping = true;
    pthread_cond_signal(&t->call);
    pthread_mutex_unlock(&t->lock);
    link_interrupt(t->link);
    pthread_join(t->thread, NULL);
    if (t->handle != NULL)
        archive_detach(t->handle);
    t->handle = NULL;
}

void tenants_free(struct tenants *own_t)
{
    if (own_t == NULL)
        return;
    for (size_t i = 0; i < own_t->count; i++)
        tenancy_unref(own_t->last[i]);
    link_free(own_t->link);
    pthread_cond_destroy(&own_t->call);
    pthread_mutex_destroy(&own_t->lock);
    free(own_t);
}

struct tenancy *tenants_last(struct tenants *t, const char *policy)
{
    struct tenancy *found = NULL;

    if (t == NULL)
        return NULL;
    pthread_mutex_lock(&t->lock);
    size_t i = find(t, policy);
    if (i < t->count)
        found = tenancy_ref(t->last[i]);
    pthread_mutex_unlock(&t->lock);
    return found;
}

void tenants_why(struct tenants *t, char *buf, size_t cap)
{
    buf[0] = '\0';
    if (t == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    snprintf(buf, cap, "%s", t->why);
    pthread_mutex_unlock(&t->lock);
}
