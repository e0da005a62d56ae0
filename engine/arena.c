#include "engine/arena.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES                                                                                          \
    ((size_t)32 * 1024) /* the room of an ordinary block; a larger piece gets a block of its own */

struct arena_block {
    struct arena_block *next; /* the one that was in use before */
    size_t cap, end;          /* of bytes */
    alignas(max_align_t) char bytes[];
};

static size_t aligned(size_t n)
{
    if (n > SIZE_MAX / 2)
        abort();
    return (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

/* A block that begins the list. Large blocks go behind the first, which may still have room for small pieces.
 */
static struct arena_block *block_add(struct arena *a, size_t n)
{
    size_t cap = n > BLOCK_BYTES ? n : BLOCK_BYTES;
    struct arena_block *b = malloc(sizeof *b + cap);

    if (b == NULL)
        abort();
    b->cap = cap;
    b->end = 0;
    if (n > BLOCK_BYTES / 4 && a->blocks != NULL) {
        b->next = a->blocks->next;
        a->blocks->next = b;
    } else {
        b->next = a->blocks;
        a->blocks = b;
    }
    return b;
}

static void *take(struct arena *a, size_t n)
{
    struct arena_block *b = a->blocks;

    n = aligned(n);
    if (b == NULL || b->cap - b->end < n)
        b = block_add(a, n);
    void *p = b->bytes + b->end;
    b->end += n;
    a->used += n;
    return p;
}

/* Makes the newest piece of the newest block longer where it lies. */
static bool extend(struct arena *a, const char *old, size_t old_n, size_t n)
{
    struct arena_block *b = a->blocks;
    size_t have = aligned(old_n), want = aligned(n);

    if (b == NULL || have == 0 || have > b->end || old != b->bytes + b->end - have || want < have ||
        b->cap - b->end < want - have)
        return false;
    b->end += want - have;
    a->used += want - have;
    return true;
}

void arena_init(struct arena *a)
{
    a->blocks = NULL;
    a->used = 0;
}

void arena_done(struct arena *a)
{
    for (struct arena_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    arena_init(a);
}

void arena_reset(struct arena *a)
{
    struct arena_block *keep = NULL;

    for (struct arena_block *b = a->blocks, *next; b != NULL; b = next) {
        next = b->next;
        if (keep == NULL && b->cap == BLOCK_BYTES)
            keep = b;
        else
            free(b);
    }
    if (keep != NULL) {
        keep->next = NULL;
        keep->end = 0;
    }
    a->blocks = keep;
    a->used = 0;
}

void *arena_get(struct arena *a, size_t n)
{
    return memset(take(a, n), 0, n);
}

void *arena_grow(struct arena *a, const void *old, size_t old_n, size_t n)
{
    size_t kept = old_n < n ? old_n : n;
    char *p;

    if (old != NULL && extend(a, old, old_n, n)) {
        p = a->blocks->bytes + a->blocks->end - aligned(n);
    } else {
        p = take(a, n);
        if (kept > 0)
            memcpy(p, old, kept);
    }
    memset(p + kept, 0, n - kept);
    return p;
}

struct slice arena_copy(struct arena *a, struct slice s)
{
    char *p = take(a, s.len);

    if (s.len > 0)
        memcpy(p, s.p, s.len);
    return (struct slice){p, s.len};
}
