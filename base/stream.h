/* base/stream — a connected, non-blocking socket on a loop: reading when asked, writing what is queued.
 * Owns:       the descriptor, the poll handle, the queue of bytes to write; the TLS connection where there is one.
 * Invariants: after stream_close no callback but on_closed comes, and that exactly once, later.
 * Threads:    [loop] only.          Used by: proxy/session, backends/redis/upstream.
 * Why not uv_tcp: a proxy wants one read buffer a thread, one writev a turn, and (for TLS) the descriptor. */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include "base/chain.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

struct valve;
struct late;
struct stream;
struct tls;

struct stream_ops {
    /* Bytes, end of file or an error are waiting: call stream_read. */
    void (*on_readable)(struct stream *s);
    /* n more bytes were written; s->out.len are left. */
    void (*on_written)(struct stream *s, size_t n);
    /* Writing failed; the owner closes. neg_errno: -EPIPE and so on. */
    void (*on_broken)(struct stream *s, int neg_errno);
    /* The handle is gone; the owner's memory may be freed. */
    void (*on_closed)(struct stream *s);
};

struct stream {
    uv_poll_t poll;
    int fd;
    int events;     /* what the poll handle watches now */
    bool reading;   /* the owner wants on_readable */
    bool writing;   /* waiting for the socket to take more */
    bool closing;
    struct chain out;
    struct tls *tls; /* NULL: plain */
    const struct valve *valve; /* faults that it meets; NULL: none ever */
    struct late *late;       /* those that it meets now, or what they have left; NULL: none */
    const struct stream_ops *ops;
    struct stream *next, **back; /* place in its turn's list of streams to flush; back is NULL when not in it */
};

/* Takes fd (non-blocking from here on); watches nothing yet. */
MUST_USE int stream_init(struct stream *s, uv_loop_t *loop, int fd, struct chunk_pool *pool, const struct stream_ops *ops);
/* From here on s speaks TLS: right behind stream_init. Its owner needs to know nothing of it, but that stream_read wants room for
 * TLS_READ_LEAST bytes and that stream_release is not for it. */
void stream_secure(struct stream *s, struct tls *own_tls);
/* The faults of this valve befall s from here on (base/late). The valve outlives it. */
void stream_guard(struct stream *s, const struct valve *valve);
/* TLS hands are not shaken yet. */
bool stream_is_shaking(const struct stream *s);
/* Starts or stops on_readable. */
void stream_set_reading(struct stream *s, bool on);
/* > 0 bytes read, 0 end of file, -EAGAIN nothing now, other negative errno: broken. */
ssize_t stream_read(struct stream *s, void *buf, size_t cap);
/* What a negative errno of s means, in words; valid until s is closed. */
const char *stream_why(const struct stream *s, int neg_errno);
/* Writes what the socket takes of s->out; the rest follows when it can. May call on_written or on_broken. */
void stream_flush(struct stream *s);
void stream_close(struct stream *s);
/* As stream_close, but the descriptor stays open and is the caller's. */
MUST_USE int stream_release(struct stream *s);

/* For base/turn: enters s into a list of streams to flush, once; takes it out. Closing takes it out too. */
void stream_mark(struct stream *s, struct stream **list);
void stream_unmark(struct stream *s);

#endif
