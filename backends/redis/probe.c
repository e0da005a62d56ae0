#include "backends/redis/probe.h"

#include "backends/redis/backoff.h"
#include "backends/redis/dial.h"
#include "backends/redis/faults.h"
#include "backends/redis/health.h"
#include "backends/redis/secure.h"
#include "base/clock.h"
#include "base/stream.h"
#include "config/seeds.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ROUNDS_PER_INFO 10
#define ASKS            16

enum probe_state {
    PROBE_WAITING, /* for the time of the next attempt */
    PROBE_DIALING,
    PROBE_GREETING, /* what a connection is asked once */
    PROBE_ASKING,   /* a round is under way */
    PROBE_RESTING,  /* until the next round */
    PROBE_CLOSING,  /* the socket's handle is going away */
    PROBE_STOPPED
};

enum ask {
    ASK_AUTH,
    ASK_SELECT,
    ASK_SETNAME,
    ASK_DATABASES,
    ASK_PING,
    ASK_TIME,
    ASK_INFO,
    ASK_CLUSTER,
    ASK_COUNT,
    ASK_COMMANDS,
    ASK_KINDS
};

struct probe {
    uv_loop_t *loop;
    struct config *config;
    uv_timer_t timer; /* one purpose at a time, named by state */
    int handles;      /* open: the timer, the stream's */
    enum probe_state state;

    struct dial *dial;
    struct tls *tls; /* of the connection being dialed; NULL: plain */
    struct tls_line line;
    struct stream stream;
    struct chunk_pool chunks;
    redisReader *reader;
    char *url, *password; /* what the connection was made with */
    const struct settings *made_with; /* the same, counted; NULL before the first */

    enum ask asks[ASKS]; /* answers owed, oldest first */
    unsigned owed;
    int64_t asked_us; /* clock_mono_us when the round began, and when its second half did */
    uint64_t round;
    char trouble[128];  /* what this round found wrong */
    bool retry_at_once; /* the settings changed: no back-off */
    long long commands; /* that Redis has, by COMMAND COUNT on this connection; 0: not asked yet */
    struct backoff backoff;
    struct health health;

    void (*on_change)(void *ctx, bool up);
    void *ctx;
    void (*on_commands)(void *ctx, const redisReply *commands);
    void *commands_ctx;
};

static void on_timer(uv_timer_t *timer);

static void arm(struct probe *p, enum probe_state state, int64_t ms)
{
    p->state = state;
    uv_timer_start(&p->timer, on_timer, (uint64_t)(ms > 0 ? ms : 0), 0);
}

/* ---- what is known ---- */

static const char *state_name(const struct probe *p, int64_t attempts)
{
    if (p->state == PROBE_ASKING || p->state == PROBE_RESTING)
        return "connected";
    if (p->backoff.failures == 0)
        return "connecting";
    return p->backoff.failures >= attempts ? "failed" : "reconnecting";
}

static void update_link(struct probe *p)
{
    const struct settings *s = config_current(p->config);

    health_link(&p->health, state_name(p, s->redis_reconnect_attempts), p->backoff.failures);
    settings_unref(s);
}

static void settle(struct probe *p, const char *reason)
{
    update_link(p);
    if (health_settle(&p->health, reason) && p->on_change != NULL)
        p->on_change(p->ctx, p->health.report.up);
}

/* ---- ending a connection ---- */

static void wait_and_retry(struct probe *p)
{
    const struct settings *s = config_current(p->config);
    int64_t pause_us = backoff_pause_us(&p->backoff, s->redis_backoff_min, s->redis_backoff_max);

    settings_unref(s);
    arm(p, PROBE_WAITING, p->retry_at_once ? 0 : (pause_us + 999) / 1000);
    p->retry_at_once = false;
}

static void close_connection(struct probe *p)
{
    uv_timer_stop(&p->timer);
    p->state = PROBE_CLOSING;
    p->owed = 0;
    redisReaderFree(p->reader);
    p->reader = NULL;
    stream_close(&p->stream);
}

/* A probe failed in such a way that its connection, if there is one, is of no more use. */
static void fail(struct probe *p, const char *reason)
{
    p->backoff.failures++;
    if (p->reader != NULL)
        close_connection(p);
    else
        wait_and_retry(p);
    settle(p, reason);
}

static void maybe_free(struct probe *p)
{
    if (p->handles > 0)
        return;
    chunk_pool_done(&p->chunks);
    tls_line_done(&p->line);
    settings_unref(p->made_with);
    health_done(&p->health);
    free(p->url);
    free(p->password);
    free(p);
}

static void on_stream_closed(struct stream *s)
{
    struct probe *p = s->poll.data;

    p->handles--;
    if (p->state == PROBE_STOPPED)
        maybe_free(p);
    else
        wait_and_retry(p);
}

static void on_broken(struct stream *s, int neg_errno)
{
    fail(s->poll.data, stream_why(s, neg_errno));
}

/* ---- asking ---- */

#define ASK(p, what, ...) ask(p, what, (const char *[]){__VA_ARGS__, NULL})

static void ask(struct probe *p, enum ask what, const char **words)
{
    char *text;
    int argc = 0;

    while (words[argc] != NULL)
        argc++;
    int len = redisFormatCommandArgv(&text, argc, words, NULL);
    if (len < 0 || p->owed == ASKS)
        abort();
    chain_append(&p->stream.out, text, (size_t)len);
    redisFreeCommand(text);
    p->asks[p->owed++] = what;
}

static void greet(struct probe *p, const struct redis_url *url)
{
    const char *password = url->password != NULL ? url->password : p->password;
    char db[16];

    if (password[0] != '\0' && url->user != NULL)
        ASK(p, ASK_AUTH, "AUTH", url->user, password);
    else if (password[0] != '\0')
        ASK(p, ASK_AUTH, "AUTH", password);
    ASK(p, ASK_SETNAME, "CLIENT", "SETNAME", "convproxy-probe");
    if (url->db != 0) {
        snprintf(db, sizeof db, "%d", url->db);
        ASK(p, ASK_SELECT, "SELECT", db);
    }
    ASK(p, ASK_DATABASES, "CONFIG", "GET", "databases");
    stream_flush(&p->stream);
}

/* First PING alone, so that it measures the line and not the time Redis takes to write its INFO. */
static void start_round(struct probe *p)
{
    const struct settings *s = config_current(p->config);
    bool moved = strcmp(redis_at(s), p->url) != 0 || strcmp(s->redis_password, p->password) != 0 ||
                 redis_secure_differs(s, p->made_with);
    int64_t timeout = s->redis_timeout;

    settings_unref(s);
    if (moved) {
        p->backoff.failures = 0;
        p->retry_at_once = true;
        close_connection(p);
        return;
    }
    p->trouble[0] = '\0';
    p->asked_us = clock_mono_us();
    arm(p, PROBE_ASKING, timeout);
    ASK(p, ASK_PING, "PING");
    stream_flush(&p->stream);
}

/* While Redis is unwell every round asks for everything, because INFO may be what says that it is well again.
 */
static void ask_more(struct probe *p)
{
    if (p->round++ % ROUNDS_PER_INFO != 0 && p->health.report.up)
        return;
    p->asked_us = clock_mono_us();
    ASK(p, ASK_TIME, "TIME");
    ASK(p, ASK_INFO, "INFO");
    if (p->on_commands != NULL)
        ASK(p, ASK_COUNT, "COMMAND", "COUNT");
    stream_flush(&p->stream);
}

static void end_round(struct probe *p)
{
    const struct settings *s = config_current(p->config);
    int64_t interval = s->redis_probe_interval;

    settings_unref(s);
    p->backoff.failures = 0;
    arm(p, PROBE_RESTING, interval);
    settle(p, p->trouble);
}

/* ---- the answers ---- */

static void note_trouble(struct probe *p, const char *text)
{
    if (p->trouble[0] == '\0')
        snprintf(p->trouble, sizeof p->trouble, "%s", text);
}

static void take_databases(struct probe *p, const redisReply *r)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || r->element[1]->type != REDIS_REPLY_STRING)
        return;
    int n = atoi(r->element[1]->str);
    if (n > 0)
        health_databases(&p->health, n);
}

static void take_pong(struct probe *p, const redisReply *r)
{
    health_ping(&p->health, clock_mono_us() - p->asked_us);
    ask_more(p);
}

static void take_time(struct probe *p, const redisReply *r)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements != 2 || r->element[0]->type != REDIS_REPLY_STRING ||
        r->element[1]->type != REDIS_REPLY_STRING)
        return;
    int64_t theirs = strtoll(r->element[0]->str, NULL, 10) * 1000000 + strtoll(r->element[1]->str, NULL, 10);
    int64_t half = (clock_mono_us() - p->asked_us) / 2;
    health_clock(&p->health, theirs - (clock_wall_us() - half));
}

static void take_info(struct probe *p, const redisReply *r)
{
    if (r->type != REDIS_REPLY_STRING)
        return;
    health_info(&p->health, r->str);
    if (strcmp(p->health.report.role, "slave") == 0 && p->health.report.replica_read_only != 0)
        note_trouble(p, "READONLY it is a replica that refuses writes");
    if (strcmp(p->health.report.mode, "cluster") == 0) {
        health_databases(&p->health, 1); /* whatever its setting says */
        ASK(p, ASK_CLUSTER, "CLUSTER", "INFO");
        stream_flush(&p->stream);
    }
}

static void take_cluster(struct probe *p, const redisReply *r)
{
    if (r->type == REDIS_REPLY_STRING && strstr(r->str, "cluster_state:ok") == NULL)
        note_trouble(p, "CLUSTERDOWN the cluster's state is not ok");
}

static void take_count(struct probe *p, const redisReply *r)
{
    if (r->type != REDIS_REPLY_INTEGER || r->integer == p->commands)
        return;
    p->commands = r->integer;
    ASK(p, ASK_COMMANDS, "COMMAND");
    stream_flush(&p->stream);
}

static void take_commands(struct probe *p, const redisReply *r)
{
    p->on_commands(p->commands_ctx, r);
}

static const struct {
    void (*take)(struct probe *p, const redisReply *r); /* NULL: any answer but an error will do */
    enum { ERROR_IGNORED, ERROR_UNWELL, ERROR_FATAL } error;
} answers[ASK_KINDS] = {
    [ASK_AUTH] = {NULL, ERROR_FATAL},          [ASK_SELECT] = {NULL, ERROR_FATAL},
    [ASK_SETNAME] = {NULL, ERROR_IGNORED},     [ASK_DATABASES] = {take_databases, ERROR_IGNORED},
    [ASK_PING] = {take_pong, ERROR_UNWELL},    [ASK_TIME] = {take_time, ERROR_IGNORED},
    [ASK_INFO] = {take_info, ERROR_IGNORED},   [ASK_CLUSTER] = {take_cluster, ERROR_IGNORED},
    [ASK_COUNT] = {take_count, ERROR_IGNORED}, [ASK_COMMANDS] = {take_commands, ERROR_IGNORED},
};

/* LOADING, MISCONF, MASTERDOWN and whatever else PING is answered with mean that data commands would fare no
 * better. */
static void take_reply(struct probe *p, const redisReply *r)
{
    enum ask what = p->asks[0];

    memmove(p->asks, p->asks + 1, --p->owed * sizeof p->asks[0]);
    if (r->type != REDIS_REPLY_ERROR) {
        if (answers[what].take != NULL)
            answers[what].take(p, r);
    } else if (answers[what].error == ERROR_FATAL) {
        fail(p, r->str);
    } else if (answers[what].error == ERROR_UNWELL) {
        note_trouble(p, r->str);
    }
}

/* All whole replies that were read. Any step may close the connection, and with it the reader. */
static void take_replies(struct probe *p)
{
    void *reply = NULL;

    while (p->reader != NULL) {
        if (redisReaderGetReply(p->reader, &reply) != REDIS_OK) {
            fail(p, "it does not speak RESP");
            return;
        }
        if (reply == NULL)
            break;
        if (p->owed > 0)
            take_reply(p, reply);
        else
            fail(p, "it sent a reply to nothing");
        freeReplyObject(reply);
    }
    if (p->reader == NULL || p->owed > 0)
        return;
    if (p->state == PROBE_GREETING)
        start_round(p);
    else if (p->state == PROBE_ASKING)
        end_round(p);
}

static void on_readable(struct stream *s)
{
    struct probe *p = s->poll.data;
    char buf[TLS_READ_LEAST];
    ssize_t n = stream_read(s, buf, sizeof buf);

    if (n == -EAGAIN)
        return;
    if (n <= 0) {
        fail(p, n == 0 ? "it closed the connection" : stream_why(s, (int)n));
        return;
    }
    redisReaderFeed(p->reader, buf, (size_t)n);
    take_replies(p);
}

static void on_written(struct stream *s, size_t n)
{
}

static const struct stream_ops stream_ops = {on_readable, on_written, on_broken, on_stream_closed};

/* ---- connecting ---- */

static void open_connection(struct probe *p, const struct redis_url *url, int fd)
{
    int rc = stream_init(&p->stream, p->loop, fd, &p->chunks, &stream_ops);
    struct tls *tls = p->tls;

    p->tls = NULL;
    if (rc != 0) {
        tls_free(tls);
        close(fd);
        fail(p, uv_strerror(rc));
        return;
    }
    if (tls != NULL)
        stream_secure(&p->stream, tls);
    stream_guard(&p->stream, redis_valve());
    health_there(&p->health);
    p->stream.poll.data = p;
    p->handles++;
    p->reader = redisReaderCreate();
    if (p->reader == NULL)
        abort();
    p->round = 0;
    p->commands = 0;
    const struct settings *s = config_current(p->config);
    arm(p, PROBE_GREETING, s->redis_connect_timeout);
    settings_unref(s);
    stream_set_reading(&p->stream, true);
    greet(p, url);
}

static void on_dialed(void *ctx, int result)
{
    struct probe *p = ctx;
    struct redis_url url;
    struct reason why;

    p->dial = NULL;
    if (result < 0) {
        tls_free(p->tls);
        p->tls = NULL;
        fail(p, uv_strerror(result));
    } else if (redis_at_parse(p->url, &url, &why)) {
        open_connection(p, &url, result);
        redis_url_done(&url);
    }
}

static void keep(char **text, const char *value)
{
    free(*text);
    *text = strdup(value);
    if (*text == NULL)
        abort();
}

static void connect_now(struct probe *p)
{
    const struct settings *s = config_current(p->config);
    int64_t timeout = s->redis_connect_timeout;
    struct redis_url url;
    struct reason why;
    char trouble[TLS_WHY];

    keep(&p->url, redis_at(s));
    keep(&p->password, s->redis_password);
    settings_unref(p->made_with);
    p->made_with = s;
    if (!redis_at_parse(p->url, &url, &why)) {
        fail(p, why.text);
        return;
    }
    bool ok = redis_secure(s, &url, &p->line, &p->tls, trouble);
    if (ok) {
        p->state = PROBE_DIALING;
        update_link(p);
        p->dial = dial_start(p->loop, &url, p->backoff.failures, timeout, on_dialed, p);
    }
    redis_url_done(&url);
    if (!ok)
        fail(p, trouble);
}

static void on_timer(uv_timer_t *timer)
{
    struct probe *p = timer->data;

    switch (p->state) {
    case PROBE_WAITING:
        connect_now(p);
        break;
    case PROBE_RESTING:
        start_round(p);
        break;
    case PROBE_GREETING:
    case PROBE_ASKING:
        fail(p, stream_is_shaking(&p->stream) ? "the TLS handshake timed out" : "it did not answer in time");
        break;
    case PROBE_DIALING:
    case PROBE_CLOSING:
    case PROBE_STOPPED:
        break;
    }
}

/* ---- public ---- */

struct probe *probe_start(uv_loop_t *main_loop, struct config *config)
{
    struct probe *p = calloc(1, sizeof *p);
    if (p == NULL)
        abort();
    p->loop = main_loop;
    p->config = config;
    health_init(&p->health);
    chunk_pool_init(&p->chunks);
    tls_line_init(&p->line);
    uv_timer_init(main_loop, &p->timer);
    p->timer.data = p;
    p->handles = 1;
    update_link(p);
    arm(p, PROBE_WAITING, 0);
    return p;
}

void probe_report(struct probe *p, struct probe_report *report)
{
    health_report(&p->health, report);
}

void probe_on_change(struct probe *p, void (*fn)(void *ctx, bool up), void *ctx)
{
    p->on_change = fn;
    p->ctx = ctx;
}

void probe_on_commands(struct probe *p, void (*fn)(void *ctx, const struct redisReply *commands), void *ctx)
{
    p->on_commands = fn;
    p->commands_ctx = ctx;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct probe *p = handle->data;

    p->handles--;
    maybe_free(p);
}

void probe_stop(struct probe *own_p)
{
    if (own_p->dial != NULL)
        dial_cancel(own_p->dial);
    tls_free(own_p->tls);
    if (own_p->reader != NULL)
        close_connection(own_p);
    own_p->state = PROBE_STOPPED;
    uv_close((uv_handle_t *)&own_p->timer, on_timer_closed);
}
