#include "engine/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdalign.h>
#include <string.h>

#define PIECES 2000

static size_t size_of_piece(size_t i)
{
    return i % 97 == 0 ? 40000 + i : i % 113;
}

static int is_filled(const unsigned char *p, size_t n, int with)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != with)
            return 0;
    return 1;
}

/* Pieces are zeroed, aligned, and don't touch each other, also in the memory of an earlier command. */
static void fill(struct arena *a)
{
    static unsigned char *pieces[PIECES];

    for (size_t i = 0; i < PIECES; i++) {
        pieces[i] = arena_get(a, size_of_piece(i));
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        assert_true(is_filled(pieces[i], size_of_piece(i), 0));
        memset(pieces[i], (int)(i & 0xff), size_of_piece(i));
    }
    for (size_t i = 0; i < PIECES; i++)
        assert_true(is_filled(pieces[i], size_of_piece(i), (int)(i & 0xff)));
}

static void test_pieces(void **state)
{
    struct arena a;

    arena_init(&a);
    fill(&a);
    assert_true(a.used >= 20 * 40000);
    arena_reset(&a);
    assert_int_equal(a.used, 0);
    fill(&a);
    arena_done(&a);
    assert_null(a.blocks);
}

/* After a reset the first pieces come from the block that was kept. */
static void test_reset_keeps_a_block(void **state)
{
    struct arena a;

    arena_init(&a);
    void *first = arena_get(&a, 100);
    arena_get(&a, 1000000);
    arena_reset(&a);
    assert_ptr_equal(arena_get(&a, 200), first);
    arena_done(&a);
    arena_reset(&a); /* of nothing */
    assert_null(a.blocks);
}

static void test_grow(void **state)
{
    struct arena a;
    unsigned char *p, *q;

    arena_init(&a);
    p = arena_grow(&a, NULL, 0, 10);
    memset(p, 1, 10);
    q = arena_grow(&a, p, 10, 1000); /* the newest piece grows where it is */
    assert_ptr_equal(p, q);
    assert_true(is_filled(q, 10, 1) && is_filled(q + 10, 990, 0));
    memset(q, 2, 1000);
    unsigned char *between = arena_get(&a, 1);
    *between = 3;
    p = arena_grow(&a, q, 1000, 1001);
    assert_ptr_not_equal(p, q);
    assert_true(is_filled(p, 1000, 2) && p[1000] == 0 && *between == 3);
    q = arena_grow(&a, p, 1001, 100000); /* out of its block */
    assert_true(is_filled(q, 1000, 2) && is_filled(q + 1000, 99000, 0));
    p = arena_grow(&a, q, 100000, 4); /* only the first bytes count */
    assert_true(is_filled(p, 4, 2));
    arena_done(&a);
}

/* A piece of no bytes is not taken for the one in front of it. */
static void test_grow_of_nothing(void **state)
{
    struct arena a;

    arena_init(&a);
    unsigned char *kept = arena_get(&a, 16);
    memset(kept, 7, 16);
    unsigned char *none = arena_get(&a, 0);
    unsigned char *some = arena_grow(&a, none, 0, 16);
    memset(some, 8, 16);
    assert_true(is_filled(kept, 16, 7));
    arena_done(&a);
}

static void test_doubling(void **state)
{
    struct arena a;
    uint32_t *numbers = NULL;
    size_t cap = 0;

    arena_init(&a);
    for (uint32_t i = 0; i < 100000; i++) {
        if (i == cap) {
            size_t more = cap == 0 ? 4 : 2 * cap;
            numbers = arena_grow(&a, numbers, cap * sizeof *numbers, more * sizeof *numbers);
            cap = more;
        }
        numbers[i] = i;
    }
    for (uint32_t i = 0; i < 100000; i++)
        assert_int_equal(numbers[i], i);
    arena_done(&a);
}

static void test_copy(void **state)
{
    struct arena a;
    char text[] = "a\0b";

    arena_init(&a);
    struct slice copy = arena_copy(&a, (struct slice){text, 3});
    text[0] = 'x';
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.p, "a\0b", 3);
    copy = arena_copy(&a, (struct slice){NULL, 0});
    assert_int_equal(copy.len, 0);
    assert_non_null(copy.p);
    arena_done(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces),   cmocka_unit_test(test_reset_keeps_a_block),
        cmocka_unit_test(test_grow),     cmocka_unit_test(test_grow_of_nothing),
        cmocka_unit_test(test_doubling), cmocka_unit_test(test_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
