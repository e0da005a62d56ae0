/* base/chain — a queue of bytes in chunks: what waits to be written, or to be looked at as a whole.
 * Owns:       its chunks; empty chains own nothing, so that idle connections cost no buffer.
 * Invariants: len is the sum of the chunks' bytes; no chunk in a chain is empty.
 * Threads:    one; a pool and its chains belong to one loop (pool->bytes may be read by others). */
#ifndef BASE_CHAIN_H
#define BASE_CHAIN_H

#include "base/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define CHUNK_BYTES     16384 /* one chunk from the pool, header included */
#define CHUNK_POOL_KEEP 128   /* chunks a pool keeps for reuse; more are given back */
#define CHUNK_ROOM      (CHUNK_BYTES - sizeof(struct chunk))

struct chunk {
    struct chunk *next;
    char *base;     /* the bytes; behind this header, or an own malloc of somebody who gave it */
    uint32_t start; /* first byte not yet consumed */
    uint32_t end;   /* one past the last byte */
    uint32_t cap;
    bool external;
};

struct chunk_pool {
    struct chunk *free;
    unsigned nfree;
    _Atomic size_t bytes; /* memory of all chunks in use, of chains of this pool */
};

struct chain {
    struct chunk *head, *tail;
    size_t len;
    struct chunk_pool *pool;
};

void chunk_pool_init(struct chunk_pool *pool);
/* All chains of the pool must be done. */
void chunk_pool_done(struct chunk_pool *pool);

static inline void chain_init(struct chain *c, struct chunk_pool *pool)
{
    c->head = c->tail = NULL;
    c->len = 0;
    c->pool = pool;
}
/* Gives all chunks back; the chain is empty and may be used again. */
void chain_clear(struct chain *c);

/* Copies n bytes to the end. */
void chain_append(struct chain *c, const void *p, size_t n);
/* n contiguous writable bytes at the end, n <= CHUNK_ROOM. The next call on c must be chain_commit, which
 * says how many were used; 0 is fine. */
char *chain_reserve(struct chain *c, size_t n);
void chain_commit(struct chain *c, size_t used);
/* Appends own_p[start, end), end < 4 GiB, without copying; own_p came from malloc and is freed when it is
 * consumed. */
void chain_append_own(struct chain *c, char *own_p, size_t start, size_t end);
/* Moves all of src to the end of dst; both of the same pool. */
void chain_move(struct chain *dst, struct chain *src);

/* Fills at most max rows with the first bytes; returns the number of rows. */
int chain_iov(const struct chain *c, struct iovec *iov, int max);
/* Drops n <= len bytes from the front. */
void chain_consume(struct chain *c, size_t n);
/* A few bytes that may stay for long go into memory of their own size; the chunk goes back. */
void chain_shrink(struct chain *c);
/* All bytes in one piece: those of the only chunk, or of a merged one. Valid until the chain changes. */
struct slice chain_flat(struct chain *c);

/* n writable bytes behind the last one, where the last chunk has them; NULL: it has not. chain_grow says how many were used. */
static inline char *chain_room(struct chain *c, size_t n)
{
    struct chunk *t = c->tail;
    return t != NULL && !t->external && t->cap - t->end >= n ? t->base + t->end : NULL;
}

static inline void chain_grow(struct chain *c, size_t used)
{
    c->tail->end += (uint32_t)used;
    c->len += used;
}

/* The common short append, inlined. */
static inline void chain_put(struct chain *c, const void *p, size_t n)
{
    struct chunk *t = c->tail;
    if (n == 0)
        return; /* p may be NULL then */
    if (t != NULL && !t->external && t->cap - t->end >= n) {
        __builtin_memcpy(t->base + t->end, p, n);
        t->end += (uint32_t)n;
        c->len += n;
        return;
    }
    chain_append(c, p, n);
}

#endif
