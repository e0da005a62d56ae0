#include "base/late.h"

#include "base/clock.h"
#include "base/valve.h"
#include "base/internal.h"
#include "base/tls.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 10 /* how often the valve is looked at while a fault lasts */

struct piece {
    struct piece *next;
    int64_t due_us;
    ssize_t len; /* <= 0: how the stream has ended */
    ssize_t at;  /* handed out so far */
    char bytes[];
};

struct late {
    struct stream *stream; /* NULL: it has closed */
    uv_timer_t timer;
    struct piece *head, **tail;
    size_t bytes;
    int64_t last_due_us;
    bool ended; /* the stream's end is among the pieces */
};

static void on_timer(uv_timer_t *timer);

static struct late *late_of(struct stream *s)
{
    struct late *l = s->late;

    if (l != NULL)
        return l;
    l = calloc(1, sizeof *l);
    if (l == NULL)
        abort();
    l->stream = s;
    l->tail = &l->head;
    uv_timer_init(s->poll.loop, &l->timer);
    l->timer.data = l;
    s->late = l;
    return l;
}

static void on_gone(uv_handle_t *handle)
{
    free(handle->data);
}

void late_end(struct stream *s)
{
    struct late *l = s->late;

    s->late = NULL;
    l->stream = NULL;
    for (struct piece *p = l->head, *next; p != NULL; p = next) {
        next = p->next;
        free(p);
    }
    uv_close((uv_handle_t *)&l->timer, on_gone);
}

/* ---- what comes too early ---- */

static void keep(struct late *l, const char *bytes, ssize_t n, int64_t now_us)
{
    struct piece *p = malloc(sizeof *p + (n > 0 ? (size_t)n : 0));
    int64_t due_us = now_us + valve_draw_us(l->stream->valve);

    if (p == NULL)
        abort();
    l->last_due_us = due_us > l->last_due_us ? due_us : l->last_due_us; /* none overtakes another */
    *p = (struct piece){.due_us = l->last_due_us, .len = n};
    if (n > 0)
        memcpy(p->bytes, bytes, (size_t)n);
    l->bytes += n > 0 ? (size_t)n : 0;
    l->ended = n <= 0;
    *l->tail = p;
    l->tail = &p->next;
}

static void read_early(struct stream *s, struct late *l)
{
    char *buf = malloc(TLS_READ_LEAST);

    if (buf == NULL)
        abort();
    ssize_t n = stream_read_now(s, buf, TLS_READ_LEAST);
    if (n != -EAGAIN)
        keep(l, buf, n, clock_mono_us());
    free(buf);
}

ssize_t late_read(struct stream *s, void *buf, size_t cap)
{
    struct late *l = s->late;
    struct piece *p = l->head;

    if (p == NULL || (p->due_us > clock_mono_us() && valve_now(s->valve) != VALVE_OPEN))
        return -EAGAIN;
    if (p->len <= 0)
        return p->len;
    size_t left = (size_t)(p->len - p->at), n = left < cap ? left : cap;
    memcpy(buf, p->bytes + p->at, n);
    p->at += (ssize_t)n;
    l->bytes -= n;
    if (p->at == p->len) {
        l->head = p->next;
        if (l->head == NULL)
            l->tail = &l->head;
        free(p);
    }
    return (ssize_t)n;
}

/* ---- in time ---- */

static void rest(struct late *l)
{
    int64_t ms = LOOK_MS;

    if (l->head != NULL) {
        int64_t left_ms = (l->head->due_us - clock_mono_us() + 999) / 1000;
        ms = left_ms < 1 ? 1 : left_ms < LOOK_MS ? left_ms : LOOK_MS;
    }
    uv_timer_start(&l->timer, on_timer, (uint64_t)ms, 0);
}

/* True: the stream is as it was before the fault, and has no late any more. */
static bool over(struct stream *s, struct late *l)
{
    if (l->head != NULL)
        return false;
    late_end(s);
    stream_watch(s);
    if (!s->writing && s->out.len > 0)
        stream_flush_now(s);
    return true;
}

static void watch_again(struct stream *s, struct late *l)
{
    if (l->ended || l->bytes > LATE_MAX || valve_now(s->valve) == VALVE_PAUSE)
        stream_unwatch(s);
    else
        stream_watch(s);
}

/* Any call of the owner may close the stream, or stop its reading. */
static void on_timer(uv_timer_t *timer)
{
    struct late *l = timer->data;
    struct stream *s = l->stream;
    enum valve_kind kind = valve_now(s->valve);
    int64_t now_us = clock_mono_us();

    if (kind == VALVE_CUT) {
        s->ops->on_broken(s, -ECONNRESET);
        return;
    }
    while (kind != VALVE_PAUSE && l->stream != NULL && s->reading && l->head != NULL &&
           (kind == VALVE_OPEN || l->head->due_us <= now_us))
        s->ops->on_readable(s);
    if (l->stream == NULL || (kind == VALVE_OPEN && over(s, l)))
        return;
    watch_again(s, l);
    rest(l);
}

void late_poll(struct stream *s, int events)
{
    struct late *l = late_of(s);
    enum valve_kind kind = valve_now(s->valve);

    if (kind == VALVE_CUT) {
        s->ops->on_broken(s, -ECONNRESET);
        return;
    }
    if (kind != VALVE_PAUSE && (events & UV_WRITABLE) && s->writing)
        stream_flush_now(s); /* may close it */
    if (s->closing)
        return;
    if (kind != VALVE_PAUSE && (events & UV_READABLE) && s->reading && !l->ended && l->bytes <= LATE_MAX)
        read_early(s, l);
    watch_again(s, l);
    rest(l);
}

void late_flush(struct stream *s)
{
    struct late *l = late_of(s);
    enum valve_kind kind = valve_now(s->valve);

    if (kind == VALVE_CUT) {
        s->ops->on_broken(s, -ECONNRESET);
        return;
    }
    rest(l);
    if (kind != VALVE_PAUSE)
        stream_flush_now(s);
}
