/* Names are found as long as they are in the table, whatever their hashes. */
#include "base/hashed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAMES 5000

struct thing {
    struct hashed_node node; /* first */
    char name[16];
    bool in;
};

static struct slice name_of(const struct thing *t)
{
    return (struct slice){t->name, strlen(t->name)};
}

static bool is_found(const struct hashed *h, const struct thing *t)
{
    for (struct hashed_node *n = hashed_find(h, hashed_name(name_of(t), 0)); n != NULL; n = hashed_again(n))
        if (n == &t->node)
            return true;
    return false;
}

static void test_names_come_and_go(void **state)
{
    struct thing *things = calloc(NAMES, sizeof *things);
    struct hashed h = {0};

    assert_non_null(things);
    for (int i = 0; i < NAMES; i++) {
        snprintf(things[i].name, sizeof things[i].name, "%d", i);
        assert_false(is_found(&h, &things[i]));
        hashed_add(&h, &things[i].node, hashed_name(name_of(&things[i]), 0));
    }
    assert_int_equal(h.count, NAMES);
    for (int i = 0; i < NAMES; i += 2)
        hashed_remove(&h, &things[i].node);
    for (int i = 0; i < NAMES; i++)
        assert_int_equal(is_found(&h, &things[i]), i % 2);
    for (int i = 1; i < NAMES; i += 2)
        hashed_remove(&h, &things[i].node);
    assert_int_equal(h.count, 0);
    assert_null(h.cells);
    free(things);
}

static void test_equal_hashes_are_kept_apart(void **state)
{
    struct thing a = {.name = "a"}, b = {.name = "b"}, c = {.name = "c"};
    struct thing *all[] = {&a, &b, &c};
    struct hashed h = {0};

    for (int i = 0; i < 3; i++)
        hashed_add(&h, &all[i]->node, 7);
    hashed_remove(&h, &b.node);
    int seen = 0;
    for (struct hashed_node *n = hashed_find(&h, 7); n != NULL; n = hashed_again(n)) {
        assert_ptr_not_equal(n, &b.node);
        seen++;
    }
    assert_int_equal(seen, 2);
    assert_null(hashed_find(&h, 7 + 16)); /* the same cell */
    hashed_remove(&h, &a.node);
    hashed_remove(&h, &c.node);
}

static void test_names_differ_by_every_byte_and_kind(void **state)
{
    static const struct slice names[] = {{"", 0},       {"\0", 1},         {"\0\0", 2},        {"a", 1},
                                         {"12345678", 8}, {"123456789", 9}, {"12345678\0", 9}, {"22345678", 8}};
    enum { N = sizeof names / sizeof names[0] };

    for (int i = 0; i < N; i++) {
        assert_int_not_equal(hashed_name(names[i], 0), hashed_name(names[i], 1));
        for (int k = 0; k < i; k++)
            assert_int_not_equal(hashed_name(names[i], 0), hashed_name(names[k], 0));
    }
    int a, b;
    assert_int_not_equal(hashed_pair(&a, &b), hashed_pair(&b, &a));
}

static void remove_it(void *ctx, struct hashed_node *node)
{
    hashed_remove(ctx, node);
}

static void test_all_are_shown_and_may_go(void **state)
{
    struct thing things[100] = {0};
    struct hashed h = {0};

    for (int i = 0; i < 100; i++) {
        snprintf(things[i].name, sizeof things[i].name, "%d", i);
        hashed_add(&h, &things[i].node, hashed_name(name_of(&things[i]), 0));
    }
    hashed_each(&h, remove_it, &h);
    assert_int_equal(h.count, 0);
    hashed_each(&h, remove_it, &h); /* nothing is there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_come_and_go),
        cmocka_unit_test(test_equal_hashes_are_kept_apart),
        cmocka_unit_test(test_names_differ_by_every_byte_and_kind),
        cmocka_unit_test(test_all_are_shown_and_may_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
