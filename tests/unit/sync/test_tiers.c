#include "sync/tiers.h"

#include "engine/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

static struct tiers *tiers;
static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    tiers = tiers_new();
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    tiers_free(tiers);
    arena_done(&arena);
    return 0;
}

static struct slice slice(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* ---- importance ---- */

static int of_string(const char *text, const char *member)
{
    struct policy_conf p = {.tier_importance = (char *)member};
    struct object o = {.type = OBJECT_STRING, .v.string = slice(text)};
    return tiers_importance(&p, &o);
}

static void test_importance(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int importance;
    } cases[] = {
        {"{\"i\": 0.9}", 90}, {"{\"i\": 0}", 0}, {"{\"i\": 1}", 100}, {"{\"i\": 0.555}", 56},
        {"{\"i\": 1.5}", 50}, {"{\"i\": -0.1}", 50}, {"{\"i\": \"0.9\"}", 50}, {"{\"j\": 0.9}", 50},
        {"[{\"i\": 0.1}, {\"i\": 0.8}]", 80}, {"[]", 50}, {"", 50}, {"0.9", 50}, {"{\"i\": 0.9", 50}, {"[1, 2]", 50},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(of_string(cases[i].text, "i"), cases[i].importance);
    assert_int_equal(of_string("{\"i\": 0.9}", ""), 50);
}

static void test_importance_of_the_newest_message(void **state)
{
    (void)state;
    struct policy_conf p = {.tier_importance = (char *)"i"};
    struct object o = {.type = OBJECT_LIST, .v.list = list_new(&arena, 2)};

    assert_int_equal(tiers_importance(&p, &o), 50);
    list_push(o.v.list, slice("{\"i\": 0.9}"), false);
    list_push(o.v.list, slice("{\"i\": 0.2}"), false);
    assert_int_equal(tiers_importance(&p, &o), 20);
}

/* ---- rules ---- */

static void test_rules(void **state)
{
    (void)state;
    struct policy_conf p = {.tier_warm_after = 1000, .tier_cold_after = 5000, .tier_demote_below = 60, .tier_keep_above = 80, .tier_keep_accesses = 10};

    assert_int_equal(tiers_level(&p, 999), RECORD_WORKING);
    assert_int_equal(tiers_level(&p, 1000), RECORD_WARM);
    assert_int_equal(tiers_level(&p, 4999), RECORD_WARM);
    assert_int_equal(tiers_level(&p, 5000), RECORD_COLD);
    assert_true(tiers_lets_go(&p, 59, 200));
    assert_false(tiers_lets_go(&p, 60, 0));
    assert_false(tiers_keeps(&p, 80, 200));
    assert_false(tiers_keeps(&p, 81, 10));
    assert_true(tiers_keeps(&p, 81, 11));
    p.tier_demote_below = 101; /* all, but what is used much */
    assert_true(tiers_lets_go(&p, 100, 10));
    assert_false(tiers_lets_go(&p, 100, 11));
}

/* ---- figures ---- */

static void test_moves_and_what_stays(void **state)
{
    (void)state;
    struct tiers_count c[2];

    tiers_moved(tiers, "conv", RECORD_WORKING, RECORD_WARM, 3);
    assert_int_equal(tiers_counts(tiers, c, 2), 1);
    assert_int_equal(c[0].working, -1); /* nobody has counted them yet */
    assert_int_equal(tiers_last(tiers, "conv"), 0);
    tiers_seen(tiers, "conv", &(struct tiers_seen){.keys = 13, .left = 3, .due = 2, .due_since_us = 4000000});
    assert_int_equal(tiers_last(tiers, "conv"), 0);
    tiers_swept(tiers, "conv", 5000000);
    tiers_moved(tiers, "conv", RECORD_WORKING, RECORD_WARM, 2);
    tiers_moved(tiers, "conv", RECORD_WARM, RECORD_COLD, 1);
    tiers_moved(tiers, "conv", RECORD_COLD, RECORD_WORKING, 1);
    tiers_moved(tiers, "notes", RECORD_WARM, RECORD_WORKING, 1);
    assert_int_equal(tiers_counts(tiers, c, 2), 2);
    assert_int_equal(c[0].working, 9); /* what has left or come since counts once */
    assert_int_equal(c[0].moves[RECORD_WORKING][RECORD_WARM], 5);
    assert_int_equal(c[0].moves[RECORD_WARM][RECORD_COLD], 1);
    assert_int_equal(c[0].moves[RECORD_COLD][RECORD_WORKING], 1);
    assert_int_equal(c[0].due, 2);
    assert_int_equal(c[0].due_since_us, 4000000);
    assert_int_equal(c[1].working, -1);
    assert_int_equal(tiers_last(tiers, "conv"), 5000000);
    tiers_moved(tiers, "conv", RECORD_WORKING, RECORD_WARM, 50);
    tiers_counts(tiers, c, 1);
    assert_int_equal(c[0].working, 0); /* keys that were made since were not counted */
    tiers_seen(tiers, "conv", &(struct tiers_seen){.keys = 1, .due_since_us = 4000000});
    tiers_counts(tiers, c, 1);
    assert_int_equal(c[0].due_since_us, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_importance),
        TEST(test_importance_of_the_newest_message),
        TEST(test_rules),
        TEST(test_moves_and_what_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
