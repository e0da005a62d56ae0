#include "proxy/takeover.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/address.h"
#include "proxy/bequest.h"
#include "proxy/handover_wire.h"
#include "proxy/server.h"
#include "proxy/session.h"
#include "proxy/travel.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_MS 5000 /* for each message of the offer */
#define PROBE_MS  1000 /* the first probe of Redis is waited for no longer */
#define TICK_MS   5
#define BATCH     64 /* messages between two looks at the rest of the loop */

struct offer {
    char *address;
    int fd;
    bool claimed; /* fd is no longer ours */
};

struct takeover {
    int sock; /* -1: closed */
    struct offer *offers;
    size_t count;
    struct server *server;
    uv_poll_t poll;
    uv_timer_t timer;
    bool started; /* poll and timer are open */
    bool live;    /* this process accepts */
    int64_t start_us;
    struct parcel *partial; /* a client whose parts are not all here */
    size_t at_byte;
    struct bequest_in bequest;
    struct parcel_queue untold; /* whole, but TAKEN was not sent */
    uint64_t received, told;
    struct wire_message message;
};

/* ---- the offer, while nothing runs yet ---- */

static void add_offer(struct takeover *t)
{
    t->offers = realloc(t->offers, (t->count + 1) * sizeof *t->offers);
    char *address = strdup(t->message.packet.data);
    if (t->offers == NULL || address == NULL)
        abort();
    t->offers[t->count++] = (struct offer){.address = address, .fd = t->message.fd};
    t->message.fd = -1;
}

static int await(struct takeover *t)
{
    struct pollfd p = {.fd = t->sock, .events = POLLIN};
    int64_t end_us = clock_mono_us() + ANSWER_MS * 1000;
    int rc;

    while ((rc = wire_receive(t->sock, &t->message)) == -EAGAIN) {
        int64_t left_ms = (end_us - clock_mono_us()) / 1000;
        if (left_ms <= 0)
            return -ETIMEDOUT;
        poll(&p, 1, (int)left_ms);
    }
    return rc;
}

static void take_state(struct takeover *t)
{
    bequest_piece(&t->bequest, (struct slice){t->message.packet.data, t->message.len}, t->message.number);
}

/* 1: another message may follow, 0: that was all, -1: it can't be done. */
static int take_offer(struct takeover *t, char *why, size_t why_cap)
{
    int rc = await(t);

    if (rc <= 0) {
        snprintf(why, why_cap, "the running process %s",
                 rc == 0 ? "has closed the connection" : strerror(-rc));
        return -1;
    }
    if (t->message.kind == WIRE_LISTENER && t->message.fd >= 0) {
        add_offer(t);
        return 1;
    }
    if (t->message.fd >= 0)
        close(t->message.fd);
    if (t->message.kind == WIRE_STATE) {
        take_state(t);
        return 1;
    }
    if (t->message.kind == WIRE_OFFERED && t->message.version == WIRE_VERSION) {
        session_ids_start(t->message.number);
        return 0;
    }
    if (t->message.kind == WIRE_REFUSED || t->message.kind == WIRE_CANCEL)
        snprintf(why, why_cap, "refused: %.200s", t->message.packet.data);
    else
        snprintf(
            why, why_cap,
            "the running process speaks version %u of the hand-over, this one version %d: restart instead",
            t->message.version, WIRE_VERSION);
    return -1;
}

static int say_hello(const char *path, bool *ret_nobody)
{
    struct sockaddr_un address;
    char who[64];
    int sock = wire_socket(path, &address);

    if (sock < 0)
        return sock;
    snprintf(who, sizeof who, "pid %d", (int)getpid());
    int rc = connect(sock, (struct sockaddr *)&address, sizeof address) == 0 ? 0 : -errno;
    *ret_nobody = rc == -ENOENT || rc == -ECONNREFUSED;
    if (rc == 0)
        rc = wire_send_text(sock, WIRE_HELLO, who);
    if (rc == 0 || rc == -EPIPE) /* refused before it was asked: the reason can be read */
        return sock;
    close(sock);
    return rc;
}

struct takeover *takeover_connect(const char *path, bool *ret_nobody, char *why, size_t why_cap)
{
    char reason[256] = "";
    int more = 1;
    int sock = say_hello(path, ret_nobody);

    if (sock < 0) {
        snprintf(why, why_cap, "cannot take over at %s: %s", path, strerror(-sock));
        return NULL;
    }
    struct takeover *t = calloc(1, sizeof *t);
    if (t == NULL)
        abort();
    t->sock = sock;
    parcel_queue_init(&t->untold);
    while (more > 0)
        more = take_offer(t, reason, sizeof reason);
    if (more == 0)
        return t;
    snprintf(why, why_cap, "cannot take over at %s: %s", path, reason);
    takeover_stop(t);
    takeover_free(t);
    return NULL;
}

/* localhost:6380 in one configuration may be 127.0.0.1:6380 in the other. */
static bool is_same(const struct offer *o, const char *address)
{
    char bound[64];
    if (strcmp(o->address, address) == 0)
        return true;
    address_of_self(o->fd, bound, sizeof bound);
    return strncmp(bound, "unix:", 5) != 0 && strcmp(bound, address) == 0;
}

int takeover_claim(struct takeover *t, const char *address)
{
    for (size_t i = 0; i < t->count; i++)
        if (!t->offers[i].claimed && is_same(&t->offers[i], address)) {
            t->offers[i].claimed = true;
            return t->offers[i].fd;
        }
    return -1;
}

static void close_unclaimed(struct takeover *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (!t->offers[i].claimed && t->offers[i].fd >= 0)
            close(t->offers[i].fd);
        t->offers[i].fd = -1;
    }
}

/* ---- the end of it ---- */

static void drop_parcels(struct takeover *t)
{
    struct parcel *p;
    while ((p = parcel_pop(&t->untold)) != NULL)
        parcel_free(p);
    parcel_free(t->partial);
    t->partial = NULL;
}

void takeover_stop(struct takeover *t)
{
    if (t == NULL || t->sock < 0)
        return;
    if (t->started) {
        uv_poll_stop(&t->poll);
        uv_close((uv_handle_t *)&t->poll, NULL);
        uv_close((uv_handle_t *)&t->timer, NULL);
    }
    close(t->sock);
    t->sock = -1;
    close_unclaimed(t);
    drop_parcels(t);
}

void takeover_free(struct takeover *own_t)
{
    if (own_t == NULL)
        return;
    for (size_t i = 0; i < own_t->count; i++)
        free(own_t->offers[i].address);
    free(own_t->offers);
    bequest_done(&own_t->bequest);
    free(own_t);
}

/* The other one is gone without DONE. */
static void go_on_alone(struct takeover *t, const char *reason)
{
    log_event(LOG_WARN, "takeover_cut", LOG_STR("reason", reason), LOG_INT("clients", (int64_t)t->told));
    if (!t->live)
        server_accept(t->server);
    takeover_stop(t);
    server_open_handover(t->server);
}

static void on_cancel(struct takeover *t)
{
    log_event(LOG_ERROR, "takeover_cancelled", LOG_STR("reason", t->message.packet.data));
    takeover_stop(t);
    server_give_up(t->server);
}

static void on_done(struct takeover *t)
{
    log_event(LOG_INFO, "took_over", LOG_INT("clients", (int64_t)t->told));
    server_open_handover(t->server);
    /* Unsent, it is missed for a while, and then the other one ends as well. */
    int rc = wire_send(t->sock, WIRE_BYE, 0, (struct slice){NULL, 0}, -1);
    if (rc != 0)
        log_event(LOG_WARN, "takeover_bye_unsent", LOG_STR("reason", strerror(-rc)));
    takeover_stop(t);
}

/* ---- clients ---- */

static void whole(struct takeover *t)
{
    parcel_push(&t->untold, t->partial);
    t->partial = NULL;
    t->received++;
}

static bool take_client(struct takeover *t)
{
    if (t->partial != NULL)
        return false;
    t->partial = wire_read_client(&t->message);
    t->at_byte = 0;
    if (t->partial == NULL)
        return false;
    if (parcel_size(t->partial) == 0)
        whole(t);
    return true;
}

static bool take_piece(struct takeover *t)
{
    struct slice bytes = {t->message.packet.data, t->message.len};
    if (t->partial == NULL || !parcel_put(t->partial, t->at_byte, bytes))
        return false;
    t->at_byte += bytes.len;
    if (t->at_byte == parcel_size(t->partial))
        whole(t);
    return true;
}

/* Before the loops have heard of it nobody comes who depends on it: it is posted first. */
static void on_state(struct takeover *t)
{
    take_state(t);
    bequest_apply(&t->bequest, t->server);
}

static void on_message(struct takeover *t)
{
    enum wire_kind kind = t->message.kind;
    bool good = true;

    if (kind == WIRE_CANCEL)
        on_cancel(t);
    else if (kind == WIRE_DONE)
        on_done(t);
    else if (kind == WIRE_STATE)
        on_state(t);
    else
        good = (kind == WIRE_CLIENT && take_client(t)) || (kind == WIRE_PIECE && take_piece(t));
    if (t->message.fd >= 0)
        close(t->message.fd);
    if (!good)
        go_on_alone(t, "the running process sent something that does not belong here");
}

static void on_socket(uv_poll_t *poll, int status, int events);

/* Says what was received, and only then lets it be served. */
static void tell_taken(struct takeover *t)
{
    struct parcel *p;
    int rc =
        t->received == t->told ? 0 : wire_send(t->sock, WIRE_TAKEN, t->received, (struct slice){NULL, 0}, -1);

    uv_poll_start(&t->poll, rc == -EAGAIN ? UV_WRITABLE : UV_READABLE, on_socket);
    if (rc < 0)
        return; /* when it is not EAGAIN, reading says what is wrong */
    t->told = t->received;
    while ((p = parcel_pop(&t->untold)) != NULL)
        travel_deliver(t->server, p);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct takeover *t = poll->data;
    int rc = 1;

    for (int i = 0; i < BATCH && t->sock >= 0; i++) {
        rc = wire_receive(t->sock, &t->message);
        if (rc != 1)
            break;
        on_message(t);
    }
    if (t->sock < 0)
        return;
    if (rc == 1 || rc == -EAGAIN)
        tell_taken(t);
    else
        go_on_alone(t, rc == 0 ? "the running process is gone" : strerror(-rc));
}

/* ---- going live ---- */

static void send_ready(struct takeover *t)
{
    char *claimed = calloc(t->count + 1, 1);
    if (claimed == NULL)
        abort();
    for (size_t i = 0; i < t->count; i++)
        claimed[i] = t->offers[i].claimed;
    int rc = wire_send(t->sock, WIRE_READY, 0, (struct slice){claimed, t->count}, -1);
    free(claimed);
    close_unclaimed(t);
    if (rc != 0)
        go_on_alone(t, strerror(-rc));
}

static void on_tick(uv_timer_t *timer)
{
    struct takeover *t = timer->data;
    struct probe_report redis;

    server_redis(t->server, &redis);
    if (!redis.known && clock_mono_us() - t->start_us < PROBE_MS * 1000)
        return;
    uv_timer_stop(timer);
    t->live = true;
    server_accept(t->server);
    send_ready(t);
}

void takeover_start(struct takeover *t, struct server *server, uv_loop_t *uv)
{
    t->server = server;
    t->start_us = clock_mono_us();
    bequest_apply(&t->bequest, server);
    if (uv_poll_init(uv, &t->poll, t->sock) != 0)
        abort();
    uv_timer_init(uv, &t->timer);
    t->poll.data = t->timer.data = t;
    t->started = true;
    uv_poll_start(&t->poll, UV_READABLE, on_socket);
    uv_timer_start(&t->timer, on_tick, 0, TICK_MS);
}
