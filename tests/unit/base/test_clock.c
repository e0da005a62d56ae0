#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_texts(void **state)
{
    int64_t us = 1795309323004567; /* `date -u -d @1795309323` is 2026-11-22 01:02:03 */
    char text[CLOCK_TEXT];

    clock_text(us, text);
    assert_string_equal(text, "2026-11-22T01:02:03Z");
    clock_text_ms(us, text);
    assert_string_equal(text, "2026-11-22T01:02:03.004Z");
    clock_stamp(us, text);
    assert_string_equal(text, "20261122-010203");
    clock_text_ms(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
