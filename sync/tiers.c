#include "sync/tiers.h"

#include "engine/dict.h"
#include "engine/list.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JSON_MOST (1u << 20) /* a larger value is not parsed for one number */

struct tiers {
    pthread_mutex_t lock;
    struct tiers_count counts[TIERS_POLICIES];
    size_t n;
    struct hist reads[RECORD_LEVELS]; /* recorded under the lock */
};

struct tiers *tiers_new(void)
{
    struct tiers *t = calloc(1, sizeof *t);

    if (t == NULL)
        abort();
    pthread_mutex_init(&t->lock, NULL);
    return t;
}

void tiers_free(struct tiers *own_t)
{
    if (own_t == NULL)
        return;
    pthread_mutex_destroy(&own_t->lock);
    free(own_t);
}

/* ---- importance ---- */

static int hundredths(double importance)
{
    return importance >= 0 && importance <= 1 ? (int)lround(importance * 100) : TIERS_NEUTRAL;
}

static int importance_of_text(struct slice text)
{
    char number[32], *end;

    if (text.len == 0 || text.len >= sizeof number)
        return TIERS_NEUTRAL;
    memcpy(number, text.p, text.len);
    number[text.len] = '\0';
    double value = strtod(number, &end);
    return *end == '\0' ? hundredths(value) : TIERS_NEUTRAL;
}

/* Of an object, or of the last one in an array. */
static int importance_of_json(struct slice text, const char *member)
{
    int importance = TIERS_NEUTRAL;

    if (text.len == 0 || text.len > JSON_MOST || (text.p[0] != '{' && text.p[0] != '['))
        return TIERS_NEUTRAL;
    cJSON *doc = cJSON_ParseWithLength(text.p, text.len);
    const cJSON *at = doc;
    if (cJSON_IsArray(at))
        at = at->child != NULL ? at->child->prev : NULL; /* cJSON's first child has the last one before it */
    const cJSON *value = cJSON_GetObjectItemCaseSensitive(at, member);
    if (cJSON_IsNumber(value))
        importance = hundredths(value->valuedouble);
    cJSON_Delete(doc);
    return importance;
}

int tiers_importance(const struct policy_conf *policy, const struct object *o)
{
    struct slice member = {policy->tier_importance, strlen(policy->tier_importance)};

    if (member.len == 0)
        return TIERS_NEUTRAL;
    if (o->type == OBJECT_HASH) {
        int64_t at = dict_find(o->v.hash, member);
        return at >= 0 ? importance_of_text(o->v.hash->entries[at].value) : TIERS_NEUTRAL;
    }
    if (o->type == OBJECT_STRING)
        return importance_of_json(o->v.string, policy->tier_importance);
    if (o->type == OBJECT_LIST && o->v.list->count > 0)
        return importance_of_json(*list_at(o->v.list, o->v.list->count - 1), policy->tier_importance);
    return TIERS_NEUTRAL;
}

/* ---- rules ---- */

enum record_level tiers_level(const struct policy_conf *policy, int64_t idle_ms)
{
    if (idle_ms < policy->tier_warm_after)
        return RECORD_WORKING;
    return idle_ms < policy->tier_cold_after ? RECORD_WARM : RECORD_COLD;
}

bool tiers_keeps(const struct policy_conf *policy, int importance, int64_t accesses)
{
    return importance > policy->tier_keep_above && accesses > policy->tier_keep_accesses;
}

bool tiers_lets_go(const struct policy_conf *policy, int importance, int64_t accesses)
{
    return importance < policy->tier_demote_below && !tiers_keeps(policy, importance, accesses);
}

/* ---- figures ---- */

/* The lock is held. Policies beyond the last one share it. */
static struct tiers_count *count_of(struct tiers *t, const char *policy)
{
    size_t i = 0;

    while (i < t->n && strcmp(t->counts[i].policy, policy) != 0)
        i++;
    if (i == TIERS_POLICIES)
        return &t->counts[TIERS_POLICIES - 1];
    if (i == t->n) {
        snprintf(t->counts[i].policy, sizeof t->counts[i].policy, "%s", policy);
        t->counts[t->n++].working = -1;
    }
    return &t->counts[i];
}

/* Keys that were made since the last sweep were not counted. */
static void shift(struct tiers_count *c, int64_t keys)
{
    if (c->working >= 0)
        c->working = c->working + keys > 0 ? c->working + keys : 0;
}

void tiers_moved(struct tiers *t, const char *policy, enum record_level from, enum record_level to, uint64_t keys)
{
    pthread_mutex_lock(&t->lock);
    struct tiers_count *c = count_of(t, policy);
    c->moves[from][to] += keys;
    if (from == RECORD_WORKING)
        shift(c, -(int64_t)keys);
    else if (to == RECORD_WORKING)
        shift(c, (int64_t)keys);
    pthread_mutex_unlock(&t->lock);
}

void tiers_read(struct tiers *t, enum record_level from, int64_t took_us)
{
    pthread_mutex_lock(&t->lock);
    hist_record(&t->reads[from], took_us);
    pthread_mutex_unlock(&t->lock);
}

void tiers_seen(struct tiers *t, const char *policy, const struct tiers_seen *seen)
{
    pthread_mutex_lock(&t->lock);
    struct tiers_count *c = count_of(t, policy);
    c->working = seen->keys - seen->left;
    c->due = seen->due;
    c->due_since_us = seen->due > 0 ? seen->due_since_us : 0;
    pthread_mutex_unlock(&t->lock);
}

void tiers_swept(struct tiers *t, const char *policy, int64_t now_us)
{
    pthread_mutex_lock(&t->lock);
    count_of(t, policy)->swept_us = now_us;
    pthread_mutex_unlock(&t->lock);
}

int64_t tiers_last(struct tiers *t, const char *policy)
{
    pthread_mutex_lock(&t->lock);
    int64_t last = count_of(t, policy)->swept_us;
    pthread_mutex_unlock(&t->lock);
    return last;
}

size_t tiers_counts(struct tiers *t, struct tiers_count *ret, size_t cap)
{
    pthread_mutex_lock(&t->lock);
    size_t n = t->n < cap ? t->n : cap;
    memcpy(ret, t->counts, n * sizeof *ret);
    pthread_mutex_unlock(&t->lock);
    return n;
}

void tiers_reads(struct tiers *t, enum record_level level, struct hist_sum *ret)
{
    hist_add_to(&t->reads[level], ret);
}
