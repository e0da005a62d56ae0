#include "proxy/levels.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/overview.h"
#include "proxy/server.h"
#include "router/policy.h"
#include "sync/sync.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WAIT_S 10
#define TRIES  10
#define TRY_NS 50000000

/* ---- how much is where ---- */

struct level_counts {
    struct warm_count away;
    struct tiers_count moves;
};

/* Zeros where nothing is known of the policy. */
static void counts_of(const struct server *s, const char *policy, struct level_counts *ret)
{
    struct sync *sync = server_sync(s);
    struct warm_count *away = calloc(TIERS_POLICIES, sizeof *away);
    struct tiers_count *moves = calloc(TIERS_POLICIES, sizeof *moves);

    if (away == NULL || moves == NULL)
        abort();
    memset(ret, 0, sizeof *ret);
    ret->moves.working = -1;
    size_t naway = warm_counts(sync_warm(sync), clock_wall_us() / 1000, away, TIERS_POLICIES);
    size_t nmoves = tiers_counts(sync_tiers(sync), moves, TIERS_POLICIES);
    for (size_t i = 0; i < naway; i++)
        if (strcmp(away[i].policy, policy) == 0)
            ret->away = away[i];
    for (size_t i = 0; i < nmoves; i++)
        if (strcmp(moves[i].policy, policy) == 0)
            ret->moves = moves[i];
    free(away);
    free(moves);
}

static void add_time(cJSON *doc, const char *name, int64_t at_us)
{
    char text[CLOCK_TEXT];

    clock_text(at_us, text);
    cJSON_AddStringToObject(doc, name, text);
}

static void add_tier(cJSON *doc, const struct level_counts *c, enum record_level level)
{
    cJSON *tier = cJSON_AddObjectToObject(doc, record_level_name(level));

    cJSON_AddNumberToObject(tier, "keys", (double)c->away.keys[level]);
    cJSON_AddNumberToObject(tier, "bytes", (double)c->away.bytes[level]);
}

static void add_sweeps(cJSON *doc, const struct settings *set, const struct policy_conf *p, int64_t last_us)
{
    if (last_us != 0)
        add_time(doc, "lastSweep", last_us);
    if (p->tiers && set->tier_every > 0 && last_us != 0)
        add_time(doc, "nextSweep", last_us + set->tier_every * 1000);
}

static cJSON *policy_json(const struct server *s, const struct settings *set, const struct policy_conf *p)
{
    struct level_counts c;
    cJSON *doc = cJSON_CreateObject();

    counts_of(s, p->name, &c);
    cJSON_AddStringToObject(doc, "policy", p->name);
    cJSON_AddBoolToObject(doc, "on", p->tiers);
    cJSON *working = cJSON_AddObjectToObject(doc, "working");
    if (c.moves.working >= 0)
        cJSON_AddNumberToObject(working, "keys", (double)c.moves.working);
    add_tier(doc, &c, RECORD_WARM);
    add_tier(doc, &c, RECORD_COLD);
    cJSON *moves = cJSON_AddObjectToObject(doc, "moves");
    cJSON_AddNumberToObject(moves, "demoted", (double)(c.moves.moves[RECORD_WORKING][RECORD_WARM] + c.moves.moves[RECORD_WORKING][RECORD_COLD]));
    cJSON_AddNumberToObject(moves, "chilled", (double)c.moves.moves[RECORD_WARM][RECORD_COLD]);
    cJSON_AddNumberToObject(moves, "promoted", (double)(c.moves.moves[RECORD_WARM][RECORD_WORKING] + c.moves.moves[RECORD_COLD][RECORD_WORKING]));
    add_sweeps(doc, set, p, c.moves.swept_us);
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
    for (size_t i = 0; sync != NULL && i < set->policy_count; i++)
        cJSON_AddItemToArray(policies, policy_json(s, set, &set->policies[i]));
    if (sync != NULL) {
        cJSON *reads = cJSON_AddObjectToObject(doc, "hydrations");
        add_reads(reads, sync_tiers(sync), RECORD_WARM);
        add_reads(reads, sync_tiers(sync), RECORD_COLD);
    }
    settings_unref(set);
    return doc;
}

/* ---- a key ---- */

/* Its policy's name; "": none. */
static void name_policy(const struct settings *set, struct slice key, char *name, size_t cap)
{
    struct policy_set *policies = policy_set_new(set);
    const struct policy_conf *p = policies != NULL ? policy_find(policies, key) : NULL;

    snprintf(name, cap, "%s", p != NULL ? p->name : "");
    policy_set_free(policies);
}

cJSON *levels_key(const struct server *s, struct slice key)
{
    const struct settings *set = config_current(server_config(s));
    struct sync *sync = server_sync(s);
    cJSON *doc = cJSON_CreateObject();
    char policy[64];

    name_policy(set, key, policy, sizeof policy);
    cJSON_AddStringToObject(doc, "key", key.p);
    cJSON_AddStringToObject(doc, "policy", policy);
    if (sync != NULL) {
        cJSON_AddStringToObject(doc, "tier", record_level_name((enum record_level)warm_tier(sync_warm(sync), key)));
        cJSON_AddNumberToObject(doc, "accesses", tiers_accesses(sync_tiers(sync), key));
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
    struct placement_report places;
    char policy[64];

    name_policy(set, key, policy, sizeof policy);
    const struct policy_conf *p = settings_policy(set, policy);
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

static enum err wait_for(struct moving *own_m)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&own_m->lock);
    while (!own_m->over && pthread_cond_timedwait(&own_m->told, &own_m->lock, &until) == 0)
        continue;
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
static enum err move(struct server *s, int64_t epoch, struct slice key, bool out)
{
    struct moving *m = calloc(1, sizeof *m);

    if (m == NULL)
        abort();
    pthread_mutex_init(&m->lock, NULL);
    pthread_cond_init(&m->told, NULL);
    m->holders = 2;
    if (out)
        sync_demote(server_sync(s), epoch, key, on_moved, m);
    else
        sync_handoff(server_sync(s), epoch, &key, 1, on_moved, m);
    return wait_for(m);
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
    enum err e = move(s, epoch, key, out);
    for (int i = 0; i < TRIES && e == ERR_RACE; i++) { /* its copy may be on its way */
        nanosleep(&(struct timespec){.tv_nsec = TRY_NS}, NULL);
        e = move(s, epoch, key, out);
    }
    return e == ERR_NONE || refuse(why, why_cap, why_of(e));
}
