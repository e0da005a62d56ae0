/* What a push says; and how many clients Redis does not know of. */
#include "proxy/headcount.h"
#include "proxy/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct slice text(const char *p)
{
    return (struct slice){p, strlen(p)};
}

static void assert_is(struct slice got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.p, want, got.len);
}

static void test_messages_are_read(void **state)
{
    struct message m;

    assert_true(message_read(text(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\na\r\nb\r\n"), &m));
    assert_int_equal(m.kind, TOPIC_CHANNEL);
    assert_is(m.name, "c");
    assert_is(m.channel, "c");
    assert_is(m.payload, "a\r\nb");
    assert_true(message_read(text(">4\r\n$8\r\npmessage\r\n$2\r\nc*\r\n$2\r\ncc\r\n$0\r\n\r\n"), &m));
    assert_int_equal(m.kind, TOPIC_PATTERN);
    assert_is(m.name, "c*");
    assert_is(m.channel, "cc");
    assert_is(m.payload, "");
    assert_true(message_read(text(">3\r\n$8\r\nsmessage\r\n$1\r\ns\r\n$1\r\nx\r\n"), &m));
    assert_int_equal(m.kind, TOPIC_SHARD);
}

/* Redis sends none of these as they stand, but a connection must live through whatever it gets. */
static void test_what_is_no_message(void **state)
{
    static const char *const others[] = {
        ">3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
        ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n",
        ">2\r\n$7\r\nmessage\r\n$1\r\nc\r\n",
        ">4\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nc\r\n$1\r\nx\r\n",
        ">3\r\n$8\r\npmessage\r\n$1\r\nc\r\n$1\r\nc\r\n",
        ">3\r\n$7\r\nmessage\r\n:1\r\n$1\r\nx\r\n",
        ">3\r\n$7\r\nmessage\r\n$-1\r\n$1\r\nx\r\n",
        ">3\r\n+message\r\n+c\r\n+x\r\n",
        ">0\r\n",
    };
    struct message m;

    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_false(message_read(text(others[i]), &m));
        assert_int_equal(message_is_answer(text(others[i])), i == 0);
    }
    assert_true(message_is_answer(text(">3\r\n$12\r\nsunsubscribe\r\n$-1\r\n:0\r\n")));
    assert_true(message_is_answer(text(">3\r\n$12\r\npunsubscribe\r\n_\r\n:0\r\n")));
}

static bool is_internal(const char *channel, const char *payload)
{
    const struct message m = {.channel = text(channel), .payload = text(payload)};
    return message_is_internal(&m);
}

static void test_own_keys_are_known(void **state)
{
    assert_true(is_internal("__keyspace@0__:cvp:ver", "hset"));
    assert_true(is_internal("__keyevent@0__:hset", "cvp:ver"));
    assert_true(is_internal("__keyspace@12__:cvp:", "del"));
    assert_false(is_internal("__keyspace@0__:conv:1", "cvp:ver"));
    assert_false(is_internal("__keyspace@0__", "cvp:ver"));
    assert_false(is_internal("__keyevent@0__:set", "conv:cvp:1"));
    assert_false(is_internal("cvp:ver", "cvp:ver"));
    assert_false(is_internal("", ""));
}

static void test_who_is_missing(void **state)
{
    struct slice news = text("news"), all = text("n*");

    assert_false(headcount_differs());
    headcount_add(TOPIC_CHANNEL, news, 3, 2); /* three clients of one loop */
    assert_true(headcount_differs());
    assert_int_equal(headcount_missing(TOPIC_CHANNEL, news), 2);
    assert_int_equal(headcount_missing(TOPIC_SHARD, news), 0);
    assert_int_equal(headcount_missing_of(news), 2);
    headcount_add(TOPIC_PATTERN, all, 5, 4);
    headcount_add(TOPIC_PATTERN, text("x*"), 5, 4);
    assert_int_equal(headcount_missing_of(news), 6);
    assert_int_equal(headcount_missing_of(text("none")), 4);
    assert_int_equal(headcount_missing_of(text("other")), 0);
    assert_int_equal(headcount_names(TOPIC_PATTERN), 2);
    headcount_add(TOPIC_CHANNEL, news, -3, 0); /* Redis still has the loop's subscription */
    headcount_add(TOPIC_CHANNEL, news, 0, -3);
    assert_int_equal(headcount_missing(TOPIC_CHANNEL, news), -1);
    headcount_add(TOPIC_CHANNEL, news, 0, 1);
    headcount_add(TOPIC_PATTERN, all, -5, -4);
    headcount_add(TOPIC_PATTERN, text("x*"), -5, -4);
    assert_false(headcount_differs());
    for (int kind = 0; kind < TOPIC_KINDS; kind++)
        assert_int_equal(headcount_names((enum topic_kind)kind), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_are_read),
        cmocka_unit_test(test_what_is_no_message),
        cmocka_unit_test(test_own_keys_are_known),
        cmocka_unit_test(test_who_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
