#include "backends/redis/upstream.h"

#include "backends/redis/dial.h"
#include "backends/redis/faults.h"
#include "backends/redis/internal.h"
#include "backends/redis/secure.h"
#include "base/limits.h"
#include "base/log.h"
#include "config/seeds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IDLE_END_US  (60 * 1000000ll) /* a connection that nobody wanted for this long is given up */
#define NO_BUDGET_US 20000            /* the process connects too often: ask again after this */
#define REGREET_US   200000           /* a stranger is asked again who it is after this */

/* Reads may be done twice: what a replica did not answer its master does, while there is time. */
static bool goes_to_master(const struct upstream *u, const struct upstream_request *r, enum err e)
{
    return u->master != NULL && e != ERR_CANCELLED && r->resend != NULL && !r->resend->begun &&
           turn_now(u->env->turn) < r->deadline_us;
}

static void fail_all(struct upstream *u, struct request_queue *q, enum err e, const char *detail)
{
    static const struct redirect to_master = {.kind = REDIRECT_MASTER};
    struct request_queue gone;

    queue_init(&gone);
    queue_append(&gone, q);
    while (gone.head != NULL) {
        struct upstream_request *r = queue_pop(&gone);
        if (goes_to_master(u, r, e) && resend_again(r->resend))
            u->env->on_redirect(u->env, u, r, &to_master);
        else
            upstream_fail(u->env, r, e, detail);
    }
}

/* ---- state ---- */

static bool is_open(enum upstream_state state)
{
    return state == UP_READY || state == UP_DRAINING;
}

/* What is queued from here on is sent by another connection. */
static void renew_session(struct upstream *u)
{
    const struct upstream_guard *g = &u->env->guard;

    memcpy(u->before, u->session, sizeof u->before);
    u->spent = false;
    u->seq = 0;
    snprintf(u->session, sizeof u->session, "%.8s-%u-%u", g->proxy, g->loop % 1000, ++u->env->sessions);
}

static void set_state(struct upstream *u, enum upstream_event event)
{
    bool was_open = is_open(u->state), was_ready = u->state == UP_READY;
    u->state = upstream_next(u->state, event);
    if (was_ready && u->state != UP_READY)
        renew_session(u);
    if (is_open(u->state) != was_open)
        u->env->count(u->env->ctx, COUNT_OPEN, was_open ? -1 : 1);
    if (upstream_busy(u))
        u->env->wake(u->env);
}

static void set_why(struct upstream *u, const char *why)
{
    snprintf(u->why, sizeof u->why, "%s", why);
}

/* The next attempt may be made at once after a connection that worked, and later after each that did not. */
static void set_pause(struct upstream *u)
{
    const struct settings *s = u->env->settings;
    u->retry_us =
        turn_now(u->env->turn) + backoff_pause_us(&u->backoff, s->redis_backoff_min, s->redis_backoff_max);
}

/* What was held never left: its end is not in doubt. */
static void fail_held(struct upstream *u, const char *why)
{
    chain_clear(&u->held_out);
    u->held_len = 0;
    fail_all(u, &u->held, ERR_REDISDOWN, why);
    u->env->ops->on_change(u);
}

/* There may be hundreds of connections; those that nobody needed at the moment are no news, since the probe tells that
 * Redis is away. */
static enum log_level level(const struct request_queue *failing)
{
    return failing->count > 0 ? LOG_WARN : LOG_DEBUG;
}

static void attempt_failed(struct upstream *u, const char *why)
{
    set_state(u, UEV_BROKEN);
    set_why(u, why);
    if (!u->down)
        log_event(level(&u->held), "redis_error", LOG_STR("reason", u->why),
                  LOG_INT("held", (int64_t)u->held.count), LOG_INT("db", u->db),
                  LOG_INT("resp", (int)u->resp));
    u->down = true;
    u->backoff.failures++;
    set_pause(u);
    u->env->count(u->env->ctx, COUNT_CONNECT_FAILURES, 1);
    fail_held(u, u->why);
}

static void greeting_failed(struct upstream *u, const char *why)
{
    stream_close(&u->stream);
    attempt_failed(u, why);
}

/* An open connection ends, and the next may be made at once unless it flaps; what was sent is in doubt, what is held waits for the next one. */
static void close_open(struct upstream *u)
{
    set_state(u, UEV_BROKEN);
    /* Copies of what it was answered may be on their way for a while: their ids must be found until then. */
    u->spent = u->met.ours && u->sent.count == 0 && turn_now(u->env->turn) - u->wanted_us > IDLE_END_US;
    set_pause(u);
    stream_close(&u->stream);
}

void upstream_lose(struct upstream *u, enum err e, const char *detail)
{
    u->flaps = u->sent.count > 0 && !u->answered ? u->flaps + 1 : 0;
    u->backoff.failures = u->flaps;
    close_open(u);
    set_why(u, detail);
    u->env->count(u->env->ctx, e == ERR_TIMEOUT ? COUNT_TIMEOUTS : COUNT_LOST, 1);
    log_event(level(&u->sent), "redis_error", LOG_STR("reason", u->why), LOG_STR("error", err_name(e)),
              LOG_INT("in_flight", (int64_t)u->sent.count), LOG_INT("db", u->db));
    fail_all(u, &u->sent, e, u->why);
    u->env->ops->on_change(u);
}

static void broken(struct upstream *u, enum err e, const char *detail)
{
    if (is_open(u->state))
        upstream_lose(u, e, detail);
    else
        greeting_failed(u, detail);
}

static void close_when_drained(struct upstream *u)
{
    if (u->state != UP_DRAINING || u->sent.count > 0)
        return;
    close_open(u);
    u->env->ops->on_change(u);
}

/* ---- input ---- */

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

/* What is held goes out; before a stranger, what is guarded stays and is added to refused. */
static void send_held(struct upstream *u, struct request_queue *refused)
{
    struct chain whole;

    chain_init(&whole, u->held_out.pool);
    chain_move(&whole, &u->held_out);
    u->held_len = 0;
    if (u->met.ours) {
        queue_append(&u->sent, &u->held);
        chain_move(&u->stream.out, &whole);
        return;
    }
    struct slice bytes = chain_flat(&whole);
    while (u->held.head != NULL) {
        struct upstream_request *r = queue_pop(&u->held);
        if (!r->guarded)
            chain_put(&u->stream.out, bytes.p, r->held_bytes);
        bytes = (struct slice){bytes.p + r->held_bytes, bytes.len - r->held_bytes};
        queue_push(r->guarded ? refused : &u->sent, r);
    }
    chain_clear(&whole);
}

static void met_stranger(struct upstream *u)
{
    if (u->met.known && u->env->on_stranger != NULL)
        u->env->on_stranger(u->env->ctx, u->met.run_id, u->met.epoch);
}

static void greeted(struct upstream *u)
{
    struct request_queue refused;

    queue_init(&refused);
    u->met = u->greeting.met;
    u->met_us = turn_now(u->env->turn);
    set_state(u, UEV_GREETED);
    u->down = false;
    u->answered = false;
    u->generation++;
    u->spent = false;
    u->env->count(u->env->ctx, COUNT_CONNECTS, 1);
    send_held(u, &refused);
    turn_touch(u->env->turn, &u->stream);
    if (!u->met.ours)
        met_stranger(u);
    fail_all(u, &refused, ERR_STRANGER, u->met.why);
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
        greeting_failed(u, why);
        return -1;
    }
    return (ssize_t)used;
}

/* All bytes that are there now: what a cut line left, then what was read. A line longer than the read buffer
 * grows in rest until it is whole; frame_scan ends that at LIMIT_REPLY_LINE. */
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
    ssize_t used = u->state == UP_GREETING ? take_greeting(u, p, n) : upstream_take_replies(u, p, n);
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
        broken(u, ERR_REDISLOST, n == 0 ? "Redis closed the connection" : stream_why(s, (int)n));
        return;
    }
    take_input(u, t->buf, (size_t)n);
    close_when_drained(u);
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
    broken((struct upstream *)s, ERR_REDISLOST, stream_why(s, neg_errno));
}

static void free_now(struct upstream *u)
{
    chain_clear(&u->held_out);
    chain_clear(&u->push);
    chain_clear(&u->draft);
    free(u->url);
    free(u->rest);
    free(u);
}

static void attempt_when_due(struct upstream *u, int64_t now_us);

static void on_closed(struct stream *s)
{
    struct upstream *u = (struct upstream *)s;
    u->has_stream = false;
    if (u->freeing) {
        free_now(u);
        return;
    }
    u->in_reply = u->in_push = u->full = false;
    chain_clear(&u->push);
    u->rest_len = 0;
    u->frame = (struct frame){0};
    set_state(u, UEV_CLOSED);
    if (u->held.count > 0)
        attempt_when_due(u, turn_now(u->env->turn));
}

static const struct stream_ops stream_ops = {on_readable, on_written, on_broken, on_closed};

static void on_dialed(void *ctx, int result)
{
    struct upstream *u = ctx;
    struct turn *t = u->env->turn;

    struct tls *tls = u->tls;
    u->dial = NULL;
    u->tls = NULL;
    int rc = result < 0 ? result : stream_init(&u->stream, t->loop, result, &t->chunks, &stream_ops);
    if (rc < 0) {
        if (result >= 0)
            close(result);
        tls_free(tls);
        attempt_failed(u, uv_strerror(rc));
        return;
    }
    if (tls != NULL)
        stream_secure(&u->stream, tls);
    stream_guard(&u->stream, redis_valve());
    u->has_stream = true;
    set_state(u, UEV_DIALED);
    static const struct upstream_guard unguarded = {.on = false};
    struct greeting_ask ask = {.settings = u->env->settings,
                               .url = u->url != NULL ? u->url : redis_at(u->env->settings),
                               .guard = u->lane == LANE_URGENT ? &unguarded : &u->env->guard,
                               .session = u->session,
                               .spent = u->spent ? u->before : "",
                               .db = u->db,
                               .resp = u->resp,
                               .read_only = u->master != NULL};
    greeting_start(&u->greeting, &u->stream.out, &ask);
    stream_set_reading(&u->stream, true);
    turn_touch(t, &u->stream);
}

static void attempt(struct upstream *u)
{
    const struct settings *s = u->env->settings;
    struct redis_url url;
    struct reason why;
    char trouble[TLS_WHY];

    set_state(u, UEV_RETRY);
    u->started_us = u->env->turn->now_us;
    if (!redis_at_parse(u->url != NULL ? u->url : redis_at(s), &url, &why)) {
        attempt_failed(u, why.text);
        return;
    }
    if (redis_secure(s, &url, &u->env->turn->tls, &u->tls, trouble))
        u->dial =
            dial_start(u->env->turn->loop, &url, u->backoff.failures, s->redis_connect_timeout, on_dialed, u);
    else
        attempt_failed(u, trouble);
    redis_url_done(&url);
}

static void stop_dialing(struct upstream *u)
{
    if (u->dial != NULL)
        dial_cancel(u->dial);
    u->dial = NULL;
    tls_free(u->tls);
    u->tls = NULL;
}

static void attempt_when_due(struct upstream *u, int64_t now_us)
{
    if (u->state != UP_WAITING || now_us < u->retry_us)
        return;
    if (connect_budget_take(now_us, u->env->settings->redis_connect_rate))
        attempt(u);
    else
        u->retry_us = now_us + NO_BUDGET_US;
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
    chain_init(&u->push, &env->turn->chunks);
    chain_init(&u->draft, &env->turn->chunks);
    u->met.ours = true;
    renew_session(u);
    return u;
}

struct upstream *upstream_new_at(struct upstream_env *env, enum lane lane, enum resp resp, const char *url,
                                 unsigned share)
{
    struct upstream *u = upstream_new(env, lane, 0, resp);

    u->share = share;
    u->url = strdup(url);
    if (u->url == NULL)
        abort();
    return u;
}

void upstream_read_for(struct upstream *u, struct upstream *master)
{
    u->master = master;
}

const char *upstream_url(const struct upstream *u)
{
    return u->url;
}

unsigned upstream_share(const struct upstream *u)
{
    return u->share;
}

void upstream_free(struct upstream *own_u)
{
    struct upstream *u = own_u;

    u->freeing = true;
    if (is_open(u->state))
        u->env->count(u->env->ctx, COUNT_OPEN, -1);
    fail_all(u, &u->sent, ERR_CANCELLED, "shutting down");
    fail_all(u, &u->held, ERR_CANCELLED, "shutting down");
    stop_dialing(u);
    if (u->has_stream)
        stream_close(&u->stream);
    else
        free_now(u);
}

enum err upstream_ready(struct upstream *u, const char **detail)
{
    u->wanted_us = u->env->turn->now_us;
    *detail = u->why;
    return u->down ? ERR_REDISDOWN : ERR_NONE;
}

/* Where bytes for Redis are. */
static struct chain *real_out(struct upstream *u)
{
    return u->state == UP_READY ? &u->stream.out : &u->held_out;
}

struct chain *upstream_out(struct upstream *u)
{
    return u->url != NULL ? &u->draft : real_out(u);
}

/* Its bytes are in real_out. */
static void enqueue(struct upstream *u, struct upstream_request *r)
{
    u->wanted_us = u->env->turn->now_us;
    if (u->state == UP_READY) {
        queue_push(&u->sent, r);
        turn_touch(u->env->turn, &u->stream);
        u->env->wake(u->env);
        return;
    }
    r->held_bytes = u->held_out.len - u->held_len;
    u->held_len = u->held_out.len;
    queue_push(&u->held, r);
    set_state(u, UEV_WANTED);
    attempt_when_due(u, u->wanted_us);
}

void upstream_queue(struct upstream *u, struct upstream_request *r, uint32_t replies, bool slow)
{
    const struct settings *s = u->env->settings;
    r->queued_us = u->env->turn->now_us;
    r->deadline_us = r->queued_us + (slow ? s->redis_slow_timeout : s->redis_timeout) * 1000;
    r->deadline_us = r->wait_us < INT64_MAX - r->deadline_us ? r->deadline_us + r->wait_us : INT64_MAX;
    r->replies = replies;
    r->resend = NULL;
    if (u->url != NULL) {
        r->resend = resend_new(chain_flat(&u->draft), replies);
        r->resend->home = u->master != NULL ? u->master : u;
        chain_move(real_out(u), &u->draft);
    }
    enqueue(u, r);
}

void upstream_resend(struct upstream *u, struct upstream_request *r, bool asking)
{
    struct chain *out = real_out(u);

    if (asking)
        build_command(out, "ASKING", NULL);
    chain_put(out, r->resend->bytes, r->resend->len);
    r->resend->asks = asking;
    enqueue(u, r);
}

void upstream_move(struct upstream *u, const char *url)
{
    char *copy = strdup(url);

    if (copy == NULL)
        abort();
    free(u->url);
    u->url = copy;
    set_state(u, UEV_RETIRED);
    u->backoff.failures = u->flaps = 0;
    u->retry_us = 0;
}

void upstream_break(struct upstream *u)
{
    static const char why[] = "its client is gone";

    if (is_open(u->state)) {
        close_open(u);
        set_why(u, why);
        fail_all(u, &u->sent, ERR_CANCELLED, why);
    }
    chain_clear(&u->held_out);
    u->held_len = 0;
    fail_all(u, &u->held, ERR_CANCELLED, why);
}

bool upstream_full(struct upstream *u)
{
    u->full |= real_out(u)->len > LIMIT_UPSTREAM_HIGH;
    return real_out(u)->len > LIMIT_UPSTREAM_HIGH;
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

void *upstream_user(const struct upstream *u)
{
    return u->user;
}

void upstream_set_user(struct upstream *u, void *user)
{
    u->user = user;
}

uint64_t upstream_generation(const struct upstream *u)
{
    return u->generation;
}

bool upstream_is_ours(struct upstream *u)
{
    if (u->state != UP_READY || u->met.ours)
        return true;
    if (u->env->turn->now_us - u->met_us < REGREET_US)
        return false;
    upstream_retire(u);
    return true;
}

const char *upstream_stranger_why(const struct upstream *u)
{
    return u->met.why;
}

void upstream_emptied(struct upstream *u)
{
    if (!u->met.ours)
        return;
    u->met.ours = false;
    u->met.epoch = 0;
    u->met_us = u->env->turn->now_us;
    snprintf(u->met.why, sizeof u->met.why, "it was emptied");
    met_stranger(u);
}

bool upstream_answers_count(const struct upstream *u)
{
    return u->met.ours;
}

const char *upstream_session(const struct upstream *u)
{
    return u->session;
}

int64_t upstream_next_seq(struct upstream *u)
{
    return ++u->seq;
}

bool upstream_busy(const struct upstream *u)
{
    return upstream_in_flight(u) > 0 || (u->state != UP_IDLE && u->state != UP_READY);
}

static bool is_late(const struct request_queue *q, int64_t now_us)
{
    return q->head != NULL && now_us >= q->head->deadline_us;
}

static void check_deadlines(struct upstream *u, int64_t now_us)
{
    char text[24];

    if (is_late(&u->held, now_us))
        fail_held(u, "no connection in time");
    if (!is_late(&u->sent, now_us))
        return;
    snprintf(text, sizeof text, "%lld", (long long)(now_us - u->sent.head->queued_us) / 1000);
    upstream_lose(u, ERR_TIMEOUT, text);
}

static int64_t greeting_limit_ms(const struct upstream *u)
{
    const struct settings *s = u->env->settings;
    return u->lane == LANE_URGENT ? s->redis_slow_timeout : s->redis_connect_timeout;
}

void upstream_tick(struct upstream *u, int64_t now_us)
{
    check_deadlines(u, now_us);
    if (u->state == UP_GREETING && now_us - u->started_us > greeting_limit_ms(u) * 1000)
        greeting_failed(u, stream_is_shaking(&u->stream) ? "the TLS handshake timed out" : "the greeting timed out");
    if (u->state == UP_WAITING && upstream_in_flight(u) == 0 && now_us - u->wanted_us > IDLE_END_US) {
        u->down = false; /* that was long ago: the next request finds out */
        set_state(u, UEV_UNUSED);
    }
    attempt_when_due(u, now_us);
}

void upstream_retire(struct upstream *u)
{
    enum upstream_state was = u->state;

    set_state(u, UEV_RETIRED);
    u->backoff.failures = u->flaps = 0;
    u->retry_us = 0;
    if (was == UP_DIALING)
        stop_dialing(u);
    if (was == UP_GREETING)
        stream_close(&u->stream);
    close_when_drained(u);
}

void upstream_give_up(struct upstream *u, const char *why)
{
    if (is_open(u->state))
        upstream_lose(u, ERR_TIMEOUT, why);
}

void upstream_cut(struct upstream *u)
{
    if (is_open(u->state) || u->state == UP_GREETING)
        broken(u, ERR_REDISLOST, "cut by a fault (convctl chaos)");
}

void upstream_guard_changed(struct upstream *u, const struct upstream_guard *before)
{
    const struct upstream_guard *now = &u->env->guard;

    if (u->db != 0)
        return;
    if (u->state == UP_READY && u->met.ours && guard_stays_good(before, u->met.run_id, now))
        return;
    upstream_retire(u);
    if (!guard_same_names(before, now) && u->held.count == 0)
        renew_session(u);
}
