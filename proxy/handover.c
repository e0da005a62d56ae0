#include "proxy/handover.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/bequest.h"
#include "proxy/handover_door.h"
#include "proxy/handover_state.h"
#include "proxy/handover_wire.h"
#include "proxy/listener.h"
#include "proxy/server.h"
#include "proxy/session.h"
#include "proxy/travel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GREETING_MS 2000
#define READY_MS                                                                                             \
    10000 /* a successor starts in a fraction of a second; it may wait for its first probe of Redis */
#define PROGRESS_MS    5000 /* without a TAKEN while some are owed */
#define BYE_MS         5000
#define LEAST_MS       1000 /* for clients to leave, however short proxy.drain_time is */
#define GIVING_TICK_MS 5

/* A descriptor that is watched; closed and freed together. */
struct watch {
    uv_poll_t poll; /* first */
    struct handover *handover;
    int fd;
};

struct handover {
    struct server *server;
    uv_loop_t *uv;
    char *path;
    struct door_mark made; /* the socket in the file system */
    enum handover_state state;
    struct watch *door, *peer; /* NULL: none */
    uv_timer_t timer;
    uv_async_t wake;

    struct bequest_out bequest;
    size_t offered;               /* listeners sent; one more than there are: OFFERED as well */
    struct parcel_queue outgoing; /* not (fully) sent; at_byte of the first one's parts are */
    bool head_sent;
    size_t at_byte;
    struct parcel_queue untaken; /* sent */
    uint64_t sent, taken;
    int64_t progress_us;
    bool done_sent;

    uv_mutex_t lock; /* for the two below */
    struct parcel_queue inbox;
    unsigned loops_giving;

    struct wire_message message;
};

static void handle(struct handover *h, enum handover_event event, const char *why);

/* ---- watched descriptors ---- */

static struct watch *watch_new(struct handover *h, int own_fd, uv_poll_cb fn)
{
    struct watch *w = calloc(1, sizeof *w);
    if (w == NULL || uv_poll_init(h->uv, &w->poll, own_fd) != 0)
        abort();
    w->handover = h;
    w->fd = own_fd;
    uv_poll_start(&w->poll, UV_READABLE, fn);
    return w;
}

static void on_watch_closed(uv_handle_t *handle)
{
    free(handle);
}

static void watch_close(struct watch **place)
{
    struct watch *w = *place;
    *place = NULL;
    if (w == NULL)
        return;
    uv_poll_stop(&w->poll);
    close(w->fd);
    uv_close((uv_handle_t *)&w->poll, on_watch_closed);
}

/* ---- sending ---- */

/* Comes before what depends on it: a listener at which users log in, a client whose user was made a moment ago. */
static int send_state(struct handover *h)
{
    return bequest_send(&h->bequest, h->server, h->peer->fd);
}

static int send_offer(struct handover *h)
{
    size_t count;
    const struct listen_socket *sockets = server_sockets(h->server, &count);
    int rc = send_state(h);

    while (rc == 0 && h->offered <= count) {
        if (h->offered < count) {
            const struct listen_socket *s = &sockets[h->offered];
            rc = wire_send(h->peer->fd, WIRE_LISTENER, h->offered,
                           (struct slice){s->address, strlen(s->address)}, s->fd);
        } else {
            rc = wire_send(h->peer->fd, WIRE_OFFERED, session_ids_beyond(), (struct slice){NULL, 0}, -1);
        }
        h->offered += rc == 0;
    }
    return rc;
}

static int send_pieces(struct handover *h, const struct parcel *p)
{
    while (h->at_byte < parcel_size(p)) {
        struct slice piece = parcel_at(p, h->at_byte);
        if (piece.len > WIRE_DATA)
            piece.len = WIRE_DATA;
        int rc = wire_send(h->peer->fd, WIRE_PIECE, h->at_byte, piece, -1);
        if (rc < 0)
            return rc;
        h->at_byte += piece.len;
    }
    return 0;
}

static int send_parcels(struct handover *h)
{
    int rc = send_state(h);

    while (rc == 0 && h->outgoing.head != NULL) {
        struct parcel *p = h->outgoing.head;
        rc = h->head_sent ? 0 : wire_send_client(h->peer->fd, p);
        if (rc < 0)
            return rc;
        h->head_sent = true;
        rc = send_pieces(h, p);
        if (rc < 0)
            return rc;
        h->head_sent = false;
        h->at_byte = 0;
        if (h->untaken.head == NULL)
            h->progress_us = clock_mono_us();
        h->sent++;
        parcel_push(&h->untaken, parcel_pop(&h->outgoing));
    }
    return rc;
}

static int send_done(struct handover *h)
{
    int rc = send_state(h);

    if (rc == 0)
        rc = wire_send(h->peer->fd, WIRE_DONE, h->taken, (struct slice){NULL, 0}, -1);
    h->done_sent = rc == 0;
    return rc;
}

static void on_peer(uv_poll_t *poll, int status, int events);

/* Sends what the state has to send, as far as the socket takes it. */
static void pump(struct handover *h)
{
    int rc = 0;

    if (h->state == HANDOVER_OFFERING)
        rc = send_offer(h);
    else if (h->state == HANDOVER_GIVING)
        rc = send_parcels(h);
    else if (h->state == HANDOVER_ENDING && !h->done_sent)
        rc = send_done(h);
    if (h->peer == NULL)
        return;
    if (rc < 0 && rc != -EAGAIN) {
        handle(h, HEV_LOST, strerror(-rc));
        return;
    }
    uv_poll_start(&h->peer->poll, UV_READABLE | (rc == -EAGAIN ? UV_WRITABLE : 0), on_peer);
}

/* ---- the two directions of clients ---- */

static void taken(struct handover *h, uint64_t count)
{
    h->progress_us = clock_mono_us();
    for (; h->taken < count && h->untaken.head != NULL; h->taken++)
        parcel_free(parcel_pop(&h->untaken));
}

static void empty_inbox(struct handover *h)
{
    uv_mutex_lock(&h->lock);
    parcel_append(&h->outgoing, &h->inbox);
    uv_mutex_unlock(&h->lock);
}

static void deliver_here(struct handover *h, struct parcel_queue *q)
{
    struct parcel *p;
    while ((p = parcel_pop(q)) != NULL)
        travel_deliver(h->server, p);
}

/* What is not the successor's is served here again; its connection is closed. After shutdown it can no longer
 * send a TAKEN, so what we have read then is all that it serves. */
static void take_back(struct handover *h)
{
    shutdown(h->peer->fd, SHUT_RD);
    while (wire_receive(h->peer->fd, &h->message) == 1) {
        if (h->message.fd >= 0)
            close(h->message.fd);
        if (h->message.kind == WIRE_TAKEN)
            taken(h, h->message.number);
    }
    empty_inbox(h);
    deliver_here(h, &h->untaken);
    deliver_here(h, &h->outgoing);
    h->head_sent = false;
    h->at_byte = 0;
}

static void on_wake(uv_async_t *async)
{
    struct handover *h = async->data;
    empty_inbox(h);
    if (h->state == HANDOVER_GIVING)
        pump(h);
    else /* given by a loop that had not heard yet that it should stop */
        deliver_here(h, &h->outgoing);
}

void handover_give(struct handover *h, struct parcel *own_p)
{
    uv_mutex_lock(&h->lock);
    parcel_push(&h->inbox, own_p);
    uv_mutex_unlock(&h->lock);
    uv_async_send(&h->wake);
}

void handover_loop_gives(struct handover *h)
{
    uv_mutex_lock(&h->lock);
    h->loops_giving++;
    uv_mutex_unlock(&h->lock);
}

/* Loops that have begun to give accept no more on listeners that were taken, and whoever they accepted before
 * is counted: when the count is 0 then, and no parcel is under way, all have left. */
static bool all_given(struct handover *h)
{
    uv_mutex_lock(&h->lock);
    bool all = h->loops_giving == server_threads(h->server) && server_clients(h->server) == 0 &&
               h->inbox.head == NULL;
    uv_mutex_unlock(&h->lock);
    return all && h->outgoing.head == NULL && h->untaken.head == NULL;
}

/* ---- what a new state begins with ---- */

static void on_timer(uv_timer_t *timer)
{
    struct handover *h = timer->data;
    int64_t waited_us = clock_mono_us() - h->progress_us;

    if (h->state != HANDOVER_GIVING)
        handle(h, HEV_LATE, "no answer in time");
    else if (all_given(h))
        handle(h, HEV_EMPTY, NULL);
    else if ((h->untaken.head != NULL || h->outgoing.head != NULL) && waited_us > PROGRESS_MS * 1000)
        handle(h, HEV_LATE, "no client was taken in time");
    else
        pump(h); /* users may have changed */
}

static void set_timer(struct handover *h, uint64_t first_ms, uint64_t then_ms)
{
    uv_timer_start(&h->timer, on_timer, first_ms, then_ms);
}

static void begin_greeting(struct handover *h)
{
    h->offered = 0;
    bequest_reset(&h->bequest);
    h->sent = h->taken = 0;
    h->done_sent = false;
    set_timer(h, GREETING_MS, 0);
}

static void begin_offering(struct handover *h)
{
    log_event(LOG_INFO, "handover_begins", LOG_STR("successor", h->message.packet.data));
    server_close_admin(h->server);
    set_timer(h, READY_MS, 0);
    pump(h);
}

static void pause_listeners(struct handover *h)
{
    size_t count;
    const struct listen_socket *sockets = server_sockets(h->server, &count);

    for (size_t i = 0; i < count && i < h->message.len; i++)
        if (h->message.packet.data[i])
            loop_post(server_loop(h->server, sockets[i].loop), listener_pause,
                      (void *)(intptr_t)sockets[i].fd);
}

static void to_all_loops(struct handover *h, loop_fn fn, void *arg)
{
    struct loop *l;
    for (unsigned i = 0; (l = server_loop(h->server, i)) != NULL; i++)
        loop_post(l, fn, arg);
}

static void begin_giving(struct handover *h)
{
    const struct settings *now = config_current(server_config(h->server));

    log_event(LOG_INFO, "handover_accepted", LOG_INT("clients", server_clients(h->server)));
    uv_mutex_lock(&h->lock);
    h->loops_giving = 0;
    uv_mutex_unlock(&h->lock);
    h->progress_us = clock_mono_us();
    pause_listeners(h);
    to_all_loops(h, travel_start,
                 (void *)(intptr_t)(now->drain_time > LEAST_MS ? now->drain_time : LEAST_MS));
    set_timer(h, GIVING_TICK_MS, GIVING_TICK_MS);
    settings_unref(now);
}

static void begin_ending(struct handover *h)
{
    set_timer(h, BYE_MS, 0);
    pump(h);
}

static bool open_door(struct handover *h, bool replace, char *why, size_t why_cap);

/* The successor may have taken the name already. */
static void reopen_door(struct handover *h)
{
    char why[256];

    if (door_is(h->path, &h->made))
        return;
    watch_close(&h->door);
    if (!open_door(h, true, why, sizeof why))
        log_event(LOG_ERROR, "handover_closed", LOG_STR("reason", why));
}

/* Back to where it was before the successor came. stopping: or on to the end. */
static void call_off(struct handover *h, enum handover_state from, const char *why, bool stopping)
{
    bool gave = from == HANDOVER_GIVING || from == HANDOVER_ENDING;

    uv_timer_stop(&h->timer);
    if (from == HANDOVER_LISTENING)
        return;
    if (gave)
        take_back(h);
    if (from != HANDOVER_GREETING)
        log_event(LOG_ERROR, "handover_failed", LOG_STR("state", handover_state_name(from)),
                  LOG_STR("reason", why), LOG_INT("clients_given", (int64_t)h->taken));
    if (!stopping && wire_send_text(h->peer->fd, WIRE_CANCEL, why) != 0)
        log_event(LOG_DEBUG, "handover_cancel_unsent", LOG_STR("reason", why));
    watch_close(&h->peer);
    if (gave) {
        to_all_loops(h, travel_stop, NULL);
        to_all_loops(h, listener_resume_all, NULL);
    }
    if (!stopping && from != HANDOVER_GREETING) {
        server_reopen_admin(h->server);
        reopen_door(h);
    }
}

static void begin_off(struct handover *h, enum handover_state from, const char *why)
{
    watch_close(&h->door);
    door_remove(h->path, &h->made); /* before the successor hears of it, and makes its own */
    call_off(h, from, why, true);
}

static void begin_gone(struct handover *h)
{
    log_event(LOG_INFO, "handed_over", LOG_INT("clients", (int64_t)h->taken));
    uv_timer_stop(&h->timer);
    watch_close(&h->peer);
    watch_close(&h->door);
    door_remove(h->path, &h->made); /* only when the successor did not take its place */
    server_leave(h->server);
}

static void set_state(struct handover *h, enum handover_state to, const char *why)
{
    enum handover_state from = h->state;

    h->state = to;
    switch (to) {
    case HANDOVER_OFF:
        begin_off(h, from, why);
        break;
    case HANDOVER_LISTENING:
        call_off(h, from, why, false);
        break;
    case HANDOVER_GREETING:
        begin_greeting(h);
        break;
    case HANDOVER_OFFERING:
        begin_offering(h);
        break;
    case HANDOVER_GIVING:
        begin_giving(h);
        break;
    case HANDOVER_ENDING:
        begin_ending(h);
        break;
    case HANDOVER_GONE:
        begin_gone(h);
        break;
    case HANDOVER_STATES:
        break;
    }
}

/* why: for the log, where the event ends something. */
static void handle(struct handover *h, enum handover_event event, const char *why)
{
    enum handover_state to = handover_next(h->state, event);
    if (to != h->state)
        set_state(h, to, why);
}

/* ---- receiving ---- */

static void refuse(int sock, const char *text)
{
    int rc = wire_send_text(sock, WIRE_REFUSED, text);
    log_event(LOG_WARN, "handover_refused", LOG_STR("reason", text), LOG_INT("told", rc == 0));
}

static void on_hello(struct handover *h)
{
    char text[160];

    if (h->message.version == WIRE_VERSION) {
        handle(h, HEV_HELLO, NULL);
        return;
    }
    snprintf(text, sizeof text,
             "the running process (pid %d) speaks version %d of the hand-over, the new one version %u: "
             "restart instead",
             (int)getpid(), WIRE_VERSION, h->message.version);
    refuse(h->peer->fd, text);
    handle(h, HEV_LOST, text);
}

static void on_message(struct handover *h)
{
    enum wire_kind kind = h->message.kind;

    if (h->message.fd >= 0)
        close(h->message.fd); /* nobody has reason to send one in this direction */
    if (kind == WIRE_HELLO && h->state == HANDOVER_GREETING)
        on_hello(h);
    else if (kind == WIRE_READY && h->state == HANDOVER_OFFERING)
        handle(h, HEV_READY, NULL);
    else if (kind == WIRE_TAKEN && h->state == HANDOVER_GIVING)
        taken(h, h->message.number);
    else if (kind == WIRE_BYE && h->state == HANDOVER_ENDING)
        handle(h, HEV_BYE, NULL);
    else
        handle(h, HEV_LOST, "a message that does not belong here");
}

static void on_peer(uv_poll_t *poll, int status, int events)
{
    struct handover *h = ((struct watch *)poll)->handover;
    int rc = 1;

    while (h->peer != NULL && (rc = wire_receive(h->peer->fd, &h->message)) == 1)
        on_message(h);
    if (h->peer == NULL)
        return;
    if (rc == -EAGAIN)
        pump(h);
    else
        handle(h, HEV_LOST, rc == 0 ? "the new process is gone" : strerror(-rc));
}

/* ---- the door ---- */

static void on_door(uv_poll_t *poll, int status, int events)
{
    struct handover *h = ((struct watch *)poll)->handover;
    int sock = accept4(h->door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (sock < 0)
        return;
    if (!wire_peer_trusted(sock)) {
        refuse(sock, "the new process belongs to another user");
        close(sock);
    } else if (h->state != HANDOVER_LISTENING) {
        refuse(sock, "another process is taking over");
        close(sock);
    } else {
        h->peer = watch_new(h, sock, on_peer);
        handle(h, HEV_PEER, NULL);
    }
}

static bool open_door(struct handover *h, bool replace, char *why, size_t why_cap)
{
    int sock = door_open(h->path, replace, &h->made, why, why_cap);
    if (sock >= 0)
        h->door = watch_new(h, sock, on_door);
    return sock >= 0;
}

/* ---- life ---- */

struct handover *handover_open(struct server *server, uv_loop_t *uv, const char *path, bool replace,
                               char *why, size_t why_cap)
{
    struct handover *h = calloc(1, sizeof *h);

    if (h == NULL)
        abort();
    h->server = server;
    h->uv = uv;
    h->path = strdup(path);
    parcel_queue_init(&h->outgoing);
    parcel_queue_init(&h->untaken);
    parcel_queue_init(&h->inbox);
    if (h->path == NULL || !open_door(h, replace, why, why_cap)) {
        free(h->path);
        free(h);
        return NULL;
    }
    h->state = HANDOVER_LISTENING;
    uv_mutex_init(&h->lock);
    uv_timer_init(uv, &h->timer);
    uv_async_init(uv, &h->wake, on_wake);
    h->timer.data = h->wake.data = h;
    return h;
}

void handover_stop(struct handover *h)
{
    if (h != NULL)
        handle(h, HEV_STOP, "this process was told to end");
}

void handover_close(struct handover *h)
{
    if (h == NULL)
        return;
    handover_stop(h);
    uv_close((uv_handle_t *)&h->timer, NULL);
    uv_close((uv_handle_t *)&h->wake, NULL);
}

void handover_free(struct handover *own_h)
{
    struct parcel *p;

    if (own_h == NULL)
        return;
    while ((p = parcel_pop(&own_h->inbox)) != NULL)
        parcel_free(p);
    uv_mutex_destroy(&own_h->lock);
    bequest_reset(&own_h->bequest);
    free(own_h->path);
    free(own_h);
}
