/* The ledger as a document and back, and the members that it names. */
#include "proxy/ledger.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

static struct slice bytes_of(const bson_t *doc)
{
    return (struct slice){(const char *)bson_get_data(doc), doc->len};
}

static void read_back(const struct ledger *l, struct ledger *ret)
{
    bson_t *doc = ledger_write(l);

    ledger_init(ret);
    ledger_read(ret, bytes_of(doc));
    bson_destroy(doc);
}

static void test_round_trip(void **state)
{
    struct ledger l, back;

    ledger_init(&l);
    l.epoch = 300;
    l.lost_epoch = 299;
    l.serial = 17;
    snprintf(l.run_id, sizeof l.run_id, "0123abcd");
    assert_true(ledger_add_member(&l, "aa"));
    assert_true(ledger_add_member(&l, "bb"));
    *ledger_policy(&l, "conv") = (struct ledger_policy){ledger_policy(&l, "conv")->name, ACTED_JOURNAL,
                                                        WANTED_REDIS, true, PLACE_CLAIM};
    ledger_policy(&l, "other")->acted = ACTED_REDIS;
    read_back(&l, &back);
    assert_int_equal(back.epoch, 300);
    assert_int_equal(back.lost_epoch, 299);
    assert_int_equal(back.serial, 17);
    assert_string_equal(back.run_id, "0123abcd");
    assert_int_equal(back.nmembers, 2);
    assert_string_equal(back.members[1], "bb");
    assert_int_equal(ledger_acted(&back, "conv"), ACTED_JOURNAL);
    assert_int_equal(ledger_wanted(&back, "conv"), WANTED_REDIS);
    assert_true(ledger_policy(&back, "conv")->placed);
    assert_int_equal(ledger_policy(&back, "conv")->place, PLACE_CLAIM);
    assert_int_equal(ledger_acted(&back, "other"), ACTED_REDIS);
    assert_false(ledger_policy(&back, "other")->placed);
    assert_int_equal(ledger_acted(&back, "unknown"), ACTED_NONE);
    ledger_done(&l);
    ledger_done(&back);
}

/* Every place has a word of its own. */
static void test_places(void **state)
{
    for (int p = 0; p < PLACES; p++) {
        struct ledger l, back;
        ledger_init(&l);
        ledger_policy(&l, "conv")->placed = true;
        ledger_policy(&l, "conv")->place = (enum place)p;
        read_back(&l, &back);
        assert_int_equal(ledger_policy(&back, "conv")->place, p);
        ledger_done(&l);
        ledger_done(&back);
    }
}

static void test_the_epoch_never_falls(void **state)
{
    struct ledger l, newer;

    ledger_init(&l);
    l.epoch = 260;
    ledger_init(&newer);
    newer.epoch = 270;
    bson_t *doc = ledger_write(&l);
    ledger_read(&newer, bytes_of(doc));
    assert_int_equal(newer.epoch, 270);
    bson_destroy(doc);
    ledger_done(&l);
    ledger_done(&newer);
}

/* A document of somebody else's, or a damaged one, changes nothing and breaks nothing. */
static void test_other_documents(void **state)
{
    struct ledger l;
    bson_t *doc = BCON_NEW("ep", BCON_UTF8("many"), "members", BCON_INT32(3), "policies", "[", BCON_INT32(1),
                           "]", "run", BCON_NULL, "serial", BCON_DOUBLE(1.5));

    ledger_init(&l);
    ledger_read(&l, bytes_of(doc));
    ledger_read(&l, (struct slice){"\x05", 1});
    ledger_read(&l, (struct slice){(const char *)bson_get_data(doc), doc->len - 3});
    assert_int_equal(l.epoch, 256);
    assert_int_equal(l.nmembers, 0);
    assert_int_equal(l.npolicies, 0);
    bson_destroy(doc);
    ledger_done(&l);
}

static void test_members(void **state)
{
    struct ledger l, copy = {0};
    char id[LEDGER_ID];

    ledger_init(&l);
    for (int i = 0; i < LEDGER_MEMBERS; i++) {
        snprintf(id, sizeof id, "p%d", i);
        assert_true(ledger_add_member(&l, id));
        assert_true(ledger_add_member(&l, id)); /* it is there */
    }
    assert_false(ledger_add_member(&l, "one more"));
    ledger_remove_member(&l, "p0");
    ledger_remove_member(&l, "p0");
    assert_false(ledger_has_member(&l, "p0"));
    assert_string_equal(l.members[0], "p1");
    assert_int_equal(l.nmembers, LEDGER_MEMBERS - 1);
    ledger_policy(&l, "conv")->acted = ACTED_REDIS;
    ledger_copy(&copy, &l);
    ledger_policy(&l, "conv")->acted = ACTED_JOURNAL;
    assert_int_equal(ledger_acted(&copy, "conv"), ACTED_REDIS);
    assert_true(ledger_has_member(&copy, "p15"));
    ledger_done(&l);
    ledger_done(&copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_the_epoch_never_falls),
        cmocka_unit_test(test_other_documents),
        cmocka_unit_test(test_members),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
