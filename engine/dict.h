/* engine/dict — pairs in the order they were added, found by name: hashes (field → value) and sets (member → nothing).
 * Invariants: names are unique. Small ones are searched, larger ones get an index when they are first looked into; the index
 *             is kept true by every change. Removing keeps the order of the others.
 * Threads:    one. */
#ifndef ENGINE_DICT_H
#define ENGINE_DICT_H

#include "engine/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct dict_entry {
    struct slice name;
    struct slice value; /* sets: empty */
};

struct dict {
    struct dict_entry *entries;
    size_t count, cap;
    struct arena *arena;
    uint32_t *index; /* open addressing over entries; NULL: not built */
    size_t index_cap;
};

struct dict *dict_new(struct arena *a, size_t expected);
/* The entry's position, or -1. */
int64_t dict_find(struct dict *d, struct slice name);
/* Adds, or replaces the value of a name that is there. True: added. The slices are kept as they are: copy them into the arena
 * first when they don't outlive the command. */
bool dict_set(struct dict *d, struct slice name, struct slice value);
/* For decoding: the caller knows that the name is new. */
void dict_append(struct dict *d, struct slice name, struct slice value);
bool dict_remove(struct dict *d, struct slice name);
void dict_remove_at(struct dict *d, size_t position);
/* For many at once, since each dict_remove moves all that follow: dropped entries can't be found any more, but the others
 * keep their positions and the count stays until dict_sweep takes the dropped ones out. An entry is dropped once. */
void dict_drop_at(struct dict *d, size_t position);
void dict_sweep(struct dict *d);
/* Of the bytes of s; the seed makes it unpredictable. */
uint64_t dict_hash(struct slice s, uint64_t seed);

#endif
