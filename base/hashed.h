/* base/hashed — a hash table of things that carry their own place in it.
 * Owns:       the cells; the things are their owners'.
 * Invariants: each thing starts with its struct hashed_node, and is in one table at most. Hashes are seeded anew in each process, so that
 *             nobody outside can choose names that collide.
 * Threads:    one, or its owner's lock. */
#ifndef BASE_HASHED_H
#define BASE_HASHED_H

#include "base/slice.h"

#include <stddef.h>
#include <stdint.h>

struct hashed_node {
    struct hashed_node *next;
    uint64_t hash;
};

/* All zero: empty. */
struct hashed {
    struct hashed_node **cells;
    size_t size, count; /* size: 0 or a power of two */
};

/* kind keeps equal names of different kinds apart. */
uint64_t hashed_name(struct slice name, uint64_t kind);
uint64_t hashed_pair(const void *a, const void *b);

/* The nodes with this hash, one after the other; NULL behind the last. The caller compares what was hashed. */
struct hashed_node *hashed_find(const struct hashed *h, uint64_t hash);
struct hashed_node *hashed_again(const struct hashed_node *node);
void hashed_add(struct hashed *h, struct hashed_node *node, uint64_t hash);
/* The node is in the table. An empty table owns nothing. */
void hashed_remove(struct hashed *h, struct hashed_node *node);
/* All nodes, in no order; none may be added or removed meanwhile but the one shown, by its removal. */
void hashed_each(const struct hashed *h, void (*fn)(void *ctx, struct hashed_node *node), void *ctx);

#endif
