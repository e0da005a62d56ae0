#include "../in_arena.h"
#include "engine/dict.h"
#include "engine/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#define NAMES 300

static uint64_t seed;

static int set_up(void **state)
{
    seed = 88172645463325252u;
    return arena_set_up(state);
}

static size_t draw(size_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed >> 11) % below;
}

static struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* Names of all lengths around the hash's words, some with a NUL; number 0 is the empty one. */
static struct slice name_of(size_t i)
{
    char text[64];
    int n = i == 0
                ? 0
                : snprintf(text, sizeof text, "%zu%.*s", i, (int)(i % 30), "..............................");

    if (i % 3 == 0 && n > 2)
        text[n - 1] = '\0';
    return arena_copy(&arena, (struct slice){text, (size_t)n});
}

static void test_small(void **state)
{
    struct dict *d = dict_new(&arena, 0);

    assert_int_equal(dict_find(d, slice_of("a")), -1);
    assert_false(dict_remove(d, slice_of("a")));
    assert_true(dict_set(d, slice_of("a"), slice_of("1")));
    assert_true(dict_set(d, slice_of(""), slice_of("2")));
    assert_true(dict_set(d, (struct slice){"a\0", 2}, slice_of("3")));
    assert_false(dict_set(d, slice_of("a"), slice_of("4")));
    assert_int_equal(d->count, 3);
    assert_int_equal(dict_find(d, (struct slice){NULL, 0}), 1);
    assert_int_equal(dict_find(d, (struct slice){"a\0", 2}), 2);
    assert_true(slice_equal(d->entries[0].value, slice_of("4")));
    assert_true(dict_remove(d, slice_of("a")));
    assert_int_equal(dict_find(d, slice_of("")), 0);
    assert_int_equal(dict_find(d, (struct slice){"a\0", 2}), 1);
    assert_null(d->index);
}

static void test_appended(void **state)
{
    struct dict *d = dict_new(&arena, NAMES);

    for (size_t i = 0; i < NAMES; i++)
        dict_append(d, name_of(i), (struct slice){NULL, 0});
    assert_null(d->index); /* not before the first look */
    for (size_t i = 0; i < NAMES; i++)
        assert_int_equal(dict_find(d, name_of(i)), i);
    assert_non_null(d->index);
    assert_int_equal(dict_find(d, slice_of("absent")), -1);
}

/* ---- random changes beside a plain array of the names in order ---- */

struct model {
    struct dict *d;
    size_t names[NAMES], values[NAMES];
    size_t count;
};

static size_t place(const struct model *m, size_t name)
{
    for (size_t i = 0; i < m->count; i++)
        if (m->names[i] == name)
            return i;
    return NAMES;
}

static void take_out(struct model *m, size_t at)
{
    memmove(m->names + at, m->names + at + 1, (m->count - at - 1) * sizeof *m->names);
    memmove(m->values + at, m->values + at + 1, (m->count - at - 1) * sizeof *m->values);
    m->count--;
}

static void set(struct model *m, size_t name)
{
    size_t at = place(m, name), value = draw(NAMES);

    assert_int_equal(dict_set(m->d, name_of(name), name_of(value)), at == NAMES);
    if (at == NAMES)
        m->names[at = m->count++] = name;
    m->values[at] = value;
}

static void drop_some(struct model *m)
{
    size_t gone[NAMES], n = 0;

    for (size_t i = 0; i < m->count; i++) {
        if (draw(4) != 0)
            continue;
        dict_drop_at(m->d, i);
        gone[n++] = i;
        assert_int_equal(dict_find(m->d, name_of(m->names[i])), -1);
    }
    assert_int_equal(m->d->count, m->count);
    dict_sweep(m->d);
    while (n > 0)
        take_out(m, gone[--n]);
}

static void step(struct model *m)
{
    size_t name = draw(NAMES), at = place(m, name), what = draw(100);

    if (what < 70) {
        set(m, name);
    } else if (what < 88) {
        assert_int_equal(dict_remove(m->d, name_of(name)), at < NAMES);
        if (at < NAMES)
            take_out(m, at);
    } else if (what < 99) {
        if (m->count == 0)
            return;
        at = draw(m->count);
        dict_remove_at(m->d, at);
        take_out(m, at);
    } else {
        drop_some(m);
    }
}

static void check(const struct model *m)
{
    assert_int_equal(m->d->count, m->count);
    for (size_t i = 0; i < m->count; i++) {
        assert_true(slice_equal(m->d->entries[i].name, name_of(m->names[i])));
        assert_true(slice_equal(m->d->entries[i].value, name_of(m->values[i])));
    }
    for (size_t i = 0; i < NAMES; i++) {
        size_t at = place(m, i);
        assert_int_equal(dict_find(m->d, name_of(i)), at == NAMES ? -1 : (int64_t)at);
    }
}

static void test_random_changes(void **state)
{
    static struct model m;

    for (int round = 0; round < 20; round++) {
        m = (struct model){.d = dict_new(&arena, draw(20))};
        for (int i = 0; i < 600; i++) {
            step(&m);
            if (i % 20 == 0)
                check(&m);
        }
        check(&m);
        assert_true(m.count > 50 && m.d->index != NULL); /* the index had its part */
        arena_reset(&arena);
    }
}

/* Different texts, different hashes; another seed, other hashes. */
static void test_hash(void **state)
{
    static uint64_t seen[2 * NAMES];

    for (size_t i = 0; i < NAMES; i++) {
        seen[2 * i] = dict_hash(name_of(i), 1);
        seen[2 * i + 1] = dict_hash(name_of(i), 2);
        for (size_t j = 0; j < 2 * i; j++)
            assert_true(seen[j] != seen[2 * i] && seen[j] != seen[2 * i + 1]);
        assert_int_equal(seen[2 * i], dict_hash(name_of(i), 1));
    }
    assert_true(dict_hash((struct slice){"\0", 1}, 1) != dict_hash((struct slice){"\0\0", 2}, 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, arena_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_small),
        TEST(test_appended),
        TEST(test_random_changes),
        TEST(test_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
