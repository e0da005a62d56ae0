#include "base/clock.h"

#include <errno.h>
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

/* A wait ends by the monotonic clock: a condition that nobody signals returns when that has come so far, not before. */
static void test_waits(void **state)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    int64_t from = clock_mono_us();
    struct timespec until = clock_after_us(2999999);

    int64_t told = (int64_t)until.tv_sec * 1000000 + until.tv_nsec / 1000;
    assert_true(told >= from + 2999998 && told <= clock_mono_us() + 2999999);
    assert_true(until.tv_nsec >= 0 && until.tv_nsec < 1000000000);
    clock_cond_init(&cond);
    until = clock_after_us(20000);
    pthread_mutex_lock(&lock);
    int rc = 0;
    while (rc == 0)
        rc = pthread_cond_timedwait(&cond, &lock, &until);
    pthread_mutex_unlock(&lock);
    assert_int_equal(rc, ETIMEDOUT);
    assert_true(clock_mono_us() - from >= 20000);
    pthread_cond_destroy(&cond);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts),
        cmocka_unit_test(test_waits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
