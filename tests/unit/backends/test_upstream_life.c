/* Deadlines, outages, new settings, full output: requests end in time, and the connection comes back. */
#include "upstream_world.h"

#include "backends/redis/backoff.h"
#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- deadlines ---- */

static void test_deadline_of_the_first_ends_all(void **state)
{
    struct req *a = world_ask(), *b = world_ask();

    world_run_until_asked(2);
    world_stop_ticking();
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
    struct req *a = world_ask(), *b = world_ask();

    world_run_until_asked(2);
    world_stop_ticking();
    world_say("+A\r\n");
    while (a->ends == 0)
        uv_run(&w.loop, UV_RUN_ONCE);
    upstream_tick(w.u, b->up.deadline_us);
    world_assert_got(a, "+A\r\n");
    assert_int_equal(b->failed, ERR_TIMEOUT);
}

static void test_slow_requests_have_longer(void **state)
{
    struct req *a = world_ask_as(1, true);

    world_run_until_asked(1);
    world_stop_ticking();
    upstream_tick(w.u, a->up.queued_us + w.settings->redis_timeout * 1000 + SECOND);
    assert_int_equal(upstream_state(w.u), UP_READY);
    world_say("+A\r\n");
    world_run_until(world_all_over);
    world_assert_got(a, "+A\r\n");
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
    struct req *a = world_ask();
    assert_int_equal(upstream_state(w.u), UP_WAITING);
    world_run_until_asked(1); /* a second later */
    world_say("+A\r\n");
    world_run_until(world_all_over);
    world_assert_got(a, "+A\r\n");
    w.env.settings = w.settings;
}

static void test_held_request_has_a_deadline(void **state)
{
    struct settings few = *w.settings;

    few.redis_connect_rate = 1;
    few.redis_timeout = 40;
    w.env.settings = &few;
    empty_the_connect_budget();
    struct req *a = world_ask(), *b = world_ask_as(2, false);
    world_stop_ticking();
    upstream_tick(w.u, a->up.deadline_us);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    assert_int_equal(b->failed, ERR_REDISDOWN);
    w.env.settings = w.settings;
    world_start_ticking();
    struct req *c = world_ask(); /* what was held and given up is not sent with it */
    world_run_until_asked(1);
    world_say("+C\r\n");
    world_run_until(world_all_over);
    world_assert_got(c, "+C\r\n");
    assert_int_equal(w.asked, 1);
}

/* ---- long outages ---- */

/* Redis is away for longer than a connection is kept that nobody wants. Clients asked all the time and were
 * refused. */
static void test_comes_back_after_a_long_outage(void **state)
{
    const char *detail;
    struct req *a = world_ask();

    w.manners = REFUSES;
    world_run_until(world_all_over);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    world_stop_ticking();
    for (int s = 0; s < 300; s++) {
        uv_run(&w.loop, UV_RUN_NOWAIT);
        world_hang_up();
        upstream_tick(w.u, turn_now(&w.turn) + s * SECOND);
        (void)upstream_ready(w.u, &detail);
    }
    w.manners = ANSWERS;
    world_start_ticking();
    world_hang_up();
    struct req *b = &w.reqs[w.nreqs];
    if (upstream_ready(w.u, &detail) != ERR_NONE)
        world_run_until(world_is_ready);
    world_ask();
    world_run_until_asked(1);
    world_say("+B\r\n");
    world_run_until(world_all_over);
    world_assert_got(b, "+B\r\n");
}

static void test_unused_connection_is_given_up(void **state)
{
    world_ask();
    world_run_until_asked(1);
    world_say("+A\r\n");
    world_run_until(world_all_over);
    world_stop_ticking();
    world_hang_up();
    world_run_until(world_is_waiting);
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
        world_ask();
        world_run_until_asked(1);
        world_stop_ticking();
        world_hang_up();
        world_run_until(world_is_waiting);
        upstream_tick(w.u, turn_now(&w.turn) + least - 50000);
        assert_int_equal(upstream_state(w.u), UP_WAITING);
        upstream_tick(w.u, turn_now(&w.turn) + 2 * least);
        assert_int_equal(upstream_state(w.u), UP_DIALING);
    }
    w.env.settings = w.settings;
}

static void test_idle_connection_may_be_lost_often(void **state)
{
    struct req *a = world_ask();

    for (int i = 0; i < 5; i++) {
        world_run_until(world_is_ready);
        if (i == 0) {
            world_run_until_asked(1);
            world_say("+A\r\n");
            world_run_until(world_all_over);
        }
        world_hang_up();
        world_run_until(world_is_waiting);
        upstream_tick(w.u, turn_now(&w.turn));
        assert_int_equal(upstream_state(w.u), UP_DIALING);
    }
    world_assert_got(a, "+A\r\n");
}

static void test_lost_connection_comes_back_at_once(void **state)
{
    world_ask();
    world_run_until_asked(1);
    world_say("+A\r\n");
    world_run_until(world_all_over);
    world_stop_ticking();
    world_hang_up();
    world_run_until(world_is_waiting);
    struct req *b = world_ask();
    assert_int_equal(upstream_state(w.u), UP_DIALING);
    world_run_until_asked(1);
    world_say("+B\r\n");
    world_run_until(world_all_over);
    world_assert_got(b, "+B\r\n");
}

/* ---- retiring ---- */

static void test_retire_waits_for_what_is_in_flight(void **state)
{
    struct req *a = world_ask(), *b;

    world_run_until_asked(1);
    upstream_retire(w.u);
    assert_int_equal(upstream_state(w.u), UP_DRAINING);
    upstream_retire(w.u); /* the settings changed again */
    assert_int_equal(upstream_state(w.u), UP_DRAINING);
    b = world_ask(); /* for the new connection */
    world_say("+A\r\n");
    while (a->ends == 0)
        uv_run(&w.loop, UV_RUN_ONCE);
    world_assert_got(a, "+A\r\n");
    world_hang_up();
    world_run_until_asked(1);
    world_say("+B\r\n");
    world_run_until(world_all_over);
    world_assert_got(b, "+B\r\n");
    assert_int_equal(w.accepted, 2);
}

static void test_retire_idle_connection(void **state)
{
    world_ask();
    world_run_until_asked(1);
    world_say("+A\r\n");
    world_run_until(world_all_over);
    upstream_retire(w.u);
    assert_int_equal(upstream_state(w.u), UP_CLOSING);
    world_run_until(world_is_waiting);
    world_hang_up();
    struct req *b = world_ask();
    world_run_until_asked(1);
    world_say("+B\r\n");
    world_run_until(world_all_over);
    world_assert_got(b, "+B\r\n");
    assert_int_equal(w.counts[COUNT_LOST], 0);
}

/* What has not been sent anywhere goes to the new Redis: nobody needs to hear of the change. */
static void test_retire_while_dialing(void **state)
{
    struct req *a = world_ask();

    assert_int_equal(upstream_state(w.u), UP_DIALING);
    upstream_retire(w.u);
    world_run_until_asked(1);
    world_say("+A\r\n");
    world_run_until(world_all_over);
    world_assert_got(a, "+A\r\n");
}

static void test_retire_while_greeting(void **state)
{
    struct req *a = world_ask();

    w.manners = SILENT;
    world_run_until(world_is_greeting);
    w.manners = ANSWERS;
    upstream_retire(w.u);
    world_hang_up();
    world_run_until_asked(1);
    world_say("+A\r\n");
    world_run_until(world_all_over);
    world_assert_got(a, "+A\r\n");
    assert_int_equal(w.accepted, 2);
}

static void test_deadline_while_draining(void **state)
{
    struct req *a = world_ask(), *b;

    world_run_until_asked(1);
    upstream_retire(w.u);
    b = world_ask();
    world_stop_ticking();
    upstream_tick(w.u, a->up.deadline_us);
    assert_int_equal(a->failed, ERR_TIMEOUT);
    world_hang_up();
    world_start_ticking();
    world_run_until_asked(1);
    world_say("+B\r\n");
    world_run_until(world_all_over);
    world_assert_got(b, "+B\r\n");
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
    struct req *a = world_ask();

    fill(LIMIT_UPSTREAM_HIGH + 1);
    assert_true(upstream_full(w.u));
    int before = w.changes;
    w.manners = REFUSES;
    world_run_until(world_all_over);
    assert_int_equal(a->failed, ERR_REDISDOWN);
    assert_true(w.changes > before);
    assert_false(upstream_full(w.u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(test_deadline_of_the_first_ends_all),
        WORLD(test_deadline_counts_from_queueing),
        WORLD(test_slow_requests_have_longer),
        WORLD(test_held_while_the_connect_budget_is_empty),
        WORLD(test_held_request_has_a_deadline),
        WORLD(test_comes_back_after_a_long_outage),
        WORLD(test_unused_connection_is_given_up),
        WORLD(test_flapping_connection_is_slowed_down),
        WORLD(test_idle_connection_may_be_lost_often),
        WORLD(test_lost_connection_comes_back_at_once),
        WORLD(test_retire_waits_for_what_is_in_flight),
        WORLD(test_retire_idle_connection),
        WORLD(test_retire_while_dialing),
        WORLD(test_retire_while_greeting),
        WORLD(test_deadline_while_draining),
        WORLD(test_full_is_followed_by_change),
    };
    log_setup(LOG_ERROR, LOG_LOGFMT, STDERR_FILENO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
