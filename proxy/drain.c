#include "proxy/drain.h"

#include "base/tls.h"
#include "proxy/listener.h"
#include "proxy/parked.h"
#include "proxy/pause.h"
#include "proxy/session.h"

#include <stdlib.h>
#include <sys/socket.h>

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

/* Its next request has come and was not read yet, or will come. */
static bool is_asking(const struct session *s)
{
    char byte;
    if (s->stream.tls != NULL && !tls_is_open(s->stream.tls))
        return true; /* it shakes hands, and will ask then */
    return recv(s->stream.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Its request may wait for longer than this process lives. */
static bool is_waiting(const struct session *s)
{
    return (s->blocked != NULL && s->head == s->blocked) || (parked_waits(s) && s->head == NULL);
}

/* Ends up to n clients that are owed nothing, or wait for something to come. */
static void end_idle(struct loop *l, size_t n)
{
    for (struct session *s = l->sessions, *next; s != NULL && n > 0; s = next) {
        next = s->next;
        if (is_waiting(s) || (session_is_idle(s) && s->in_len == 0 && !is_asking(s))) {
            session_end(s);
            n--;
        }
    }
}

static bool is_over(const struct loop *l, int64_t left_ms)
{
    return left_ms < -2 * l->settings->redis_timeout;
}

void drain_clients(struct loop *l, int64_t left_ms)
{
    for (struct session *s = l->sessions, *next; s != NULL; s = next) {
        next = s->next;
        if (is_over(l, left_ms))
            session_close(s, "its last reply did not come in time");
        else
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
        drain_clients(l, left_ms);
    /* Clients that another loop has accepted for this one are counted before they come. */
    if (atomic_load(&l->clients) == 0 || is_over(l, left_ms))
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
    pause_end(l);
    d->loop = l;
    d->end_us = turn_now(&l->turn) + (int64_t)(intptr_t)ms * 1000;
    uv_timer_init(&l->uv, &d->timer);
    uv_timer_start(&d->timer, on_tick, 0, TICK_MS);
}
