/* Classes of commands, each by the name that a client sends. */
#include "router/rate_class.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static enum rate_class class_of(const char *verb, size_t argc, size_t queued)
{
    struct slice argv[256];

    argv[0] = (struct slice){verb, strlen(verb)};
    for (size_t i = 1; i < argc; i++)
        argv[i] = (struct slice){"x", 1};
    return rate_class_of(command_of(argv, argc), argv, argc, queued);
}

static void test_by_name(void **state)
{
    static const char *const search[] = {"SCAN", "keys", "Sort", "ZRANGEBYSCORE", "HSCAN", "GEOSEARCH", "SINTER", "ZUNIONSTORE", "LPOS", "FT.SEARCH", "ft.aggregate"};
    static const char *const plain[] = {"GET", "SET", "HGETALL", "LRANGE", "ZRANGE", "EVAL", "DEL", "SUBSCRIBE", "FT.", "FTX.A", "nothing"};

    for (size_t i = 0; i < sizeof search / sizeof search[0]; i++)
        assert_int_equal(class_of(search[i], 4, 0), RATE_SEARCH);
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        assert_int_equal(class_of(plain[i], 4, 0), RATE_DEFAULT);
    assert_int_equal(class_of("MSET", 3, 0), RATE_BULK);
    assert_int_equal(class_of("msetnx", 3, 0), RATE_BULK);
}

static void test_by_size(void **state)
{
    assert_int_equal(class_of("RPUSH", RATE_BULK_ARGS + 1, 0), RATE_DEFAULT);
    assert_int_equal(class_of("RPUSH", RATE_BULK_ARGS + 2, 0), RATE_BULK);
    assert_int_equal(class_of("HSET", RATE_BULK_ARGS + 2, 0), RATE_BULK);
    assert_int_equal(class_of("MGET", RATE_BULK_ARGS + 2, 0), RATE_DEFAULT); /* a read */
    assert_int_equal(class_of("SINTER", RATE_BULK_ARGS + 2, 0), RATE_SEARCH);
}

static void test_in_multi(void **state)
{
    assert_int_equal(class_of("SET", 3, RATE_BULK_COMMANDS - 1), RATE_DEFAULT);
    assert_int_equal(class_of("SET", 3, RATE_BULK_COMMANDS), RATE_BULK);
    assert_int_equal(class_of("SET", 3, RATE_BULK_COMMANDS + 1), RATE_DEFAULT);
    assert_int_equal(class_of("GET", 2, 2 * RATE_BULK_COMMANDS), RATE_BULK);
}

static void test_names(void **state)
{
    assert_string_equal(rate_class_name(RATE_DEFAULT), "default");
    assert_string_equal(rate_class_name(RATE_SEARCH), "search");
    assert_string_equal(rate_class_name(RATE_BULK), "bulk");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_by_name), cmocka_unit_test(test_by_size),
                                       cmocka_unit_test(test_in_multi), cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
