#include "replies.h"
#include "engine/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct call call_of(const struct slice *argv)
{
    return (struct call){.argv = argv, .argc = 1, .resp = RESP2, .out = &out, .arena = &arena};
}

/* What OBJECT ENCODING of redis-server 7.0.15 says after SET. */
static void encodings_are_those_of_set(void **state)
{
    static const struct {
        const char *text;
        enum object_encoding encoding;
    } rows[] = {
        {"", ENC_EMBSTR},
        {"0", ENC_INT},
        {"-0", ENC_EMBSTR},
        {"007", ENC_EMBSTR},
        {"10000", ENC_INT},
        {"9223372036854775807", ENC_INT},
        {"-9223372036854775808", ENC_INT},
        {"9223372036854775808", ENC_EMBSTR},
        {"11111111111111111111", ENC_EMBSTR},
        {"1.5", ENC_EMBSTR},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", ENC_EMBSTR}, /* 44 */
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", ENC_RAW},   /* 45 */
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        assert_int_equal(bytes_encoding(slice_of(rows[i].text)), rows[i].encoding);
}

static void storing_keeps_the_expiry_and_replacing_does_not(void **state)
{
    struct call c = call_of(NULL);
    struct object o = {.type = OBJECT_LIST, .expire_ms = 5};

    bytes_store(&c, &o, slice_of("12"));
    assert_int_equal(o.type, OBJECT_STRING);
    assert_int_equal(o.encoding, ENC_INT);
    assert_int_equal(o.expire_ms, 5);
    assert_true(o.changed);
    bytes_replace(&c, &o, slice_of("text"));
    assert_int_equal(o.encoding, ENC_EMBSTR);
    assert_int_equal(o.expire_ms, -1);
}

static void editing_makes_a_longer_raw_copy(void **state)
{
    struct call c = call_of(NULL);
    struct slice shared = arena_copy(&arena, slice_of("abc"));
    struct object o = {.type = OBJECT_STRING, .encoding = ENC_EMBSTR, .expire_ms = 7, .v.string = shared};

    char *p = bytes_edit(&c, &o, 5);
    memcpy(p + 1, "XY", 2);
    assert_int_equal(o.v.string.len, 5);
    assert_memory_equal(o.v.string.p, "aXY\0\0", 5);
    assert_memory_equal(shared.p, "abc", 3); /* another key may have the same bytes */
    assert_int_equal(o.encoding, ENC_RAW);
    assert_int_equal(o.expire_ms, 7);
    assert_true(o.changed);
    bytes_edit(&c, &o, 2);
    assert_int_equal(o.v.string.len, 5); /* never shorter */
}

static void editing_begins_with_nothing(void **state)
{
    struct call c = call_of(NULL);
    struct object o = {.type = OBJECT_NONE, .expire_ms = -1};

    bytes_edit(&c, &o, 3);
    assert_int_equal(o.type, OBJECT_STRING);
    assert_memory_equal(o.v.string.p, "\0\0\0", 3);
}

static void more_than_512_mb_do_not_fit(void **state)
{
    struct call c = call_of(NULL);

    assert_true(bytes_fit(&c, BYTES_MAX - 1, 1));
    assert_true(bytes_fit(&c, 0, BYTES_MAX));
    expect_reply("");
    assert_false(c.failed);
    assert_false(bytes_fit(&c, BYTES_MAX, 1));
    expect_reply("-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n");
    assert_true(c.failed);
    assert_false(bytes_fit(&c, UINT64_MAX, 2)); /* no overflow */
    chain_clear(&out);
}

static void bit_offsets(void **state)
{
    static const struct {
        const char *text;
        unsigned field;
        int64_t bit; /* -1: refused */
    } rows[] = {
        {"0", 0, 0},
        {"4294967295", 0, 4294967295},
        {"4294967296", 0, -1},
        {"-1", 0, -1},
        {"", 0, -1},
        {"#1", 0, -1},
        {"#3", 5, 15},
        {"3", 5, 3},
        {"#", 5, -1},
        {"#-1", 8, -1},
        {"#536870911", 8, 4294967288},
        {"#536870912", 8, -1},
        {"#2305843009213693953", 8, 8}, /* 2^61 + 1 fields: Redis overflows, and so do we */
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct slice arg = slice_of(rows[i].text);
        struct call c = call_of(&arg);
        uint64_t bit = 0;
        assert_int_equal(bytes_bit_offset(&c, 0, rows[i].field, &bit), rows[i].bit >= 0);
        if (rows[i].bit >= 0)
            assert_int_equal(bit, rows[i].bit);
        expect_reply(rows[i].bit >= 0 ? "" : "-ERR bit offset is not an integer or out of range\r\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(encodings_are_those_of_set, replies_set_up, replies_tear_down),
        cmocka_unit_test_setup_teardown(storing_keeps_the_expiry_and_replacing_does_not, replies_set_up,
                                        replies_tear_down),
        cmocka_unit_test_setup_teardown(editing_makes_a_longer_raw_copy, replies_set_up, replies_tear_down),
        cmocka_unit_test_setup_teardown(editing_begins_with_nothing, replies_set_up, replies_tear_down),
        cmocka_unit_test_setup_teardown(more_than_512_mb_do_not_fit, replies_set_up, replies_tear_down),
        cmocka_unit_test_setup_teardown(bit_offsets, replies_set_up, replies_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
