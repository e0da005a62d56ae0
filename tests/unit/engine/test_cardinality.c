#include "engine/cardinality.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* What PFDEBUG GETREG of redis-server 7.0.15 shows after PFADD of one element: every length of the hash's
 * tail. */
static const struct {
    const char *element;
    unsigned at;
    uint8_t value;
} elements[] = {
    {"", 5938, 2},
    {"a", 12711, 2},
    {"ab", 719, 1},
    {"abc", 9474, 1},
    {"abcd", 11070, 8},
    {"abcde", 3726, 4},
    {"abcdef", 13647, 2},
    {"abcdefg", 5634, 2},
    {"abcdefgh", 1383, 1},
    {"abcdefghi", 6903, 1},
    {"The quick brown fox jumps over the lazy dog", 6862, 4},
};

/* What its PFCOUNT says of a dense string whose first n registers hold a value. */
static const struct {
    unsigned n;
    uint8_t value;
    int64_t count;
} estimates[] = {
    {0, 0, 0},
    {1, 1, 1},
    {1, 51, 1},
    {1, 63, 1},
    {10, 3, 10},
    {1000, 1, 1031},
    {8192, 2, 11635},
    {16384, 1, 23637},
    {16384, 5, 378194},
    {16383, 51, 193623433},
    {16384, 30, 12690079782337},
};

static void registers_are_those_of_redis(void **state)
{
    for (size_t i = 0; i < COUNT(elements); i++) {
        uint8_t value = 0;
        unsigned at =
            cardinality_register((struct slice){elements[i].element, strlen(elements[i].element)}, &value);
        assert_int_equal(at, elements[i].at);
        assert_int_equal(value, elements[i].value);
    }
}

static void estimates_are_those_of_redis(void **state)
{
    for (size_t i = 0; i < COUNT(estimates); i++) {
        uint8_t registers[CARDINALITY_REGISTERS] = {0};
        memset(registers, estimates[i].value, estimates[i].n);
        assert_int_equal(cardinality_estimate(registers), estimates[i].count);
    }
}

/* 2^14 registers promise a standard error of 0.81%; four times that is no accident. */
static void many_elements_are_counted_within_the_error(void **state)
{
    uint8_t registers[CARDINALITY_REGISTERS] = {0};
    const int64_t n = 200000;

    for (int64_t i = 0; i < n; i++) {
        char text[32];
        uint8_t value;
        size_t len = (size_t)snprintf(text, sizeof text, "element %d", (int)i);
        unsigned at = cardinality_register((struct slice){text, len}, &value);
        assert_true(at < CARDINALITY_REGISTERS && value >= 1 && value <= 51);
        if (registers[at] < value)
            registers[at] = value;
    }
    int64_t count = cardinality_estimate(registers);
    assert_true(count > n - n * 324 / 10000 && count < n + n * 324 / 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(registers_are_those_of_redis),
        cmocka_unit_test(estimates_are_those_of_redis),
        cmocka_unit_test(many_elements_are_counted_within_the_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
