#include "proxy/fence.h"

#include "base/clock.h"
#include "proxy/hold.h"
#include "proxy/loop.h"
#include "proxy/server.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define LOOK_MS     5
#define PATIENCE_US 1000000

/* One wait; the last of those who know of it frees it. */
struct fence {
    pthread_mutex_t lock;
    pthread_cond_t over;
    unsigned left;    /* loops that have not told yet */
    unsigned holders; /* the waiter, and those loops */
    bool broken;      /* a loop has ended, or a request is kept without a reply */
};

/* What a loop owes. */
struct fence_at {
    struct fence_at *next;
    struct fence *fence;
    uint64_t flips; /* hold.flips when all that was sent before is in the older half */
};

static void drop(struct fence *own_f)
{
    pthread_mutex_lock(&own_f->lock);
    bool last = --own_f->holders == 0;
    pthread_mutex_unlock(&own_f->lock);
    if (!last)
        return;
    pthread_cond_destroy(&own_f->over);
    pthread_mutex_destroy(&own_f->lock);
    free(own_f);
}

static void told(struct fence *own_f, bool broken)
{
    pthread_mutex_lock(&own_f->lock);
    own_f->left--;
    own_f->broken |= broken;
    pthread_cond_signal(&own_f->over);
    pthread_mutex_unlock(&own_f->lock);
    drop(own_f);
}

/* ---- [loop] ---- */

static bool is_over(const struct hold *h, const struct fence_at *at)
{
    return h->flips > at->flips || (h->flips == at->flips && h->out[1 - h->now] == 0);
}

void fence_look(struct loop *l)
{
    struct hold *h = &l->hold;

    for (struct fence_at **at = &h->fences; *at != NULL;) {
        struct fence_at *f = *at;
        if (!is_over(h, f)) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        told(f->fence, h->kept != NULL);
        free(f);
    }
}

void fence_drop(struct loop *l)
{
    while (l->hold.fences != NULL) {
        struct fence_at *f = l->hold.fences;
        l->hold.fences = f->next;
        told(f->fence, true);
        free(f);
    }
}

static void begin(struct loop *l, void *own_at)
{
    struct hold *h = &l->hold;
    struct fence_at *at = own_at;

    if (l->closed) {
        told(at->fence, true);
        free(at);
        return;
    }
    at->flips = h->flips + 1;
    at->next = h->fences;
    h->fences = at;
    hold_turn(l);
}

/* ---- the waiter ---- */

static struct fence *fence_new(void)
{
    struct fence *f = calloc(1, sizeof *f);

    if (f == NULL)
        abort();
    pthread_mutex_init(&f->lock, NULL);
    clock_cond_init(&f->over);
    f->holders = 1;
    return f;
}

static void ask(struct fence *f, struct loop *l)
{
    struct fence_at *at = calloc(1, sizeof *at);

    if (at == NULL)
        abort();
    at->fence = f;
    pthread_mutex_lock(&f->lock);
    f->left++;
    f->holders++;
    pthread_mutex_unlock(&f->lock);
    if (loop_try_post(l, begin, at))
        return;
    told(f, true);
    free(at);
}

/* The lock is held, and free meanwhile. */
static void nap(struct fence *f)
{
    struct timespec until = clock_after_us(LOOK_MS * 1000L);

    pthread_cond_timedwait(&f->over, &f->lock, &until);
}

bool fence_wait(struct server *s, bool (*go_on)(void *arg), void *arg)
{
    struct fence *f = fence_new();
    int64_t until_us = clock_mono_us() + PATIENCE_US;
    struct loop *l;

    for (unsigned i = 0; (l = server_loop(s, i)) != NULL; i++)
        ask(f, l);
    pthread_mutex_lock(&f->lock);
    while (f->left > 0 && !f->broken && clock_mono_us() < until_us && go_on(arg))
        nap(f);
    bool over = f->left == 0 && !f->broken;
    pthread_mutex_unlock(&f->lock);
    drop(f);
    return over;
}
