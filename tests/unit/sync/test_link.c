#include "sync/link.h"

#include "tests/unit/sync/sync_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

static struct sync_redis redis;
static struct link *link_under_test;

#define L link_under_test

static int set_up(void **state)
{
    sync_redis_start(&redis);
    L = link_new();
    return 0;
}

static int tear_down(void **state)
{
    link_free(L);
    sync_redis_stop(&redis);
    return 0;
}

static void must_open(void)
{
    if (!link_open(L, redis.settings))
        fail_msg("%s", link_why(L));
}

static void expect(const char *text)
{
    const redisReply *r = link_get(L);

    if (r == NULL)
        fail_msg("%s", link_why(L));
    else
        assert_string_equal(r->str, text);
}

static void test_replies_come_in_order(void **state)
{
    char text[16];

    must_open();
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d", i);
        link_say(L, "ECHO", text, NULL);
    }
    assert_int_equal(link_owed(L), 1000);
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d", i);
        expect(text);
    }
    assert_int_equal(link_owed(L), 0);
    link_done(L);
}

static void test_any_bytes(void **state)
{
    static const char bytes[] = "a\0\r\n b";
    struct slice argv[] = {{"ECHO", 4}, {bytes, sizeof bytes - 1}};

    must_open();
    link_put(L, argv, 2);
    link_put(L, (struct slice[]){{"ECHO", 4}, {NULL, 0}}, 2);
    const redisReply *r = link_get(L);
    assert_non_null(r);
    assert_int_equal(r->len, sizeof bytes - 1);
    assert_memory_equal(r->str, bytes, sizeof bytes - 1);
    expect("");
    link_done(L);
}

static void test_an_error_is_a_reply(void **state)
{
    must_open();
    link_say(L, "GET", NULL);
    link_say(L, "PING", NULL);
    const redisReply *r = link_get(L);
    assert_non_null(r);
    assert_int_equal(r->type, REDIS_REPLY_ERROR);
    expect("PONG");
    assert_true(link_is_open(L));
}

static void test_its_name(void **state)
{
    must_open();
    link_say(L, "CLIENT", "GETNAME", NULL);
    expect("convproxy-sync");
}

static void test_nobody_there(void **state)
{
    siginfo_t gone;

    must_open();
    link_close(L);
    kill(redis.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)redis.pid, &gone, WEXITED | WNOWAIT), 0);
    assert_false(link_open(L, redis.settings));
    assert_string_not_equal(link_why(L), "");
    link_say(L, "PING", NULL);
    assert_null(link_get(L));
}

static void test_lost(void **state)
{
    must_open();
    sync_redis_ask(&redis, "CLIENT KILL TYPE normal SKIPME yes");
    link_say(L, "PING", NULL);
    assert_null(link_get(L));
    assert_false(link_is_open(L));
    assert_string_not_equal(link_why(L), "");
    assert_int_equal(link_owed(L), 0);
    must_open();
    link_say(L, "PING", NULL);
    expect("PONG");
}

static void test_wrong_password(void **state)
{
    must_open();
    sync_redis_ask(&redis, "CONFIG SET requirepass secret");
    link_close(L);
    assert_false(link_open(L, redis.settings));
    assert_non_null(strstr(link_why(L), "NOAUTH"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_replies_come_in_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_any_bytes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_error_is_a_reply, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_its_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_nobody_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wrong_password, set_up, tear_down),
    };
    if (sync_redis_missing())
        return SYNC_REDIS_SKIPPED;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
