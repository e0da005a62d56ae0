#include "sync/warm.h"

#include "base/clock.h"
#include "executor/record.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define FIRST_SIZE  256
#define POLICIES    64
#define RECENT_MS   3600000 /* a list that takes longer may miss a key that came home meanwhile */
#define PATIENCE_MS 100
#define PRUNE_MS    1000
#define HIDDEN      WARM_TIERS /* the tier of what is deleted */

enum state { FREE, GONE, MOVING, LEAVING, AWAY, COMING, RECENT };

struct cell {
    uint64_t a, b;
    int64_t expire_ms; /* of RECENT: until when it is remembered */
    uint32_t bytes;
    uint8_t state, tier, policy, scan;
};

struct warm {
    pthread_mutex_t lock; /* for all that follows and is not atomic */
    pthread_cond_t settled;
    uint64_t secret[4];
    struct cell *cells;
    size_t size, used; /* size: a power of two; used: GONE ones, too */
    char policies[POLICIES][64];
    size_t npolicies;
    int64_t away, hidden, moving, pruned_ms;
    uint8_t scan;
    _Atomic bool wanted, known, any;
};

/* ---- the table: the lock is held ---- */

static struct cell *cells_new(size_t n)
{
    struct cell *cells = calloc(n, sizeof *cells);
    if (cells == NULL)
        abort();
    return cells;
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

static struct cell name_of(const struct warm *w, struct slice key)
{
    struct cell id = {.a = w->secret[0] ^ key.len, .b = w->secret[1]};

    for (size_t at = 0; at < key.len; at += 8) {
        uint64_t word = 0;
        memcpy(&word, key.p + at, key.len - at < 8 ? key.len - at : 8);
        id.a = mix(id.a ^ word ^ w->secret[2]);
        id.b = mix(id.b + word * (w->secret[3] | 1));
    }
    id.a = mix(id.a + w->secret[3]);
    id.b = mix(id.b ^ w->secret[2]);
    return id;
}

/* NULL: it is not in here. */
static struct cell *find(const struct warm *w, struct cell id)
{
    size_t at = id.a & (w->size - 1);

    while (w->cells[at].state != FREE) {
        struct cell *c = &w->cells[at];
        if (c->state != GONE && c->a == id.a && c->b == id.b)
            return c;
        at = (at + 1) & (w->size - 1);
    }
    return NULL;
}

static struct cell *place_of(const struct warm *w, const struct cell *id)
{
    size_t at = id->a & (w->size - 1);

    while (w->cells[at].state != FREE)
        at = (at + 1) & (w->size - 1);
    return &w->cells[at];
}

static bool is_kept(const struct cell *c)
{
    return c->state != FREE && c->state != GONE;
}

static void resize(struct warm *w)
{
    struct cell *old = w->cells;
    size_t size = w->size, kept = 0;

    for (size_t i = 0; i < size; i++)
        kept += is_kept(&old[i]);
    for (w->size = FIRST_SIZE; w->size < 4 * kept;)
        w->size *= 2;
    w->cells = cells_new(w->size);
    w->used = kept;
    for (size_t i = 0; i < size; i++)
        if (is_kept(&old[i]))
            *place_of(w, &old[i]) = old[i];
    free(old);
}

static struct cell *add(struct warm *w, struct cell id)
{
    if (2 * w->used >= w->size)
        resize(w);
    struct cell *c = place_of(w, &id);
    *c = id;
    w->used++;
    return c;
}

static bool is_away(uint8_t state)
{
    return state == LEAVING || state == AWAY || state == COMING;
}

/* Alone changes a state. */
static void set_state(struct warm *w, struct cell *c, enum state state)
{
    w->away += is_away((uint8_t)state) - is_away(c->state);
    w->hidden -= c->tier == HIDDEN && is_away(c->state) && !is_away((uint8_t)state);
    w->moving += (state == MOVING) - (c->state == MOVING);
    c->state = (uint8_t)state;
    if (state == RECENT)
        c->expire_ms = clock_wall_us() / 1000 + RECENT_MS;
    atomic_store(&w->any, w->away > 0 || w->moving > 0);
}

static uint8_t policy_of(struct warm *w, const char *name)
{
    size_t i = 0;

    while (i < w->npolicies && strcmp(w->policies[i], name) != 0)
        i++;
    if (i == POLICIES)
        return POLICIES - 1;
    if (i == w->npolicies)
        snprintf(w->policies[w->npolicies++], sizeof w->policies[0], "%s", name);
    return (uint8_t)i;
}

static void fill(struct warm *w, struct cell *c, const struct warm_key *k)
{
    w->hidden -= c->tier == HIDDEN && is_away(c->state);
    c->tier = k->tier;
    c->policy = policy_of(w, k->policy);
    c->expire_ms = k->expire_ms;
    if (k->bytes > 0)
        c->bytes = k->bytes < UINT32_MAX ? (uint32_t)k->bytes : UINT32_MAX;
}

/* ---- life ---- */

struct warm *warm_new(void)
{
    struct warm *w = calloc(1, sizeof *w);
    pthread_condattr_t mono;

    if (w == NULL || getrandom(w->secret, sizeof w->secret, 0) != sizeof w->secret)
        abort();
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&w->settled, &mono);
    pthread_condattr_destroy(&mono);
    w->size = FIRST_SIZE;
    w->cells = cells_new(w->size);
    return w;
}

void warm_free(struct warm *own_w)
{
    if (own_w == NULL)
        return;
    pthread_cond_destroy(&own_w->settled);
    pthread_mutex_destroy(&own_w->lock);
    free(own_w->cells);
    free(own_w);
}

/* ---- what is known ---- */

bool warm_active(const struct warm *w)
{
    return atomic_load_explicit(&w->wanted, memory_order_relaxed) ||
           atomic_load_explicit(&w->any, memory_order_relaxed);
}

void warm_want(struct warm *w, bool tiers)
{
    atomic_store(&w->wanted, tiers);
}

bool warm_known(const struct warm *w)
{
    return atomic_load(&w->known);
}

void warm_scan_begin(struct warm *w)
{
    pthread_mutex_lock(&w->lock);
    w->scan++;
    pthread_mutex_unlock(&w->lock);
}

void warm_scan_end(struct warm *w)
{
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->size; i++)
        if (w->cells[i].state == AWAY && w->cells[i].scan != w->scan)
            set_state(w, &w->cells[i], GONE);
    atomic_store(&w->known, true);
    pthread_mutex_unlock(&w->lock);
}

void warm_add(struct warm *w, const struct warm_key *k)
{
    struct cell id = name_of(w, k->key);

    pthread_mutex_lock(&w->lock);
    struct cell *c = find(w, id);
    if (c == NULL)
        c = add(w, id);
    if (c->state == FREE || c->state == RECENT)
        set_state(w, c, AWAY);
    if (c->state == AWAY)
        fill(w, c, k);
    c->scan = w->scan;
    pthread_mutex_unlock(&w->lock);
}

/* ---- who asks ---- */

bool warm_is_home(struct warm *w, struct slice key)
{
    struct cell id = name_of(w, key);
    bool home = true;

    pthread_mutex_lock(&w->lock);
    struct cell *c = find(w, id);
    if (c != NULL && c->state == MOVING)
        set_state(w, c, GONE);
    else if (c != NULL)
        home = c->state == RECENT;
    pthread_mutex_unlock(&w->lock);
    return home;
}

bool warm_shows(struct warm *w, struct slice key)
{
    struct cell id = name_of(w, key);

    pthread_mutex_lock(&w->lock);
    const struct cell *c = find(w, id);
    bool shows = c != NULL && c->state != MOVING && c->tier != HIDDEN;
    pthread_mutex_unlock(&w->lock);
    return shows;
}

void warm_hide(struct warm *w)
{
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->size; i++) {
        struct cell *c = &w->cells[i];
        if (!is_kept(c) || c->tier == HIDDEN)
            continue;
        w->hidden += is_away(c->state);
        c->tier = HIDDEN;
    }
    pthread_mutex_unlock(&w->lock);
}

/* ---- who moves ---- */

bool warm_announce(struct warm *w, struct slice key)
{
    struct cell id = name_of(w, key);

    pthread_mutex_lock(&w->lock);
    struct cell *c = find(w, id);
    bool free_to_go = c == NULL || c->state == RECENT;
    if (c == NULL)
        c = add(w, id);
    if (free_to_go) {
        c->tier = RECORD_WORKING;
        set_state(w, c, MOVING);
    }
    pthread_mutex_unlock(&w->lock);
    return free_to_go;
}

/* The cell, if its state is this one. */
static struct cell *find_at(struct warm *w, struct slice key, enum state state)
{
    struct cell *c = find(w, name_of(w, key));
    return c != NULL && c->state == state ? c : NULL;
}

bool warm_leave(struct warm *w, struct slice key)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, key, MOVING);
    if (c != NULL)
        set_state(w, c, LEAVING);
    pthread_mutex_unlock(&w->lock);
    return c != NULL;
}

void warm_settle(struct warm *w, const struct warm_key *k, bool away)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, k->key, LEAVING);
    if (c != NULL) {
        fill(w, c, k);
        c->scan = w->scan;
        set_state(w, c, away ? AWAY : GONE);
    }
    pthread_cond_broadcast(&w->settled);
    pthread_mutex_unlock(&w->lock);
}

void warm_call_off(struct warm *w, struct slice key)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, key, MOVING);
    if (c != NULL)
        set_state(w, c, GONE);
    pthread_mutex_unlock(&w->lock);
}

/* The lock is held, and free meanwhile. */
static void wait_for_it(struct warm *w)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PATIENCE_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_timedwait(&w->settled, &w->lock, &until);
}

bool warm_take(struct warm *w, struct slice key, bool *ret_leaving)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, key, MOVING);
    if (c != NULL)
        set_state(w, c, GONE);
    if (find_at(w, key, LEAVING) != NULL)
        wait_for_it(w);
    *ret_leaving = find_at(w, key, LEAVING) != NULL;
    c = find_at(w, key, AWAY);
    if (c != NULL)
        set_state(w, c, COMING);
    pthread_mutex_unlock(&w->lock);
    return c != NULL;
}

void warm_came(struct warm *w, struct slice key, bool home)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, key, COMING);
    if (c != NULL)
        set_state(w, c, home ? RECENT : AWAY);
    pthread_mutex_unlock(&w->lock);
}

void warm_forget(struct warm *w, struct slice key)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, key, AWAY);
    if (c != NULL)
        set_state(w, c, GONE);
    pthread_mutex_unlock(&w->lock);
}

/* ---- figures ---- */

/* An expired document of a key that is away was swept, or will be; a reader finds nothing. */
static void prune(struct warm *w, int64_t now_ms)
{
    if (now_ms - w->pruned_ms < PRUNE_MS && now_ms >= w->pruned_ms)
        return;
    w->pruned_ms = now_ms;
    for (size_t i = 0; i < w->size; i++) {
        struct cell *c = &w->cells[i];
        bool ends = c->state == AWAY || c->state == RECENT;
        if (ends && c->expire_ms >= 0 && c->expire_ms < now_ms - PRUNE_MS)
            set_state(w, c, GONE);
    }
}

static void count(const struct warm *w, struct warm_count *ret, size_t n)
{
    for (size_t i = 0; i < w->size; i++) {
        const struct cell *c = &w->cells[i];
        if (!is_away(c->state) || c->policy >= n || c->tier >= WARM_TIERS)
            continue;
        ret[c->policy].keys[c->tier]++;
        ret[c->policy].bytes[c->tier] += c->bytes;
    }
}

size_t warm_counts(struct warm *w, int64_t now_ms, struct warm_count *ret, size_t cap)
{
    pthread_mutex_lock(&w->lock);
    prune(w, now_ms);
    size_t n = w->npolicies < cap ? w->npolicies : cap;
    memset(ret, 0, n * sizeof *ret);
    for (size_t i = 0; i < n; i++)
        memcpy(ret[i].policy, w->policies[i], sizeof ret[i].policy);
    count(w, ret, n);
    pthread_mutex_unlock(&w->lock);
    return n;
}

int64_t warm_away(struct warm *w)
{
    pthread_mutex_lock(&w->lock);
    prune(w, clock_wall_us() / 1000);
    int64_t n = w->away - w->hidden;
    pthread_mutex_unlock(&w->lock);
    return n;
}

uint8_t warm_tier(struct warm *w, struct slice key)
{
    pthread_mutex_lock(&w->lock);
    const struct cell *c = find(w, name_of(w, key));
    uint8_t tier = c != NULL && is_away(c->state) && c->tier != HIDDEN ? c->tier : RECORD_WORKING;
    pthread_mutex_unlock(&w->lock);
    return tier;
}
