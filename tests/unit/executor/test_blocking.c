/* Commands that wait: until when, and what is made of them when they are woken or go along to another process. */
#include "executor/blocking.h"

#include "base/clock.h"
#include "resp/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct fixture {
    struct chunk_pool pool;
    struct chain chain;
};

static size_t split(const char *text, struct slice *argv)
{
    size_t n = 0;
    for (const char *p = text; *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
        argv[n++] = (struct slice){p, strcspn(p, " ")};
    return n;
}

static struct op *op_of(struct fixture *f, const char *text)
{
    struct slice argv[16];
    build_request(&f->chain, argv, split(text, argv));
    struct op *op = op_new(OP_ONE, RESP2, chain_flat(&f->chain));
    chain_clear(&f->chain);
    op_may_block(op);
    return op;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    chunk_pool_init(&f->pool);
    chain_init(&f->chain, &f->pool);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    chain_clear(&f->chain);
    chunk_pool_done(&f->pool);
    free(f);
    return 0;
}

static void test_until(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* 0: it does not wait; -1: for ever */
    } rows[] = {
        {"BLPOP k 0", -1},
        {"BLPOP k j 1.5", 1500},
        {"BRPOP k 0.001", 1},
        {"BLMOVE a b LEFT LEFT 2", 2000},
        {"BRPOPLPUSH a b 3", 3000},
        {"BLMPOP 4 1 k LEFT", 4000},
        {"BZMPOP 0 1 k MIN", -1},
        {"BZPOPMIN 9 9", 9000},
        {"BLPOP k x", 0},
        {"LPOP k", 0},
        {"GET k", 0},
        {"XREAD STREAMS s $", 0},
        {"XREAD BLOCK 250 STREAMS s $", 250},
        {"XREAD STREAMS block 5", 0},
        {"XREAD COUNT 1 BLOCK 0 STREAMS s 0", -1},
        {"XREADGROUP GROUP g c BLOCK 70 STREAMS s >", 70},
        {"XREADGROUP GROUP block 5 STREAMS s >", 0},
        {"XREADGROUP GROUP g streams BLOCK 70 STREAMS s >", 70},
        {"XREADGROUP NOACK GROUP streams block COUNT 2 BLOCK 70 STREAMS s >", 70},
        {"BLPOP k 1e300", -1},
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t before = clock_mono_us();
        struct op *op = op_of(*state, rows[i].text);
        if (rows[i].ms <= 0)
            assert_true(op->block_until_us == (rows[i].ms < 0 ? INT64_MAX : 0));
        else
            assert_in_range(op->block_until_us, before + rows[i].ms * 1000,
                            clock_mono_us() + rows[i].ms * 1000);
        op_free(op);
    }
}

static void expect_request(struct fixture *f, const char *text, int64_t now_us, const char *expected)
{
    struct op *op = op_of(f, text);
    struct chain wanted;
    struct slice argv[16];

    if (op->block_until_us != INT64_MAX)
        op->block_until_us = 10000000;
    blocking_request(op, now_us, &f->chain);
    chain_init(&wanted, &f->pool);
    build_request(&wanted, argv, split(expected, argv));
    struct slice a = chain_flat(&f->chain), b = chain_flat(&wanted);
    assert_int_equal(a.len, b.len);
    assert_memory_equal(a.p, b.p, a.len);
    chain_clear(&wanted);
    chain_clear(&f->chain);
    op_free(op);
}

static void test_request_with_the_time_that_is_left(void **state)
{
    expect_request(*state, "BLPOP a b 0", 1, "BLPOP a b 0");
    expect_request(*state, "BLPOP a b 30", 8500000, "BLPOP a b 1.501");
    expect_request(*state, "BLMPOP 30 1 a LEFT", 9995000, "BLMPOP 0.006 1 a LEFT");
    expect_request(*state, "XREAD BLOCK 999 STREAMS s 5-1", 9000000, "XREAD BLOCK 1001 STREAMS s 5-1");
    expect_request(*state, "BRPOP a 5", 20000000, "BRPOP a 0.001"); /* late: never "for ever" */
}

static void expect_narrow(struct fixture *f, const char *text, const char *key, const char *expected)
{
    struct op *op = op_of(f, text);
    struct slice argv[16];
    size_t argc = 0, n = expected != NULL ? split(expected, argv) : 0;

    op->woken_by = (struct slice){key, strlen(key)};
    const struct slice *narrow = blocking_narrow(op, &argc);
    assert_int_equal(narrow != NULL, expected != NULL);
    if (expected != NULL)
        assert_int_equal(argc, n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(narrow[i].len, argv[i].len);
        assert_memory_equal(narrow[i].p, argv[i].p, argv[i].len);
    }
    op_free(op);
}

static void test_narrowed_to_what_has_woken_it(void **state)
{
    expect_narrow(*state, "BLPOP a b c 5", "b", "BLPOP b 5");
    expect_narrow(*state, "BZPOPMAX a b 5", "a", "BZPOPMAX a 5");
    expect_narrow(*state, "BLMPOP 5 3 a b c LEFT COUNT 2", "c", "BLMPOP 5 1 c LEFT COUNT 2");
    expect_narrow(*state, "BZMPOP 5 2 a b MIN", "a", "BZMPOP 5 1 a MIN");
    expect_narrow(*state, "XREAD COUNT 3 BLOCK 5 STREAMS a b 1 2", "b", "XREAD COUNT 3 BLOCK 5 STREAMS b 2");
    expect_narrow(*state, "XREADGROUP GROUP g c BLOCK 5 STREAMS a b > >", "a",
                  "XREADGROUP GROUP g c BLOCK 5 STREAMS a >");
    expect_narrow(*state, "XREADGROUP GROUP g streams BLOCK 5 STREAMS a b > >", "b",
                  "XREADGROUP GROUP g streams BLOCK 5 STREAMS b >");
    expect_narrow(*state, "BLPOP a 5", "a", NULL);
    expect_narrow(*state, "BLMOVE a b LEFT LEFT 5", "b", NULL);
    expect_narrow(*state, "BLPOP a b 5", "x", NULL);
}

static void expect_found(struct fixture *f, const char *text, const char *reply, bool woken,
                         enum object_type type, bool found)
{
    struct op *op = op_of(f, text);
    struct object objects[2] = {{.type = type}, {.type = OBJECT_STRING}};

    op->woken = woken;
    assert_int_equal(!blocking_found_nothing(op, (struct slice){reply, strlen(reply)}, objects), found);
    op_free(op);
}

static void test_found_nothing(void **state)
{
    static const char *const nothing[] = {"*-1\r\n", "$-1\r\n", "_\r\n"};
    static const char *const something[] = {"*2\r\n", "$1\r\nx\r\n", "-ERR no\r\n", ":0\r\n", "*0\r\n"};
    static const char wrong[] = "-WRONGTYPE Operation\r\n";

    for (size_t i = 0; i < 3; i++)
        expect_found(*state, "BLPOP k 0", nothing[i], false, OBJECT_NONE, false);
    for (size_t i = 0; i < 5; i++)
        expect_found(*state, "BLPOP k 0", something[i], true, OBJECT_LIST, true);
    expect_found(*state, "BLPOP k 0", wrong, false, OBJECT_STRING, true);
    expect_found(*state, "BLPOP k 0", wrong, true, OBJECT_STRING, false);
    expect_found(*state, "BLMOVE k to LEFT LEFT 0", wrong, true, OBJECT_STRING, false);
    expect_found(*state, "BLMOVE k to LEFT LEFT 0", wrong, true, OBJECT_LIST,
                 true); /* "to" is the wrong one */
}

static void test_a_group_that_is_gone(void **state)
{
    static const char no_group[] = "-NOGROUP No such key\r\n", wrong[] = "-WRONGTYPE Operation\r\n";
    struct op *op = op_of(*state, "XREADGROUP GROUP g c BLOCK 0 STREAMS s >");
    struct object object = {.type = OBJECT_STREAM};

    assert_null(blocking_lost(op, no_group, strlen(no_group), &object)); /* it has not waited yet */
    op->woken = true;
    assert_memory_equal(blocking_lost(op, no_group, strlen(no_group), &object),
                        "-NOGROUP the consumer group this", 32);
    object.type = OBJECT_NONE;
    assert_memory_equal(blocking_lost(op, no_group, strlen(no_group), &object), "-UNBLOCKED the stream key",
                        25);
    object.type = OBJECT_STRING;
    assert_memory_equal(blocking_lost(op, wrong, strlen(wrong), &object), "-UNBLOCKED the stream key", 25);
    assert_null(blocking_lost(op, "*-1\r\n", 5, &object));
    op_free(op);
}

static void test_time_over(void **state)
{
    struct op *op = op_of(*state, "BLPOP k 1");
    blocking_time_over(op);
    assert_memory_equal(op->reply, "*-1\r\n", 5);
    op->resp = RESP3;
    blocking_time_over(op);
    assert_int_equal(op->reply_len, 3);
    assert_memory_equal(op->reply, "_\r\n", 3);
    op->unblocked = true;
    blocking_time_over(op);
    assert_memory_equal(op->reply, "-UNBLOCKED ", 11);
    op_free(op);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_until, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_request_with_the_time_that_is_left, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_narrowed_to_what_has_woken_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_found_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_group_that_is_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_time_over, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
