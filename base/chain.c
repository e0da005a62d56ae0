#include "base/chain.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (p == NULL)
        abort(); /* chunks are bounded by proxy.max_memory; without 16 KiB nothing can be answered anyway */
    return p;
}

static void count(struct chunk_pool *pool, size_t add, size_t sub)
{
    size_t now = atomic_load_explicit(&pool->bytes, memory_order_relaxed);
    atomic_store_explicit(&pool->bytes, now + add - sub, memory_order_relaxed);
}

void chunk_pool_init(struct chunk_pool *pool)
{
    pool->free = NULL;
    pool->nfree = 0;
    atomic_init(&pool->bytes, 0);
}

void chunk_pool_done(struct chunk_pool *pool)
{
    for (struct chunk *k = pool->free, *next; k != NULL; k = next) {
        next = k->next;
        free(k);
    }
    chunk_pool_init(pool);
}

static struct chunk *chunk_borrow(struct chunk_pool *pool)
{
    struct chunk *k = pool->free;
    if (k != NULL) {
        pool->free = k->next;
        pool->nfree--;
    } else {
        k = must(malloc(CHUNK_BYTES));
        k->base = (char *)(k + 1);
        k->cap = (uint32_t)CHUNK_ROOM;
        k->external = false;
    }
    k->next = NULL;
    k->start = k->end = 0;
    count(pool, CHUNK_BYTES, 0);
    return k;
}

static void chunk_return(struct chunk_pool *pool, struct chunk *k)
{
    if (k->external) {
        count(pool, 0, k->cap);
        free(k->base);
        free(k);
        return;
    }
    count(pool, 0, CHUNK_BYTES);
    if (pool->nfree >= CHUNK_POOL_KEEP) {
        free(k);
        return;
    }
    k->next = pool->free;
    pool->free = k;
    pool->nfree++;
}

static void link_tail(struct chain *c, struct chunk *k)
{
    if (c->tail != NULL)
        c->tail->next = k;
    else
        c->head = k;
    c->tail = k;
}

void chain_clear(struct chain *c)
{
    while (c->head != NULL) {
        struct chunk *k = c->head;
        c->head = k->next;
        chunk_return(c->pool, k);
    }
    c->tail = NULL;
    c->len = 0;
}

void chain_append(struct chain *c, const void *p, size_t n)
{
    const char *from = p;
    while (n > 0) {
        struct chunk *t = c->tail;
        if (t == NULL || t->external || t->end == t->cap) {
            t = chunk_borrow(c->pool);
            link_tail(c, t);
        }
        size_t room = t->cap - t->end;
        size_t m = n < room ? n : room;
        memcpy(t->base + t->end, from, m);
        t->end += (uint32_t)m;
        c->len += m;
        from += m;
        n -= m;
    }
}

char *chain_reserve(struct chain *c, size_t n)
{
    assert(n <= CHUNK_ROOM);
    struct chunk *t = c->tail;
    if (t == NULL || t->external || t->cap - t->end < n) {
        t = chunk_borrow(c->pool);
        link_tail(c, t);
    }
    return t->base + t->end;
}

/* Takes back the chunk that chain_reserve added when nothing was written to it. */
static void drop_tail(struct chain *c)
{
    struct chunk *before = NULL;

    for (struct chunk *k = c->head; k != c->tail; k = k->next)
        before = k;
    chunk_return(c->pool, c->tail);
    c->tail = before;
    if (before != NULL)
        before->next = NULL;
    else
        c->head = NULL;
}

void chain_commit(struct chain *c, size_t used)
{
    struct chunk *t = c->tail;

    assert(!t->external && used <= t->cap - t->end);
    t->end += (uint32_t)used;
    c->len += used;
    if (t->start == t->end)
        drop_tail(c);
}

void chain_append_own(struct chain *c, char *own_p, size_t start, size_t end)
{
    assert(start <= end && end <= UINT32_MAX);
    if (start == end) {
        free(own_p);
        return;
    }
    struct chunk *k = must(malloc(sizeof *k));
    *k = (struct chunk){.base = own_p,
                        .start = (uint32_t)start,
                        .end = (uint32_t)end,
                        .cap = (uint32_t)end,
                        .external = true};
    count(c->pool, end, 0);
    link_tail(c, k);
    c->len += end - start;
}

void chain_move(struct chain *dst, struct chain *src)
{
    if (src->head == NULL)
        return;
    link_tail(dst, src->head);
    dst->tail = src->tail;
    dst->len += src->len;
    src->head = src->tail = NULL;
    src->len = 0;
}

int chain_iov(const struct chain *c, struct iovec *iov, int max)
{
    int n = 0;
    for (const struct chunk *k = c->head; k != NULL && n < max; k = k->next) {
        iov[n].iov_base = k->base + k->start;
        iov[n].iov_len = k->end - k->start;
        n++;
    }
    return n;
}

void chain_consume(struct chain *c, size_t n)
{
    assert(n <= c->len);
    c->len -= n;
    while (n > 0) {
        struct chunk *k = c->head;
        size_t have = k->end - k->start;
        if (n < have) {
            k->start += (uint32_t)n;
            return;
        }
        n -= have;
        c->head = k->next;
        if (c->head == NULL)
            c->tail = NULL;
        chunk_return(c->pool, k);
    }
}

void chain_shrink(struct chain *c)
{
    const struct chunk *only = c->head;
    if (only == NULL || only != c->tail || only->external || c->len > CHUNK_ROOM / 4)
        return;
    size_t n = c->len;
    char *own = must(malloc(n));
    memcpy(own, only->base + only->start, n);
    chain_clear(c);
    chain_append_own(c, own, 0, n);
}

struct slice chain_flat(struct chain *c)
{
    if (c->head == NULL)
        return (struct slice){"", 0};
    if (c->head != c->tail) {
        char *all = must(malloc(c->len));
        size_t at = 0;
        for (const struct chunk *k = c->head; k != NULL; k = k->next) {
            memcpy(all + at, k->base + k->start, k->end - k->start);
            at += k->end - k->start;
        }
        chain_clear(c);
        chain_append_own(c, all, 0, at);
    }
    return (struct slice){c->head->base + c->head->start, c->len};
}
