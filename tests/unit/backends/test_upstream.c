/* Replies find their requests, whatever the pieces they come in, and whatever way the connection ends. */
#include "upstream_world.h"

#include "base/clock.h"
#include "base/log.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- replies ---- */

static void test_held_until_greeted_then_sent(void **state)
{
    struct req *a = world_ask(), *b = world_ask();
    assert_int_equal(upstream_state(w.u), UP_DIALING);
    world_run_until_asked(2);
    assert_int_equal(w.counts[COUNT_OPEN], 1);
    world_say("+A\r\n:7\r\n");
    world_run_until(world_all_over);
    world_assert_got(a, "+A\r\n");
    world_assert_got(b, ":7\r\n");
    assert_int_equal(upstream_in_flight(w.u), 0);
}

static void test_split_at_every_byte(void **state)
{
    static const char replies[] = "$5\r\nhello\r\n*2\r\n:1\r\n$-1\r\n-ERR no\r\n%1\r\n+a\r\n*0\r\n+tail\r\n";
    size_t n = sizeof replies - 1;

    for (size_t cut = 1; cut < n; cut++) {
        w.nreqs = 0;
        memset(w.reqs, 0, sizeof w.reqs);
        for (int i = 0; i < 5; i++)
            world_ask();
        world_run_until_asked(5);
        w.asked = 0;
        world_say_n(replies, cut);
        for (int i = 0; i < 3; i++) /* the first part is taken before the second leaves */
            uv_run(&w.loop, UV_RUN_NOWAIT);
        world_say_n(replies + cut, n - cut);
        world_run_until(world_all_over);
        world_assert_got(&w.reqs[0], "$5\r\nhello\r\n");
        world_assert_got(&w.reqs[1], "*2\r\n:1\r\n$-1\r\n");
        world_assert_got(&w.reqs[2], "-ERR no\r\n");
        world_assert_got(&w.reqs[3], "%1\r\n+a\r\n*0\r\n");
        world_assert_got(&w.reqs[4], "+tail\r\n");
    }
    assert_int_equal(w.accepted, 1);
}

static void test_one_byte_at_a_time(void **state)
{
    static const char reply[] = "*2\r\n$3\r\nabc\r\n|1\r\n+k\r\n+v\r\n_\r\n";
    struct req *a = world_ask();

    world_run_until_asked(1);
    for (size_t i = 0; i < sizeof reply - 1; i++) {
        assert_int_equal(a->ends, 0);
        world_say_n(reply + i, 1);
        for (int k = 0; k < 3; k++)
            uv_run(&w.loop, UV_RUN_NOWAIT);
    }
    world_run_until(world_all_over);
    world_assert_got(a, reply);
}

static void test_block_of_replies(void **state)
{
    struct req *block = world_ask_as(3, false), *behind = world_ask();

    world_run_until_asked(4);
    world_say("+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    world_say("+X\r\n");
    world_run_until(world_all_over);
    world_assert_got(block, "+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    world_assert_got(behind, "+X\r\n");
}

static void test_push_belongs_to_nobody(void **state)
{
    struct req *a = world_ask(), *b = world_ask();

    world_run_until_asked(2);
    world_say(">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n+A\r\n>1\r\n$3\r\nx");
    world_say("yz\r\n+B\r\n>1\r\n+end\r\n");
    world_run_until(world_all_over);
    world_assert_got(a, "+A\r\n");
    world_assert_got(b, "+B\r\n");
    struct req *c = world_ask();
    world_run_until_asked(3);
    world_say("+C\r\n");
    world_run_until(world_all_over);
    world_assert_got(c, "+C\r\n");
    assert_int_equal(w.accepted, 1);
    assert_string_equal(w.pushed, ">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n>1\r\n$3\r\nxyz\r\n>1\r\n+end\r\n");
}

static void test_push_that_is_a_reply(void **state)
{
    struct req *a = world_ask(), *b = world_ask();

    world_run_until_asked(2);
    world_say(">3\r\n$9\r\nsubsc");
    for (int i = 0; i < 3; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    assert_int_equal(w.pushed_len, 0);
    world_say("ribe\r\n$1\r\nk\r\n:1\r\n>1\r\n+message\r\n-NOPERM no\r\n");
    world_run_until(world_all_over);
    world_assert_got(a, ">3\r\n$9\r\nsubscribe\r\n$1\r\nk\r\n:1\r\n");
    world_assert_got(b, "-NOPERM no\r\n");
    world_say(">1\r\n$9\r\nsubscribe\r\n"); /* for which nobody has asked */
    world_run_until(world_is_waiting);
    assert_int_equal(w.counts[COUNT_LOST], 1);
}

/* ---- the end of a connection ---- */

static void test_unexpected_reply_closes(void **state)
{
    struct req *a = world_ask();

    world_run_until_asked(1);
    world_say("+A\r\n+B\r\n");
    world_run_until(world_is_waiting);
    world_assert_got(a, "+A\r\n");
    world_hang_up();
    struct req *b = world_ask();
    world_run_until_asked(1);
    world_say("+C\r\n");
    world_run_until(world_all_over);
    world_assert_got(b, "+C\r\n");
    assert_int_equal(w.accepted, 2);
    assert_int_equal(upstream_generation(w.u), 2);
}

static void test_malformed_reply_closes(void **state)
{
    struct req *a = world_ask(), *b = world_ask(), *c = world_ask();

    world_run_until_asked(3);
    world_say("+A\r\n?what\r\n+C\r\n");
    world_run_until(world_all_over);
    world_assert_got(a, "+A\r\n");
    assert_int_equal(b->failed, ERR_UPSTREAM_PROTOCOL);
    assert_int_equal(c->failed, ERR_UPSTREAM_PROTOCOL);
    assert_int_equal(b->len + c->len, 0);
}

static void test_lost_in_the_middle_of_a_reply(void **state)
{
    struct req *a = world_ask(), *b = world_ask();

    world_run_until_asked(2);
    world_say("$10\r\nhalf");
    for (int i = 0; i < 3; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    world_hang_up();
    world_run_until(world_all_over);
    assert_int_equal(a->failed, ERR_REDISLOST);
    assert_int_equal(b->failed, ERR_REDISLOST);
    assert_int_equal(w.counts[COUNT_LOST], 1);
    struct req *c = world_ask(); /* nothing of the half reply is left */
    world_run_until_asked(1);
    world_say("+C\r\n");
    world_run_until(world_all_over);
    world_assert_got(c, "+C\r\n");
}

/* Redis was killed with our requests unread: a reset follows the last replies. The rest must not wait for a
 * deadline. */
static void test_reset_behind_a_reply(void **state)
{
    struct linger now = {.l_onoff = 1};
    struct req *a = world_ask(), *b = world_ask();

    world_run_until_asked(2);
    world_say("+A\r\n");
    setsockopt(w.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    world_hang_up(); /* without a turn of the loop in between: reply and reset arrive together */
    int64_t start = clock_mono_us();
    world_run_until(world_all_over);
    world_assert_got(a, "+A\r\n");
    assert_int_equal(b->failed, ERR_REDISLOST);
    assert_true(clock_mono_us() - start < w.settings->redis_timeout * 1000 / 2);
}

static void test_refused_greeting(void **state)
{
    const char *detail;
    struct req *a = world_ask();

    w.manners = REFUSES;
    world_run_until(world_all_over);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    assert_string_equal(a->detail, "NOAUTH Authentication required.");
    assert_int_equal(upstream_ready(w.u, &detail), ERR_REDISDOWN);
    assert_int_equal(w.counts[COUNT_CONNECTS], 0);
    world_run_until(world_is_waiting);
    world_hang_up();
    w.manners = ANSWERS;
    world_run_until(world_is_ready); /* it goes on trying by itself */
    assert_int_equal(upstream_ready(w.u, &detail), ERR_NONE);
}

static void test_lost_while_greeting(void **state)
{
    struct req *a = world_ask();

    w.manners = SILENT;
    world_run_until(world_is_greeting);
    world_hang_up();
    world_run_until(world_all_over);
    assert_int_equal(a->failed, ERR_REDISDOWN);
}

static void test_silent_greeting_times_out(void **state)
{
    struct req *a = world_ask();

    w.manners = SILENT;
    world_run_until(world_is_greeting);
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
    struct req *a = world_ask();

    stop_listening();
    world_run_until(world_all_over);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    assert_int_equal(upstream_ready(w.u, &detail), ERR_REDISDOWN);
    assert_true(strlen(detail) > 0);
}

static void test_freed_while_dialing(void **state)
{
    struct req *a = world_ask();
    assert_int_equal(upstream_state(w.u), UP_DIALING);
    world_stop_ticking();
    upstream_free(w.u);
    assert_int_equal(a->failed, ERR_CANCELLED);
    w.u = upstream_new(&w.env, LANE_FAST, 0, RESP2);
}

static void test_freed_with_requests_in_flight(void **state)
{
    struct req *a = world_ask_as(2, false), *b = world_ask();

    world_run_until_asked(3);
    world_say("+OK\r\n");
    for (int i = 0; i < 3; i++)
        uv_run(&w.loop, UV_RUN_NOWAIT);
    upstream_free(w.u);
    assert_int_equal(a->failed, ERR_CANCELLED);
    assert_int_equal(b->failed, ERR_CANCELLED);
    w.u = upstream_new(&w.env, LANE_FAST, 0, RESP2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(test_held_until_greeted_then_sent),
        WORLD(test_split_at_every_byte),
        WORLD(test_one_byte_at_a_time),
        WORLD(test_block_of_replies),
        WORLD(test_push_belongs_to_nobody),
        WORLD(test_push_that_is_a_reply),
        WORLD(test_unexpected_reply_closes),
        WORLD(test_malformed_reply_closes),
        WORLD(test_lost_in_the_middle_of_a_reply),
        WORLD(test_reset_behind_a_reply),
        WORLD(test_refused_greeting),
        WORLD(test_lost_while_greeting),
        WORLD(test_silent_greeting_times_out),
        WORLD(test_nobody_listens),
        WORLD(test_freed_while_dialing),
        WORLD(test_freed_with_requests_in_flight),
    };
    log_setup(LOG_ERROR, LOG_LOGFMT, STDERR_FILENO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
