#include "sync/warm.h"

#include "base/clock.h"
#include "sync/cells.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define RECENT_MS   3600000 /* a list that takes longer may miss a key that came home meanwhile */
#define PATIENCE_MS 100
#define PRUNE       4096 /* cells that are looked at for each figure that is asked for */

struct warm {
    pthread_mutex_t lock; /* for all that follows and is not atomic */
    pthread_cond_t settled;
    struct keyid_secret secret;
    struct cells cells;
    char policies[CELLS_POLICIES][64];
    size_t npolicies;
    uint8_t scan;
    _Atomic bool wanted, known, any;
};

/* ---- cells: the lock is held ---- */

/* NULL: it is not in here. */
static struct cell *find(const struct warm *w, struct slice key)
{
    return cells_find(&w->cells, keyid_of(&w->secret, key));
}

/* The cell, if its state is this one. */
static struct cell *find_at(const struct warm *w, struct slice key, enum cell_state state)
{
    struct cell *c = find(w, key);
    return c != NULL && c->state == state ? c : NULL;
}

static struct cell *find_or_add(struct warm *w, struct slice key)
{
    struct cell *c = find(w, key);
    return c != NULL ? c : cells_add(&w->cells, keyid_of(&w->secret, key));
}

static void see_any(struct warm *w)
{
    atomic_store(&w->any, w->cells.away > 0 || w->cells.moving > 0);
}

static void set_state(struct warm *w, struct cell *c, enum cell_state state)
{
    cells_set_state(&w->cells, c, state);
    if (state == CELL_RECENT)
        c->expire_ms = clock_wall_us() / 1000 + RECENT_MS;
    see_any(w);
}

static uint8_t policy_of(struct warm *w, const char *name)
{
    size_t i = 0;

    while (i < w->npolicies && strcmp(w->policies[i], name) != 0)
        i++;
    if (i == CELLS_POLICIES)
        return CELLS_POLICIES - 1;
    if (i == w->npolicies)
        snprintf(w->policies[w->npolicies++], sizeof w->policies[0], "%s", name);
    return (uint8_t)i;
}

static void keep_facts(struct cell *c, const struct record_tier *facts)
{
    int64_t seen_s = facts->seen_ms / 1000;

    c->seen_s = seen_s < 0 ? 0 : seen_s < UINT32_MAX ? (uint32_t)seen_s : UINT32_MAX;
    c->importance = (uint8_t)(facts->importance < 0 ? 0 : facts->importance < UINT8_MAX ? facts->importance : UINT8_MAX);
    c->accesses = (uint8_t)(facts->accesses < 0 ? 0 : facts->accesses < UINT8_MAX ? facts->accesses : UINT8_MAX);
    c->told = true;
}

static void fill(struct warm *w, struct cell *c, const struct warm_key *k, uint8_t tier)
{
    cells_set(&w->cells, c, tier, policy_of(w, k->policy), k->bytes < UINT32_MAX ? (uint32_t)k->bytes : UINT32_MAX);
    c->expire_ms = k->expire_ms;
    if (k->facts != NULL)
        keep_facts(c, k->facts);
}

/* ---- life ---- */

struct warm *warm_new(void)
{
    struct warm *w = calloc(1, sizeof *w);
    pthread_condattr_t mono;

    if (w == NULL)
        abort();
    keyid_secret_init(&w->secret);
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&w->settled, &mono);
    pthread_condattr_destroy(&mono);
    cells_init(&w->cells);
    return w;
}

void warm_free(struct warm *own_w)
{
    if (own_w == NULL)
        return;
    pthread_cond_destroy(&own_w->settled);
    pthread_mutex_destroy(&own_w->lock);
    cells_done(&own_w->cells);
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
    for (size_t i = 0; i < w->cells.size; i++) {
        struct cell *c = &w->cells.list[i];
        if (c->state == CELL_AWAY && c->scan != w->scan)
            set_state(w, c, CELL_GONE);
    }
    atomic_store(&w->known, true);
    pthread_mutex_unlock(&w->lock);
}

void warm_add(struct warm *w, const struct warm_key *k)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_or_add(w, k->key);
    if (c->state == CELL_FREE || c->state == CELL_RECENT) {
        c->told = false;
        set_state(w, c, CELL_AWAY);
    }
    if (c->state == CELL_AWAY)
        fill(w, c, k, k->tier);
    c->scan = w->scan;
    pthread_mutex_unlock(&w->lock);
}

/* ---- who asks ---- */

/* Nothing is away or about to leave: a key that is announced later waits for the requests that have passed here (proxy/fence). */
static bool has_none(const struct warm *w)
{
    return !atomic_load(&w->any);
}

bool warm_is_home(struct warm *w, struct slice key)
{
    bool home = true;

    if (has_none(w))
        return true;
    pthread_mutex_lock(&w->lock);
    struct cell *c = find(w, key);
    if (c != NULL && c->state == CELL_MOVING)
        set_state(w, c, CELL_GONE);
    else if (c != NULL)
        home = c->state == CELL_RECENT;
    pthread_mutex_unlock(&w->lock);
    return home;
}

bool warm_shows(struct warm *w, struct slice key)
{
    pthread_mutex_lock(&w->lock);
    const struct cell *c = find(w, key);
    bool shows = c != NULL && c->state != CELL_MOVING && c->tier != CELLS_HIDDEN;
    pthread_mutex_unlock(&w->lock);
    return shows;
}

/* To delete a key is to use it: what has not begun to leave stays. */
void warm_hide(struct warm *w)
{
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->cells.size; i++) {
        struct cell *c = &w->cells.list[i];
        if (c->state == CELL_MOVING)
            set_state(w, c, CELL_GONE);
        else if (c->state != CELL_FREE && c->state != CELL_GONE)
            cells_set(&w->cells, c, CELLS_HIDDEN, c->policy, 0);
    }
    pthread_mutex_unlock(&w->lock);
}

/* ---- who moves ---- */

bool warm_announce(struct warm *w, struct slice key)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_or_add(w, key);
    bool free_to_go = c->state == CELL_FREE || c->state == CELL_RECENT;
    if (free_to_go) {
        cells_set(&w->cells, c, RECORD_WORKING, c->policy, 0);
        set_state(w, c, CELL_MOVING);
    }
    pthread_mutex_unlock(&w->lock);
    return free_to_go;
}

bool warm_leave(struct warm *w, struct slice key)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, key, CELL_MOVING);
    if (c != NULL)
        set_state(w, c, CELL_LEAVING);
    pthread_mutex_unlock(&w->lock);
    return c != NULL;
}

/* One that was deleted while it was leaving stays hidden: the archive will hear of it. */
void warm_settle(struct warm *w, const struct warm_key *k, bool away)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, k->key, CELL_LEAVING);
    if (c != NULL) {
        fill(w, c, k, c->tier == CELLS_HIDDEN ? CELLS_HIDDEN : k->tier);
        c->scan = w->scan;
        set_state(w, c, away ? CELL_AWAY : CELL_GONE);
    }
    pthread_cond_broadcast(&w->settled);
    pthread_mutex_unlock(&w->lock);
}

void warm_call_off(struct warm *w, struct slice key)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, key, CELL_MOVING);
    if (c != NULL)
        set_state(w, c, CELL_GONE);
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
    struct cell *c = find_at(w, key, CELL_MOVING);
    if (c != NULL)
        set_state(w, c, CELL_GONE);
    if (find_at(w, key, CELL_LEAVING) != NULL)
        wait_for_it(w);
    *ret_leaving = find_at(w, key, CELL_LEAVING) != NULL;
    c = find_at(w, key, CELL_AWAY);
    if (c != NULL)
        set_state(w, c, CELL_COMING);
    pthread_mutex_unlock(&w->lock);
    return c != NULL;
}

void warm_came(struct warm *w, struct slice key, bool home)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, key, CELL_COMING);
    if (c != NULL)
        set_state(w, c, home ? CELL_RECENT : CELL_AWAY);
    pthread_mutex_unlock(&w->lock);
}

void warm_forget(struct warm *w, struct slice key)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, key, CELL_AWAY);
    if (c != NULL)
        set_state(w, c, CELL_GONE);
    pthread_mutex_unlock(&w->lock);
}

void warm_learn(struct warm *w, struct slice key, const struct record_tier *facts)
{
    pthread_mutex_lock(&w->lock);
    struct cell *c = find_at(w, key, CELL_AWAY);
    if (c != NULL)
        keep_facts(c, facts);
    pthread_mutex_unlock(&w->lock);
}

bool warm_facts(struct warm *w, struct slice key, struct record_tier *ret)
{
    pthread_mutex_lock(&w->lock);
    const struct cell *c = find_at(w, key, CELL_AWAY);
    bool told = c != NULL && c->told && c->tier != CELLS_HIDDEN;
    if (told)
        *ret = (struct record_tier){.level = c->tier, .importance = c->importance, .seen_ms = (int64_t)c->seen_s * 1000, .accesses = c->accesses};
    pthread_mutex_unlock(&w->lock);
    return told;
}

/* ---- figures ---- */

void warm_prune(struct warm *w, int64_t now_ms)
{
    pthread_mutex_lock(&w->lock);
    cells_prune(&w->cells, now_ms, PRUNE);
    see_any(w);
    pthread_mutex_unlock(&w->lock);
}

size_t warm_counts(struct warm *w, struct warm_count *ret, size_t cap)
{
    pthread_mutex_lock(&w->lock);
    size_t n = w->npolicies < cap ? w->npolicies : cap;
    for (size_t i = 0; i < n; i++) {
        const struct cells_tally *t = &w->cells.tallies[i];
        memcpy(ret[i].policy, w->policies[i], sizeof ret[i].policy);
        memcpy(ret[i].keys, t->keys, sizeof ret[i].keys);
        memcpy(ret[i].bytes, t->bytes, sizeof ret[i].bytes);
    }
    pthread_mutex_unlock(&w->lock);
    return n;
}

int64_t warm_away(struct warm *w)
{
    warm_prune(w, clock_wall_us() / 1000);
    pthread_mutex_lock(&w->lock);
    int64_t n = w->cells.away - w->cells.hidden;
    pthread_mutex_unlock(&w->lock);
    return n;
}

uint8_t warm_tier(struct warm *w, struct slice key)
{
    pthread_mutex_lock(&w->lock);
    const struct cell *c = find(w, key);
    uint8_t tier = c != NULL && cells_is_away(c) && c->tier != CELLS_HIDDEN ? c->tier : RECORD_WORKING;
    pthread_mutex_unlock(&w->lock);
    return tier;
}
