/* Pauses between attempts, and the token bucket that all loops share. */
#include "backends/redis/backoff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static int64_t base_ms(unsigned failures, int64_t min_ms, int64_t max_ms)
{
    int64_t ms = min_ms;
    for (unsigned i = 1; i < failures && ms < max_ms; i++)
        ms *= 2;
    return ms < max_ms ? ms : max_ms;
}

static void test_pause_bounds(void **state)
{
    struct backoff b = {0};
    assert_int_equal(backoff_pause_us(&b, 50, 500), 0);
    for (b.failures = 1; b.failures < 100; b.failures++) {
        int64_t us = base_ms(b.failures, 50, 500) * 1000;
        for (int i = 0; i < 50; i++) {
            int64_t pause = backoff_pause_us(&b, 50, 500);
            assert_true(pause >= us * 3 / 4 && pause <= us * 5 / 4);
        }
    }
}

static void test_extreme_settings(void **state)
{
    struct backoff b = {.failures = 4000000000u};
    int64_t pause = backoff_pause_us(&b, 60000, 60000);
    assert_true(pause >= 45000000 && pause <= 75000000);
    pause = backoff_pause_us(&b, 60000, 1); /* the most wins */
    assert_true(pause >= 750 && pause <= 1250);
}

/* Connections that were lost together must not come back together. */
static void test_jitter_spreads(void **state)
{
    struct backoff b = {.failures = 1};
    int64_t least = INT64_MAX, most = 0, sum = 0;
    for (int i = 0; i < 1000; i++) {
        int64_t pause = backoff_pause_us(&b, 100, 1000);
        least = pause < least ? pause : least;
        most = pause > most ? pause : most;
        sum += pause;
    }
    assert_true(least < 80000 && most > 120000);
    assert_true(sum > 95000 * 1000 && sum < 105000 * 1000);
}

static int64_t now_us = 1000000; /* the bucket is the process's: tests go on where the last one stopped */

static int take_all(int64_t rate)
{
    int got = 0;
    while (connect_budget_take(now_us, rate))
        got++;
    return got;
}

static void test_bucket_starts_full_and_refills(void **state)
{
    assert_int_equal(take_all(50), 50);
    now_us += 100000;
    assert_int_equal(take_all(50), 5);
    now_us += 60 * 1000000ll; /* it holds a second's worth, not a minute's */
    assert_int_equal(take_all(50), 50);
}

/* Many loops ask far more often than one token takes to arrive: the time between two calls must not be lost.
 */
static void test_frequent_calls_lose_no_time(void **state)
{
    static const int64_t rates[] = {1, 3, 50, 1000};

    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        take_all(rates[i]);
        int64_t got = 0;
        for (int64_t end = now_us + 5000000; now_us < end; now_us += 7)
            got += connect_budget_take(now_us, rates[i]);
        assert_true(got >= 5 * rates[i] - 1 && got <= 5 * rates[i] + 1);
    }
}

/* Each loop has its own idea of now. */
static void test_time_may_go_back(void **state)
{
    take_all(50);
    assert_false(connect_budget_take(now_us - 500000, 50));
    assert_false(connect_budget_take(now_us, 50));
    now_us += 20000;
    assert_true(connect_budget_take(now_us, 50));
}

static void test_rate_may_change(void **state)
{
    now_us += 10000000;
    assert_int_equal(take_all(10), 10);
    now_us += 1000000;
    assert_int_equal(take_all(100000), 100000);
    now_us += 1000000;
    assert_int_equal(take_all(1), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pause_bounds),
        cmocka_unit_test(test_extreme_settings),
        cmocka_unit_test(test_jitter_spreads),
        cmocka_unit_test(test_bucket_starts_full_and_refills),
        cmocka_unit_test(test_frequent_calls_lose_no_time),
        cmocka_unit_test(test_time_may_go_back),
        cmocka_unit_test(test_rate_may_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
