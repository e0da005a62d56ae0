/* One connection to Redis, against a server played by the test on the same loop: what it sends back, when and
 * in how many pieces is up to the test. Each test ends with every request over exactly once and with an empty
 * loop. */
#include "backends/redis/upstream.h"

#include "backends/redis/backoff.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "config/config.h"
#include "resp/request.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#define SECOND   1000000ll
#define REQUESTS 16

/* ---- the world: a loop, the connection, the server ---- */

enum manners { ANSWERS, SILENT, REFUSES }; /* what the server makes of the greeting */

struct req {
    struct upstream_request up; /* first */
    char got[256];
    size_t len;
    int pieces, ends;
    enum err failed;
    char detail[128];
};

static struct world {
    uv_loop_t loop;
    struct turn turn;
    uv_timer_t tick, late;
    struct upstream_env env;
    struct upstream *u;
    const struct settings *settings;
    int counts[COUNT_OPEN + 1];
    int changes;
    bool awake; /* it has asked for ticks */
    /* the server */
    uv_poll_t listening, *talking;
    int listen_fd, fd;
    int accepted;
    enum manners manners;
    char in[4096];
    size_t in_len;
    int asked; /* requests behind the greeting, since it was accepted */
} w;

static struct req reqs[REQUESTS];
static size_t nreqs;

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

static void on_count(void *ctx, enum upstream_count what, int by)
{
    w.counts[what] += by;
}

static const struct upstream_ops ops = {on_reply, on_failed, on_change};

static void on_wake(struct upstream_env *env)
{
    w.awake = true;
}

static bool nothing_more(void *ctx)
{
    return false;
}

static void on_tick(uv_timer_t *timer)
{
    if (w.u != NULL && w.awake) {
        upstream_tick(w.u, turn_now(&w.turn));
        w.awake = upstream_busy(w.u);
    }
}

/* ---- the server ---- */

static void on_talk_closed(uv_handle_t *handle)
{
    free(handle);
}

static void hang_up(void)
{
    if (w.fd < 0)
        return;
    uv_close((uv_handle_t *)w.talking, on_talk_closed);
    close(w.fd);
    w.fd = -1;
    w.asked = 0;
}

static void say_n(const char *p, size_t n)
{
    assert_int_equal(send(w.fd, p, n, MSG_NOSIGNAL), n);
}

static void say(const char *text)
{
    say_n(text, strlen(text));
}

static bool is_greeting(const struct request *r)
{
    return strncmp(r->argv[0].p, "HELLO", 5) == 0 || strncmp(r->argv[0].p, "CLIENT", 6) == 0 ||
           strncmp(r->argv[0].p, "SELECT", 6) == 0;
}

static void take_one(const struct request *r)
{
    if (!is_greeting(r))
        w.asked++;
    else if (w.manners == ANSWERS)
        say("+OK\r\n");
    else if (w.manners == REFUSES)
        say("-NOAUTH Authentication required.\r\n");
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
    hang_up(); /* an attempt that was given up may still arrive */
    w.fd = fd;
    w.accepted++;
    w.in_len = 0;
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
    fail_msg("nothing happened for two seconds");
}

static void run_until(bool (*done)(void))
{
    uv_timer_start(&w.late, on_late, 2000, 0);
    while (!done())
        uv_run(&w.loop, UV_RUN_ONCE);
    uv_timer_stop(&w.late);
}

static bool is_ready(void)
{
    return upstream_state(w.u) == UP_READY;
}

static bool is_waiting(void)
{
    return upstream_state(w.u) == UP_WAITING;
}

static bool is_greeting_state(void)
{
    return upstream_state(w.u) == UP_GREETING && w.fd >= 0;
}

static bool all_over(void)
{
    for (size_t i = 0; i < nreqs; i++)
        if (reqs[i].ends == 0)
            return false;
    return true;
}

static int wanted_asked;
static bool was_asked(void)
{
    return w.asked >= wanted_asked;
}

static void run_until_asked(int n)
{
    wanted_asked = n;
    run_until(was_asked);
}

/* As slot_send does it. */
static struct req *ask_as(uint32_t replies, bool slow)
{
    const char *detail;
    assert_true(nreqs < REQUESTS);
    assert_int_equal(upstream_ready(w.u, &detail), ERR_NONE);
    struct req *q = &reqs[nreqs++];
    turn_now(&w.turn);
    for (uint32_t i = 0; i < replies; i++)
        build_command(upstream_out(w.u), "PING", NULL);
    upstream_queue(w.u, &q->up, replies, slow);
    return q;
}

static struct req *ask(void)
{
    return ask_as(1, false);
}

static void stop_ticking(void)
{
    uv_timer_stop(&w.tick);
}

static void assert_got(const struct req *q, const char *text)
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
    struct config_start start = {.sets = sets, .set_count = 4};
    struct config_error error;
    struct config *config = config_new();

    if (config_load(config, &start, &error) != ERR_NONE)
        fail_msg("%s", error.text);
    const struct settings *s = config_current(config);
    config_free(config);
    return s;
}

static int set_up(void **state)
{
    int port;

    memset(&w, 0, sizeof w);
    memset(reqs, 0, sizeof reqs);
    nreqs = 0;
    w.fd = -1;
    assert_int_equal(uv_loop_init(&w.loop), 0);
    assert_int_equal(turn_init(&w.turn, &w.loop, nothing_more, NULL), 0);
    uv_timer_init(&w.loop, &w.tick);
    uv_timer_init(&w.loop, &w.late);
    uv_timer_start(&w.tick, on_tick, 5, 5);
    w.listen_fd = open_server(&port);
    assert_int_equal(uv_poll_init(&w.loop, &w.listening, w.listen_fd), 0);
    uv_poll_start(&w.listening, UV_READABLE, on_accept);
    w.settings = settings_with(port);
    w.env = (struct upstream_env){
        .turn = &w.turn, .settings = w.settings, .ops = &ops, .count = on_count, .wake = on_wake};
    w.u = upstream_new(&w.env, LANE_FAST, 0, RESP2);
    return 0;
}

static int tear_down(void **state)
{
    upstream_free(w.u);
    w.u = NULL;
    hang_up();
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
    for (size_t i = 0; i < nreqs; i++)
        assert_int_equal(reqs[i].ends, 1);
    return 0;
}

/* ---- replies ---- */

static void test_held_until_greeted_then_sent(void **state)
{
    struct req *a = ask(), *b = ask();
    assert_int_equal(upstream_state(w.u), UP_DIALING);
    run_until_asked(2);
    assert_int_equal(w.counts[COUNT_OPEN], 1);
    say("+A\r\n:7\r\n");
    run_until(all_over);
    assert_got(a, "+A\r\n");
    assert_got(b, ":7\r\n");
    assert_int_equal(upstream_in_flight(w.u), 0);
}

static void test_split_at_every_byte(void **state)
{
    static const char replies[] = "$5\r\nhello\r\n*2\r\n:1\r\n$-1\r\n-ERR no\r\n%1\r\n+a\r\n*0\r\n+tail\r\n";
    size_t n = sizeof replies - 1;

    for (size_t cut = 1; cut < n; cut++) {
        nreqs = 0;
        memset(reqs, 0, sizeof reqs);
        for (int i = 0; i < 5; i++)
            ask();
        run_until_asked(5);
        w.asked = 0;
        say_n(replies, cut);
        for (int i = 0; i < 3; i++) /* the first part is taken before the second leaves */
            uv_run(&w.loop, UV_RUN_NOWAIT);
        say_n(replies + cut, n - cut);
        run_until(all_over);
        assert_got(&reqs[0], "$5\r\nhello\r\n");
        assert_got(&reqs[1], "*2\r\n:1\r\n$-1\r\n");
        assert_got(&reqs[2], "-ERR no\r\n");
        assert_got(&reqs[3], "%1\r\n+a\r\n*0\r\n");
        assert_got(&reqs[4], "+tail\r\n");
    }
    assert_int_equal(w.accepted, 1);
}

static void test_one_byte_at_a_time(void **state)
{
    static const char reply[] = "*2\r\n$3\r\nabc\r\n|1\r\n+k\r\n+v\r\n_\r\n";
    struct req *a = ask();

    run_until_asked(1);
    for (size_t i = 0; i < sizeof reply - 1; i++) {
        assert_int_equal(a->ends, 0);
        say_n(reply + i, 1);
        for (int k = 0; k < 3; k++)
            uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    run_until(all_over);
    assert_got(a, reply);
}

static void test_block_of_replies(void **state)
{
    struct req *block = ask_as(3, false), *behind = ask();

    run_until_asked(4);
    say("+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    say("+X\r\n");
    run_until(all_over);
    assert_got(block, "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    assert_got(behind, "+X\r\n");
}

static void test_push_belongs_to_nobody(void **state)
{
    struct req *a = ask(), *b = ask();

    run_until_asked(2);
    say(">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n+A\r\n>1\r\n$3\r\nx");
    say("yz\r\n+B\r\n>1\r\n+end\r\n");
    run_until(all_over);
    assert_got(a, "+A\r\n");
    assert_got(b, "+B\r\n");
    struct req *c = ask();
    run_until_asked(3);
    say("+C\r\n");
    run_until(all_over);
    assert_got(c, "+C\r\n");
    assert_int_equal(w.accepted, 1);
}

/* ---- the end of a connection ---- */

static void test_unexpected_reply_closes(void **state)
{
    struct req *a = ask();

    run_until_asked(1);
    say("+A\r\n+B\r\n");
    run_until(is_waiting);
    assert_got(a, "+A\r\n");
    hang_up();
    struct req *b = ask();
    run_until_asked(1);
    say("+C\r\n");
    run_until(all_over);
    assert_got(b, "+C\r\n");
    assert_int_equal(w.accepted, 2);
    assert_int_equal(upstream_generation(w.u), 2);
}

static void test_malformed_reply_closes(void **state)
{
    struct req *a = ask(), *b = ask(), *c = ask();

    run_until_asked(3);
    say("+A\r\n?what\r\n+C\r\n");
    run_until(all_over);
    assert_got(a, "+A\r\n");
    assert_int_equal(b->failed, ERR_UPSTREAM_PROTOCOL);
    assert_int_equal(c->failed, ERR_UPSTREAM_PROTOCOL);
    assert_int_equal(b->len + c->len, 0);
}

static void test_lost_in_the_middle_of_a_reply(void **state)
{
    struct req *a = ask(), *b = ask();

    run_until_asked(2);
    say("$10\r\nhalf");
    for (int i = 0; i < 3; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    hang_up();
    run_until(all_over);
    assert_int_equal(a->failed, ERR_REDISLOST);
    assert_int_equal(b->failed, ERR_REDISLOST);
    assert_int_equal(w.counts[COUNT_LOST], 1);
    struct req *c = ask(); /* nothing of the half reply is left */
    run_until_asked(1);
    say("+C\r\n");
    run_until(all_over);
    assert_got(c, "+C\r\n");
}

/* Redis was killed with our requests unread: a reset follows the last replies. The rest must not wait for a
 * deadline. */
static void test_reset_behind_a_reply(void **state)
{
    struct linger now = {.l_onoff = 1};
    struct req *a = ask(), *b = ask();

    run_until_asked(2);
    say("+A\r\n");
    setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    hang_up(); /* without a turn of the loop in between: reply and reset arrive together */
    int64_t start = clock_mono_us();
    run_until(all_over);
    assert_got(a, "+A\r\n");
    assert_int_equal(b->failed, ERR_REDISLOST);
    assert_true(clock_mono_us() - start < w.settings->redis_timeout * 1000 / 2);
}

static void test_refused_greeting(void **state)
{
    const char *detail;
    struct req *a = ask();

    w.manners = REFUSES;
    run_until(all_over);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    assert_string_equal(a->detail, "NOAUTH Authentication required.");
    assert_int_equal(upstream_ready(w.u, &detail), ERR_REDISDOWN);
    assert_int_equal(w.counts[COUNT_CONNECTS], 0);
    run_until(is_waiting);
    hang_up();
    w.manners = ANSWERS;
    run_until(is_ready); /* it goes on trying by itself */
    assert_int_equal(upstream_ready(w.u, &detail), ERR_NONE);
}

static void test_lost_while_greeting(void **state)
{
    struct req *a = ask();

    w.manners = SILENT;
    run_until(is_greeting_state);
    hang_up();
    run_until(all_over);
    assert_int_equal(a->failed, ERR_REDISDOWN);
}

static void test_silent_greeting_times_out(void **state)
{
    struct req *a = ask();

    w.manners = SILENT;
    run_until(is_greeting_state);
    upstream_tick(w.u, turn_now(&w.turn) + (w.settings->redis_connect_timeout + 10) * 1000);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    assert_int_equal(a->ends, 1);
}

static void stop_listening(void)
{
    uv_poll_stop(&w.listening);
    shutdown(w.listen_fd, SHUT_RDWR);
}

static void test_nobody_listens(void **state)
{
    const char *detail;
    struct req *a = ask();

    stop_listening();
    run_until(all_over);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    assert_int_equal(upstream_ready(w.u, &detail), ERR_REDISDOWN);
    assert_true(strlen(detail) > 0);
}

static void test_freed_while_dialing(void **state)
{
    struct req *a = ask();
    assert_int_equal(upstream_state(w.u), UP_DIALING);
    stop_ticking();
    upstream_free(w.u);
    assert_int_equal(a->failed, ERR_CANCELLED);
    w.u = upstream_new(&w.env, LANE_FAST, 0, RESP2);
}

static void test_freed_with_requests_in_flight(void **state)
{
    struct req *a = ask_as(2, false), *b = ask();

    run_until_asked(3);
    say("+OK\r\n");
    for (int i = 0; i < 3; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    upstream_free(w.u);
    assert_int_equal(a->failed, ERR_CANCELLED);
    assert_int_equal(b->failed, ERR_CANCELLED);
    w.u = upstream_new(&w.env, LANE_FAST, 0, RESP2);
}

/* ---- deadlines ---- */

static void test_deadline_of_the_first_ends_all(void **state)
{
    struct req *a = ask(), *b = ask();

    run_until_asked(2);
    stop_ticking();
    upstream_tick(w.u, a->up.deadline_us - 1);
    assert_int_equal(upstream_state(w.u), UP_READY);
    upstream_tick(w.u, a->up.deadline_us);
    assert_int_equal(upstream_state(w.u), UP_CLOSING);
    assert_int_equal(a->failed, ERR_TIMEOUT);
    assert_int_equal(b->failed, ERR_TIMEOUT);
    assert_int_equal(w.counts[COUNT_TIMEOUTS], 1);
}

/* Pitfall 2: the reply to the first gives the second no more time than it had. */
static void test_deadline_counts_from_queueing(void **state)
{
    struct req *a = ask(), *b = ask();

    run_until_asked(2);
    stop_ticking();
    say("+A\r\n");
    while (a->ends == 0)
        uv_run(&w.loop, UV_RUN_ONCE);
    upstream_tick(w.u, b->up.deadline_us);
    assert_got(a, "+A\r\n");
    assert_int_equal(b->failed, ERR_TIMEOUT);
}

static void test_slow_requests_have_longer(void **state)
{
    struct req *a = ask_as(1, true);

    run_until_asked(1);
    stop_ticking();
    upstream_tick(w.u, a->up.queued_us + w.settings->redis_timeout * 1000 + SECOND);
    assert_int_equal(upstream_state(w.u), UP_READY);
    say("+A\r\n");
    run_until(all_over);
    assert_got(a, "+A\r\n");
}

static void empty_the_connect_budget(void)
{
    while (connect_budget_take(clock_mono_us(), 1))
        ;
}

/* No connection may be made for a while: the request waits for its turn, but not for ever, and in no state is
 * it forgotten. */
static void test_held_while_the_connect_budget_is_empty(void **state)
{
    struct settings few = *w.settings;

    few.redis_connect_rate = 1;
    few.redis_timeout = 60000;
    w.env.settings = &few;
    empty_the_connect_budget();
    struct req *a = ask();
    assert_int_equal(upstream_state(w.u), UP_WAITING);
    run_until_asked(1); /* a second later */
    say("+A\r\n");
    run_until(all_over);
    assert_got(a, "+A\r\n");
    w.env.settings = w.settings;
}

static void test_held_request_has_a_deadline(void **state)
{
    struct settings few = *w.settings;

    few.redis_connect_rate = 1;
    few.redis_timeout = 40;
    w.env.settings = &few;
    empty_the_connect_budget();
    struct req *a = ask(), *b = ask_as(2, false);
    stop_ticking();
    upstream_tick(w.u, a->up.deadline_us);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    assert_int_equal(b->failed, ERR_REDISDOWN);
    w.env.settings = w.settings;
    uv_timer_start(&w.tick, on_tick, 5, 5);
    struct req *c = ask(); /* what was held and given up is not sent with it */
    run_until_asked(1);
    say("+C\r\n");
    run_until(all_over);
    assert_got(c, "+C\r\n");
    assert_int_equal(w.asked, 1);
}

/* ---- long outages ---- */

/* Redis is away for longer than a connection is kept that nobody wants. Clients asked all the time and were
 * refused. */
static void test_comes_back_after_a_long_outage(void **state)
{
    const char *detail;
    struct req *a = ask();

    w.manners = REFUSES;
    run_until(all_over);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    stop_ticking();
    for (int s = 0; s < 300; s++) {
        uv_run(&w.loop, UV_RUN_NOWAIT);
        hang_up();
        upstream_tick(w.u, turn_now(&w.turn) + s * SECOND);
        (void)upstream_ready(w.u, &detail);
    }
    w.manners = ANSWERS;
    uv_timer_start(&w.tick, on_tick, 5, 5);
    hang_up();
    struct req *b = &reqs[nreqs];
    if (upstream_ready(w.u, &detail) != ERR_NONE)
        run_until(is_ready);
    ask();
    run_until_asked(1);
    say("+B\r\n");
    run_until(all_over);
    assert_got(b, "+B\r\n");
}

static void test_unused_connection_is_given_up(void **state)
{
    ask();
    run_until_asked(1);
    say("+A\r\n");
    run_until(all_over);
    stop_ticking();
    hang_up();
    run_until(is_waiting);
    assert_true(upstream_busy(w.u));
    upstream_tick(w.u, turn_now(&w.turn) + 61 * SECOND);
    assert_int_equal(upstream_state(w.u), UP_IDLE);
    assert_false(upstream_busy(w.u));
}

/* Redis accepts, greets, and hangs up when it is asked: that is no reason to connect without a pause. */
static void test_flapping_connection_is_slowed_down(void **state)
{
    struct settings slow = *w.settings;

    slow.redis_backoff_min = 200;
    slow.redis_backoff_max = 1000;
    w.env.settings = &slow;
    for (int64_t least = 150000; least <= 300000; least *= 2) {
        ask();
        run_until_asked(1);
        stop_ticking();
        hang_up();
        run_until(is_waiting);
        upstream_tick(w.u, turn_now(&w.turn) + least - 50000);
        assert_int_equal(upstream_state(w.u), UP_WAITING);
        upstream_tick(w.u, turn_now(&w.turn) + 2 * least);
        assert_int_equal(upstream_state(w.u), UP_DIALING);
    }
    w.env.settings = w.settings;
}

static void test_idle_connection_may_be_lost_often(void **state)
{
    struct req *a = ask();

    for (int i = 0; i < 5; i++) {
        run_until(is_ready);
        if (i == 0) {
            run_until_asked(1);
            say("+A\r\n");
            run_until(all_over);
        }
        hang_up();
        run_until(is_waiting);
        upstream_tick(w.u, turn_now(&w.turn));
        assert_int_equal(upstream_state(w.u), UP_DIALING);
    }
    assert_got(a, "+A\r\n");
}

static void test_lost_connection_comes_back_at_once(void **state)
{
    ask();
    run_until_asked(1);
    say("+A\r\n");
    run_until(all_over);
    stop_ticking();
    hang_up();
    run_until(is_waiting);
    struct req *b = ask();
    assert_int_equal(upstream_state(w.u), UP_DIALING);
    run_until_asked(1);
    say("+B\r\n");
    run_until(all_over);
    assert_got(b, "+B\r\n");
}

/* ---- retiring ---- */

static void test_retire_waits_for_what_is_in_flight(void **state)
{
    struct req *a = ask(), *b;

    run_until_asked(1);
    upstream_retire(w.u);
    assert_int_equal(upstream_state(w.u), UP_DRAINING);
    upstream_retire(w.u); /* the settings changed again */
    assert_int_equal(upstream_state(w.u), UP_DRAINING);
    b = ask(); /* for the new connection */
    say("+A\r\n");
    while (a->ends == 0)
        uv_run(&w.loop, UV_RUN_ONCE);
    assert_got(a, "+A\r\n");
    hang_up();
    run_until_asked(1);
    say("+B\r\n");
    run_until(all_over);
    assert_got(b, "+B\r\n");
    assert_int_equal(w.accepted, 2);
}

static void test_retire_idle_connection(void **state)
{
    ask();
    run_until_asked(1);
    say("+A\r\n");
    run_until(all_over);
    upstream_retire(w.u);
    assert_int_equal(upstream_state(w.u), UP_CLOSING);
    run_until(is_waiting);
    hang_up();
    struct req *b = ask();
    run_until_asked(1);
    say("+B\r\n");
    run_until(all_over);
    assert_got(b, "+B\r\n");
    assert_int_equal(w.counts[COUNT_LOST], 0);
}

/* What has not been sent anywhere goes to the new Redis: nobody needs to hear of the change. */
static void test_retire_while_dialing(void **state)
{
    struct req *a = ask();

    assert_int_equal(upstream_state(w.u), UP_DIALING);
    upstream_retire(w.u);
    run_until_asked(1);
    say("+A\r\n");
    run_until(all_over);
    assert_got(a, "+A\r\n");
}

static void test_retire_while_greeting(void **state)
{
    struct req *a = ask();

    w.manners = SILENT;
    run_until(is_greeting_state);
    w.manners = ANSWERS;
    upstream_retire(w.u);
    hang_up();
    run_until_asked(1);
    say("+A\r\n");
    run_until(all_over);
    assert_got(a, "+A\r\n");
    assert_int_equal(w.accepted, 2);
}

static void test_deadline_while_draining(void **state)
{
    struct req *a = ask(), *b;

    run_until_asked(1);
    upstream_retire(w.u);
    b = ask();
    stop_ticking();
    upstream_tick(w.u, a->up.deadline_us);
    assert_int_equal(a->failed, ERR_TIMEOUT);
    hang_up();
    uv_timer_start(&w.tick, on_tick, 5, 5);
    run_until_asked(1);
    say("+B\r\n");
    run_until(all_over);
    assert_got(b, "+B\r\n");
}

/* ---- backpressure ---- */

static void fill(size_t bytes)
{
    char *big = calloc(1, bytes);
    chain_append(upstream_out(w.u), big, bytes);
    free(big);
}

/* Whoever was told to wait is told when there is room, whatever became of the connection. */
static void test_full_is_followed_by_change(void **state)
{
    struct req *a = ask();

    fill(LIMIT_UPSTREAM_HIGH + 1);
    assert_true(upstream_full(w.u));
    int before = w.changes;
    w.manners = REFUSES;
    run_until(all_over);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    assert_true(w.changes > before);
    assert_false(upstream_full(w.u));
}

int main(void)
{
    static const struct {
        const char *name;
        CMUnitTestFunction fn;
    } all[] = {
#define TEST(fn) {#fn, fn}
        TEST(test_held_until_greeted_then_sent),
        TEST(test_split_at_every_byte),
        TEST(test_one_byte_at_a_time),
        TEST(test_block_of_replies),
        TEST(test_push_belongs_to_nobody),
        TEST(test_unexpected_reply_closes),
        TEST(test_malformed_reply_closes),
        TEST(test_lost_in_the_middle_of_a_reply),
        TEST(test_reset_behind_a_reply),
        TEST(test_refused_greeting),
        TEST(test_lost_while_greeting),
        TEST(test_silent_greeting_times_out),
        TEST(test_nobody_listens),
        TEST(test_freed_while_dialing),
        TEST(test_freed_with_requests_in_flight),
        TEST(test_deadline_of_the_first_ends_all),
        TEST(test_deadline_counts_from_queueing),
        TEST(test_slow_requests_have_longer),
        TEST(test_held_while_the_connect_budget_is_empty),
        TEST(test_held_request_has_a_deadline),
        TEST(test_comes_back_after_a_long_outage),
        TEST(test_unused_connection_is_given_up),
        TEST(test_flapping_connection_is_slowed_down),
        TEST(test_idle_connection_may_be_lost_often),
        TEST(test_lost_connection_comes_back_at_once),
        TEST(test_retire_waits_for_what_is_in_flight),
        TEST(test_retire_idle_connection),
        TEST(test_retire_while_dialing),
        TEST(test_retire_while_greeting),
        TEST(test_deadline_while_draining),
        TEST(test_full_is_followed_by_change),
    };
    struct CMUnitTest tests[sizeof all / sizeof all[0]];

    log_setup(LOG_ERROR, LOG_LOGFMT, STDERR_FILENO);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        tests[i] = (struct CMUnitTest){all[i].name, all[i].fn, set_up, tear_down, NULL};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
