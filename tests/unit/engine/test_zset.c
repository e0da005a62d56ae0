#include "engine/geohash.h"
#include "engine/zset.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#define MEMBERS 200

static struct slice of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* Random changes against an array that is searched from end to end. */
static void test_against_model(void **state)
{
    static char names[MEMBERS][8];
    double model[MEMBERS];
    size_t count = 0;
    uint32_t random = 12345;
    struct arena a;

    arena_init(&a);
    struct zset *z = zset_new(&a, 0);
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        model[i] = NAN;
    }
    for (int step = 0; step < 5000; step++) {
        random = random * 1664525u + 1013904223u;
        int m = (int)(random >> 8) % MEMBERS;
        int64_t at = zset_find(z, of(names[m]));
        assert_int_equal(at >= 0, !isnan(model[m]));
        if ((random >> 24) % 3 == 0 && at >= 0) {
            assert_true(z->rows[at].score == model[m]);
            zset_remove_range(z, (size_t)at, 1);
            model[m] = NAN;
            count--;
        } else {
            double score = (double)((random >> 16) % 50);
            assert_int_equal(zset_set(z, of(names[m]), score), at < 0);
            count += at < 0;
            model[m] = score;
        }
        assert_int_equal(z->count, count);
    }
    for (size_t i = 1; i < z->count; i++)
        assert_true(z->rows[i - 1].score < z->rows[i].score ||
                    (z->rows[i - 1].score == z->rows[i].score &&
                     strcmp(z->rows[i - 1].member.p, z->rows[i].member.p) < 0));
    arena_done(&a);
}

static void test_ranges_and_sorting(void **state)
{
    struct arena a;
    struct zset_row rows[] = {{of("c"), 1}, {of("b"), INFINITY}, {of("a"), 1}, {of("ab"), -INFINITY}};

    arena_init(&a);
    zset_sort(rows, 4);
    struct zset *z = zset_new(&a, 0);
    for (size_t i = 0; i < 4; i++)
        zset_append(z, rows[i].member, rows[i].score);
    assert_int_equal(zset_find(z, of("ab")), 0);
    assert_int_equal(zset_find(z, of("a")), 1);
    assert_int_equal(zset_find(z, of("c")), 2);
    assert_int_equal(zset_find(z, of("b")), 3);
    zset_remove_range(z, 1, 2);
    assert_int_equal(z->count, 2);
    assert_int_equal(zset_find(z, of("a")), -1);
    assert_int_equal(zset_find(z, of("b")), 1);
    zset_sort(NULL, 0);
    arena_done(&a);
}

/* The numbers of the example on redis.io's page of GEODIST. */
static void test_geohash(void **state)
{
    struct geohash_point palermo = {13.361389, 38.115556}, catania = {15.087269, 37.502669};
    uint64_t p = geohash_encode(palermo, GEOHASH_LAT_MAX), c = geohash_encode(catania, GEOHASH_LAT_MAX);
    double metres = geohash_distance(geohash_decode((double)p), geohash_decode((double)c));

    assert_true(p == 3479099956230698u);
    assert_true(c == 3479447370796909u);
    assert_true(fabs(metres - 166274.1516) < 0.0001);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_model),
                                       cmocka_unit_test(test_ranges_and_sorting),
                                       cmocka_unit_test(test_geohash)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
