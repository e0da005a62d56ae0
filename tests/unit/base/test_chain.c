#include "base/chain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct chunk_pool pool;

static int set_up(void **state)
{
    chunk_pool_init(&pool);
    return 0;
}

/* All memory was given back, and the pool counted it right. */
static int tear_down(void **state)
{
    assert_int_equal(atomic_load(&pool.bytes), 0);
    assert_true(pool.nfree <= CHUNK_POOL_KEEP);
    chunk_pool_done(&pool);
    assert_true(pool.free == NULL && pool.nfree == 0);
    return 0;
}

/* The header's invariants; returns the memory that the chain's chunks hold. */
static size_t check(const struct chain *c)
{
    size_t len = 0, bytes = 0;
    const struct chunk *last = NULL;

    for (const struct chunk *k = c->head; k != NULL; k = k->next) {
        assert_true(k->start < k->end && k->end <= k->cap);
        len += k->end - k->start;
        bytes += k->external ? k->cap : CHUNK_BYTES;
        last = k;
    }
    assert_int_equal(c->len, len);
    assert_ptr_equal(c->tail, last);
    assert_true((c->head == NULL) == (c->len == 0));
    return bytes;
}

/* The chain's bytes, as a writer sees them, are want[0, n). */
static void assert_bytes(const struct chain *c, const char *want, size_t n)
{
    struct iovec iov[64];
    int rows = chain_iov(c, iov, 64);
    size_t at = 0;

    assert_int_equal(c->len, n);
    for (int i = 0; i < rows; i++) {
        assert_true(iov[i].iov_len > 0 && at + iov[i].iov_len <= n);
        assert_memory_equal(iov[i].iov_base, want + at, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    assert_true(at == n || rows == 64);
}

static void test_empty_owns_nothing(void **state)
{
    struct chain c;
    struct iovec iov[1];

    chain_init(&c, &pool);
    chain_append(&c, NULL, 0);
    chain_put(&c, NULL, 0);
    chain_append_own(&c, malloc(10), 7, 7);
    chain_append_own(&c, NULL, 0, 0);
    chain_reserve(&c, 100);
    chain_commit(&c, 0);
    chain_consume(&c, 0);
    assert_int_equal(check(&c), 0);
    assert_int_equal(atomic_load(&pool.bytes), 0);
    assert_int_equal(chain_iov(&c, iov, 1), 0);
    assert_int_equal(chain_flat(&c).len, 0);
    chain_append(&c, "abc", 3);
    chain_put(&c, NULL, 0); /* with a tail that has room */
    assert_bytes(&c, "abc", 3);
    chain_consume(&c, 3);
    assert_int_equal(check(&c), 0);
    chain_clear(&c);
}

/* Chunks are filled to their last byte, and the byte behind it is in the next. */
static void test_chunk_ends(void **state)
{
    static char text[2 * CHUNK_ROOM + 1];

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 31 + i / 251);
    for (int d = -1; d <= 1; d++) {
        struct chain c;
        size_t n = CHUNK_ROOM + (size_t)d;
        chain_init(&c, &pool);
        chain_append(&c, text, n);
        assert_int_equal(check(&c), d > 0 ? 2 * CHUNK_BYTES : CHUNK_BYTES);
        chain_put(&c, text + n, 2);
        assert_int_equal(check(&c), 2 * CHUNK_BYTES);
        assert_bytes(&c, text, n + 2);
        chain_consume(&c, CHUNK_ROOM);
        assert_int_equal(check(&c), CHUNK_BYTES);
        assert_bytes(&c, text + CHUNK_ROOM, n + 2 - CHUNK_ROOM);
        chain_clear(&c);
    }
}

static void test_reserve(void **state)
{
    struct chain c;

    chain_init(&c, &pool);
    memset(chain_reserve(&c, CHUNK_ROOM), 'a', CHUNK_ROOM);
    chain_commit(&c, CHUNK_ROOM - 2);
    assert_int_equal(check(&c), CHUNK_BYTES);
    memcpy(chain_reserve(&c, 2), "bc", 2); /* just fits */
    chain_commit(&c, 2);
    assert_int_equal(check(&c), CHUNK_BYTES);
    chain_reserve(&c, 1); /* a new chunk that isn't needed after all */
    chain_commit(&c, 0);
    assert_int_equal(check(&c), CHUNK_BYTES);
    assert_int_equal(atomic_load(&pool.bytes), CHUNK_BYTES);
    memcpy(chain_reserve(&c, 3), "def", 3);
    chain_commit(&c, 1); /* less than reserved */
    chain_put(&c, "g", 1);
    assert_int_equal(check(&c), 2 * CHUNK_BYTES);
    chain_consume(&c, CHUNK_ROOM - 2);
    assert_bytes(&c, "bcdg", 4);
    chain_clear(&c);
}

/* Given memory is neither copied nor written to, and freed when its last byte goes (the sanitizer would
 * tell). */
static void test_own(void **state)
{
    struct chain c;
    char *own = malloc(8);
    struct iovec iov[4];

    assert_non_null(own);
    memcpy(own, "..abcd..", 8);
    chain_init(&c, &pool);
    chain_append_own(&c, own, 2, 6);
    chain_put(&c, "e", 1);
    assert_int_equal(check(&c), 6 + CHUNK_BYTES);
    assert_int_equal(chain_iov(&c, iov, 4), 2);
    assert_ptr_equal(iov[0].iov_base, own + 2);
    assert_memory_equal(own, "..abcd..", 8);
    chain_consume(&c, 1);
    assert_bytes(&c, "bcde", 4);
    chain_consume(&c, 3);
    assert_int_equal(check(&c), CHUNK_BYTES);
    assert_bytes(&c, "e", 1);
    chain_clear(&c);
}

static void test_flat(void **state)
{
    static char text[3 * CHUNK_ROOM];
    struct chain c;

    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)(i * 7 + i / 253);
    chain_init(&c, &pool);
    chain_append(&c, text, 100);
    const char *first = chain_flat(&c).p;
    assert_ptr_equal(chain_flat(&c).p, first); /* one chunk: no copy */
    chain_append(&c, text + 100, sizeof text - 100);
    chain_consume(&c, 50);
    struct slice all = chain_flat(&c);
    assert_int_equal(all.len, sizeof text - 50);
    assert_memory_equal(all.p, text + 50, all.len);
    assert_int_equal(check(&c), all.len);
    assert_ptr_equal(chain_flat(&c).p, all.p);
    chain_put(&c, "xyz", 3); /* goes on behind the merged piece */
    chain_consume(&c, all.len);
    assert_bytes(&c, "xyz", 3);
    assert_int_equal(check(&c), CHUNK_BYTES);
    chain_clear(&c);
}

static void test_shrink(void **state)
{
    struct chain c;

    chain_init(&c, &pool);
    chain_shrink(&c);
    assert_int_equal(check(&c), 0);
    chain_put(&c, "12345", 5);
    chain_consume(&c, 1);
    chain_shrink(&c);
    assert_int_equal(check(&c), 4);
    assert_bytes(&c, "2345", 4);
    chain_shrink(&c); /* it is small already */
    chain_put(&c, "6", 1);
    chain_shrink(&c); /* two pieces: they stay */
    assert_int_equal(check(&c), 4 + CHUNK_BYTES);
    assert_bytes(&c, "23456", 5);
    chain_clear(&c);
}

static void test_move(void **state)
{
    struct chain a, b;

    chain_init(&a, &pool);
    chain_init(&b, &pool);
    chain_move(&a, &b);
    assert_int_equal(check(&a) + check(&b), 0);
    chain_append(&b, "two", 3);
    chain_move(&a, &b);
    assert_bytes(&a, "two", 3);
    assert_int_equal(check(&b), 0);
    chain_append(&b, "three", 5);
    chain_move(&a, &b);
    assert_bytes(&a, "twothree", 8);
    chain_move(&a, &b); /* nothing */
    assert_bytes(&a, "twothree", 8);
    chain_append(&b, "one", 3); /* the source can be used again */
    chain_append(&a, "!", 1);
    assert_bytes(&a, "twothree!", 9);
    assert_int_equal(check(&a) + check(&b), 3 * CHUNK_BYTES);
    assert_int_equal(atomic_load(&pool.bytes), 3 * CHUNK_BYTES);
    chain_clear(&a);
    chain_clear(&b);
}

static void test_iov_rows(void **state)
{
    static char text[5 * CHUNK_ROOM];
    struct chain c;
    struct iovec iov[8];

    memset(text, 'a', sizeof text);
    chain_init(&c, &pool);
    chain_append(&c, text, sizeof text);
    assert_int_equal(chain_iov(&c, iov, 8), 5);
    assert_int_equal(chain_iov(&c, iov, 3), 3);
    assert_int_equal(chain_iov(&c, iov, 0), 0);
    chain_clear(&c);
}

/* Freed chunks are used again; beyond CHUNK_POOL_KEEP they are given back to the system. */
static void test_pool_keeps(void **state)
{
    struct chain c;
    char *text = calloc(CHUNK_POOL_KEEP + 50, CHUNK_ROOM);
    size_t n = (CHUNK_POOL_KEEP + 50) * CHUNK_ROOM;

    assert_non_null(text);
    chain_init(&c, &pool);
    chain_append(&c, text, n);
    assert_int_equal(atomic_load(&pool.bytes), (CHUNK_POOL_KEEP + 50) * CHUNK_BYTES);
    chain_clear(&c);
    assert_int_equal(pool.nfree, CHUNK_POOL_KEEP);
    chain_append(&c, text, 10 * CHUNK_ROOM);
    assert_int_equal(pool.nfree, CHUNK_POOL_KEEP - 10);
    chain_consume(&c, 4 * CHUNK_ROOM + 1);
    assert_int_equal(pool.nfree, CHUNK_POOL_KEEP - 6);
    chain_clear(&c);
    assert_int_equal(pool.nfree, CHUNK_POOL_KEEP);
    free(text);
}

/* ---- random operations beside a plain array ---- */

#define MODEL_BYTES (1u << 20)

struct model {
    struct chain c;
    char *text; /* the same bytes */
    size_t len;
};

static uint64_t seed;

/* A fixed sequence, so that a failure repeats. */
static size_t draw(size_t below)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return (size_t)(seed >> 11) % below;
}

/* Mostly short; now and then around a chunk's room, or several chunks. */
static size_t draw_size(void)
{
    switch (draw(10)) {
    case 0:
        return CHUNK_ROOM - 2 + draw(5);
    case 1:
        return draw(3 * CHUNK_ROOM);
    default:
        return draw(200);
    }
}

/* n fresh bytes at the end of the model. */
static const char *grow(struct model *m, size_t n)
{
    char *p = m->text + m->len;

    assert_true(m->len + n <= MODEL_BYTES);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)draw(256);
    m->len += n;
    return p;
}

static void add_copied(struct model *m)
{
    size_t n = draw_size();
    const char *p = grow(m, n);

    if (draw(2) == 0)
        chain_append(&m->c, p, n);
    else
        chain_put(&m->c, p, n);
}

static void add_reserved(struct model *m)
{
    size_t n = draw_size() % (CHUNK_ROOM + 1);
    size_t used = draw(3) == 0 ? n : draw(n + 1);
    char *room = chain_reserve(&m->c, n);

    memset(room, '?', n);
    memcpy(room, grow(m, used), used);
    chain_commit(&m->c, used);
}

static void add_own(struct model *m)
{
    size_t n = draw_size(), start = draw(20);
    char *own = malloc(start + n + 1);

    assert_non_null(own);
    memcpy(own + start, grow(m, n), n);
    chain_append_own(&m->c, own, start, start + n);
}

static void add_moved(struct model *m)
{
    struct model other = {.text = m->text, .len = m->len};

    chain_init(&other.c, &pool);
    for (size_t i = draw(4); i > 0; i--)
        draw(2) == 0 ? add_own(&other) : add_copied(&other);
    m->len = other.len;
    chain_move(&m->c, &other.c);
    assert_int_equal(check(&other.c), 0);
}

static void drop(struct model *m)
{
    size_t n = draw(4) == 0 ? m->len : draw(m->len + 1);

    chain_consume(&m->c, n);
    memmove(m->text, m->text + n, m->len - n);
    m->len -= n;
}

static void flatten(struct model *m)
{
    struct slice flat = chain_flat(&m->c);

    assert_int_equal(flat.len, m->len);
    assert_memory_equal(flat.p, m->text, m->len);
}

static void shrink(struct model *m)
{
    chain_shrink(&m->c);
}

static void test_random_operations(void **state)
{
    static void (*const operations[])(struct model *) = {add_copied, add_copied, add_reserved, add_own,
                                                         add_moved,  drop,       flatten,      shrink};
    struct model m = {.text = malloc(MODEL_BYTES)};

    assert_non_null(m.text);
    seed = 88172645463325252ull;
    chain_init(&m.c, &pool);
    for (int i = 0; i < 30000; i++) {
        size_t which = m.len > MODEL_BYTES / 2 ? 5 : draw(COUNT(operations));
        operations[which](&m);
        assert_int_equal(check(&m.c), atomic_load(&pool.bytes));
        assert_bytes(&m.c, m.text, m.len);
    }
    chain_clear(&m.c);
    free(m.text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_empty_owns_nothing),
        TEST(test_chunk_ends),
        TEST(test_reserve),
        TEST(test_own),
        TEST(test_flat),
        TEST(test_shrink),
        TEST(test_move),
        TEST(test_iov_rows),
        TEST(test_pool_keeps),
        TEST(test_random_operations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
