#include "base/turn.h"

#include "base/clock.h"
#include "base/limits.h"

#include <stdlib.h>

/* Flushing may let paused streams go on, which may produce more: until nothing is left to do. */
static void flush_all(struct turn *t)
{
    while (t->before_flush(t->ctx) || t->dirty != NULL) {
        while (t->dirty != NULL) {
            struct stream *s = t->dirty;
            stream_unmark(s);
            stream_flush(s);
        }
    }
}

static void on_check(uv_check_t *handle)
{
    struct turn *t = handle->data;
    flush_all(t);
    tls_line_turn(&t->tls);
}

/* What timers and messages from other threads produced is flushed before the loop sleeps. */
static void on_prepare(uv_prepare_t *handle)
{
    flush_all(handle->data);
}

int turn_init(struct turn *t, uv_loop_t *loop, bool (*before_flush)(void *ctx), void *ctx)
{
    t->loop = loop;
    t->before_flush = before_flush;
    t->ctx = ctx;
    t->dirty = NULL;
    chunk_pool_init(&t->chunks);
    tls_line_init(&t->tls);
    t->buf = malloc(LIMIT_READ);
    if (t->buf == NULL)
        return UV_ENOMEM;
    turn_now(t);
    uv_check_init(loop, &t->check);
    uv_prepare_init(loop, &t->prepare);
    t->check.data = t->prepare.data = t;
    uv_check_start(&t->check, on_check);
    uv_prepare_start(&t->prepare, on_prepare);
    return 0;
}

void turn_close(struct turn *t)
{
    uv_close((uv_handle_t *)&t->check, NULL);
    uv_close((uv_handle_t *)&t->prepare, NULL);
}

void turn_done(struct turn *t)
{
    chunk_pool_done(&t->chunks);
    tls_line_done(&t->tls);
    free(t->buf);
    t->buf = NULL;
}

void turn_touch(struct turn *t, struct stream *s)
{
    stream_mark(s, &t->dirty);
}

int64_t turn_now(struct turn *t)
{
    t->now_us = clock_mono_us();
    return t->now_us;
}
