#include "proxy/limiter.h"

#include "base/hashed.h"

#include <pthread.h>
#include <stdlib.h>

#define WAYS 16
#define SETS (LIMITER_TENANTS / WAYS)

struct place {
    uint64_t hash; /* of policy and name; 0: nobody */
    unsigned policy;
    int64_t full_ns[RATE_CLASSES]; /* when the bucket is full again */
    struct limiter_use use;
};

struct limiter {
    pthread_mutex_t locks[SETS];
    struct place places[SETS][WAYS];
};

struct limiter *limiter_new(void)
{
    struct limiter *l = calloc(1, sizeof *l);

    if (l == NULL)
        abort();
    for (size_t i = 0; i < SETS; i++)
        pthread_mutex_init(&l->locks[i], NULL);
    return l;
}

void limiter_free(struct limiter *own_l)
{
    if (own_l == NULL)
        return;
    for (size_t i = 0; i < SETS; i++)
        pthread_mutex_destroy(&own_l->locks[i]);
    free(own_l);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* The set's lock is held. Names are told apart by 64 bits that are seeded in each process. */
static struct place *find(struct place *set, uint64_t hash, unsigned policy, struct slice tenant)
{
    struct place *oldest = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].hash == hash && set[i].policy == policy)
            return &set[i];
        if (set[i].hash == 0 || (oldest->hash != 0 && set[i].use.last_us < oldest->use.last_us))
            oldest = &set[i];
    }
    *oldest = (struct place){.hash = hash, .policy = policy};
    oldest->use.name_len = tenant.len < LIMITER_NAME ? tenant.len : LIMITER_NAME;
    if (tenant.len > 0)
        memcpy(oldest->use.name, tenant.p, oldest->use.name_len);
    return oldest;
}

/* full_ns is at most a burst ahead, also when the limit has become another one: what a smaller rate has cost is not owed to a larger. */
static int64_t take(int64_t *full_ns, const struct limit *limit, int64_t now_ns)
{
    int64_t step = limit->per_ms * 1000000 / limit->count, ahead;

    if (__builtin_mul_overflow(step, limit->burst, &ahead) || ahead > INT64_MAX / 4)
        ahead = INT64_MAX / 4;
    int64_t full = later(*full_ns, now_ns);
    if (full > now_ns + ahead)
        full = now_ns + ahead;
    int64_t wait = full + step - now_ns - ahead;
    *full_ns = wait > 0 ? full : full + step;
    return wait > 0 ? wait : 0;
}

int64_t limiter_take(struct limiter *l, unsigned policy, struct slice tenant, enum rate_class class,
                     const struct limit *limit, int64_t now_us)
{
    uint64_t kind = hashed_pair((const void *)(uintptr_t)policy, NULL); /* as random as the name's: the two are only xored */
    uint64_t hash = hashed_name(tenant, kind) | 1;
    size_t set = (size_t)(hash >> 32) % SETS;

    pthread_mutex_lock(&l->locks[set]);
    struct place *p = find(l->places[set], hash, policy, tenant);
    int64_t wait_ns = take(&p->full_ns[class], limit, now_us * 1000);
    p->use.taken[class] += wait_ns == 0;
    p->use.refused[class] += wait_ns != 0;
    p->use.last_us = later(p->use.last_us, now_us);
    pthread_mutex_unlock(&l->locks[set]);
    return (wait_ns + 999) / 1000;
}

void limiter_each(struct limiter *l, unsigned policy, void (*fn)(void *ctx, const struct limiter_use *use), void *ctx)
{
    for (size_t set = 0; set < SETS; set++) {
        pthread_mutex_lock(&l->locks[set]);
        for (size_t i = 0; i < WAYS; i++)
            if (l->places[set][i].hash != 0 && l->places[set][i].policy == policy)
                fn(ctx, &l->places[set][i].use);
        pthread_mutex_unlock(&l->locks[set]);
    }
}
