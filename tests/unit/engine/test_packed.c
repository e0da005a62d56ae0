#include "engine/packed.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_done(&arena);
    return 0;
}

static bson_t *with_text(size_t n)
{
    bson_t *doc = bson_new();
    char *text = malloc(n + 1);

    memset(text, 'x', n);
    text[n] = '\0';
    BSON_APPEND_UTF8(doc, "_id", "conv:1");
    BSON_APPEND_UTF8(doc, "v", text);
    BSON_APPEND_INT64(doc, "ver", 77);
    free(text);
    return doc;
}

/* A document with this as its frame. */
static bson_t *with_frame(const void *frame, size_t n)
{
    bson_t *doc = bson_new();

    BSON_APPEND_UTF8(doc, "_id", "conv:1");
    BSON_APPEND_BINARY(doc, "z", BSON_SUBTYPE_BINARY, frame, (uint32_t)n);
    return doc;
}

static void test_there_and_back(void **state)
{
    (void)state;
    bson_t *doc = with_text(5000), *packed = packed_make(doc);
    bson_iter_t it, v;

    assert_non_null(packed);
    assert_true(packed->len < 500);
    assert_false(bson_iter_init_find(&it, packed, "v"));
    assert_true(bson_iter_init_find(&it, packed, "ver") && bson_iter_int64(&it) == 77);
    assert_true(packed_find(packed, &arena, &v));
    assert_int_equal(strlen(bson_iter_utf8(&v, NULL)), 5000);
    assert_true(packed_find(doc, &arena, &v)); /* one that is not packed is as good */
    assert_int_equal(strlen(bson_iter_utf8(&v, NULL)), 5000);
    bson_destroy(packed);
    bson_destroy(doc);
}

/* Values of any kind: a list of messages keeps its elements. */
static void test_lists(void **state)
{
    (void)state;
    bson_t *doc = bson_new(), list;
    bson_iter_t v, at;
    int n = 0;

    BSON_APPEND_ARRAY_BEGIN(doc, "v", &list);
    for (int i = 0; i < 50; i++)
        BSON_APPEND_UTF8(&list, "0", "the quick brown fox");
    bson_append_array_end(doc, &list);
    bson_t *packed = packed_make(doc);
    assert_non_null(packed);
    assert_true(packed_find(packed, &arena, &v) && BSON_ITER_HOLDS_ARRAY(&v) && bson_iter_recurse(&v, &at));
    while (bson_iter_next(&at))
        n++;
    assert_int_equal(n, 50);
    bson_destroy(packed);
    bson_destroy(doc);
}

static void test_what_would_not_get_smaller_stays(void **state)
{
    (void)state;
    bson_t *small = with_text(1), *none = bson_new();

    BSON_APPEND_INT64(none, "ver", 1);
    assert_null(packed_make(small));
    assert_null(packed_make(none));
    bson_destroy(small);
    bson_destroy(none);
}

/* ---- damage ---- */

static bool finds(const void *frame, size_t n)
{
    bson_t *doc = with_frame(frame, n);
    bson_iter_t v;
    bool found = packed_find(doc, &arena, &v);

    bson_destroy(doc);
    return found;
}

static void test_damage_is_refused(void **state)
{
    (void)state;
    bson_t *doc = with_text(3000), *packed = packed_make(doc);
    bson_iter_t z;
    bson_subtype_t kind;
    uint32_t n;
    const uint8_t *frame;
    uint8_t copy[1000];

    assert_true(bson_iter_init_find(&z, packed, "z"));
    bson_iter_binary(&z, &kind, &n, &frame);
    assert_in_range(n, 10, sizeof copy);
    assert_true(finds(frame, n));
    for (uint32_t cut = 0; cut < n; cut++)
        assert_false(finds(frame, cut));
    for (uint32_t at = 0; at < 4; at++) { /* its magic number */
        memcpy(copy, frame, n);
        copy[at] ^= 0x10;
        assert_false(finds(copy, n));
    }
    for (uint32_t at = 4; at < n; at++) { /* whatever comes of it, it comes in order */
        memcpy(copy, frame, n);
        copy[at] ^= 0x55;
        finds(copy, n);
    }
    bson_destroy(packed);
    bson_destroy(doc);
}

/* A frame that is whole, with something else in it. */
static bool finds_packed(const void *bytes, size_t n)
{
    char frame[1000];
    size_t len = ZSTD_compress(frame, sizeof frame, bytes, n, 3);

    assert_false(ZSTD_isError(len));
    return finds(frame, len);
}

static void test_what_is_no_value_is_refused(void **state)
{
    (void)state;
    bson_t *other = bson_new(), *doc = bson_new();
    bson_iter_t v;

    assert_false(finds_packed("not bson at all", 15));
    assert_false(finds_packed("", 0));
    BSON_APPEND_INT32(other, "w", 1);
    assert_false(finds_packed(bson_get_data(other), other->len));
    BSON_APPEND_UTF8(doc, "z", "text");
    assert_false(packed_find(doc, &arena, &v));
    bson_destroy(other);
    bson_destroy(doc);
}

/* A few bytes that say that they are gigabytes: nothing of that size is asked for. */
static void test_a_bomb_is_refused(void **state)
{
    (void)state;
    uint64_t sizes[] = {2 * (uint64_t)LIMIT_MANAGED_VALUE + 1, 1ull << 40, UINT64_MAX};

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t frame[13] = {0x28, 0xb5, 0x2f, 0xfd, 0xe0}; /* RFC 8878, 3.1.1: one segment, eight bytes of size */
        for (int k = 0; k < 8; k++)
            frame[5 + k] = (uint8_t)(sizes[i] >> (8 * k));
        assert_false(finds(frame, sizeof frame));
    }
    assert_true(arena.used < 1u << 20);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back),
        TEST(test_lists),
        TEST(test_what_would_not_get_smaller_stays),
        TEST(test_damage_is_refused),
        TEST(test_what_is_no_value_is_refused),
        TEST(test_a_bomb_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
