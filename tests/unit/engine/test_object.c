#include "../in_arena.h"
#include "engine/object.h"
#include "engine/call.h"
#include "engine/dict.h"
#include "engine/list.h"
#include "engine/stream.h"
#include "engine/zset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static void test_names(void **state)
{
    for (int i = 0; i < ENC_COUNT; i++)
        assert_non_null(object_encoding_name((enum object_encoding)i));
    for (int i = OBJECT_NONE; i <= OBJECT_STREAM; i++)
        assert_non_null(object_type_name((enum object_type)i));
    assert_string_equal(object_type_name(OBJECT_NONE), "none");
    assert_string_equal(object_type_name(OBJECT_STREAM), "stream");
    assert_string_equal(object_encoding_name(ENC_RAW), "raw");
    assert_string_equal(object_encoding_name(ENC_STREAM), "stream");
}

static void test_own_string(void **state)
{
    char text[] = "ab";
    struct object o = {.type = OBJECT_STRING, .v.string = {text, 2}};

    object_own(&o, &arena);
    text[0] = 'x';
    assert_true(slice_equal(o.v.string, slice_of("ab")));
    o.type = OBJECT_NONE;
    object_own(&o, &arena);
    assert_int_equal(o.type, OBJECT_NONE);
}

/* The original is changed at both ends; the copy is as it was. */
static void test_own_list(void **state)
{
    struct list *l = list_new(&arena, 0);
    struct object o = {.type = OBJECT_LIST, .v.list = l};

    list_push(l, slice_of("x"), false);
    list_push(l, slice_of("a"), false);
    list_push(l, slice_of("b"), false);
    list_pop(l, true);
    object_own(&o, &arena);
    list_pop(l, false);
    list_push(l, slice_of("c"), true);
    assert_int_equal(o.v.list->count, 2);
    assert_true(slice_equal(*list_at(o.v.list, 0), slice_of("a")) &&
                slice_equal(*list_at(o.v.list, 1), slice_of("b")));
}

static void test_own_dict(void **state)
{
    struct dict *d = dict_new(&arena, 0);
    struct object hash = {.type = OBJECT_HASH, .v.hash = d}, set = {.type = OBJECT_SET, .v.set = d};
    static char names[40][3];

    for (int i = 0; i < 40; i++) { /* enough for an index */
        names[i][0] = (char)('a' + i % 10);
        names[i][1] = (char)('a' + i / 10);
        dict_set(d, slice_of(names[i]), slice_of("v"));
    }
    object_own(&hash, &arena);
    object_own(&set, &arena);
    dict_remove_at(d, 0);
    dict_set(d, slice_of(names[5]), slice_of("w"));
    for (int i = 0; i < 40; i++) {
        assert_int_equal(dict_find(hash.v.hash, slice_of(names[i])), i);
        assert_int_equal(dict_find(set.v.set, slice_of(names[i])), i);
    }
    assert_true(slice_equal(hash.v.hash->entries[5].value, slice_of("v")));
}

static void test_own_zset(void **state)
{
    struct zset *z = zset_new(&arena, 0);
    struct object o = {.type = OBJECT_ZSET, .v.zset = z};

    zset_set(z, slice_of("a"), 2);
    zset_set(z, slice_of("b"), 1);
    object_own(&o, &arena);
    zset_set(z, slice_of("a"), 0);
    zset_set(z, slice_of("c"), 0);
    assert_int_equal(o.v.zset->count, 2);
    assert_int_equal(zset_find(o.v.zset, slice_of("a")), 1);
    assert_true(o.v.zset->rows[1].score == 2);
}

static void test_own_stream(void **state)
{
    static struct slice pairs[] = {{"f", 1}, {"v", 1}};
    struct stream_consumer consumer = {{"c", 1}, 1};
    struct stream_pending pending = {{1, 2}, 0, 1, 3};
    struct stream_group group = {.name = {"g", 1},
                                 .consumers = &consumer,
                                 .pending = &pending,
                                 .nconsumers = 1,
                                 .consumers_cap = 1,
                                 .npending = 1,
                                 .pending_cap = 1};
    struct stream *s = stream_new(&arena);
    struct object o = {.type = OBJECT_STREAM, .v.stream = s};

    for (uint64_t i = 1; i <= 3; i++)
        stream_append(s, (struct stream_entry){{i, 2}, pairs, 2});
    s->start++; /* as a trim leaves it */
    s->count--;
    s->groups = &group;
    s->ngroups = s->groups_cap = 1;
    object_own(&o, &arena);
    s->entries[s->start].id.ms = 77;
    consumer.seen_ms = pending.delivered_ms = 77;
    group.name = slice_of("h");
    const struct stream *copy = o.v.stream;
    assert_int_equal(copy->count, 2);
    assert_int_equal(copy->entries[copy->start].id.ms, 2);
    assert_true(slice_equal(copy->groups[0].name, slice_of("g")));
    assert_int_equal(copy->groups[0].consumers[0].seen_ms, 1);
    assert_int_equal(copy->groups[0].pending[0].delivered_ms, 1);
    stream_append(o.v.stream, (struct stream_entry){{9, 0}, pairs, 2}); /* grows */
    assert_int_equal(copy->count, 3);
    assert_int_equal(s->count, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, arena_set_up, arena_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),    TEST(test_own_string), TEST(test_own_list),
        TEST(test_own_dict), TEST(test_own_zset),   TEST(test_own_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
