#include "backends/redis/upstream.h"

#include "backends/redis/backoff.h"
#include "backends/redis/dial.h"
#include "backends/redis/greeting.h"
#include "base/limits.h"
#include "base/log.h"
#include "config/url.h"
#include "resp/frame.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IDLE_END_US (60 * 1000000ll) /* a connection that nobody wanted for this long is given up */

struct request_queue {
    struct upstream_request *head, **tail;
    size_t count;
};

struct upstream {
    struct stream stream; /* first: callbacks get it */
    struct upstream_env *env;
    enum upstream_state state;
    enum lane lane;
    int db;
    enum resp resp;
    bool has_stream;   /* stream is open or closing */
    bool down;         /* the last attempt failed and none has succeeded since: requests are refused at once */
    bool full;         /* on_change is owed when the output has drained */
    bool freeing;
    struct dial *dial;
    struct greeting greeting;
    struct request_queue sent, held;
    struct chain held_out;
    struct frame frame;
    bool in_reply;     /* inside a frame */
    bool in_push;      /* that frame is a push: nobody asked */
    char *rest;        /* start of a line that was cut by the end of a read */
    size_t rest_len, rest_cap;
    struct backoff backoff;
    int64_t retry_us, started_us, wanted_us;
    uint64_t generation;
    char why[128];
};

/* ---- queues ---- */

static void queue_init(struct request_queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
    q->count = 0;
}

static void queue_push(struct request_queue *q, struct upstream_request *r)
{
    r->next = NULL;
    *q->tail = r;
    q->tail = &r->next;
    q->count++;
}

static struct upstream_request *queue_pop(struct request_queue *q)
{
    struct upstream_request *r = q->head;
    q->head = r->next;
    if (q->head == NULL)
        q->tail = &q->head;
    q->count--;
    return r;
}

static void queue_append(struct request_queue *to, struct request_queue *from)
{
    if (from->head == NULL)
        return;
    *to->tail = from->head;
    to->tail = from->tail;
    to->count += from->count;
    queue_init(from);
}

static void fail_all(struct upstream *u, struct request_queue *q, enum err e, const char *detail)
{
    struct request_queue gone;
    queue_init(&gone);
    queue_append(&gone, q);
    while (gone.head != NULL)
        u->env->ops->on_failed(queue_pop(&gone), e, detail);
}

/* ---- state ---- */

static void set_state(struct upstream *u, enum upstream_event event)
{
    enum upstream_state was = u->state;
    u->state = upstream_next(was, event);
    if (was == u->state)
        return;
    if (u->state == UP_READY)
        u->env->count(u->env->ctx, COUNT_OPEN, 1);
    if (was == UP_READY || (was == UP_DRAINING && u->state != UP_READY))
        u->env->count(u->env->ctx, COUNT_OPEN, u->state == UP_DRAINING ? 0 : -1);
}

static void set_why(struct upstream *u, const char *why)
{
    snprintf(u->why, sizeof u->why, "%s", why);
}

static void start_attempt(struct upstream *u);

/* After an end: what was sent is in doubt, what was held never left. */
static void attempt_failed(struct upstream *u, const char *why)
{
    set_why(u, why);
    if (!u->down)
        log_event(LOG_WARN, "redis_error", LOG_STR("reason", u->why), LOG_INT("db", u->db),
                  LOG_INT("resp", (int)u->resp));
    u->down = true;
    u->backoff.failures++;
    u->retry_us = turn_now(u->env->turn) + backoff_pause_us(&u->backoff, u->env->settings->redis_backoff_min,
                                                            u->env->settings->redis_backoff_max);
    u->env->count(u->env->ctx, COUNT_CONNECT_FAILURES, 1);
    chain_clear(&u->held_out);
    fail_all(u, &u->held, ERR_REDISDOWN, u->why);
    u->env->ops->on_change(u);
}

void upstream_break(struct upstream *u, enum err e, const char *detail)
{
    bool was_up = u->state == UP_READY || u->state == UP_DRAINING;

    if (u->state == UP_DIALING) {
        dial_cancel(u->dial);
        u->dial = NULL;
    }
    if (u->state != UP_DIALING && u->state != UP_GREETING && !was_up)
        return;
    set_state(u, UEV_BROKEN);
    u->retry_us = 0;
    if (u->has_stream)
        stream_close(&u->stream);
    if (!was_up) {
        attempt_failed(u, detail);
        return;
    }
    if (e != ERR_NONE) {
        set_why(u, detail);
        u->env->count(u->env->ctx, e == ERR_TIMEOUT ? COUNT_TIMEOUTS : COUNT_LOST, 1);
        if (e != ERR_CANCELLED || u->sent.count > 0) /* otherwise it is an end that nobody misses anything by */
            log_event(LOG_WARN, "redis_error", LOG_STR("reason", u->why), LOG_STR("error", err_name(e)),
                      LOG_INT("in_flight", (int64_t)u->sent.count), LOG_INT("db", u->db));
        fail_all(u, &u->sent, e, u->why);
    }
    u->env->ops->on_change(u);
}

/* ---- replies ---- */

/* Hands n bytes of a frame to the request they belong to. False: nobody asked for it. */
static bool deliver(struct upstream *u, const char *p, size_t n, bool end)
{
    if (!u->in_reply) {
        u->in_push = p[0] == '>';
        u->in_reply = true;
    }
    if (end)
        u->in_reply = false;
    if (u->in_push)
        return true;
    struct upstream_request *r = u->sent.head;
    if (r == NULL)
        return false;
    if (end && --r->replies == 0)
        queue_pop(&u->sent);
    u->env->ops->on_reply(r, p, n, end);
    return true;
}

/* Passes whole and partial frames on. Returns the bytes that are settled, or -1 after breaking the connection. */
static ssize_t take_replies(struct upstream *u, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n) {
        size_t used;
        enum frame_status status = frame_scan(&u->frame, p + at, n - at, &used);
        if (status == FRAME_BAD) {
            upstream_break(u, ERR_UPSTREAM_PROTOCOL, "malformed reply");
            return -1;
        }
        if (used > 0 && !deliver(u, p + at, used, status == FRAME_DONE)) {
            upstream_break(u, ERR_UPSTREAM_PROTOCOL, "unexpected reply");
            return -1;
        }
        at += used;
        if (status == FRAME_MORE)
            break;
    }
    return (ssize_t)at;
}

static void grow_rest(struct upstream *u, size_t n)
{
    if (n <= u->rest_cap)
        return;
    u->rest_cap = n < 512 ? 512 : n;
    u->rest = realloc(u->rest, u->rest_cap);
    if (u->rest == NULL)
        abort();
}

/* p may lie in rest itself: then it fits, and nothing is reallocated. */
static void keep_rest(struct upstream *u, const char *p, size_t n)
{
    grow_rest(u, n);
    if (n > 0)
        memmove(u->rest, p, n);
    u->rest_len = n;
}

static void greeted(struct upstream *u)
{
    set_state(u, UEV_GREETED);
    u->down = false;
    u->backoff.failures = 0;
    u->generation++;
    u->env->count(u->env->ctx, COUNT_CONNECTS, 1);
    queue_append(&u->sent, &u->held);
    chain_move(&u->stream.out, &u->held_out);
    turn_touch(u->env->turn, &u->stream);
    u->env->ops->on_change(u);
}

static ssize_t take_greeting(struct upstream *u, const char *p, size_t n)
{
    char why[96];
    size_t used;
    switch (greeting_take(&u->greeting, p, n, &used, why, sizeof why)) {
    case GREETING_MORE:
        break;
    case GREETING_OK:
        greeted(u);
        break;
    case GREETING_REFUSED:
        upstream_break(u, ERR_REDISDOWN, why);
        return -1;
    }
    return (ssize_t)used;
}

/* All bytes that are there now: what a cut line left, then what was read. A line longer than the read buffer grows in
 * rest until it is whole; frame_scan ends that at LIMIT_REPLY_LINE. */
static void take_input(struct upstream *u, const char *p, size_t n)
{
    if (u->rest_len > 0) {
        size_t had = u->rest_len;
        grow_rest(u, had + n);
        memcpy(u->rest + had, p, n);
        p = u->rest;
        n += had;
        u->rest_len = 0;
    }
    ssize_t used = u->state == UP_GREETING ? take_greeting(u, p, n) : take_replies(u, p, n);
    if (used >= 0)
        keep_rest(u, p + used, n - (size_t)used);
}

static void on_readable(struct stream *s)
{
    struct upstream *u = (struct upstream *)s;
    struct turn *t = u->env->turn;
    ssize_t n = stream_read(s, t->buf, LIMIT_READ);

    turn_now(t);
    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        upstream_break(u, ERR_REDISLOST, n == 0 ? "Redis closed the connection" : strerror((int)-n));
        return;
    }
    take_input(u, t->buf, (size_t)n);
    if (u->state == UP_DRAINING && u->sent.count == 0)
        upstream_break(u, ERR_NONE, "retired");
}

/* ---- the socket ---- */

static void on_written(struct stream *s, size_t n)
{
    struct upstream *u = (struct upstream *)s;
    if (u->full && u->stream.out.len <= LIMIT_UPSTREAM_LOW) {
        u->full = false;
        u->env->ops->on_change(u);
    }
}

static void on_broken(struct stream *s, int neg_errno)
{
    upstream_break((struct upstream *)s, ERR_REDISLOST, strerror(-neg_errno));
}

static void free_now(struct upstream *u)
{
    chain_clear(&u->held_out);
    free(u->rest);
    free(u);
}

static void on_closed(struct stream *s)
{
    struct upstream *u = (struct upstream *)s;
    u->has_stream = false;
    set_state(u, UEV_CLOSED);
    u->in_reply = u->in_push = u->full = false;
    u->rest_len = 0;
    u->frame = (struct frame){0};
    if (u->freeing)
        free_now(u);
    else if (u->held.count > 0 && u->retry_us == 0)
        start_attempt(u);
}

static const struct stream_ops stream_ops = {on_readable, on_written, on_broken, on_closed};

static void on_dialed(void *ctx, int result)
{
    struct upstream *u = ctx;
    struct turn *t = u->env->turn;

    u->dial = NULL;
    if (result < 0 || stream_init(&u->stream, t->loop, result, &t->chunks, &stream_ops) != 0) {
        set_state(u, UEV_BROKEN);
        attempt_failed(u, result < 0 ? uv_strerror(result) : "no memory");
        return;
    }
    u->has_stream = true;
    set_state(u, UEV_DIALED);
    greeting_start(&u->greeting, &u->stream.out, u->env->settings, u->db, u->resp);
    stream_set_reading(&u->stream, true);
    turn_touch(t, &u->stream);
}

static void start_attempt(struct upstream *u)
{
    const struct settings *s = u->env->settings;
    struct turn *t = u->env->turn;
    int64_t now = turn_now(t);
    struct redis_url url;
    struct reason why;

    if (!connect_budget_take(now, s->redis_connect_rate)) {
        u->retry_us = now + 20000;
        return;
    }
    set_state(u, u->state == UP_IDLE ? UEV_WANTED : UEV_RETRY);
    u->started_us = now;
    if (!redis_url_parse(s->redis_url, &url, &why)) {
        set_state(u, UEV_BROKEN);
        attempt_failed(u, why.text);
        return;
    }
    u->dial = dial_start(t->loop, &url, u->backoff.failures, s->redis_connect_timeout, on_dialed, u);
    redis_url_done(&url);
}

/* ---- the interface ---- */

struct upstream *upstream_new(struct upstream_env *env, enum lane lane, int db, enum resp resp)
{
    struct upstream *u = calloc(1, sizeof *u);
    if (u == NULL)
        abort();
    u->env = env;
    u->lane = lane;
    u->db = db;
    u->resp = resp;
    queue_init(&u->sent);
    queue_init(&u->held);
    chain_init(&u->held_out, &env->turn->chunks);
    return u;
}

void upstream_free(struct upstream *own_u)
{
    own_u->freeing = true;
    fail_all(own_u, &own_u->sent, ERR_CANCELLED, "shutting down");
    fail_all(own_u, &own_u->held, ERR_CANCELLED, "shutting down");
    if (own_u->dial != NULL)
        dial_cancel(own_u->dial);
    if (own_u->state == UP_READY || own_u->state == UP_DRAINING)
        own_u->env->count(own_u->env->ctx, COUNT_OPEN, -1);
    if (!own_u->has_stream)
        free_now(own_u);
    else
        stream_close(&own_u->stream);
}

enum err upstream_ready(struct upstream *u, const char **detail)
{
    *detail = u->why;
    return u->down ? ERR_REDISDOWN : ERR_NONE;
}

struct chain *upstream_out(struct upstream *u)
{
    return u->state == UP_READY ? &u->stream.out : &u->held_out;
}

void upstream_queue(struct upstream *u, struct upstream_request *r, uint32_t replies, bool slow)
{
    const struct settings *s = u->env->settings;
    r->queued_us = u->env->turn->now_us;
    r->deadline_us = r->queued_us + (slow ? s->redis_slow_timeout : s->redis_timeout) * 1000;
    r->replies = replies;
    u->wanted_us = r->queued_us;
    if (u->state == UP_READY) {
        queue_push(&u->sent, r);
        turn_touch(u->env->turn, &u->stream);
        return;
    }
    queue_push(&u->held, r);
    if (u->state == UP_IDLE || (u->state == UP_WAITING && u->retry_us == 0))
        start_attempt(u);
}

bool upstream_full(const struct upstream *u)
{
    const struct chain *out = u->state == UP_READY ? &u->stream.out : &u->held_out;
    if (out->len <= LIMIT_UPSTREAM_HIGH)
        return false;
    ((struct upstream *)u)->full = true;
    return true;
}

size_t upstream_in_flight(const struct upstream *u)
{
    return u->sent.count + u->held.count;
}

enum upstream_state upstream_state(const struct upstream *u)
{
    return u->state;
}

enum lane upstream_lane(const struct upstream *u)
{
    return u->lane;
}

int upstream_db(const struct upstream *u)
{
    return u->db;
}

enum resp upstream_resp(const struct upstream *u)
{
    return u->resp;
}

void *upstream_owner(const struct upstream *u)
{
    return u->env->ctx;
}

uint64_t upstream_generation(const struct upstream *u)
{
    return u->generation;
}

bool upstream_busy(const struct upstream *u)
{
    return u->sent.count > 0 || u->held.count > 0 || u->state == UP_GREETING || u->state == UP_WAITING;
}

static void check_deadline(struct upstream *u, int64_t now_us)
{
    char text[24];

    if (u->sent.head == NULL || now_us < u->sent.head->deadline_us)
        return;
    snprintf(text, sizeof text, "%lld", (long long)(now_us - u->sent.head->queued_us) / 1000);
    upstream_break(u, ERR_TIMEOUT, text);
}

void upstream_tick(struct upstream *u, int64_t now_us)
{
    if (u->state == UP_READY || u->state == UP_DRAINING)
        check_deadline(u, now_us);
    if (u->state == UP_GREETING && now_us - u->started_us > u->env->settings->redis_connect_timeout * 1000)
        upstream_break(u, ERR_REDISDOWN, "the greeting timed out");
    if (u->state == UP_WAITING && now_us >= u->retry_us) {
        if (upstream_in_flight(u) == 0 && now_us - u->wanted_us > IDLE_END_US)
            set_state(u, UEV_UNUSED);
        else
            start_attempt(u);
    }
}

void upstream_retire(struct upstream *u)
{
    if (u->state == UP_READY && u->sent.count > 0) {
        set_state(u, UEV_RETIRED);
        return;
    }
    u->retry_us = 0;
    u->backoff.failures = 0;
    upstream_break(u, u->state == UP_READY ? ERR_NONE : ERR_REDISDOWN, "the settings have changed");
}
