/* base/turn — one loop's shared working memory, and the rule that output is flushed once a turn.
 * Owns:       the chunk pool, the read buffer, the list of streams that have something to write.
 * Invariants: a stream that was touched in a turn is flushed before the loop sleeps again: once, however often it was
 *             touched. So the replies and requests of many clients leave in few writes.
 * Threads:    [loop] only. */
#ifndef BASE_TURN_H
#define BASE_TURN_H

#include "base/stream.h"
#include "base/tls.h"

#include <uv.h>

struct turn {
    uv_loop_t *loop;
    struct chunk_pool chunks;
    char *buf;       /* LIMIT_READ bytes for the read of the moment */
    int64_t now_us;  /* clock_mono_us, read once when something happens on a stream */
    struct stream *dirty; /* first of the streams to flush */
    struct tls_line tls;  /* what the loop's TLS connections share */
    uv_check_t check;
    uv_prepare_t prepare;
    bool (*before_flush)(void *ctx); /* the owner's chance to produce more output; true: it did something */
    void *ctx;
};

MUST_USE int turn_init(struct turn *t, uv_loop_t *loop, bool (*before_flush)(void *ctx), void *ctx);
/* Closes the handles; the loop must run once more before turn_done. */
void turn_close(struct turn *t);
void turn_done(struct turn *t);

/* s has something in s->out: flush it at the end of this turn. */
void turn_touch(struct turn *t, struct stream *s);
/* Reads the clock again and returns it. */
int64_t turn_now(struct turn *t);

#endif
