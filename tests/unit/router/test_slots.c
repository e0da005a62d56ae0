/* Slots as a Redis Cluster computes them; tests/system/test_cluster.py asks a real one. */
#include "router/slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static uint16_t slot(const char *key)
{
    return slots_of((struct slice){key, strlen(key)});
}

static void known_ones(void **state)
{
    assert_int_equal(slot("123456789"), 0x31c3); /* the check value of CRC16/XMODEM */
    assert_int_equal(slot("foo"), 12182);
    assert_int_equal(slot("bar"), 5061);
    assert_int_equal(slot(""), 0);
    assert_int_equal(slots_of((struct slice){NULL, 0}), 0);
}

static void tags(void **state)
{
    assert_int_equal(slot("{foo}.a"), slot("foo"));
    assert_int_equal(slot("x{foo}y{bar}"), slot("foo"));
    assert_int_equal(slot("{{foo}}"), slot("{foo"));
    assert_int_equal(slot("a}{foo}"), slot("foo"));
    assert_int_not_equal(slot("{}foo"), slot("")); /* nothing between: the whole key counts */
    assert_int_not_equal(slot("{foo"), slot("foo"));
    assert_int_not_equal(slot("foo}"), slot("foo"));
    assert_int_not_equal(slot("{}{foo}"), slot("foo")); /* only the first pair counts */
}

static void all_in_range(void **state)
{
    char key[3] = {0};

    for (int i = 0; i < 65536; i++) {
        key[0] = (char)(i >> 8);
        key[1] = (char)i;
        assert_true(slots_of((struct slice){key, 2}) < SLOTS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(known_ones), cmocka_unit_test(tags), cmocka_unit_test(all_in_range)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
