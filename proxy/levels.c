#include "proxy/levels.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/overview.h"
#include "proxy/server.h"
#include "proxy/told.h"
#include "router/policy.h"
#include "sync/sync.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WAIT_US  10000000 /* for one key to move, all tries */
#define NAP_US   100000
#define TRIES    10
#define TRY_US   50000
#define KEY_MOST 4096 /* bytes of a key that are told */

/* ---- how much is where ---- */

/* Of all policies, at one moment. */
struct level_counts {
    size_t naway, nmoves;
    struct warm_count away[TIERS_POLICIES];
    struct tiers_count moves[TIERS_POLICIES];
};

static struct level_counts *count_all(struct sync *sync)
{
    struct level_counts *c = calloc(1, sizeof *c);

    if (c == NULL)
        abort();
    c->naway = warm_counts(sync_warm(sync), c->away, TIERS_POLICIES);
    c->nmoves = tiers_counts(sync_tiers(sync), c->moves, TIERS_POLICIES);
    return c;
}

static const struct warm_count *away_of(const struct level_counts *c, const char *policy)
{
    static const struct warm_count none;

    for (size_t i = 0; i < c->naway; i++)
        if (strcmp(c->away[i].policy, policy) == 0)
            return &c->away[i];
    return &none;
}

static const struct tiers_count *moves_of(const struct level_counts *c, const char *policy)
{
    static const struct tiers_count none = {.working = -1};

    for (size_t i = 0; i < c->nmoves; i++)
        if (strcmp(c->moves[i].policy, policy) == 0)
            return &c->moves[i];
    return &none;
}

static void add_time(cJSON *doc, const char *name, int64_t at_us)
{
    char text[CLOCK_TEXT];

    clock_text(at_us, text);
    cJSON_AddStringToObject(doc, name, text);
}

static void add_tier(cJSON *doc, const struct warm_count *away, enum record_level level)
{
    cJSON *tier = cJSON_AddObjectToObject(doc, record_level_name(level));

    cJSON_AddNumberToObject(tier, "keys", (double)away->keys[level]);
    cJSON_AddNumberToObject(tier, "bytes", (double)away->bytes[level]);
}

static void add_sweeps(cJSON *doc, const struct settings *set, const struct policy_conf *p, int64_t last_us)
{
    if (last_us != 0)
        add_time(doc, "lastSweep", last_us);
    if (p->tiers && set->tier_every > 0 && last_us != 0)
        add_time(doc, "nextSweep", last_us + set->tier_every * 1000);
}

static void add_moves(cJSON *doc, const uint64_t from_to[RECORD_LEVELS][RECORD_LEVELS])
{
    cJSON *moves = cJSON_AddObjectToObject(doc, "moves");

    cJSON_AddNumberToObject(moves, "demoted", (double)(from_to[RECORD_WORKING][RECORD_WARM] + from_to[RECORD_WORKING][RECORD_COLD]));
    cJSON_AddNumberToObject(moves, "chilled", (double)from_to[RECORD_WARM][RECORD_COLD]);
    cJSON_AddNumberToObject(moves, "promoted", (double)(from_to[RECORD_WARM][RECORD_WORKING] + from_to[RECORD_COLD][RECORD_WORKING]));
}

static cJSON *policy_json(const struct level_counts *c, const struct settings *set, const struct policy_conf *p)
{
    const struct tiers_count *m = moves_of(c, p->name);
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddStringToObject(doc, "policy", p->name);
    cJSON_AddBoolToObject(doc, "on", p->tiers);
    cJSON *working = cJSON_AddObjectToObject(doc, "working");
    if (m->working >= 0)
        cJSON_AddNumberToObject(working, "keys", (double)m->working);
    add_tier(doc, away_of(c, p->name), RECORD_WARM);
    add_tier(doc, away_of(c, p->name), RECORD_COLD);
    add_moves(doc, m->moves);
    add_sweeps(doc, set, p, m->swept_us);
    return doc;
}

static void add_reads(cJSON *doc, struct tiers *t, enum record_level level)
{
    struct hist_sum sum = {0};
    cJSON *reads = cJSON_AddObjectToObject(doc, record_level_name(level));

    tiers_reads(t, level, &sum);
    cJSON_AddNumberToObject(reads, "reads", (double)sum.count);
    cJSON_AddNumberToObject(reads, "p50Ms", hist_quantile(&sum, 0.5) / 1000);
    cJSON_AddNumberToObject(reads, "p99Ms", hist_quantile(&sum, 0.99) / 1000);
}

cJSON *levels_all(const struct server *s)
{
    const struct settings *set = config_current(server_config(s));
    struct sync *sync = server_sync(s);
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddBoolToObject(doc, "known", sync != NULL && warm_known(sync_warm(sync)));
    cJSON *policies = cJSON_AddArrayToObject(doc, "policies");
    if (sync != NULL) {
        struct level_counts *c = count_all(sync);
        for (size_t i = 0; i < set->policy_count; i++)
            cJSON_AddItemToArray(policies, policy_json(c, set, &set->policies[i]));
        free(c);
        cJSON *reads = cJSON_AddObjectToObject(doc, "hydrations");
        add_reads(reads, sync_tiers(sync), RECORD_WARM);
        add_reads(reads, sync_tiers(sync), RECORD_COLD);
    }
    settings_unref(set);
    return doc;
}

/* ---- a key ---- */

cJSON *levels_key(const struct server *s, struct slice key)
{
    const struct settings *set = config_current(server_config(s));
    const struct policy_conf *policy = policy_of_key(set, key);
    struct sync *sync = server_sync(s);
    cJSON *doc = cJSON_CreateObject();

    cJSON_AddItemToObject(doc, "key", told_bytes(key, KEY_MOST));
    cJSON_AddStringToObject(doc, "policy", policy != NULL ? policy->name : "");
    if (sync != NULL) {
        cJSON_AddStringToObject(doc, "tier", record_level_name((enum record_level)warm_tier(sync_warm(sync), key)));
        cJSON_AddNumberToObject(doc, "accesses", uses_count(sync_uses(sync), key));
    }
    settings_unref(set);
    return doc;
}

/* ---- moving one ---- */

/* The later of the two who know of it frees it. */
struct moving {
    pthread_mutex_t lock;
    pthread_cond_t told;
    unsigned holders;
    bool over;
    enum err result;
};

static void leave(struct moving *m)
{
    bool last = --m->holders == 0;

    pthread_mutex_unlock(&m->lock);
    if (!last)
        return;
    pthread_cond_destroy(&m->told);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static void on_moved(void *ctx, enum err e)
{
    struct moving *m = ctx;

    pthread_mutex_lock(&m->lock);
    m->over = true;
    m->result = e;
    pthread_cond_signal(&m->told);
    leave(m);
}

static void on_ordered(void *ctx, enum err e)
{
    log_event(e == ERR_NONE ? LOG_INFO : LOG_WARN, "tier_moved", LOG_STR("result", err_name(e)));
}

static bool refuse(char *why, size_t why_cap, const char *text)
{
    snprintf(why, why_cap, "%s", text);
    return false;
}

/* The epoch in which Redis acts; 0: why says what is in the way. */
static int64_t may_move(struct server *s, struct slice key, char *why, size_t why_cap)
{
    const struct settings *set = config_current(server_config(s));
    const struct policy_conf *p = policy_of_key(set, key);
    struct placement_report places;

    bool tiers = p != NULL && p->tiers, archive = p != NULL && server_sync(s) != NULL && placement_is_archive(server_placement(s), p->index);
    settings_unref(set);
    if (server_sync(s) == NULL)
        return refuse(why, why_cap, "there is no archive (setting archive.url)");
    if (!tiers)
        return refuse(why, why_cap, "the key belongs to no policy with tiers");
    if (archive)
        return refuse(why, why_cap, "the archive acts for the policy: nothing moves");
    placement_report(server_placement(s), &places);
    return places.epoch;
}

bool levels_order(struct server *s, struct slice key, bool out, char *why, size_t why_cap)
{
    int64_t epoch = may_move(s, key, why, why_cap);

    if (epoch == 0)
        return false;
    if (out)
        sync_demote(server_sync(s), epoch, key, on_ordered, NULL);
    else
        sync_handoff(server_sync(s), epoch, &key, 1, on_ordered, NULL);
    return true;
}

/* At most until until_us; a process that ends has no time at all. */
static enum err wait_for(struct server *s, struct moving *own_m, int64_t until_us)
{
    pthread_mutex_lock(&own_m->lock);
    while (!own_m->over && server_clerk(s) != NULL && clock_mono_us() < until_us) {
        struct timespec nap = clock_after_us(NAP_US);
        pthread_cond_timedwait(&own_m->told, &own_m->lock, &nap);
    }
    enum err e = own_m->over ? own_m->result : ERR_HELD;
    leave(own_m);
    return e;
}

static const char *why_of(enum err e)
{
    switch (e) {
    case ERR_RACE:
        return "it is in use, or the archive does not have its newest state yet";
    case ERR_ARCHIVEBAD:
        return "there is no such key that could move";
    case ERR_MOVED:
        return "the stores are changing places";
    case ERR_HELD:
        return "it takes longer than expected; it may still happen";
    default:
        return "a store has failed";
    }
}

/* Once. */
static enum err move(struct server *s, int64_t epoch, struct slice key, bool out, int64_t until_us)
{
    struct moving *m = calloc(1, sizeof *m);

    if (m == NULL)
        abort();
    pthread_mutex_init(&m->lock, NULL);
    clock_cond_init(&m->told);
    m->holders = 2;
    if (out)
        sync_demote(server_sync(s), epoch, key, on_moved, m);
    else
        sync_handoff(server_sync(s), epoch, &key, 1, on_moved, m);
    return wait_for(s, m, until_us);
}

bool levels_move(struct server *s, struct slice key, const char *to, char *why, size_t why_cap)
{
    bool out = strcmp(to, "warm") == 0;
    int64_t epoch = may_move(s, key, why, why_cap);

    if (epoch == 0)
        return false;
    if (!out && strcmp(to, "working") != 0)
        return refuse(why, why_cap, "expected warm or working");
    if (out && warm_tier(sync_warm(server_sync(s)), key) != RECORD_WORKING)
        return true;
    int64_t until_us = clock_mono_us() + WAIT_US;
    enum err e = move(s, epoch, key, out, until_us);
    for (int i = 0; i < TRIES && e == ERR_RACE; i++) { /* its copy may be on its way */
        usleep(TRY_US);
        e = move(s, epoch, key, out, until_us);
    }
    return e == ERR_NONE || refuse(why, why_cap, why_of(e));
}
