#include "../in_arena.h"
#include "engine/stream.h"
#include "engine/streamnodes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static struct slice text(const char *s, size_t n)
{
    return (struct slice){s, n};
}

static struct stream_id id_of(uint64_t ms)
{
    return (struct stream_id){ms, 1};
}

/* Entries 1-1 … n-1 with one field each. */
static struct stream *filled(uint64_t n)
{
    struct stream *s = stream_new(&arena);

    for (uint64_t i = 1; i <= n; i++) {
        struct slice *pairs = arena_get(&arena, 2 * sizeof *pairs);
        pairs[0] = text("f", 1);
        pairs[1] = text("v", 1);
        stream_append(s, (struct stream_entry){id_of(i), pairs, 2});
        s->last_id = id_of(i);
        s->entries_added++;
    }
    return s;
}

static void test_ids_step(void **state)
{
    struct stream_id id = {3, UINT64_MAX};

    assert_true(stream_id_next(&id));
    assert_int_equal(stream_id_compare(id, (struct stream_id){4, 0}), 0);
    assert_true(stream_id_previous(&id));
    assert_int_equal(stream_id_compare(id, (struct stream_id){3, UINT64_MAX}), 0);
    id = STREAM_ID_MAX;
    assert_false(stream_id_next(&id));
    id = STREAM_ID_NONE;
    assert_false(stream_id_previous(&id));
    assert_true(stream_id_compare((struct stream_id){2, 9}, (struct stream_id){3, 0}) < 0);
}

static void test_seek_after_drop(void **state)
{
    struct stream *s = filled(50);

    stream_drop(s, 20);
    assert_int_equal(s->count, 30);
    assert_int_equal(stream_first_id(s).ms, 21);
    assert_int_equal(stream_seek(s, id_of(5)), 0);
    for (uint64_t i = 21; i <= 50; i++) {
        assert_int_equal(stream_seek(s, id_of(i)), i - 21);
        assert_int_equal(stream_seek(s, (struct stream_id){i, 2}), i - 20);
        assert_ptr_equal(stream_find(s, id_of(i)), stream_at(s, i - 21));
    }
    assert_null(stream_find(s, id_of(20)));
    assert_null(stream_find(s, (struct stream_id){21, 0}));
}

static void test_delete_many(void **state)
{
    struct stream *s = filled(10);
    struct stream_id ids[] = {id_of(7), id_of(2), id_of(7), id_of(99), id_of(10)};

    assert_int_equal(stream_delete(s, ids, 5), 3);
    assert_int_equal(s->count, 7);
    assert_int_equal(s->max_deleted_id.ms, 10);
    for (size_t i = 1; i < s->count; i++)
        assert_true(stream_id_compare(stream_at(s, i - 1)->id, stream_at(s, i)->id) < 0);
    assert_null(stream_find(s, id_of(7)));
    assert_int_equal(stream_delete(s, ids, 5), 0);
}

/* Consumers come in the order of names, and pending entries stay with theirs. */
static void test_consumers(void **state)
{
    struct stream *s = filled(6);
    struct stream_group *g = stream_group_add(s, text("g", 1));

    assert_null(stream_group_add(s, text("g", 1)));
    assert_int_equal(stream_consumer_add(s, g, text("m", 1), 5), 0);
    for (uint64_t i = 6; i >= 1; i--)
        stream_pending_add(s, g, id_of(i))->consumer = 0;
    assert_int_equal(g->npending, 6);
    assert_int_equal(stream_consumer_add(s, g, text("a", 1), 6), 0);
    assert_int_equal(stream_consumer_add(s, g, text("z", 1), 7), 2);
    stream_pending_find(g, id_of(2))->consumer = 0;
    stream_pending_find(g, id_of(5))->consumer = 2;
    assert_int_equal(stream_pending_find(g, id_of(1))->consumer, 1);
    assert_int_equal(stream_consumer_remove(g, 1), 4);
    assert_int_equal(g->npending, 2);
    assert_int_equal(g->pending[0].id.ms, 2);
    assert_int_equal(g->pending[0].consumer, 0);
    assert_int_equal(g->pending[1].id.ms, 5);
    assert_int_equal(g->pending[1].consumer, 1);
    assert_int_equal(stream_consumer_find(g, text("z", 1)), 1);
    assert_int_equal(stream_consumer_find(g, text("m", 1)), -1);
}

static void test_lag(void **state)
{
    struct stream *s = filled(5);
    struct stream_group *g = stream_group_add(s, text("g", 1));
    struct stream_id third = id_of(3);
    bool known;

    assert_int_equal(stream_group_lag(s, g, &known), 5);
    stream_group_advance(s, g, id_of(1));
    stream_group_advance(s, g, id_of(2));
    assert_int_equal(g->entries_read, 2);
    assert_int_equal(stream_group_lag(s, g, &known), 3);
    stream_delete(s, &third, 1);
    stream_group_lag(s, g, &known);
    assert_false(known);
    stream_drop(s, 3);
    assert_int_equal(stream_group_lag(s, g, &known), 3);
    assert_true(known);
}

/* As redis-server 7.0.15 told for XADD x i-1 f v, i from 1 on. */
static void test_nodes(void **state)
{
    static const struct {
        uint64_t entries;
        size_t keys, nodes;
    } rows[] = {{0, 0, 1}, {1, 1, 2}, {100, 1, 2}, {101, 2, 6}, {450, 5, 14}, {700, 7, 18}};
    size_t keys, nodes;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        stream_node_counts(filled(rows[i].entries), &keys, &nodes);
        assert_int_equal(keys, rows[i].keys);
        assert_int_equal(nodes, rows[i].nodes);
    }
    assert_int_equal(stream_node_length(filled(450), 0), 100);
    assert_int_equal(stream_node_length(filled(450), 400), 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_step),    cmocka_unit_test(test_seek_after_drop),
        cmocka_unit_test(test_delete_many), cmocka_unit_test(test_consumers),
        cmocka_unit_test(test_lag),         cmocka_unit_test(test_nodes),
    };
    return cmocka_run_group_tests(tests, arena_set_up, arena_tear_down);
}
