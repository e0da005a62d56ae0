/* engine/arena — memory of one command or transaction: given out in pieces, taken back all at once.
 * Owns:       its blocks.
 * Invariants: nothing is freed alone; what must outlive the command is encoded into a document first.
 * Threads:    one per object. */
#ifndef ENGINE_ARENA_H
#define ENGINE_ARENA_H

#include "base/slice.h"

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks;
    size_t used; /* bytes given out since arena_reset */
};

void arena_init(struct arena *a);
void arena_done(struct arena *a);
/* Takes everything back; keeps one block for the next command. */
void arena_reset(struct arena *a);
/* Zeroed, aligned for any type. Never NULL: values are bounded (LIMIT_MANAGED_VALUE), so running out of memory aborts. */
void *arena_get(struct arena *a, size_t n);
/* A copy of old's first old_n bytes with room for n. */
void *arena_grow(struct arena *a, const void *old, size_t old_n, size_t n);
struct slice arena_copy(struct arena *a, struct slice s);

#endif
