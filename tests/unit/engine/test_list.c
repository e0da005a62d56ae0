#include "../in_arena.h"
#include "engine/list.h"
#include "engine/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#define MOST 400

/* The plainest list there is: what every change is compared with. */
struct model {
    char bytes[MOST];
    size_t count;
};

static struct slice item(char c)
{
    return arena_copy(&arena, (struct slice){&c, 1});
}

static void model_insert(struct model *m, size_t at, char c)
{
    memmove(m->bytes + at + 1, m->bytes + at, m->count - at);
    m->bytes[at] = c;
    m->count++;
}

static void model_remove(struct model *m, size_t at, size_t n)
{
    memmove(m->bytes + at, m->bytes + at + n, m->count - at - n);
    m->count -= n;
}

static size_t model_remove_equal(struct model *m, char c, size_t most, bool from_tail)
{
    size_t removed = 0;

    for (size_t i = 0; i < m->count && removed < most;) {
        size_t at = from_tail ? m->count - 1 - i : i;
        if (m->bytes[at] == c) {
            model_remove(m, at, 1);
            removed++;
        } else {
            i++;
        }
    }
    return removed;
}

static void compare(const struct list *l, const struct model *m)
{
    assert_int_equal(l->count, m->count);
    assert_true(l->start + l->count <= l->cap);
    for (size_t i = 0; i < m->count; i++) {
        assert_int_equal(list_at(l, i)->len, 1);
        assert_int_equal(*list_at(l, i)->p, m->bytes[i]);
    }
}

static uint32_t draw(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void step(struct list *l, struct model *m, uint32_t *state)
{
    char c = (char)('a' + draw(state) % 4);
    uint32_t what = draw(state) % 12;
    size_t at = m->count > 0 ? draw(state) % m->count : 0,
           n = m->count > at ? 1 + draw(state) % (m->count - at) : 0;
    bool flag = draw(state) % 2 != 0;

    if (what < 6 && m->count < MOST) {
        list_push(l, item(c), flag);
        model_insert(m, flag ? 0 : m->count, c);
    } else if (what < 9 && m->count < MOST) {
        list_insert(l, at + (m->count > 0 && flag), item(c));
        model_insert(m, at + (m->count > 0 && flag), c);
    } else if (what == 9 && m->count > 0) {
        assert_int_equal(*list_pop(l, flag).p, m->bytes[flag ? 0 : m->count - 1]);
        model_remove(m, flag ? 0 : m->count - 1, 1);
    } else if (what == 10) {
        n = n > 5 ? 5 : n;
        list_remove(l, at, n);
        model_remove(m, at, n);
    } else {
        assert_int_equal(list_remove_equal(l, (struct slice){&c, 1}, n % 4, flag),
                         model_remove_equal(m, c, n % 4, flag));
    }
}

static void test_random_changes(void **state)
{
    for (uint32_t seed = 1; seed <= 200; seed++) {
        struct list *l = list_new(&arena, seed % 5);
        struct model m = {.count = 0};
        uint32_t random = seed;
        for (int i = 0; i < 300; i++) {
            step(l, &m, &random);
            compare(l, &m);
        }
        arena_reset(&arena);
    }
}

/* Pushes at both ends cost a constant share each: the arena, which gives nothing back, shows what was copied.
 */
static void test_growth(void **state)
{
    const size_t n = 100000;

    for (int way = 0; way < 3; way++) {
        struct list *l = list_new(&arena, 0);
        for (size_t i = 0; i < n; i++)
            list_push(l, (struct slice){"x", 1}, way == 2 ? i % 2 != 0 : way == 1);
        assert_int_equal(l->count, n);
        assert_true(arena.used < 8 * n * sizeof(struct slice));
        arena_reset(&arena);
    }
}

/* A queue that stays short never grows, however much runs through it. */
static void test_queue(void **state)
{
    struct list *l = list_new(&arena, 0);

    for (size_t i = 0; i < 100000; i++) {
        list_push(l, (struct slice){"x", 1}, i / 50000 == 1);
        if (l->count > 10)
            list_pop(l, i / 50000 == 0);
    }
    assert_int_equal(l->count, 10);
    assert_true(l->cap <= 32);
}

static void test_make(void **state)
{
    struct object o = {.type = OBJECT_NONE, .expire_ms = -1};
    struct list *l = list_make(&arena, &o);

    assert_int_equal(o.type, OBJECT_LIST);
    assert_int_equal(o.encoding, ENC_QUICKLIST);
    list_push(l, (struct slice){"x", 1}, true);
    assert_ptr_equal(list_make(&arena, &o), l);
    assert_int_equal(o.v.list->count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random_changes, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_growth, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_queue, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_make, arena_set_up, arena_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
