#include "replies.h"
#include "engine/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#define NOW 1000000

static struct object objects[4];
static struct keyspace keys;

/* Four keys: a string, one that expires now, one that did a moment ago, and none. */
static int set_up(void **state)
{
    memset(objects, 0, sizeof objects);
    const char *const names[] = {"string", "last", "gone", "none"};
    for (size_t i = 0; i < 4; i++) {
        objects[i].key = slice_of(names[i]);
        objects[i].type = i == 3 ? OBJECT_NONE : OBJECT_STRING;
        objects[i].encoding = ENC_RAW;
        objects[i].expire_ms = i == 1 ? NOW : i == 2 ? NOW - 1 : -1;
        objects[i].v.string = slice_of("v");
    }
    keys = (struct keyspace){.objects = objects, .count = 4};
    return replies_set_up(state);
}

static struct call call_of(enum resp resp, const struct slice *argv, size_t argc)
{
    return (struct call){
        .argv = argv, .argc = argc, .resp = resp, .now_ms = NOW, .out = &out, .arena = &arena, .keys = &keys};
}

static void test_lookup(void **state)
{
    struct call c = call_of(RESP2, NULL, 0);

    for (int round = 0; round < 3; round++) { /* the order in which one asks makes no difference */
        assert_ptr_equal(call_lookup(&c, slice_of("last")), &objects[1]);
        assert_ptr_equal(call_lookup(&c, slice_of("string")), &objects[0]);
        assert_null(call_lookup(&c, slice_of("gone")));
        assert_null(call_lookup(&c, slice_of("none")));
    }
    assert_int_equal(objects[2].type, OBJECT_STRING); /* a look changes nothing */
    for (int i = 0; i < 4; i++)
        assert_false(objects[i].changed);
}

struct finder {
    size_t asked;
};

static size_t find_last_first(const void *ctx, struct slice key)
{
    size_t i = keys.count;

    ((struct finder *)(uintptr_t)ctx)->asked++;
    while (i > 0 && !slice_equal(objects[i - 1].key, key))
        i--;
    return i > 0 ? i - 1 : keys.count;
}

/* Keys in order are found without help, others by whoever has loaded them. */
static void test_finding(void **state)
{
    struct finder finder = {0};
    struct call c = call_of(RESP2, NULL, 0);

    keys.find = find_last_first;
    keys.find_ctx = &finder;
    for (size_t i = 0; i < 4; i++)
        assert_ptr_equal(call_place(&c, objects[i].key), &objects[i]);
    assert_int_equal(finder.asked, 0);
    assert_ptr_equal(call_place(&c, objects[1].key), &objects[1]);
    assert_int_equal(finder.asked, 1);
    assert_true(call_loaded(&c, objects[0].key));
    assert_false(call_loaded(&c, slice_of("other")));
    assert_int_equal(finder.asked, 3);
    keys.find = NULL;
    assert_true(call_loaded(&c, objects[3].key));
    assert_false(call_loaded(&c, slice_of("other")));
    assert_int_equal(finder.asked, 3);
}

static void test_lookup_typed(void **state)
{
    struct call c = call_of(RESP2, NULL, 0);
    bool wrong = true;

    assert_ptr_equal(call_lookup_typed(&c, slice_of("string"), OBJECT_STRING, &wrong), &objects[0]);
    assert_false(wrong);
    assert_null(call_lookup_typed(&c, slice_of("gone"), OBJECT_LIST, &wrong));
    assert_false(wrong || c.failed);
    expect_reply("");
    assert_null(call_lookup_typed(&c, slice_of("last"), OBJECT_LIST, &wrong));
    assert_true(wrong && c.failed);
    expect_reply("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
}

static void test_place(void **state)
{
    struct call c = call_of(RESP2, NULL, 0);

    assert_ptr_equal(call_place(&c, slice_of("string")), &objects[0]);
    assert_int_equal(objects[0].type, OBJECT_STRING);
    assert_ptr_equal(call_place(&c, slice_of("gone")), &objects[2]);
    assert_int_equal(objects[2].type, OBJECT_NONE);
    assert_int_equal(objects[2].expire_ms, -1);
    assert_ptr_equal(call_place(&c, slice_of("none")), &objects[3]);
    for (int i = 0; i < 4; i++)
        assert_false(objects[i].changed);
}

static void test_remove(void **state)
{
    struct call c = call_of(RESP2, NULL, 0);

    call_remove(&c, &objects[1]);
    assert_int_equal(objects[1].type, OBJECT_NONE);
    assert_int_equal(objects[1].expire_ms, -1);
    assert_true(objects[1].changed);
    assert_null(call_lookup(&c, slice_of("last")));
    assert_true(slice_equal(objects[1].key, slice_of("last")));
}

static void say_everything(struct call *c)
{
    call_ok(c);
    call_int(c, INT64_MIN);
    call_bulk(c, (struct slice){"a\r\n\0", 4});
    call_bulk(c, (struct slice){NULL, 0});
    call_null(c);
    call_null_array(c);
    call_double(c, 0.1);
    call_double(c, 3);
    call_double(c, -0.0);
    call_double(c, 1e20);
    call_double(c, -INFINITY);
    assert_false(c->failed);
    call_error(c, "ERR two\r\nlines");
    assert_true(c->failed);
}

static void test_replies(void **state)
{
    static const char two[] =
        "+OK\r\n:-9223372036854775808\r\n$4\r\na\r\n\0\r\n$0\r\n\r\n$-1\r\n*-1\r\n"
        "$19\r\n0.10000000000000001\r\n$1\r\n3\r\n$2\r\n-0\r\n$5\r\n1e+20\r\n$4\r\n-inf\r\n"
        "-ERR two  lines\r\n";
    static const char three[] = "+OK\r\n:-9223372036854775808\r\n$4\r\na\r\n\0\r\n$0\r\n\r\n_\r\n_\r\n"
                                ",0.10000000000000001\r\n,3\r\n,-0\r\n,1e+20\r\n,-inf\r\n-ERR two  lines\r\n";
    struct call c = call_of(RESP2, NULL, 0);

    say_everything(&c);
    assert_int_equal(out.len, sizeof two - 1);
    assert_memory_equal(chain_flat(&out).p, two, sizeof two - 1);
    chain_clear(&out);
    c = call_of(RESP3, NULL, 0);
    say_everything(&c);
    assert_int_equal(out.len, sizeof three - 1);
    assert_memory_equal(chain_flat(&out).p, three, sizeof three - 1);
}

static void test_arguments(void **state)
{
    const struct slice argv[] = {slice_of("12"), slice_of("1.5"), slice_of("Nx"), {"nx\0y", 4}, {NULL, 0}};
    struct call c = call_of(RESP2, argv, 5);
    int64_t n = 0;
    double d = 0;

    assert_true(call_int_arg(&c, 0, &n) && n == 12);
    assert_true(call_double_arg(&c, 1, &d, NULL) && d == 1.5);
    assert_true(call_is(&c, 2, "nx") && call_is(&c, 2, "NX"));
    assert_true(call_is(&c, 3, "nx") && call_is(&c, 4, ""));
    assert_false(call_is(&c, 3, "nxy") || call_is(&c, 4, "n") || call_is(&c, 2, "n") ||
                 call_is(&c, 2, "nxx"));
    expect_reply("");
    assert_false(call_int_arg(&c, 1, &n));
    expect_reply("-ERR value is not an integer or out of range\r\n");
    assert_false(call_double_arg(&c, 2, &d, NULL));
    expect_reply("-ERR value is not a valid float\r\n");
    assert_false(call_double_arg(&c, 2, &d, "ERR min or max is not a float"));
    expect_reply("-ERR min or max is not a float\r\n");
    call_syntax_error(&c);
    expect_reply("-ERR syntax error\r\n");
    assert_true(n == 12 && d == 1.5 && c.failed);
}

static void test_errors(void **state)
{
    struct call c = call_of(RESP2, NULL, 0);
    static char word[5000];

    memset(word, 'x', sizeof word - 1);
    call_errorf(&c, "ERR a\nb%.*s%d\r\n\n", 2, "\r\r", 7);
    expect_reply("-ERR a b  7\r\n");
    call_errorf(&c, "%s", word);
    assert_int_equal(out.len, sizeof word - 1 + 3);
    assert_true(c.failed);
    chain_clear(&out);
    call_error(&c, "\n");
    expect_reply("-\r\n");
}

static void test_slices(void **state)
{
    static const struct slice rising[] = {{NULL, 0}, {"\0", 1}, {"a", 1},   {"a\0", 2},
                                          {"aa", 2}, {"b", 1},  {"\xff", 1}};
    const size_t n = sizeof rising / sizeof *rising;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            int order = slice_compare(rising[i], rising[j]);
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
            assert_int_equal(slice_equal(rising[i], rising[j]), i == j);
        }
    }
    assert_true(slice_equal((struct slice){"", 0}, (struct slice){NULL, 0}));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, replies_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lookup),    TEST(test_finding), TEST(test_lookup_typed),
        TEST(test_place),     TEST(test_remove),  TEST(test_replies),
        TEST(test_arguments), TEST(test_slices),  TEST(test_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
