#include "base/stream.h"

#include "base/valve.h"
#include "base/internal.h"
#include "base/late.h"
#include "base/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IOV_ROWS 64

static void on_poll(uv_poll_t *handle, int status, int events);

void stream_watch(struct stream *s)
{
    int want = (s->reading ? UV_READABLE : 0) | (s->writing ? UV_WRITABLE : 0);
    if (s->tls != NULL && s->reading && tls_again(s->tls))
        want |= UV_WRITABLE;
    if (s->closing || want == s->events)
        return;
    s->events = want;
    if (want == 0)
        uv_poll_stop(&s->poll);
    else
        uv_poll_start(&s->poll, want, on_poll);
}

void stream_unwatch(struct stream *s)
{
    if (s->events != 0 && !s->closing)
        uv_poll_stop(&s->poll);
    s->events = 0;
}

int stream_init(struct stream *s, uv_loop_t *loop, int fd, struct chunk_pool *pool,
                const struct stream_ops *ops)
{
    int rc = uv_poll_init(loop, &s->poll, fd);
    if (rc != 0)
        return rc;
    s->fd = fd;
    s->events = 0;
    s->reading = s->writing = s->closing = false;
    chain_init(&s->out, pool);
    s->tls = NULL;
    s->valve = NULL;
    s->late = NULL;
    s->ops = ops;
    s->next = NULL;
    s->back = NULL;
    return 0;
}

void stream_secure(struct stream *s, struct tls *own_tls)
{
    s->tls = own_tls;
    tls_set_fd(own_tls, s->fd);
}

void stream_guard(struct stream *s, const struct valve *valve)
{
    s->valve = valve;
}

static bool meets_fault(const struct stream *s)
{
    return s->valve != NULL && (s->late != NULL || valve_is_set(s->valve));
}

bool stream_is_shaking(const struct stream *s)
{
    return s->tls != NULL && !tls_is_open(s->tls);
}

const char *stream_why(const struct stream *s, int neg_errno)
{
    return s->tls != NULL && neg_errno == -EPROTO ? tls_why(s->tls) : strerror(-neg_errno);
}

void stream_set_reading(struct stream *s, bool on)
{
    s->reading = on;
    stream_watch(s);
}

/* What waited for the handshake goes out as soon as it is over. */
static ssize_t read_secure(struct stream *s, void *buf, size_t cap)
{
    bool was_open = tls_is_open(s->tls);
    ssize_t n = tls_read(s->tls, buf, cap);

    if (!was_open && tls_is_open(s->tls) && s->out.len > 0)
        s->writing = true; /* on_poll watches for it */
    return n;
}

ssize_t stream_read_now(struct stream *s, void *buf, size_t cap)
{
    ssize_t n;
    if (s->tls != NULL)
        return read_secure(s, buf, cap);
    do
        n = recv(s->fd, buf, cap, 0); /* shorter in the kernel than read */
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

ssize_t stream_read(struct stream *s, void *buf, size_t cap)
{
    return s->late != NULL ? late_read(s, buf, cap) : stream_read_now(s, buf, cap);
}

static int write_secure(struct stream *s)
{
    struct iovec iov;
    while (s->out.len > 0) {
        chain_iov(&s->out, &iov, 1);
        ssize_t n = tls_write(s->tls, iov.iov_base, iov.iov_len);
        if (n < 0)
            return n == -EAGAIN ? 0 : (int)n;
        chain_consume(&s->out, (size_t)n);
    }
    return 0;
}

/* Writes until done or the socket is full. Returns 0, or a negative errno that breaks the stream. */
static int write_out(struct stream *s)
{
    struct iovec iov[IOV_ROWS];
    if (s->tls != NULL)
        return write_secure(s);
    while (s->out.len > 0) {
        struct msghdr msg = {.msg_iov = iov, .msg_iovlen = (size_t)chain_iov(&s->out, iov, IOV_ROWS)};
        ssize_t n = msg.msg_iovlen == 1 ? send(s->fd, iov[0].iov_base, iov[0].iov_len, MSG_NOSIGNAL)
                                        : sendmsg(s->fd, &msg, MSG_NOSIGNAL);
        if (n >= 0) {
            chain_consume(&s->out, (size_t)n);
            continue;
        }
        if (errno == EINTR)
            continue;
        return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
    }
    return 0;
}

void stream_flush_now(struct stream *s)
{
    size_t before = s->out.len;
    int rc = write_out(s);
    if (rc < 0) {
        s->ops->on_broken(s, rc);
        return;
    }
    s->writing = s->out.len > 0 && (s->tls == NULL || !tls_write_waits_to_read(s->tls));
    stream_watch(s);
    if (s->out.len < before)
        s->ops->on_written(s, before - s->out.len);
}

void stream_flush(struct stream *s)
{
    if (s->closing || s->writing)
        return;
    if (meets_fault(s))
        late_flush(s);
    else
        stream_flush_now(s);
}

static void on_poll(uv_poll_t *handle, int status, int events)
{
    struct stream *s = (struct stream *)handle; /* poll is the first member */
    if (s->tls != NULL && status >= 0) {
        if (tls_must_wait(s->tls))
            return; /* the kernel tells of the same again in the next turn */
        if ((events & UV_WRITABLE) && tls_again(s->tls))
            events |= UV_READABLE;
    }
    if (status < 0) {
        s->events = 0; /* libuv has stopped the handle, although bytes may still wait to be read */
        events |=
            (s->reading ? UV_READABLE : 0) | (s->writing ? UV_WRITABLE : 0); /* let read or write say why */
    }
    if (meets_fault(s)) {
        late_poll(s, events);
        return;
    }
    if ((events & UV_WRITABLE) && s->writing)
        stream_flush_now(s);
    if (!s->closing && (events & UV_READABLE) && s->reading)
        s->ops->on_readable(s);
    stream_watch(s);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct stream *s = (struct stream *)handle;
    tls_free(s->tls);
    s->tls = NULL;
    s->ops->on_closed(s);
}

int stream_release(struct stream *s)
{
    int fd = s->fd;
    s->closing = true;
    if (s->late != NULL)
        late_end(s);
    stream_unmark(s);
    uv_poll_stop(&s->poll);
    s->fd = -1;
    chain_clear(&s->out);
    uv_close((uv_handle_t *)&s->poll, on_handle_closed);
    return fd;
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    if (s->tls != NULL)
        tls_close_notify(s->tls);
    close(stream_release(s));
}

void stream_mark(struct stream *s, struct stream **list)
{
    if (s->back != NULL || s->closing)
        return;
    s->next = *list;
    if (s->next != NULL)
        s->next->back = &s->next;
    s->back = list;
    *list = s;
}

void stream_unmark(struct stream *s)
{
    if (s->back == NULL)
        return;
    *s->back = s->next;
    if (s->next != NULL)
        s->next->back = s->back;
    s->next = NULL;
    s->back = NULL;
}
