#include "upstream_world.h"

#include "resp/request.h"
#include "tests/unit/settings_of.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct world w;

static void on_reply(struct upstream_request *r, const char *p, size_t n, bool end)
{
    struct req *q = (struct req *)r;
    assert_int_equal(q->ends, 0);
    assert_true(q->len + n <= sizeof q->got);
    memcpy(q->got + q->len, p, n);
    q->len += n;
    q->pieces++;
    if (end && r->replies == 0)
        q->ends++;
}

static void on_failed(struct upstream_request *r, enum err e, const char *detail)
{
    struct req *q = (struct req *)r;
    q->ends++;
    q->failed = e;
    snprintf(q->detail, sizeof q->detail, "%s", detail);
}

static void on_change(struct upstream *u)
{
    w.changes++;
}

/* A push that tells "subscribe" is a reply, as in proxy/pubsub. */
static bool on_push(struct upstream *u, const char *p, size_t n)
{
    assert_true(w.pushed_len + n < sizeof w.pushed);
    memcpy(w.pushed + w.pushed_len, p, n);
    w.pushed_len += n;
    return memmem(p, n, "subscribe", strlen("subscribe")) != NULL;
}

static void on_count(void *ctx, enum upstream_count what, int by)
{
    w.counts[what] += by;
}

static const struct upstream_ops ops = {on_reply, on_failed, on_change, on_push, NULL};

static void on_wake(struct upstream_env *env)
{
    w.awake = true;
}

static void on_stranger(void *ctx, const char *run_id, int64_t epoch)
{
    w.strangers++;
    snprintf(w.stranger_run_id, sizeof w.stranger_run_id, "%s", run_id);
    w.stranger_epoch = epoch;
}

static bool nothing_more(void *ctx)
{
    return false;
}

static void on_tick(uv_timer_t *timer)
{
    if (w.u != NULL && w.awake && (w.awaited == NULL || !w.awaited())) {
        upstream_tick(w.u, turn_now(&w.turn));
        w.awake = upstream_busy(w.u);
    }
}

/* ---- the server ---- */

static void on_talk_closed(uv_handle_t *handle)
{
    free(handle);
}

void world_hang_up(void)
{
    if (w.fd < 0)
        return;
    uv_close((uv_handle_t *)w.talking, on_talk_closed);
    close(w.fd);
    w.fd = -1;
    w.asked = 0;
}

void world_say_n(const char *p, size_t n)
{
    assert_int_equal(send(w.fd, p, n, MSG_NOSIGNAL), n);
}

void world_say(const char *text)
{
    world_say_n(text, strlen(text));
}

static bool is_identity(const struct request *r)
{
    return strncmp(r->argv[0].p, "EVAL", 4) == 0;
}

static bool is_greeting(const struct request *r)
{
    return strncmp(r->argv[0].p, "HELLO", 5) == 0 || strncmp(r->argv[0].p, "CLIENT", 6) == 0 ||
           strncmp(r->argv[0].p, "SELECT", 6) == 0 || is_identity(r);
}

static void note_greeting(const struct request *r)
{
    for (size_t i = 0; i < r->argc; i++) {
        size_t at = strlen(w.greeted);
        int len = r->argv[i].len < 64 ? (int)r->argv[i].len : 0; /* not the script */
        snprintf(w.greeted + at, sizeof w.greeted - at, " %.*s", len, r->argv[i].p);
    }
}

static void take_one(const struct request *r)
{
    if (!is_greeting(r)) {
        w.asked++;
        return;
    }
    note_greeting(r);
    if (w.manners == ANSWERS && is_identity(r))
        world_say(w.identity);
    else if (w.manners == ANSWERS)
        world_say("+OK\r\n");
    else if (w.manners == REFUSES)
        world_say("-NOAUTH Authentication required.\r\n");
}

static void on_talk(uv_poll_t *poll, int status, int events)
{
    struct request r;
    struct request_progress progress = {0};
    ssize_t n = recv(w.fd, w.in + w.in_len, sizeof w.in - w.in_len, 0);

    if (n <= 0) {
        uv_poll_stop(poll); /* the test looks at w.u, and hangs up */
        return;
    }
    w.in_len += (size_t)n;
    request_init(&r);
    while (request_parse(&r, &progress, w.in, w.in_len, 1 << 20) == REQUEST_DONE) {
        take_one(&r);
        w.in_len -= r.used;
        memmove(w.in, w.in + r.used, w.in_len);
    }
    request_done(&r);
}

static void on_accept(uv_poll_t *poll, int status, int events)
{
    int fd = accept(w.listen_fd, NULL, NULL);
    if (fd < 0)
        return;
    world_hang_up(); /* an attempt that was given up may still arrive */
    w.fd = fd;
    w.accepted++;
    w.in_len = 0;
    w.greeted[0] = '\0';
    w.talking = malloc(sizeof *w.talking);
    assert_int_equal(uv_poll_init(&w.loop, w.talking, fd), 0);
    uv_poll_start(w.talking, UV_READABLE, on_talk);
}

static int open_server(int *port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
    *port = ntohs(addr.sin_port);
    return fd;
}

/* ---- running ---- */

static void on_late(uv_timer_t *timer)
{
    fail_msg("nothing happened for twenty seconds");
}

void world_run_until(bool (*done)(void))
{
    uv_timer_start(&w.late, on_late, 20000, 0);
    w.awaited = done;
    while (!done())
        uv_run(&w.loop, UV_RUN_ONCE);
    w.awaited = NULL;
    uv_timer_stop(&w.late);
}

bool world_is_ready(void)
{
    return upstream_state(w.u) == UP_READY;
}

bool world_is_waiting(void)
{
    return upstream_state(w.u) == UP_WAITING;
}

bool world_is_greeting(void)
{
    return upstream_state(w.u) == UP_GREETING && w.fd >= 0;
}

bool world_all_over(void)
{
    for (size_t i = 0; i < w.nreqs; i++)
        if (w.reqs[i].ends == 0)
            return false;
    return true;
}

static int wanted_asked;
static bool was_asked(void)
{
    return w.asked >= wanted_asked;
}

void world_run_until_asked(int n)
{
    wanted_asked = n;
    world_run_until(was_asked);
}

/* As slot_send does it. */
static struct req *ask(uint32_t replies, bool slow, bool guarded)
{
    const char *detail;
    assert_true(w.nreqs < REQUESTS);
    assert_int_equal(upstream_ready(w.u, &detail), ERR_NONE);
    struct req *q = &w.reqs[w.nreqs++];
    turn_now(&w.turn);
    for (uint32_t i = 0; i < replies; i++)
        build_command(upstream_out(w.u), "PING", NULL);
    q->up.guarded = guarded;
    upstream_queue(w.u, &q->up, replies, slow);
    return q;
}

struct req *world_ask_as(uint32_t replies, bool slow)
{
    return ask(replies, slow, false);
}

struct req *world_ask_guarded(void)
{
    return ask(1, false, true);
}

struct req *world_ask(void)
{
    return world_ask_as(1, false);
}

void world_start_ticking(void)
{
    uv_timer_start(&w.tick, on_tick, 5, 5);
}

void world_stop_ticking(void)
{
    uv_timer_stop(&w.tick);
}

void world_assert_got(const struct req *q, const char *text)
{
    assert_int_equal(q->failed, ERR_NONE);
    assert_int_equal(q->len, strlen(text));
    assert_memory_equal(q->got, text, q->len);
}

static const struct settings *settings_with(int port)
{
    char url[64];
    snprintf(url, sizeof url, "redis.url=redis://127.0.0.1:%d", port);
    const char *sets[] = {url, "redis.connect_rate=100000", "redis.backoff_min=1ms", "redis.backoff_max=2ms"};

    return settings_of(sets, 4);
}

int world_set_up(void **state)
{
    int port;

    memset(&w, 0, sizeof w);
    w.fd = -1;
    assert_int_equal(uv_loop_init(&w.loop), 0);
    assert_int_equal(turn_init(&w.turn, &w.loop, nothing_more, NULL), 0);
    uv_timer_init(&w.loop, &w.tick);
    uv_timer_init(&w.loop, &w.late);
    world_start_ticking();
    w.listen_fd = open_server(&port);
    assert_int_equal(uv_poll_init(&w.loop, &w.listening, w.listen_fd), 0);
    uv_poll_start(&w.listening, UV_READABLE, on_accept);
    w.settings = settings_with(port);
    w.env = (struct upstream_env){.turn = &w.turn,
                                  .settings = w.settings,
                                  .ops = &ops,
                                  .count = on_count,
                                  .on_stranger = on_stranger,
                                  .wake = on_wake};
    w.u = upstream_new(&w.env, LANE_FAST, 0, RESP2);
    return 0;
}

int world_tear_down(void **state)
{
    upstream_free(w.u);
    w.u = NULL;
    world_hang_up();
    uv_close((uv_handle_t *)&w.listening, NULL);
    uv_close((uv_handle_t *)&w.tick, NULL);
    uv_close((uv_handle_t *)&w.late, NULL);
    turn_close(&w.turn);
    uv_run(&w.loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w.loop), 0);
    assert_int_equal(w.turn.chunks.bytes, 0);
    turn_done(&w.turn);
    close(w.listen_fd);
    settings_unref(w.settings);
    assert_int_equal(w.counts[COUNT_OPEN], 0);
    for (size_t i = 0; i < w.nreqs; i++)
        assert_int_equal(w.reqs[i].ends, 1);
    return 0;
}
