#include "backends/redis/blocking.h"

#include "backends/redis/faults.h"
#include "backends/redis/secure.h"
#include "base/clock.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static_assert(BLOCKING_READ_LEAST >= TLS_READ_LEAST, "a read has room for what TLS may have");

struct blocking {
    int fd;
    struct tls *tls; /* NULL: plain */
    struct tls_line line;
    int64_t patience_us;
    _Atomic bool interrupted;
    bool inside; /* faults of Redis do not concern it: it leads elsewhere */
};

#define FAULT_LOOK_US 5000 /* how often the valve is looked at while it is shut */

/* ---- faults ---- */

/* Waits at the valve. 0: go on; otherwise a negative errno. */
static int pass_valve(struct blocking *w)
{
    int64_t end_us = clock_mono_us() + w->patience_us;
    enum valve_kind kind;

    if (w->inside || !valve_is_set(redis_valve()))
        return 0;
    while ((kind = valve_now(redis_valve())) == VALVE_PAUSE && !atomic_load(&w->interrupted)) {
        if (clock_mono_us() >= end_us)
            return -ETIMEDOUT;
        usleep(FAULT_LOOK_US);
    }
    return kind == VALVE_CUT || atomic_load(&w->interrupted) ? -ECONNRESET : 0;
}

/* An answer of n bytes is there; it is handed out when it is due, unless the connection was cut meanwhile. */
static ssize_t come_late(struct blocking *w, ssize_t n)
{
    if (n <= 0 || w->inside || !valve_is_set(redis_valve()))
        return n;
    if (valve_now(redis_valve()) == VALVE_DELAY)
        usleep((useconds_t)valve_draw_us(redis_valve()));
    int rc = pass_valve(w);
    return rc < 0 ? rc : n;
}

/* ---- connecting ---- */

/* Waits until the connection stands. Returns 0 or a negative errno. */
static int await(int fd, int64_t end_us)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    int error = 0, rc;
    socklen_t len = sizeof error;

    do {
        int64_t left_ms = (end_us - clock_mono_us()) / 1000;
        rc = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);
    } while (rc < 0 && errno == EINTR);
    if (rc <= 0)
        return rc == 0 ? -ETIMEDOUT : -errno;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) != 0 ? -errno : -error;
}

/* A blocking descriptor, or a negative errno. */
static int connect_to(const struct sockaddr *addr, socklen_t len, int64_t end_us)
{
    int one = 1, fd = socket(addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    int rc = connect(fd, addr, len) == 0 ? 0 : errno == EINPROGRESS ? await(fd, end_us) : -errno;
    if (rc == 0 && fcntl(fd, F_SETFL, 0) != 0)
        rc = -errno;
    if (addr->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

static int connect_unix(const char *path, int64_t end_us, char *why, size_t why_cap)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", path);
    int fd = connect_to((const struct sockaddr *)&addr, sizeof addr, end_us);
    if (fd < 0)
        snprintf(why, why_cap, "%s", strerror(-fd));
    return fd;
}

static int connect_net(const struct redis_url *url, int64_t end_us, char *why, size_t why_cap)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
    char port[8];
    int fd = -1;

    snprintf(port, sizeof port, "%d", url->port);
    int rc = getaddrinfo(url->host, port, &hints, &list);
    if (rc != 0) {
        snprintf(why, why_cap, "%s", gai_strerror(rc));
        return -1;
    }
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        if ((fd = connect_to(a->ai_addr, a->ai_addrlen, end_us)) < 0)
            snprintf(why, why_cap, "%s", strerror(-fd));
    freeaddrinfo(list);
    return fd;
}

/* Shakes hands. Nothing of Redis's comes with that: it does not speak first. */
static bool shake(struct blocking *w, char *why, size_t why_cap)
{
    char *buf = malloc(TLS_READ_LEAST);
    ssize_t n = tls_shake(w->tls);

    if (buf == NULL)
        abort();
    while (n == -EAGAIN && !tls_is_open(w->tls)) {
        n = tls_read(w->tls, buf, TLS_READ_LEAST);
        if (n == -EAGAIN && tls_starved(w->tls))
            n = -ETIMEDOUT;
    }
    free(buf);
    if (tls_is_open(w->tls))
        return true;
    snprintf(why, why_cap, "%s", n == 0            ? "Redis closed the connection"
                                 : n == -ETIMEDOUT ? "no answer in time to TLS: it may be one that speaks without"
                                                   : blocking_why(w, (int)n));
    return false;
}

static bool secure(struct blocking *w, const struct settings *s, const struct redis_url *url, char *why, size_t why_cap)
{
    char trouble[TLS_WHY];

    if (!redis_secure(s, url, &w->line, &w->tls, trouble)) {
        snprintf(why, why_cap, "%s", trouble);
        return false;
    }
    if (w->tls == NULL)
        return true;
    tls_set_fd(w->tls, w->fd);
    return shake(w, why, why_cap);
}

struct blocking *blocking_open(const struct settings *s, const struct redis_url *url, int64_t patience_ms, char *why, size_t why_cap)
{
    if (redis_is_cut()) {
        snprintf(why, why_cap, "%s", strerror(ECONNREFUSED));
        return NULL;
    }
    struct blocking *w = blocking_open_apart(s, url, patience_ms, why, why_cap);
    if (w != NULL)
        w->inside = false;
    return w;
}

struct blocking *blocking_open_apart(const struct settings *s, const struct redis_url *url, int64_t patience_ms, char *why, size_t why_cap)
{
    struct blocking *w = calloc(1, sizeof *w);
    int64_t end_us = clock_mono_us() + patience_ms * 1000;

    if (w == NULL)
        abort();
    tls_line_init(&w->line);
    w->fd = -1;
    w->inside = true;
    w->fd = url->path != NULL ? connect_unix(url->path, end_us, why, why_cap) : connect_net(url, end_us, why, why_cap);
    if (w->fd >= 0) {
        blocking_patience(w, patience_ms);
        if (secure(w, s, url, why, why_cap))
            return w;
    }
    blocking_close(w);
    return NULL;
}

struct blocking *blocking_take(int own_fd, int64_t patience_ms)
{
    struct blocking *w = calloc(1, sizeof *w);

    if (w == NULL)
        abort();
    tls_line_init(&w->line);
    w->fd = own_fd;
    w->inside = true;
    blocking_patience(w, patience_ms);
    return w;
}

void blocking_close(struct blocking *own_w)
{
    if (own_w == NULL)
        return;
    if (own_w->tls != NULL && own_w->fd >= 0)
        tls_close_notify(own_w->tls);
    tls_free(own_w->tls);
    tls_line_done(&own_w->line);
    if (own_w->fd >= 0)
        close(own_w->fd);
    free(own_w);
}

void blocking_patience(struct blocking *w, int64_t ms)
{
    struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

    w->patience_us = ms * 1000;
    setsockopt(w->fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(w->fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
}

int blocking_fd(const struct blocking *w)
{
    return w->fd;
}

void blocking_interrupt(struct blocking *w)
{
    atomic_store(&w->interrupted, true);
    shutdown(w->fd, SHUT_RDWR);
}

/* ---- bytes ---- */

/* A passed SO_RCVTIMEO or SO_SNDTIMEO is told as EAGAIN. */
static int told(int neg_errno)
{
    return neg_errno == -EAGAIN || neg_errno == -EWOULDBLOCK ? -ETIMEDOUT : neg_errno;
}

/* A read may bring a part of a record, or something that is not the reader's: then it goes on. */
static ssize_t read_secure(struct blocking *w, char *buf, size_t cap)
{
    ssize_t n;

    do
        n = tls_read(w->tls, buf, cap);
    while (n == -EAGAIN && !tls_starved(w->tls));
    return told((int)n);
}

static ssize_t read_plain(struct blocking *w, char *buf, size_t cap)
{
    ssize_t n;

    do
        n = read(w->fd, buf, cap);
    while (n < 0 && errno == EINTR);
    return n < 0 ? told(-errno) : n;
}

ssize_t blocking_read(struct blocking *w, char *buf, size_t cap)
{
    int rc = pass_valve(w);

    if (rc < 0)
        return rc;
    return come_late(w, w->tls != NULL ? read_secure(w, buf, cap) : read_plain(w, buf, cap));
}

int blocking_send(struct blocking *w, const char *p, size_t n)
{
    int rc = pass_valve(w);

    if (rc < 0)
        return rc;
    while (n > 0) {
        ssize_t k = w->tls != NULL ? tls_write(w->tls, p, n) : send(w->fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && w->tls == NULL)
            k = -errno;
        if (k == -EINTR)
            continue;
        if (k < 0)
            return told((int)k);
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

const char *blocking_why(const struct blocking *w, int neg_errno)
{
    return w->tls != NULL && neg_errno == -EPROTO ? tls_why(w->tls) : strerror(-neg_errno);
}
