#include "base/hist.h"
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A fixed sequence, so that a failure repeats. */
static uint64_t seed = 88172645463325252ull;

static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

static double next_unit(void)
{
    return (double)(next_random() >> 11) / 9007199254740992.0;
}

static int64_t draw_uniform(void)
{
    return 1 + (int64_t)(next_random() % 100000);
}

/* Many small values and a long tail. */
static int64_t draw_skewed(void)
{
    double u = next_unit();
    return 1 + (int64_t)(u * u * u * u * 500000);
}

/* Every order of magnitude from 1 µs to 67 s alike. */
static int64_t draw_wide(void)
{
    int bits = (int)(next_random() % 26);
    return (int64_t)1 << bits | (int64_t)(next_random() & (((uint64_t)1 << bits) - 1));
}

static int64_t draw_two_peaks(void)
{
    return next_random() % 10 == 0 ? 2000000 + (int64_t)(next_random() % 1000)
                                   : 90 + (int64_t)(next_random() % 20);
}

static int64_t draw_small(void)
{
    return 1 + (int64_t)(next_random() % 31);
}

static double distance(double a, double b)
{
    return a > b ? a - b : b - a;
}

/* Position in sorted data of the sample with the rank q * n, counted from 1 and rounded up. */
static size_t nearest_rank(double q, size_t n)
{
    size_t i = (size_t)(q * (double)n);
    return (double)i < q * (double)n ? i : i - 1;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void check_quantiles(int64_t (*draw)(void), double bound)
{
    enum { N = 20000 };
    static const double qs[] = {0.0001, 0.01, 0.1, 0.5, 0.9, 0.95, 0.99, 0.999, 1.0};
    static int64_t all[N];
    static struct hist h;
    static struct hist_sum sum;
    uint64_t total = 0;

    memset(&h, 0, sizeof h);
    memset(&sum, 0, sizeof sum);
    for (int i = 0; i < N; i++) {
        all[i] = draw();
        total += (uint64_t)all[i];
        hist_record(&h, all[i]);
    }
    qsort(all, N, sizeof all[0], by_value);
    hist_add_to(&h, &sum);
    assert_int_equal(sum.count, N);
    assert_int_equal(sum.sum, total);
    for (size_t i = 0; i < sizeof qs / sizeof qs[0]; i++) {
        double exact = (double)all[nearest_rank(qs[i], N)];
        double got = hist_quantile(&sum, qs[i]);
        if (distance(got, exact) > bound * exact)
            fail_msg("q=%g: %g, exactly %g", qs[i], got, exact);
    }
}

static void test_error_bound(void **state)
{
    check_quantiles(draw_uniform, 0.032);
    check_quantiles(draw_skewed, 0.032);
    check_quantiles(draw_wide, 0.032);
    check_quantiles(draw_two_peaks, 0.032);
    check_quantiles(draw_small, 0.0);
}

static double only_value(int64_t us, double q)
{
    static struct hist h;
    static struct hist_sum sum;

    memset(&h, 0, sizeof h);
    memset(&sum, 0, sizeof sum);
    hist_record(&h, us);
    hist_add_to(&h, &sum);
    return hist_quantile(&sum, q);
}

/* Each power of two and its neighbours, alone in a histogram. */
static void test_every_power(void **state)
{
    for (int bit = 0; bit < 36; bit++)
        for (int64_t us = ((int64_t)1 << bit) - 1; us <= ((int64_t)1 << bit) + 1; us++) {
            double want = us < 1 ? 1 : (double)us;
            assert_true(distance(only_value(us, 0.0), want) <= want / 32);
            assert_true(distance(only_value(us, 1.0), want) <= want / 32);
        }
}

static void test_ends_of_the_range(void **state)
{
    const double top = 68719476735.0; /* 2^36 - 1 */

    assert_true(only_value(-5, 0.5) == 1);
    assert_true(only_value(0, 0.5) == 1);
    assert_true(only_value(INT64_MIN, 0.5) == 1);
    assert_true(distance(only_value((int64_t)1 << 36, 1.0), top) < 1);
    assert_true(distance(only_value(INT64_MAX, 1.0), top) < 1);
}

static void test_empty(void **state)
{
    static struct hist_sum sum;

    memset(&sum, 0, sizeof sum);
    assert_true(hist_quantile(&sum, 0.5) == 0);
    assert_int_equal(hist_count_le(&sum, 1000), 0);
}

static void test_count_le(void **state)
{
    static struct hist h;
    static struct hist_sum sum;

    memset(&h, 0, sizeof h);
    memset(&sum, 0, sizeof sum);
    for (int64_t us = 1; us <= 100000; us++)
        hist_record(&h, us);
    hist_add_to(&h, &sum);
    for (int64_t us = 1; us <= 31; us++)
        assert_int_equal(hist_count_le(&sum, us), us);
    uint64_t before = 0;
    for (int64_t us = 32; us <= 100000; us += 7) {
        uint64_t n = hist_count_le(&sum, us);
        assert_true(n <= (uint64_t)us && (double)n >= (double)us * (1 - 1.0 / 32) - 1 && n >= before);
        before = n;
    }
    assert_int_equal(hist_count_le(&sum, 0), 0);
    assert_int_equal(hist_count_le(&sum, -1), 0);
    assert_int_equal(hist_count_le(&sum, INT64_MAX), 100000);
}

static void test_merge(void **state)
{
    static struct hist a, b;
    static struct hist_sum sum;

    memset(&sum, 0, sizeof sum);
    for (int i = 0; i < 100; i++) {
        hist_record(&a, 10);
        hist_record(&b, 20);
    }
    hist_add_to(&a, &sum);
    hist_add_to(&b, &sum);
    assert_int_equal(sum.count, 200);
    assert_int_equal(sum.sum, 3000);
    assert_true(hist_quantile(&sum, 0.5) == 10);
    assert_true(hist_quantile(&sum, 0.51) == 20);
}

static uint64_t window_count(const struct hist_window *w, int64_t now_us, double *ret_max)
{
    static struct hist_sum sum;
    uint64_t exact = 0;

    memset(&sum, 0, sizeof sum);
    hist_window_add_to(w, now_us, &sum);
    for (uint64_t us = 0; us < HIST_BUCKETS; us++)
        exact += us * sum.buckets[us]; /* the tests below record values with a bucket each */
    assert_int_equal(sum.sum, exact);
    *ret_max = hist_quantile(&sum, 1.0);
    return sum.count;
}

/* One sample a slice, its value the slice's number + 1: after slice n, the last six are left. */
static void test_window_slides(void **state)
{
    static struct hist_window w;
    double max = 0;

    hist_window_init(&w, 1000);
    assert_int_equal(window_count(&w, 0, &max), 0);
    for (int64_t n = 0; n < 30; n++) {
        hist_window_record(&w, n + 1, n * 1000 + 999);
        assert_int_equal(window_count(&w, n * 1000 + 999, &max), n < HIST_SLICES ? n + 1 : HIST_SLICES);
        assert_true(max == (double)(n + 1));
    }
    /* Without new samples the window empties slice by slice. */
    for (int64_t n = 30; n < 40; n++)
        assert_int_equal(window_count(&w, n * 1000, &max), n < 35 ? 35 - n : 0);
}

static void test_window_gap_and_late_sample(void **state)
{
    static struct hist_window w;
    double max = 0;

    hist_window_init(&w, 1000);
    hist_window_record(&w, 5, 500);
    hist_window_record(&w, 7, 1000 * 1000);
    assert_int_equal(window_count(&w, 1000 * 1000, &max), 1);
    assert_true(max == 7);
    /* Its slice would be the one that now holds the newest: it must not come back as new. */
    hist_window_record(&w, 9, (1000 - HIST_SLICES) * 1000);
    assert_int_equal(window_count(&w, 1000 * 1000, &max), 1);
    assert_true(max == 7);
    /* A reader whose clock is a little behind sees what is there. */
    assert_int_equal(window_count(&w, 999 * 1000, &max), 1);
}

/* A recorder that runs through slices as fast as it can, and a reader: whatever the reader gets must belong
 * to slices that were in the window while it read. Slice n records only the value of the mark n % MARKS; each
 * has a bucket of its own, among the last ones, which are cleared last. */
enum { MARKS = 24, BURST = 40, FIRST_BUCKET = HIST_BUCKETS - 32 };

static int64_t mark_value(int64_t mark)
{
    return ((int64_t)1 << 35) + (mark << 30);
}

struct race {
    struct hist_window w;
    _Atomic int64_t slice;
    _Atomic int stop;
};

static void *record_slices(void *arg)
{
    struct race *r = arg;

    for (int64_t n = 0; !atomic_load(&r->stop); n++) {
        atomic_store(&r->slice, n);
        for (int i = 0; i < BURST; i++)
            hist_window_record(&r->w, mark_value(n % MARKS), n * 10);
    }
    return NULL;
}

static bool in_window(int64_t mark, int64_t from, int64_t to)
{
    for (int64_t n = from < 0 ? 0 : from; n <= to; n++)
        if (n % MARKS == mark)
            return true;
    return false;
}

/* 1 when the reading could be judged: the recorder did not run a whole round of marks meanwhile. */
static int read_once(struct race *r)
{
    static struct hist_sum sum;

    memset(&sum, 0, sizeof sum);
    int64_t before = atomic_load(&r->slice);
    hist_window_add_to(&r->w, before * 10, &sum);
    int64_t after = atomic_load(&r->slice);
    if (after - before > MARKS - 2 * HIST_SLICES)
        return 0;
    uint64_t total = 0;
    uint64_t value = 0;
    for (int64_t mark = 0; mark < MARKS; mark++) {
        uint64_t n = sum.buckets[FIRST_BUCKET + mark];
        if (n != 0 && !in_window(mark, before - HIST_SLICES + 1, after))
            fail_msg("slices %lld..%lld hold mark %lld", (long long)before, (long long)after,
                     (long long)mark);
        assert_true(n <= BURST);
        total += n;
        value += n * (uint64_t)mark_value(mark);
    }
    assert_true(sum.sum <= value);
    assert_int_equal(total, sum.count);
    return 1;
}

static void test_reader_beside_recorder(void **state)
{
    static struct race r;
    pthread_t thread;
    int judged = 0;

    hist_window_init(&r.w, 10);
    assert_int_equal(pthread_create(&thread, NULL, record_slices, &r), 0);
    for (int64_t end = clock_mono_us() + 1500000; clock_mono_us() < end;)
        judged += read_once(&r);
    atomic_store(&r.stop, 1);
    pthread_join(thread, NULL);
    assert_true(judged > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_bound),
        cmocka_unit_test(test_every_power),
        cmocka_unit_test(test_ends_of_the_range),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_count_le),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_window_slides),
        cmocka_unit_test(test_window_gap_and_late_sample),
        cmocka_unit_test(test_reader_beside_recorder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
