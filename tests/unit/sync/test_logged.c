#include "sync/logged.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static struct logged list[LOGGED_MOST];
static struct logged_off off;

static size_t read_back(const bson_t *doc)
{
    memset(list, 0, sizeof list);
    return logged_read((struct slice){(const char *)bson_get_data(doc), doc->len}, list, &off);
}

static struct move_saved some_move(void)
{
    struct move_saved s = {.report = {.id = 7,
                                      .order = {.kind = MOVE_VERIFY, .policy = "conv", .deep = true, .rate = 500},
                                      .state = MOVE_RUNNING,
                                      .done = 1000,
                                      .total = 3000,
                                      .found = 2,
                                      .started_us = 1700000000000000,
                                      .why = "looks again at 3 keys",
                                      .examples = "conv:1 conv:2"},
                           .place = {.stage = 1, .cursor = UINT64_MAX - 5, .run_id = "0123456789abcdef", .hash = 99, .before = 12}};

    s.place.ranges[3] = UINT64_MAX;
    s.place.seen.left = 4;
    return s;
}

static void test_there_and_back(void **state)
{
    (void)state;
    struct move_saved s = some_move();
    struct logged one[2];
    struct logged_off none = {.policies = {"bare", "raw"}, .n = 2};

    logged_make(&one[0], "3f2a91c0", 41, &s);
    s.report.order.kind = MOVE_TIER;
    s.report.state = MOVE_ABORTED;
    logged_make(&one[1], "00000001", 1, &s);
    bson_t *doc = logged_write("moves", one, 2, &none);
    assert_int_equal(read_back(doc), 2);
    assert_string_equal(list[0].by, "3f2a91c0");
    assert_int_equal(list[0].beat, 41);
    assert_int_equal(list[0].saved.report.state, MOVE_RUNNING);
    assert_true(list[0].saved.report.order.deep && !list[0].saved.report.order.repair);
    assert_string_equal(list[0].saved.report.examples, "conv:1 conv:2");
    assert_true(list[0].saved.place.cursor == UINT64_MAX - 5);
    assert_string_equal(list[0].saved.place.run_id, "0123456789abcdef");
    assert_true(list[0].saved.place.ranges[3] == UINT64_MAX);
    assert_int_equal(list[0].saved.place.seen.left, 4);
    assert_int_equal(list[1].saved.report.order.kind, MOVE_TIER);
    assert_int_equal(list[1].saved.report.state, MOVE_ABORTED);
    assert_int_equal(off.n, 2);
    assert_string_equal(off.policies[1], "raw");
    bson_destroy(doc);
}

/* Whatever stands in the document, what is read can be used. */
static void test_what_makes_no_sense_is_left_out(void **state)
{
    (void)state;
    char text[400];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    bson_t *doc = BCON_NEW("moves", "[",
                           "{", "kind", BCON_UTF8("no such"), "state", BCON_UTF8("running"), "by", BCON_UTF8("a"), "policy", BCON_UTF8("conv"), "}",
                           "{", "kind", BCON_UTF8("drain"), "by", BCON_UTF8("a"), "policy", BCON_UTF8("conv"), "}",
                           "{", "kind", BCON_UTF8("drain"), "state", BCON_UTF8("running"), "by", BCON_UTF8("a"), "}",
                           "{", "kind", BCON_INT32(1), "state", BCON_BOOL(true), "by", BCON_UTF8("a"), "policy", BCON_UTF8("conv"), "}",
                           BCON_UTF8("text"),
                           "{", "kind", BCON_UTF8("drain"), "state", BCON_UTF8("failed"), "by", BCON_UTF8(text), "policy", BCON_UTF8(text),
                           "cursor", BCON_UTF8("12"), "done", BCON_DOUBLE(3), "ranges", BCON_BIN(BSON_SUBTYPE_BINARY, (const uint8_t *)"abc", 3), "}",
                           "]", "off", BCON_INT32(3));

    assert_int_equal(read_back(doc), 1);
    assert_int_equal(strlen(list[0].by), LOGGED_BY - 1);
    assert_int_equal(strlen(list[0].saved.report.order.policy), sizeof list[0].saved.report.order.policy - 1);
    assert_true(list[0].saved.place.cursor == 0 && list[0].saved.report.done == 0 && list[0].saved.place.ranges[0] == 0);
    assert_int_equal(off.n, 0);
    for (uint32_t cut = 0; cut < doc->len; cut++)
        logged_read((struct slice){(const char *)bson_get_data(doc), cut}, list, &off);
    bson_destroy(doc);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_what_makes_no_sense_is_left_out)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
