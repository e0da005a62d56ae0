#include "proxy/travel.h"

#include "proxy/drain.h"
#include "proxy/handover.h"
#include "proxy/loan.h"
#include "proxy/push.h"
#include "proxy/server.h"
#include "proxy/session.h"
#include "proxy/waiting.h"

#include <stdlib.h>

#define TICK_MS 1
#define AT_ONCE 32 /* clients that begin to leave in one tick */

struct travel {
    uv_timer_t timer; /* first */
    struct loop *loop;
    int64_t end_us;
};

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void finish(struct travel *t)
{
    t->loop->travel = NULL;
    uv_timer_stop(&t->timer);
    uv_close((uv_handle_t *)&t->timer, on_closed);
}

/* It is counted until its parcel has arrived: no clients and no parcels mean that all have left. */
static void give(struct session *s)
{
    struct loop *l = s->loop;
    handover_give(server_handover(l->server), session_leave(s));
    atomic_fetch_sub(&l->clients, 1);
}

static bool may_leave(const struct session *s)
{
    bool needs = (s->pinned_for & ~LOAN_WAIT) != 0;
    /* What TLS has agreed on with the client cannot be handed over: it stays until it ends, or until the time is up. */
    if (s->stream.tls != NULL)
        return false;
    return !push_listens(s) && s->txn == NULL && !needs && s->watched == NULL && s->watching == 0 && !s->ending;
}

static void send_off(struct loop *l)
{
    int room = AT_ONCE;
    for (struct session *s = l->sessions, *next; s != NULL; s = next) {
        next = s->next;
        if (push_listens(s) && !s->ending && room-- > 0)
            session_end(s); /* a gap in its messages that it does not see would be worse: it connects anew */
        if (!may_leave(s))
            continue;
        if (!(s->pauses & PAUSE_LEAVING)) {
            if (room-- <= 0)
                return;
            session_pause(s, PAUSE_LEAVING);
        }
        waiting_recall(s); /* a request that waits goes along */
        if (session_is_idle(s))
            give(s);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct travel *t = (struct travel *)timer;
    struct loop *l = t->loop;

    if (l->closed) {
        finish(t);
        return;
    }
    int64_t left_ms = (t->end_us - turn_now(&l->turn)) / 1000;
    send_off(l);
    if (left_ms <= 0)
        drain_clients(l, left_ms);
}

void travel_start(struct loop *l, void *ms)
{
    if (l->closed || l->draining || l->travel != NULL)
        return;
    struct travel *t = calloc(1, sizeof *t);
    if (t == NULL)
        abort();
    t->loop = l;
    t->end_us = turn_now(&l->turn) + (int64_t)(intptr_t)ms * 1000;
    l->travel = t;
    uv_timer_init(&l->uv, &t->timer);
    uv_timer_start(&t->timer, on_tick, 0, TICK_MS);
    handover_loop_gives(server_handover(l->server));
}

void travel_stop(struct loop *l, void *unused)
{
    if (l->travel == NULL)
        return;
    finish(l->travel);
    for (struct session *s = l->sessions; s != NULL; s = s->next)
        session_resume(s, PAUSE_LEAVING);
}

void travel_deliver(struct server *s, struct parcel *own_p)
{
    struct loop *to = server_least_loop(s, server_loop(s, 0));
    atomic_fetch_add(&to->clients, 1);
    loop_post(to, session_arrive, own_p);
}
