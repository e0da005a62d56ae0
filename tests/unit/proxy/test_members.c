/* What proxies say of themselves, and what follows when one falls silent: time goes by as the test says. */
#include "proxy/members.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define SECOND 1000000ll

/* a (self), b and c on one ledger, since second 100. */
static struct members three(void)
{
    struct members m = {.self = "a"};
    struct ledger l;

    ledger_init(&l);
    assert_true(ledger_add_member(&l, "b"));
    assert_true(ledger_add_member(&l, "a"));
    assert_true(ledger_add_member(&l, "c"));
    members_follow(&m, &l, 100 * SECOND);
    ledger_done(&l);
    return m;
}

static void hear(struct members *m, const char *id, struct member_word word, int64_t now_us)
{
    bson_t *doc = members_write(&word);

    members_hear(m, id, word.beat + 1, (struct slice){(const char *)bson_get_data(doc), doc->len}, now_us);
    bson_destroy(doc);
}

static void test_all_must_be_quiet(void **state)
{
    struct members m = three();

    assert_false(members_quiet(&m, 5, 100 * SECOND, 101 * SECOND));
    hear(&m, "b", (struct member_word){.beat = 1, .quiet = 5, .copied = true}, 101 * SECOND);
    assert_false(members_quiet(&m, 5, 100 * SECOND, 101 * SECOND));
    hear(&m, "c", (struct member_word){.beat = 1, .quiet = 5}, 101 * SECOND);
    assert_true(members_quiet(&m, 5, 100 * SECOND, 101 * SECOND));
    assert_false(members_copied(&m, 5, 100 * SECOND, 101 * SECOND)); /* c owes something */
    hear(&m, "c", (struct member_word){.beat = 2, .quiet = 5, .copied = true}, 101 * SECOND);
    assert_true(members_copied(&m, 5, 100 * SECOND, 101 * SECOND));
    assert_false(members_quiet(&m, 6, 101 * SECOND, 102 * SECOND)); /* under the next ledger */
}

/* A silent member's lease is over after its length and the margin: from when it was heard last, or from the ledger's change. */
static void test_a_silent_member(void **state)
{
    struct members m = three();
    int64_t over = MEMBERS_LEASE_US + MEMBERS_MARGIN_US;

    hear(&m, "b", (struct member_word){.beat = 1, .quiet = 5, .copied = true}, 101 * SECOND);
    hear(&m, "c", (struct member_word){.beat = 1, .quiet = 4}, 101 * SECOND);
    hear(&m, "c", (struct member_word){.beat = 2, .quiet = 4}, 103 * SECOND);
    assert_false(members_quiet(&m, 5, 102 * SECOND, 103 * SECOND + over - 1));
    assert_true(members_quiet(&m, 5, 102 * SECOND, 103 * SECOND + over));
    assert_false(members_quiet(&m, 5, 104 * SECOND,
                               104 * SECOND + over - 1)); /* it may have read just before the change */
    assert_true(members_quiet(&m, 5, 104 * SECOND, 104 * SECOND + over));
    hear(&m, "c", (struct member_word){.beat = 3, .quiet = 4}, 107 * SECOND); /* it lives, and is not quiet */
    assert_false(members_quiet(&m, 5, 102 * SECOND, 108 * SECOND));
}

/* The same word read again is no life. */
static void test_a_word_that_stays(void **state)
{
    struct members m = three();

    hear(&m, "b", (struct member_word){.beat = 7}, 101 * SECOND);
    hear(&m, "b", (struct member_word){.beat = 7}, 105 * SECOND);
    assert_int_equal(m.list[0].heard_us, 100 * SECOND); /* since it is in the table */
    hear(&m, "b", (struct member_word){.beat = 8}, 106 * SECOND);
    assert_int_equal(m.list[0].heard_us, 106 * SECOND);
}

static void test_votes(void **state)
{
    struct members m = three();

    hear(&m, "b", (struct member_word){.beat = 1, .lost = true}, 101 * SECOND);
    hear(&m, "c", (struct member_word){.beat = 1}, 101 * SECOND);
    assert_false(members_lost(&m, false, 102 * SECOND));
    assert_true(members_lost(&m, true, 102 * SECOND)); /* two of three */
    hear(&m, "c", (struct member_word){.beat = 2}, 110 * SECOND);
    assert_false(members_lost(&m, true, 111 * SECOND)); /* b is not heard: one of two is no majority */
    assert_true(members_lost(&m, true, 120 * SECOND));  /* nobody else is heard */
}

static void test_who_decides(void **state)
{
    struct members m = three();

    hear(&m, "b", (struct member_word){.beat = 1}, 101 * SECOND);
    hear(&m, "b", (struct member_word){.beat = 2}, 102 * SECOND);
    assert_false(members_leads(&m, 103 * SECOND));
    assert_true(members_leads(&m, 106 * SECOND)); /* b is silent */
    assert_null(members_gone(&m, 108 * SECOND));
    assert_string_equal(members_gone(&m, 113 * SECOND), "b");
}

static void test_the_table_follows_the_ledger(void **state)
{
    struct members m = three();
    struct ledger l;

    hear(&m, "c", (struct member_word){.beat = 3, .quiet = 9}, 101 * SECOND);
    ledger_init(&l);
    assert_true(ledger_add_member(&l, "c"));
    assert_true(ledger_add_member(&l, "a"));
    assert_true(ledger_add_member(&l, "d"));
    members_follow(&m, &l, 105 * SECOND);
    assert_int_equal(m.n, 3);
    assert_int_equal(m.list[0].word.quiet, 9);
    assert_string_equal(m.list[2].id, "d");
    assert_int_equal(m.list[2].heard_us, 105 * SECOND);
    hear(&m, "b", (struct member_word){.beat = 1}, 106 * SECOND); /* it is none any more */
    assert_int_equal(m.n, 3);
    ledger_done(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_must_be_quiet), cmocka_unit_test(test_a_silent_member),
        cmocka_unit_test(test_a_word_that_stays), cmocka_unit_test(test_votes),
        cmocka_unit_test(test_who_decides),       cmocka_unit_test(test_the_table_follows_the_ledger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
