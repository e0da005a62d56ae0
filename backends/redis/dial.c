#include "backends/redis/dial.h"

#include "backends/redis/faults.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct dial {
    uv_loop_t *loop;
    uv_timer_t timer;
    uv_poll_t poll;
    uv_getaddrinfo_t lookup;
    bool polling;   /* poll is an open handle */
    bool resolving; /* lookup is running */
    bool over;      /* done was called, or never will be */
    int fd;
    int result;
    unsigned attempt;
    int open_handles;
    dial_fn done;
    void *ctx;
};

static void maybe_free(struct dial *d)
{
    if (d->over && !d->resolving && d->open_handles == 0)
        free(d);
}

static void on_closed(uv_handle_t *handle)
{
    struct dial *d = handle->data;
    d->open_handles--;
    maybe_free(d);
}

/* Ends the attempt: tells the owner unless it cancelled, then lets the handles go. */
static void finish(struct dial *d, int result, bool tell)
{
    if (d->over)
        return;
    d->over = true;
    if (d->polling) {
        uv_poll_stop(&d->poll);
        uv_close((uv_handle_t *)&d->poll, on_closed);
    }
    if (d->fd >= 0 && (result < 0 || !tell))
        close(d->fd);
    if (d->resolving)
        uv_cancel((uv_req_t *)&d->lookup);
    uv_timer_stop(&d->timer);
    uv_close((uv_handle_t *)&d->timer, on_closed);
    if (tell)
        d->done(d->ctx, result);
}

static void on_connected(uv_poll_t *handle, int status, int events)
{
    struct dial *d = handle->data;
    int error = 0;
    socklen_t len = sizeof error;

    /* The socket knows best: libuv turns any failure into EBADF. */
    if (getsockopt(d->fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0)
        error = errno;
    if (error == 0 && status < 0)
        error = -status;
    finish(d, error != 0 ? -error : d->fd, true);
}

static int open_socket(struct dial *d, const struct sockaddr *addr, socklen_t len)
{
    int one = 1;
    d->fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (d->fd < 0)
        return -errno;
    if (addr->sa_family != AF_UNIX) {
        setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(d->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    if (connect(d->fd, addr, len) != 0 && errno != EINPROGRESS)
        return -errno;
    return 0;
}

/* Connects to addr; what comes of it is told later in any case. */
static void connect_to(struct dial *d, const struct sockaddr *addr, socklen_t len)
{
    int rc = open_socket(d, addr, len);
    if (rc == 0)
        rc = uv_poll_init(d->loop, &d->poll, d->fd);
    if (rc != 0) {
        d->result = rc;
        return;
    }
    d->poll.data = d;
    d->polling = true;
    d->open_handles++;
    uv_poll_start(&d->poll, UV_WRITABLE, on_connected);
}

/* The timer tells both a failure that was known at once (in the next turn) and the time-out. */
static void on_timer(uv_timer_t *timer)
{
    struct dial *d = timer->data;
    finish(d, d->result != 0 ? d->result : UV_ETIMEDOUT, true);
}

static void fail_soon(struct dial *d)
{
    if (d->result != 0)
        uv_timer_start(&d->timer, on_timer, 0, 0);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct dial *d = req->data;
    unsigned count = 0;

    d->resolving = false;
    if (d->over) {
        uv_freeaddrinfo(list);
        maybe_free(d);
        return;
    }
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next)
        count++;
    if (status != 0 || count == 0) {
        d->result = status != 0 ? status : UV_EAI_NONAME;
    } else {
        const struct addrinfo *pick = list;
        for (unsigned i = 0; i < d->attempt % count; i++)
            pick = pick->ai_next;
        connect_to(d, pick->ai_addr, pick->ai_addrlen);
    }
    uv_freeaddrinfo(list);
    fail_soon(d);
}

static void start_lookup(struct dial *d, const struct redis_url *url)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_family = AF_UNSPEC};
    char port[8];

    snprintf(port, sizeof port, "%d", url->port);
    d->lookup.data = d;
    d->result = uv_getaddrinfo(d->loop, &d->lookup, on_resolved, url->host, port, &hints);
    d->resolving = d->result == 0;
}

static void start(struct dial *d, const struct redis_url *url)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local = {.sun_family = AF_UNIX};

    if (redis_is_cut()) {
        d->result = UV_ECONNREFUSED;
    } else if (url->path != NULL) {
        snprintf(local.sun_path, sizeof local.sun_path, "%s", url->path);
        connect_to(d, (struct sockaddr *)&local, sizeof local);
    } else if (uv_ip4_addr(url->host, url->port, &v4) == 0) {
        connect_to(d, (struct sockaddr *)&v4, sizeof v4);
    } else if (uv_ip6_addr(url->host, url->port, &v6) == 0) {
        connect_to(d, (struct sockaddr *)&v6, sizeof v6);
    } else {
        start_lookup(d, url);
    }
}

struct dial *dial_start(uv_loop_t *loop, const struct redis_url *url, unsigned attempt, int64_t timeout_ms, dial_fn done,
                        void *ctx)
{
    struct dial *d = calloc(1, sizeof *d);
    if (d == NULL)
        abort();
    d->loop = loop;
    d->fd = -1;
    d->attempt = attempt;
    d->done = done;
    d->ctx = ctx;
    uv_timer_init(loop, &d->timer);
    d->timer.data = d;
    d->open_handles = 1;
    uv_timer_start(&d->timer, on_timer, (uint64_t)timeout_ms, 0);
    start(d, url);
    fail_soon(d);
    return d;
}

void dial_cancel(struct dial *own_d)
{
    finish(own_d, UV_ECANCELED, false);
    maybe_free(own_d);
}
