/* The thread for keys that somebody waits for. */
#include "sync/internal.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPTS   3 /* at a store that fails */
#define BACKOFF_MS 100

/* ---- asking ---- */

struct ask *ask_new(const struct slice *keys, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += keys[i].len;
    struct ask *a = malloc(sizeof *a + n * sizeof a->keys[0] + bytes);
    if (a == NULL)
        abort();
    char *p = (char *)(a->keys + n);
    for (size_t i = 0; i < n; i++) {
        if (keys[i].len > 0)
            memcpy(p, keys[i].p, keys[i].len);
        a->keys[i] = (struct slice){p, keys[i].len};
        p += keys[i].len;
    }
    a->n = n;
    a->next = NULL;
    return a;
}

static void put(struct sync *s, bool copy, int64_t epoch, const struct slice *keys, size_t n, sync_done done,
                void *ctx)
{
    struct ask *a = ask_new(keys, n);

    a->copy = copy;
    a->from = copy || n == 0 || !warm_active(s->warm) ? RECORD_WORKING : warm_tier(s->warm, keys[0]);
    a->asked_us = clock_mono_us();
    a->epoch = epoch;
    a->done = done;
    a->ctx = ctx;
    pthread_mutex_lock(&s->lock);
    *s->asks_end = a;
    s->asks_end = &a->next;
    s->waiting += (int64_t)n;
    pthread_cond_signal(&s->urgent.call);
    pthread_mutex_unlock(&s->lock);
}

void sync_handoff(struct sync *s, int64_t epoch, const struct slice *keys, size_t n, sync_done done,
                  void *ctx)
{
    put(s, false, epoch, keys, n, done, ctx);
}

void sync_copy(struct sync *s, int64_t epoch, const struct slice *keys, size_t n, sync_done done, void *ctx)
{
    put(s, true, epoch, keys, n, done, ctx);
}

/* ---- the queue ---- */

/* The lock is held. */
static bool is_over(const struct sync *s, const struct ask *a)
{
    return atomic_load(&s->closing) || a->epoch < s->epoch || (a->epoch == s->epoch && s->mode == SYNC_IDLE);
}

static bool is_due(const struct sync *s, const struct ask *a)
{
    return a->epoch == s->epoch && s->mode != SYNC_IDLE;
}

/* The lock is held. Takes those out for which pick is true and whose kind is like's (NULL: any), until they have `most` keys. */
static struct ask *take(struct sync *s, bool (*pick)(const struct sync *s, const struct ask *a),
                        const struct ask *like, size_t most)
{
    struct ask *taken = NULL, **end = &taken, **from = &s->asks;
    bool copy = like != NULL && like->copy;
    size_t n = 0;

    while (*from != NULL && n < most) {
        struct ask *a = *from;
        if (!pick(s, a) || (like != NULL && a->copy != copy)) {
            from = &a->next;
            continue;
        }
        *from = a->next;
        a->next = NULL;
        *end = a;
        end = &a->next;
        n += a->n;
    }
    if (*from == NULL)
        s->asks_end = from;
    return taken;
}

/* The lock is held. */
static const struct ask *first_due(const struct sync *s)
{
    for (const struct ask *a = s->asks; a != NULL; a = a->next) {
        if (is_due(s, a))
            return a;
    }
    return NULL;
}

static void push(struct ask **list, struct ask *a)
{
    a->next = *list;
    *list = a;
}

/* In front of all others, and in their order: the list has the last one first. */
static void put_back(struct sync *s, struct ask *list)
{
    pthread_mutex_lock(&s->lock);
    for (struct ask *a = list, *next; a != NULL; a = next) {
        next = a->next;
        if (s->asks == NULL)
            s->asks_end = &a->next;
        push(&s->asks, a);
    }
    pthread_mutex_unlock(&s->lock);
}

static void tell(struct sync *s, struct ask *a, enum err e)
{
    pthread_mutex_lock(&s->lock);
    s->waiting -= (int64_t)a->n;
    pthread_mutex_unlock(&s->lock);
    if (e == ERR_NONE && a->from != RECORD_WORKING)
        tiers_read(s->tiers, (enum record_level)a->from, clock_mono_us() - a->asked_us);
    a->done(a->ctx, e);
    free(a);
}

/* ---- a batch ---- */

#define NOT_DONE ERR_COUNT

struct batch {
    struct slice *keys; /* distinct, in order */
    enum err *errors;   /* of each, or NOT_DONE */
    size_t n;
};

static int compare(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;

    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return x->len == 0 ? 0 : memcmp(x->p, y->p, x->len);
}

static void *get(size_t n, size_t size)
{
    void *p = calloc(n > 0 ? n : 1, size);

    if (p == NULL)
        abort();
    return p;
}

static void batch_init(struct batch *b, const struct ask *asks)
{
    size_t all = 0, distinct = 0;

    for (const struct ask *a = asks; a != NULL; a = a->next)
        all += a->n;
    b->keys = get(all, sizeof *b->keys);
    b->n = 0;
    for (const struct ask *a = asks; a != NULL; a = a->next) {
        for (size_t i = 0; i < a->n; i++)
            b->keys[b->n++] = a->keys[i];
    }
    qsort(b->keys, b->n, sizeof *b->keys, compare);
    for (size_t i = 0; i < b->n; i++) {
        if (distinct == 0 || compare(&b->keys[distinct - 1], &b->keys[i]) != 0)
            b->keys[distinct++] = b->keys[i];
    }
    b->n = distinct;
    b->errors = get(distinct, sizeof *b->errors);
    for (size_t i = 0; i < distinct; i++)
        b->errors[i] = NOT_DONE;
}

static void batch_done(struct batch *b)
{
    free(b->keys);
    free(b->errors);
}

/* The worst of its keys': one that is not done counts more than one that failed. */
static enum err outcome(const struct batch *b, const struct ask *a)
{
    enum err e = ERR_NONE;

    for (size_t i = 0; i < a->n && e != NOT_DONE; i++) {
        const struct slice *key = bsearch(&a->keys[i], b->keys, b->n, sizeof *b->keys, compare);
        enum err one = b->errors[key - b->keys];
        if (one != ERR_NONE)
            e = one;
    }
    return e;
}

static bool is_store_error(enum err e)
{
    return e == ERR_REDISDOWN || e == ERR_REDISLOST || e == ERR_ARCHIVEDOWN || e == ERR_ARCHIVELOST;
}

static enum err hand_over(struct side *t, const struct slice *keys, size_t n, enum err *errors)
{
    static const enum err errors_of[] = {
        [HANDOFF_DONE] = ERR_NONE, [HANDOFF_AGAIN] = ERR_RACE, [HANDOFF_BAD] = ERR_ARCHIVEBAD};
    enum handoff_result results[SYNC_BATCH];
    enum err e = side_handoff(t, keys, n, results);

    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        if (results[i] != HANDOFF_AGAIN || side_goes_on(t))
            errors[i] = errors_of[results[i]];
    }
    return e;
}

/* What fails for a reason of one key's must not fail the others'. */
static enum err copy(struct side *t, const struct slice *keys, size_t n, enum err *errors)
{
    enum err e = copier_keys(&t->copier, keys, n);

    if (is_store_error(e))
        return e;
    if (e == ERR_NONE || n == 1) {
        for (size_t i = 0; i < n; i++)
            errors[i] = e;
        return ERR_NONE;
    }
    e = ERR_NONE;
    for (size_t i = 0; i < n && e == ERR_NONE && side_goes_on(t); i++)
        e = copy(t, keys + i, 1, errors + i);
    return e;
}

/* Some keys, until the stores have failed for good or the turn is over. */
static void work(struct side *t, bool is_copy, const struct slice *keys, size_t n, enum err *errors)
{
    enum err e = ERR_NONE;

    for (int attempt = 1; attempt <= ATTEMPTS && side_goes_on(t); attempt++) {
        e = side_open(t);
        if (e == ERR_NONE)
            e = is_copy ? copy(t, keys, n, errors) : hand_over(t, keys, n, errors);
        side_tell(t, e);
        if (is_copy && e != ERR_NONE)
            atomic_store(&t->sync->claims_left, true);
        if (e == ERR_NONE || (attempt < ATTEMPTS && !side_pause(t, BACKOFF_MS)))
            return;
    }
    for (size_t i = 0; i < n && e != ERR_NONE && side_goes_on(t); i++)
        errors[i] = e;
}

/* The side is at work, and rests when it returns. What the end of the turn has left undone goes back to the queue. */
static void run(struct side *t, struct ask *asks)
{
    struct sync *s = t->sync;
    struct ask *back = NULL;
    struct batch b;

    batch_init(&b, asks);
    for (size_t i = 0; i < b.n && side_goes_on(t); i += SYNC_BATCH) {
        size_t some = b.n - i < SYNC_BATCH ? b.n - i : SYNC_BATCH;
        work(t, asks->copy, b.keys + i, some, b.errors + i);
    }
    pthread_mutex_lock(&s->lock);
    side_rest(t);
    pthread_mutex_unlock(&s->lock);
    for (struct ask *a = asks; a != NULL; a = a->next)
        a->error = outcome(&b, a);
    batch_done(&b); /* its keys are the asks' */
    for (struct ask *a = asks, *next; a != NULL; a = next) {
        next = a->next;
        if (a->error == NOT_DONE)
            push(&back, a);
        else
            tell(s, a, a->error);
    }
    put_back(s, back);
}

/* ---- the thread ---- */

/* The lock is held, and free meanwhile. */
static void refuse(struct sync *s, struct ask *asks)
{
    enum err e = atomic_load(&s->closing) ? ERR_CANCELLED : ERR_MOVED;

    pthread_mutex_unlock(&s->lock);
    for (struct ask *a = asks, *next; a != NULL; a = next) {
        next = a->next;
        tell(s, a, e);
    }
    pthread_mutex_lock(&s->lock);
}

void *urgent_main(void *side)
{
    struct side *t = side;
    struct sync *s = t->sync;

    pthread_mutex_lock(&s->lock);
    for (;;) {
        struct ask *over = take(s, is_over, NULL, SIZE_MAX);
        const struct ask *due = first_due(s);
        if (over != NULL) {
            refuse(s, over);
        } else if (atomic_load(&s->closing)) {
            break;
        } else if (due != NULL) {
            struct ask *asks = take(s, is_due, due, SYNC_BATCH);
            side_begin(t);
            pthread_mutex_unlock(&s->lock);
            run(t, asks);
            pthread_mutex_lock(&s->lock);
        } else {
            side_sleep(t, -1);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
