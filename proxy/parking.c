#include "proxy/parking.h"

#include "engine/call.h"
#include "proxy/loop.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_SIZE 64

/* Those who wait for one key. */
struct parking_lane {
    struct parking_lane *next; /* in its bucket */
    struct parking_place *head, **tail;
    uint64_t hash;
    int db;
    size_t len;
    char key[];
};

struct parking {
    uv_mutex_t lock;
    _Atomic size_t waiters;
    uint64_t wakes; /* so far */
    uint64_t secret;
    void (*on_woken)(struct loop *l, void *waiter);
    struct parking_lane **buckets;
    size_t size, used; /* size: a power of two */
};

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

struct parking *parking_new(void (*on_woken)(struct loop *l, void *waiter))
{
    struct parking *p = must(calloc(1, sizeof *p));

    if (getrandom(&p->secret, sizeof p->secret, 0) != sizeof p->secret || uv_mutex_init(&p->lock) != 0)
        abort();
    p->on_woken = on_woken;
    p->size = FIRST_SIZE;
    p->buckets = must(calloc(p->size, sizeof(struct parking_lane *)));
    return p;
}

void parking_free(struct parking *own_p)
{
    if (own_p == NULL)
        return;
    uv_mutex_destroy(&own_p->lock);
    free(own_p->buckets);
    free(own_p);
}

bool parking_any(const struct parking *p)
{
    return atomic_load_explicit(&p->waiters, memory_order_relaxed) > 0;
}

/* ---- lanes: the lock is held ---- */

/* Clients choose the keys: the secret keeps them from choosing the bucket. */
static uint64_t hash_of(const struct parking *p, int db, struct slice key)
{
    uint64_t h = p->secret ^ (uint64_t)db;

    for (size_t i = 0; i < key.len; i++) {
        h ^= (unsigned char)key.p[i];
        h *= 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

static struct parking_lane **find(struct parking *p, int db, struct slice key, uint64_t hash)
{
    struct parking_lane **at = &p->buckets[hash & (p->size - 1)];

    while (*at != NULL && ((*at)->hash != hash || (*at)->db != db || !slice_equal((struct slice){(*at)->key, (*at)->len}, key)))
        at = &(*at)->next;
    return at;
}

static void grow(struct parking *p)
{
    struct parking_lane **old = p->buckets;
    size_t size = p->size;

    p->size = 2 * size;
    p->buckets = must(calloc(p->size, sizeof(struct parking_lane *)));
    for (size_t i = 0; i < size; i++) {
        for (struct parking_lane *lane = old[i], *next; lane != NULL; lane = next) {
            next = lane->next;
            lane->next = p->buckets[lane->hash & (p->size - 1)];
            p->buckets[lane->hash & (p->size - 1)] = lane;
        }
    }
    free(old);
}

static struct parking_lane *lane_of(struct parking *p, int db, struct slice key)
{
    uint64_t hash = hash_of(p, db, key);
    struct parking_lane **at = find(p, db, key, hash);

    if (*at != NULL)
        return *at;
    struct parking_lane *lane = must(malloc(sizeof *lane + key.len));
    *lane = (struct parking_lane){.tail = &lane->head, .hash = hash, .db = db, .len = key.len};
    memcpy(lane->key, key.p, key.len);
    *at = lane;
    if (++p->used > p->size)
        grow(p);
    return lane;
}

static void drop_empty(struct parking *p, struct parking_lane *lane)
{
    struct parking_lane **at = &p->buckets[lane->hash & (p->size - 1)];

    if (lane->head != NULL)
        return;
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    p->used--;
    free(lane);
}

/* A waiter that enters is the last one wherever it has entered already: the lock is held for as long. */
static bool is_last(const struct parking_lane *lane, const struct waiter *w)
{
    return lane->head != NULL && ((const struct parking_place *)lane->tail)->waiter == w;
}

static void enter(struct parking_place *place, struct parking_lane *lane)
{
    place->lane = lane;
    place->back = lane->tail;
    *lane->tail = place;
    lane->tail = &place->next;
}

static void leave(struct parking *p, struct parking_place *place)
{
    struct parking_lane *lane = place->lane;

    *place->back = place->next;
    if (place->next != NULL)
        place->next->back = place->back;
    else
        lane->tail = place->back;
    drop_empty(p, lane);
}

bool parking_awaits(struct parking *p, int db, struct slice key)
{
    if (!parking_any(p))
        return false;
    uv_mutex_lock(&p->lock);
    bool awaits = *find(p, db, key, hash_of(p, db, key)) != NULL;
    uv_mutex_unlock(&p->lock);
    return awaits;
}

/* ---- wakes: the lock is held ---- */

static void wake_one(struct parking *p, struct parking_place *place)
{
    struct waiter *w = place->waiter;

    if (place->woken == 0)
        place->woken = ++p->wakes;
    if (!w->posted)
        w->posted = loop_try_post(w->loop, p->on_woken, w);
}

/* From a place on: the first of the kind who takes. */
static void wake_taker(struct parking *p, struct parking_place *place, uint64_t kind)
{
    while (place != NULL && (!place->waiter->takes || place->waiter->kind != kind))
        place = place->next;
    if (place != NULL)
        wake_one(p, place);
}

static bool is_among(const uint64_t *kinds, size_t n, uint64_t kind)
{
    for (size_t i = 0; i < n; i++)
        if (kinds[i] == kind)
            return true;
    return false;
}

/* All who take nothing, and the first of each kind who does. Beyond so many kinds more than the first are woken, in vain. */
static void wake_lane(struct parking *p, struct parking_lane *lane)
{
    uint64_t kinds[16];
    size_t n = 0;

    for (struct parking_place *place = lane->head; place != NULL; place = place->next) {
        const struct waiter *w = place->waiter;
        if (w->takes && is_among(kinds, n, w->kind))
            continue;
        if (w->takes && n < sizeof kinds / sizeof kinds[0])
            kinds[n++] = w->kind;
        wake_one(p, place);
    }
}

/* ---- the interface ---- */

_Static_assert(offsetof(struct parking_place, next) == 0, "a lane's tail is its last place");

struct waiter *parking_enter(struct parking *p, struct loop *l, void *owner, uint64_t kind, bool takes, int db,
                             const struct slice *keys, size_t n)
{
    struct waiter *w = must(calloc(1, sizeof *w));

    *w = (struct waiter){.loop = l, .owner = owner, .kind = kind, .takes = takes, .places = must(calloc(n, sizeof(struct parking_place)))};
    uv_mutex_lock(&p->lock);
    for (size_t i = 0; i < n; i++) {
        struct parking_lane *lane = lane_of(p, db, keys[i]);
        if (is_last(lane, w))
            continue;
        w->places[w->n] = (struct parking_place){.waiter = w, .arg = i};
        enter(&w->places[w->n++], lane);
    }
    atomic_fetch_add(&p->waiters, 1);
    uv_mutex_unlock(&p->lock);
    return w;
}

struct slice parking_key(const struct waiter *w, size_t i)
{
    return (struct slice){w->places[i].lane->key, w->places[i].lane->len};
}

bool parking_is_first(struct parking *p, const struct waiter *w, size_t i)
{
    uv_mutex_lock(&p->lock);
    const struct parking_place *place = w->places[i].lane->head;
    while (place->waiter != w && (!place->waiter->takes || place->waiter->kind != w->kind))
        place = place->next;
    bool first = place->waiter == w;
    uv_mutex_unlock(&p->lock);
    return first;
}

void parking_wake(struct parking *p, int db, struct slice key)
{
    uv_mutex_lock(&p->lock);
    struct parking_lane *lane = *find(p, db, key, hash_of(p, db, key));
    if (lane != NULL)
        wake_lane(p, lane);
    uv_mutex_unlock(&p->lock);
}

void parking_wake_own(struct parking *p, struct waiter *w, size_t i)
{
    uv_mutex_lock(&p->lock);
    if (w->places[i].woken == 0)
        w->places[i].woken = ++p->wakes;
    uv_mutex_unlock(&p->lock);
}

void parking_pass(struct parking *p, struct waiter *w, size_t i)
{
    uv_mutex_lock(&p->lock);
    wake_taker(p, w->places[i].next, w->kind);
    uv_mutex_unlock(&p->lock);
}

size_t parking_next(struct parking *p, struct waiter *w)
{
    size_t best = w->n;

    uv_mutex_lock(&p->lock);
    for (size_t i = 0; i < w->n; i++)
        if (w->places[i].woken != 0 && (best == w->n || w->places[i].woken < w->places[best].woken))
            best = i;
    if (best < w->n)
        w->places[best].woken = 0;
    uv_mutex_unlock(&p->lock);
    return best;
}

static void waiter_free(struct waiter *own_w)
{
    free(own_w->places);
    free(own_w);
}

bool parking_told(struct parking *p, struct waiter *w)
{
    uv_mutex_lock(&p->lock);
    w->posted = false;
    bool leaves = w->leaves;
    uv_mutex_unlock(&p->lock);
    if (leaves)
        waiter_free(w);
    return !leaves;
}

void parking_leave(struct parking *p, struct waiter *own_w)
{
    struct waiter *w = own_w;

    uv_mutex_lock(&p->lock);
    for (size_t i = 0; i < w->n; i++) {
        if (w->places[i].woken != 0 && w->takes)
            wake_taker(p, w->places[i].next, w->kind);
        leave(p, &w->places[i]);
    }
    atomic_fetch_sub(&p->waiters, 1);
    w->leaves = true;
    bool posted = w->posted;
    uv_mutex_unlock(&p->lock);
    if (!posted)
        waiter_free(w);
}
