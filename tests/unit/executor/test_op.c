/* What op_new makes of requests. */
#include "executor/op.h"

#include "backends/archive/archive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define TEXT(literal) ((struct slice){literal, sizeof(literal) - 1})

static void test_one_command(void **state)
{
    struct op *op = op_new(OP_ONE, RESP3, TEXT("*3\r\n$3\r\nSET\r\n$6\r\nconv:1\r\n$1\r\nx\r\n"));

    assert_int_equal(op->nsteps, 1);
    assert_string_equal(op->steps[0].cmd->name, "set");
    assert_non_null(op->steps[0].fn);
    assert_true(op->writes);
    assert_int_equal(op->nkeys, 1);
    assert_memory_equal(op->keys[0].key.p, "conv:1", 6);
    assert_int_equal(op->keys[0].hash, archive_hash(TEXT("conv:1")));
    assert_int_equal(op->keys[0].watched, -1);
    assert_int_equal(op->state, OP_NEW);
    op_free(op);
}

static void test_a_key_counts_once(void **state)
{
    struct op *op = op_new(OP_EXEC, RESP2,
                           TEXT("*2\r\n$3\r\nGET\r\n$1\r\na\r\n*5\r\n$4\r\nMGET\r\n$1\r\nb\r\n$1\r\na\r\n$"
                                "1\r\nb\r\n$1\r\nc\r\n"));

    assert_int_equal(op->nsteps, 2);
    assert_int_equal(op->nkeys, 3);
    assert_false(op->writes);
    assert_int_equal(op_find_key(op, TEXT("c")), 2);
    assert_int_equal(op_find_key(op, TEXT("d")), 3);
    assert_int_equal(op->steps[1].argc, 5);
    assert_memory_equal(op->argv[op->steps[1].argv].p, "MGET", 4);
    op_free(op);
}

/* More of everything than an op has room for in itself. */
static void test_many_steps_and_keys(void **state)
{
    enum { N = 300 };
    char *text = malloc(N * 64);
    size_t len = 0;

    assert_non_null(text);
    for (int i = 0; i < N; i++)
        len += (size_t)sprintf(text + len, "*3\r\n$3\r\nSET\r\n$4\r\nk%03d\r\n$3\r\n%03d\r\n", i, i);
    struct op *op = op_new(OP_EXEC, RESP2, (struct slice){text, len});
    free(text); /* the op has its own copy */
    assert_int_equal(op->nsteps, N);
    assert_int_equal(op->nkeys, N);
    for (int i = 0; i < N; i++) {
        char key[8];
        snprintf(key, sizeof key, "k%03d", i);
        assert_int_equal(op_find_key(op, (struct slice){key, 4}), i);
        assert_memory_equal(op->argv[op->steps[i].argv + 2].p, key + 1, 3);
    }
    op_free(op);
}

/* As many as a request may have arguments for: the loop that makes the op serves other clients, too. */
static void test_very_many_keys(void **state)
{
    enum { N = 200000 };
    char *text = malloc((N + 2) * 32);
    struct timespec from, to;

    assert_non_null(text);
    size_t len = (size_t)sprintf(text, "*%d\r\n$3\r\nDEL\r\n", N + 2);
    for (int i = 0; i < N; i++)
        len += (size_t)sprintf(text + len, "$11\r\nconv:%06d\r\n", i);
    len += (size_t)sprintf(text + len, "$11\r\nconv:000000\r\n$11\r\nconv:%06d\r\n", N - 1);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    struct op *op = op_new(OP_ONE, RESP2, (struct slice){text, len});
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    free(text);
    assert_int_equal(op->nkeys, N);
    assert_int_equal(op_find_key(op, TEXT("conv:000017")), 17);
    assert_int_equal(op_find_key(op, TEXT("conv:199999")), N - 1);
    assert_int_equal(op_find_key(op, TEXT("conv:200000")), N);
    assert_true(to.tv_sec - from.tv_sec < 3);
    op_free(op);
}

static void test_what_it_does_not_know(void **state)
{
    struct op *op = op_new(OP_ONE, RESP2, TEXT("*2\r\n$6\r\nNOSUCH\r\n$1\r\na\r\n"));
    assert_null(op->steps[0].cmd);
    assert_null(op->steps[0].fn);
    assert_int_equal(op->nkeys, 0);
    op_free(op);
}

static void test_watch(void **state)
{
    struct op *watch =
        op_new(OP_WATCH, RESP2, TEXT("*4\r\n$5\r\nWATCH\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\na\r\n"));
    assert_int_equal(watch->nkeys, 2);
    op_free(watch);

    struct op *op = op_new(OP_EXEC, RESP2, TEXT("*2\r\n$3\r\nGET\r\n$1\r\na\r\n"));
    char key[] = "b";
    op_watch(op, TEXT("a"), 7);
    op_watch(op, (struct slice){key, 1}, -2);
    key[0] = '?'; /* the op has its own copy */
    assert_int_equal(op->nkeys, 2);
    assert_int_equal(op->keys[0].watched, 7);
    assert_int_equal(op->keys[1].watched, -2);
    assert_memory_equal(op->keys[1].key.p, "b", 1);
    op_free(op);
}

static void test_replies(void **state)
{
    struct op *op = op_new(OP_ONE, RESP2, TEXT("*1\r\n$4\r\nPING\r\n"));

    for (int i = 0; i < 1000; i++)
        op_reply_add(op, "0123456789", 10);
    assert_int_equal(op->reply_len, 10000);
    for (size_t i = 0; i < op->reply_len; i++)
        assert_int_equal(op->reply[i], '0' + (int)(i % 10));
    op_fail(op, ERR_RACE, "why");
    assert_int_equal(op->reply_len, 0);
    assert_int_equal(op->error, ERR_RACE);
    assert_string_equal(op->detail, "why");
    op_reply_clear(op);
    assert_int_equal(op->error, ERR_NONE);
    op_free(op);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_command),
        cmocka_unit_test(test_a_key_counts_once),
        cmocka_unit_test(test_many_steps_and_keys),
        cmocka_unit_test(test_very_many_keys),
        cmocka_unit_test(test_what_it_does_not_know),
        cmocka_unit_test(test_watch),
        cmocka_unit_test(test_replies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
