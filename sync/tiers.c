#include "sync/tiers.h"

#include "engine/dict.h"
#include "engine/list.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define ROWS    2
#define COLUMNS (1u << 18)
#define MOST    255
#define NEUTRAL 50
#define JSON_MOST (1u << 20) /* a larger value is not parsed for one number */

struct tiers {
    pthread_mutex_t lock;
    struct tiers_count counts[TIERS_POLICIES];
    size_t n;
    struct hist reads[TIERS_LEVELS]; /* recorded under the lock */
    uint64_t secret;
    _Atomic uint8_t used[ROWS][COLUMNS];
};

struct tiers *tiers_new(void)
{
    struct tiers *t = calloc(1, sizeof *t);

    if (t == NULL || getrandom(&t->secret, sizeof t->secret, 0) != sizeof t->secret)
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

/* ---- accesses: the smallest of a key's counters, which others may have raised, too ---- */

static uint64_t hash_of(const struct tiers *t, struct slice key)
{
    uint64_t h = t->secret ^ key.len;

    for (size_t at = 0; at < key.len; at += 8) {
        uint64_t word = 0;
        memcpy(&word, key.p + at, key.len - at < 8 ? key.len - at : 8);
        h = (h ^ word) * 0xd6e8feb86659fd93u;
        h ^= h >> 32;
    }
    return h * 0xd6e8feb86659fd93u;
}

static size_t column(uint64_t hash, size_t row)
{
    return (hash >> (row * 24)) & (COLUMNS - 1);
}

void tiers_touch(struct tiers *t, struct slice key)
{
    uint64_t hash = hash_of(t, key);

    for (size_t row = 0; row < ROWS; row++) {
        _Atomic uint8_t *at = &t->used[row][column(hash, row)];
        uint8_t n = atomic_load_explicit(at, memory_order_relaxed);
        if (n < MOST) /* two at once count as one: it is an estimate */
            atomic_store_explicit(at, (uint8_t)(n + 1), memory_order_relaxed);
    }
}

unsigned tiers_accesses(const struct tiers *t, struct slice key)
{
    uint64_t hash = hash_of(t, key);
    unsigned least = MOST;

    for (size_t row = 0; row < ROWS; row++) {
        unsigned n = atomic_load_explicit(&t->used[row][column(hash, row)], memory_order_relaxed);
        least = n < least ? n : least;
    }
    return least;
}

/* ---- importance ---- */

static int hundredths(double importance)
{
    return importance >= 0 && importance <= 1 ? (int)lround(importance * 100) : NEUTRAL;
}

static int importance_of_text(struct slice text)
{
    char number[32], *end;

    if (text.len == 0 || text.len >= sizeof number)
        return NEUTRAL;
    memcpy(number, text.p, text.len);
    number[text.len] = '\0';
    double value = strtod(number, &end);
    return *end == '\0' ? hundredths(value) : NEUTRAL;
}

/* Of an object, or of the last one in an array. */
static int importance_of_json(struct slice text, const char *member)
{
    int importance = NEUTRAL;

    if (text.len == 0 || text.len > JSON_MOST || (text.p[0] != '{' && text.p[0] != '['))
        return NEUTRAL;
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
        return NEUTRAL;
    if (o->type == OBJECT_HASH) {
        int64_t at = dict_find(o->v.hash, member);
        return at >= 0 ? importance_of_text(o->v.hash->entries[at].value) : NEUTRAL;
    }
    if (o->type == OBJECT_STRING)
        return importance_of_json(o->v.string, policy->tier_importance);
    if (o->type == OBJECT_LIST && o->v.list->count > 0)
        return importance_of_json(*list_at(o->v.list, o->v.list->count - 1), policy->tier_importance);
    return NEUTRAL;
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

void tiers_moved(struct tiers *t, const char *policy, enum record_level from, enum record_level to, uint64_t keys)
{
    pthread_mutex_lock(&t->lock);
    count_of(t, policy)->moves[from][to] += keys;
    pthread_mutex_unlock(&t->lock);
}

void tiers_read(struct tiers *t, enum record_level from, int64_t took_us)
{
    pthread_mutex_lock(&t->lock);
    hist_record(&t->reads[from], took_us);
    pthread_mutex_unlock(&t->lock);
}

void tiers_swept(struct tiers *t, const char *policy, int64_t working, int64_t now_us)
{
    pthread_mutex_lock(&t->lock);
    count_of(t, policy)->working = working;
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
