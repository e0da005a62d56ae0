/* Guarded connections: who Redis is, what a stranger never gets, and the sessions' names. */
#include "upstream_world.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define OURS     "*2\r\n$4\r\nrun1\r\n$3\r\n256\r\n"
#define STRANGER "*2\r\n$4\r\nrun2\r\n$0\r\n\r\n"

static const struct upstream_guard guard = {
    .on = true, .epoch = 256, .run_id = "run1", .proxy = "0a1b2c3d", .loop = 7};

static void be_guarded(const struct upstream_guard *now)
{
    struct upstream_guard before = w.env.guard;
    w.env.guard = *now;
    upstream_guard_changed(w.u, &before);
}

static void start(const char *identity)
{
    snprintf(w.identity, sizeof w.identity, "%s", identity);
    be_guarded(&guard);
}

static void get_ready(void)
{
    w.asked = 0;
    world_ask();
    world_run_until_asked(1);
    world_say("+A\r\n");
    world_run_until(world_all_over);
}

static void test_greeting_tells_epoch_and_session(void **state)
{
    char expected[256];

    start(OURS);
    snprintf(expected, sizeof expected,
             " CLIENT SETNAME convproxy-0a1b2c3d-256 EVAL  2 cvp:ep cvp:sess run1 256 %s ",
             upstream_session(w.u));
    struct req *a = world_ask_guarded();
    assert_true(upstream_is_ours(w.u)); /* not known yet */
    world_run_until_asked(1);
    assert_string_equal(w.greeted, expected);
    world_say("+A\r\n");
    world_run_until(world_all_over);
    world_assert_got(a, "+A\r\n");
    assert_true(upstream_is_ours(w.u));
    assert_int_equal(w.strangers, 0);
}

static void test_unguarded_says_what_it_said(void **state)
{
    get_ready();
    assert_string_equal(w.greeted, " CLIENT SETNAME convproxy");
    assert_true(upstream_is_ours(w.u));
}

static void test_other_databases_are_not_guarded(void **state)
{
    struct upstream *first = w.u;

    start(STRANGER);
    w.u = upstream_new(&w.env, LANE_FAST, 3, RESP2);
    get_ready();
    assert_string_equal(w.greeted, " CLIENT SETNAME convproxy SELECT 3");
    assert_true(upstream_is_ours(w.u));
    upstream_free(first);
}

static void test_stranger_gets_raw_requests_only(void **state)
{
    start(STRANGER);
    struct req *raw = world_ask(), *guarded = world_ask_guarded(), *more = world_ask();
    world_run_until_asked(2);
    assert_int_equal(guarded->failed, ERR_STRANGER);
    assert_string_equal(guarded->detail, "run id run2");
    assert_false(upstream_is_ours(w.u));
    assert_string_equal(upstream_stranger_why(w.u), "run id run2");
    assert_int_equal(w.strangers, 1);
    assert_string_equal(w.stranger_run_id, "run2");
    assert_int_equal(w.stranger_epoch, 0);
    world_say("+A\r\n+B\r\n");
    world_run_until(world_all_over);
    world_assert_got(raw, "+A\r\n");
    world_assert_got(more, "+B\r\n");
    assert_int_equal(w.asked, 2);
}

static void test_any_run_id_but_not_any_epoch(void **state)
{
    struct upstream_guard any = guard;

    any.run_id[0] = '\0';
    start("*2\r\n$4\r\nrun2\r\n$3\r\n256\r\n");
    be_guarded(&any);
    get_ready();
    assert_true(upstream_is_ours(w.u));
    any.epoch = 257;
    be_guarded(&any);
    get_ready();
    assert_false(upstream_is_ours(w.u));
    assert_string_equal(upstream_stranger_why(w.u), "epoch 256");
    assert_int_equal(w.stranger_epoch, 256);
}

/* A replica, or a user without the permission: nobody knows who it is, and raw requests go on. */
static void test_refusal_is_no_stranger_but_not_ours(void **state)
{
    static const char *const replies[] = {"-READONLY no\r\n", "*1\r\n$1\r\nx\r\n", ":1\r\n", "$-1\r\n",
                                          "*2\r\n:1\r\n:2\r\n"};

    for (size_t i = 0; i < sizeof replies / sizeof replies[0]; i++) {
        snprintf(w.identity, sizeof w.identity, "%s", replies[i]);
        w.env.guard = guard;
        upstream_retire(w.u);
        get_ready();
        assert_false(upstream_is_ours(w.u));
        assert_string_equal(upstream_stranger_why(w.u),
                            i == 0 ? "READONLY no" : "it does not tell who it is");
    }
    assert_int_equal(w.strangers, 0);
}

static void test_sessions_are_new_with_each_connection(void **state)
{
    char first[WRITE_SESSION], second[WRITE_SESSION], expected[256];

    start(OURS);
    get_ready();
    snprintf(first, sizeof first, "%s", upstream_session(w.u));
    assert_memory_equal(first, "0a1b2c3d-7-", 11);
    assert_int_equal(upstream_next_seq(w.u), 1);
    assert_int_equal(upstream_next_seq(w.u), 2);
    upstream_retire(w.u); /* it was used a moment ago: copies may look for its field, which stays */
    snprintf(second, sizeof second, "%s", upstream_session(w.u));
    assert_string_not_equal(first, second);
    assert_int_equal(upstream_next_seq(w.u), 1);
    get_ready();
    assert_string_equal(upstream_session(w.u), second);
    snprintf(expected, sizeof expected, "run1 256 %s ", second);
    assert_string_equal(strstr(w.greeted, "run1"), expected);
}

static void test_session_with_something_in_flight_stays(void **state)
{
    char expected[256];

    start(OURS);
    get_ready();
    w.asked = 0;
    struct req *lost = world_ask_guarded();
    world_run_until_asked(1);
    world_hang_up();
    world_run_until(world_all_over);
    assert_int_equal(lost->failed, ERR_REDISLOST);
    get_ready();
    snprintf(expected, sizeof expected, "run1 256 %s ", upstream_session(w.u));
    assert_string_equal(strstr(w.greeted, "run1"), expected);
}

/* What is held while the old connection drains is the new one's. */
static void test_change_of_guard_is_gentle(void **state)
{
    struct upstream_guard later = guard;
    char before[WRITE_SESSION];

    start(OURS);
    get_ready();
    struct req *old = world_ask_guarded();
    world_run_until_asked(2);
    snprintf(before, sizeof before, "%s", upstream_session(w.u));
    later.epoch = 257;
    be_guarded(&later);
    assert_int_equal(upstream_state(w.u), UP_DRAINING);
    assert_string_not_equal(upstream_session(w.u), before);
    struct req *held = world_ask_guarded();
    snprintf(w.identity, sizeof w.identity, "*2\r\n$4\r\nrun1\r\n$3\r\n257\r\n");
    w.asked = 0;
    world_say("+OLD\r\n");
    world_run_until_asked(1);
    world_assert_got(old, "+OLD\r\n");
    world_say("+NEW\r\n");
    world_run_until(world_all_over);
    world_assert_got(held, "+NEW\r\n");
    assert_int_equal(w.accepted, 2);
}

static void test_same_guard_keeps_the_connection(void **state)
{
    struct upstream_guard named = guard, any = guard;

    any.run_id[0] = '\0';
    start(OURS);
    be_guarded(&any);
    get_ready();
    be_guarded(&any);
    be_guarded(&named); /* the run id that it has met */
    assert_int_equal(upstream_state(w.u), UP_READY);
    snprintf(named.run_id, sizeof named.run_id, "run3");
    be_guarded(&named);
    assert_int_not_equal(upstream_state(w.u), UP_READY);
    assert_int_equal(w.accepted, 1);
}

static void test_emptied(void **state)
{
    start(OURS);
    get_ready();
    assert_true(upstream_answers_count(w.u));
    upstream_emptied(w.u);
    upstream_emptied(w.u);
    assert_int_equal(w.strangers, 1);
    assert_int_equal(w.stranger_epoch, 0);
    assert_false(upstream_answers_count(w.u));
    assert_false(upstream_is_ours(w.u));
}

static void test_stranger_is_asked_again(void **state)
{
    start(STRANGER);
    get_ready();
    assert_false(upstream_is_ours(w.u));
    usleep(250000);
    turn_now(&w.turn);
    snprintf(w.identity, sizeof w.identity, "%s", OURS);
    w.asked = 0;
    assert_true(upstream_is_ours(w.u)); /* it is on its way to find out */
    struct req *guarded = world_ask_guarded();
    world_run_until_asked(1);
    world_say("+A\r\n");
    world_run_until(world_all_over);
    world_assert_got(guarded, "+A\r\n");
    assert_true(upstream_is_ours(w.u));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(test_greeting_tells_epoch_and_session),
        WORLD(test_unguarded_says_what_it_said),
        WORLD(test_other_databases_are_not_guarded),
        WORLD(test_stranger_gets_raw_requests_only),
        WORLD(test_any_run_id_but_not_any_epoch),
        WORLD(test_refusal_is_no_stranger_but_not_ours),
        WORLD(test_sessions_are_new_with_each_connection),
        WORLD(test_session_with_something_in_flight_stays),
        WORLD(test_change_of_guard_is_gentle),
        WORLD(test_same_guard_keeps_the_connection),
        WORLD(test_emptied),
        WORLD(test_stranger_is_asked_again),
    };
    log_setup(LOG_ERROR, LOG_LOGFMT, STDERR_FILENO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
