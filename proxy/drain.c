#include "proxy/drain.h"

#include "proxy/listener.h"
#include "proxy/session.h"

#include <stdlib.h>

#define TICK_MS 50

struct drain {
    uv_timer_t timer; /* first */
    struct loop *loop;
    int64_t end_us;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void finish(struct drain *d)
{
    uv_timer_stop(&d->timer);
    uv_close((uv_handle_t *)&d->timer, on_closed);
    loop_close(d->loop, NULL);
}

/* Ends up to n clients that owe nothing. */
static void end_idle(struct loop *l, size_t n)
{
    for (struct session *s = l->sessions, *next; s != NULL && n > 0; s = next) {
        next = s->next;
        if (s->head == NULL && s->in_len == 0 && s->txn == NULL && s->pinned == NULL) {
            session_end(s);
            n--;
        }
    }
}

static void end_all(struct loop *l)
{
    for (struct session *s = l->sessions, *next; s != NULL; s = next) {
        next = s->next;
        session_end(s);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct drain *d = (struct drain *)timer;
    struct loop *l = d->loop;
    int64_t left_ms = (d->end_us - turn_now(&l->turn)) / 1000;
    unsigned clients = atomic_load(&l->clients);

    if (left_ms > 0)
        end_idle(l, clients / (size_t)(left_ms / TICK_MS + 1) + 1);
    else
        end_all(l);
    /* Replies still owed get one more deadline's time; then it ends anyway. */
    if (l->sessions == NULL || left_ms < -2 * l->settings->redis_timeout)
        finish(d);
}

void drain_start(struct loop *l, void *ms)
{
    if (l->closed || l->draining)
        return;
    struct drain *d = calloc(1, sizeof *d);
    if (d == NULL)
        abort();
    l->draining = true;
    listener_close_all(l);
    d->loop = l;
    d->end_us = turn_now(&l->turn) + (int64_t)(intptr_t)ms * 1000;
    uv_timer_init(&l->uv, &d->timer);
    uv_timer_start(&d->timer, on_tick, 0, TICK_MS);
}
