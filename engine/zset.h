/* engine/zset — members in order of (score, member), found by member.
 * Invariants: rows are sorted by score, then by member bytes; members are unique.
 * Threads:    one. */
#ifndef ENGINE_ZSET_H
#define ENGINE_ZSET_H

#include "engine/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct dict;

struct zset_row {
    struct slice member;
    double score;
};

struct zset {
    struct zset_row *rows;
    size_t count, cap;
    struct arena *arena;
    struct dict *scores; /* member → score, to find the row by; NULL until it pays */
    unsigned searches;   /* without it */
};

struct zset *zset_new(struct arena *a, size_t expected);
/* Adds or moves; true: added. */
bool zset_set(struct zset *z, struct slice member, double score);
/* For decoding: rows come sorted and unique. */
void zset_append(struct zset *z, struct slice member, double score);
int64_t zset_find(struct zset *z, struct slice member); /* rank, or -1 */
void zset_remove_range(struct zset *z, size_t from, size_t n);
/* Puts rows of unique members into order. */
void zset_sort(struct zset_row *rows, size_t n);

#endif
