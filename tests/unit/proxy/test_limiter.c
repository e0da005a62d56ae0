/* Buckets: burst, pace, tenants apart, changed limits, more tenants than there are places; threads share a limit. */
#include "proxy/limiter.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static const struct limit per_minute = {.count = 6, .per_ms = 60000, .burst = 6};

static int64_t take(struct limiter *l, const char *tenant, const struct limit *limit, int64_t now_us)
{
    return limiter_take(l, 1, (struct slice){tenant, strlen(tenant)}, RATE_DEFAULT, limit, now_us);
}

static void test_burst_and_pace(void **state)
{
    struct limiter *l = limiter_new();
    int64_t now = 1000000000;

    for (int i = 0; i < 6; i++)
        assert_int_equal(take(l, "a", &per_minute, now), 0);
    assert_int_equal(take(l, "a", &per_minute, now), 10000000); /* one in ten seconds */
    assert_int_equal(take(l, "a", &per_minute, now + 4000000), 6000000);
    assert_int_equal(take(l, "a", &per_minute, now + 10000000), 0);
    assert_int_equal(take(l, "a", &per_minute, now + 10000000), 10000000);
    assert_int_equal(take(l, "a", &per_minute, now + 3600000000), 0); /* an hour's silence is worth one burst */
    for (int i = 0; i < 5; i++)
        assert_int_equal(take(l, "a", &per_minute, now + 3600000000), 0);
    assert_true(take(l, "a", &per_minute, now + 3600000000) > 0);
    limiter_free(l);
}

static void test_tenants_policies_and_classes_apart(void **state)
{
    struct limiter *l = limiter_new();
    struct limit one = {.count = 1, .per_ms = 60000, .burst = 1};
    struct slice a = {"a", 1}, b = {"b", 1};

    assert_int_equal(limiter_take(l, 1, a, RATE_DEFAULT, &one, 5), 0);
    assert_true(limiter_take(l, 1, a, RATE_DEFAULT, &one, 5) > 0);
    assert_int_equal(limiter_take(l, 1, b, RATE_DEFAULT, &one, 5), 0);
    assert_int_equal(limiter_take(l, 2, a, RATE_DEFAULT, &one, 5), 0);
    assert_int_equal(limiter_take(l, 1, a, RATE_SEARCH, &one, 5), 0);
    assert_int_equal(limiter_take(l, 1, (struct slice){"", 0}, RATE_DEFAULT, &one, 5), 0);
    limiter_free(l);
}

static void test_changed_limit_counts_at_once(void **state)
{
    struct limiter *l = limiter_new();
    struct limit daily = {.count = 2, .per_ms = 86400000, .burst = 2};

    assert_int_equal(take(l, "a", &daily, 1), 0);
    assert_int_equal(take(l, "a", &daily, 1), 0);
    assert_true(take(l, "a", &daily, 1) > INT64_C(3600) * 1000000);
    assert_true(take(l, "a", &per_minute, 1) <= 10000000);
    limiter_free(l);
}

static void count_one(void *ctx, const struct limiter_use *use)
{
    (*(size_t *)ctx)++;
}

static void test_more_tenants_than_places(void **state)
{
    struct limiter *l = limiter_new();
    char name[16];
    size_t n = 0;

    for (int i = 0; i < 3 * LIMITER_TENANTS; i++) {
        snprintf(name, sizeof name, "t%d", i);
        assert_int_equal(take(l, name, &per_minute, 1000 + i), 0);
    }
    limiter_each(l, 1, count_one, &n);
    assert_in_range(n, LIMITER_TENANTS / 2, LIMITER_TENANTS);
    limiter_free(l);
}

struct many {
    struct limiter *l;
    int taken;
};

static void *take_many(void *ctx)
{
    struct many *m = ctx;
    struct limit limit = {.count = 1000, .per_ms = 86400000, .burst = 1000};

    for (int i = 0; i < 2000; i++)
        m->taken += take(m->l, "a", &limit, 1) == 0;
    return NULL;
}

static void test_threads_share_a_limit(void **state)
{
    struct limiter *l = limiter_new();
    struct many many[4];
    pthread_t threads[4];
    int taken = 0;

    for (int i = 0; i < 4; i++) {
        many[i] = (struct many){.l = l};
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &many[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        taken += many[i].taken;
    }
    assert_int_equal(taken, 1000);
    limiter_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_burst_and_pace), cmocka_unit_test(test_tenants_policies_and_classes_apart),
        cmocka_unit_test(test_changed_limit_counts_at_once), cmocka_unit_test(test_more_tenants_than_places),
        cmocka_unit_test(test_threads_share_a_limit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
