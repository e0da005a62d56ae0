#include "engine/dict.h"
#include "engine/call.h"

#include <stdlib.h>
#include <string.h>

#define SEARCHED 12 /* up to so many entries a search is as fast as an index */

/* A name that no name is equal to: the entry was dropped and waits for dict_sweep. */
static const struct slice hole = {NULL, SIZE_MAX};

static uint64_t fold(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t dict_hash(struct slice s, uint64_t seed)
{
    uint64_t h = seed ^ 0x9e3779b97f4a7c15u, word;
    size_t at = 0;

    for (; s.len - at >= 8; at += 8) {
        memcpy(&word, s.p + at, 8);
        h = fold(h ^ word, 0xd6e8feb86659fd93u ^ seed);
    }
    word = 0;
    if (s.len > at)
        memcpy(&word, s.p + at, s.len - at);
    return fold(h ^ word, 0xa0761d6478bd642fu ^ s.len);
}

/* Addresses differ from process to process, so that nobody outside can choose names that collide. */
static size_t first_slot(const struct dict *d, struct slice name)
{
    return dict_hash(name, (uint64_t)(uintptr_t)d * 0xe7037ed1a0b428dbu) & (d->index_cap - 1);
}

static void index_add(struct dict *d, size_t position)
{
    size_t at = first_slot(d, d->entries[position].name);

    while (d->index[at] != 0)
        at = (at + 1) & (d->index_cap - 1);
    d->index[at] = (uint32_t)position + 1;
}

static void index_build(struct dict *d)
{
    size_t cap = 64;

    while (cap < 3 * d->count)
        cap *= 2;
    if (d->index == NULL || d->index_cap < cap) {
        d->index = arena_get(d->arena, cap * sizeof *d->index);
        d->index_cap = cap;
    } else {
        memset(d->index, 0, d->index_cap * sizeof *d->index);
    }
    for (size_t i = 0; i < d->count; i++)
        if (d->entries[i].name.len != hole.len)
            index_add(d, i);
}

/* Takes the slot of a position out, and moves those back that stand behind it only because it was taken. */
static void index_remove(struct dict *d, size_t position)
{
    size_t mask = d->index_cap - 1, gap = first_slot(d, d->entries[position].name);

    while (d->index[gap] != position + 1)
        gap = (gap + 1) & mask;
    for (size_t at = (gap + 1) & mask; d->index[at] != 0; at = (at + 1) & mask) {
        size_t home = first_slot(d, d->entries[d->index[at] - 1].name);
        if (((at - home) & mask) >= ((at - gap) & mask)) {
            d->index[gap] = d->index[at];
            gap = at;
        }
    }
    d->index[gap] = 0;
}

struct dict *dict_new(struct arena *a, size_t expected)
{
    struct dict *d = arena_get(a, sizeof *d);

    d->arena = a;
    d->cap = expected;
    if (expected > 0)
        d->entries = arena_get(a, expected * sizeof *d->entries);
    return d;
}

int64_t dict_find(struct dict *d, struct slice name)
{
    if (d->count <= SEARCHED) {
        for (size_t i = 0; i < d->count; i++)
            if (slice_equal(d->entries[i].name, name))
                return (int64_t)i;
        return -1;
    }
    if (d->index == NULL)
        index_build(d);
    for (size_t at = first_slot(d, name); d->index[at] != 0; at = (at + 1) & (d->index_cap - 1))
        if (slice_equal(d->entries[d->index[at] - 1].name, name))
            return (int64_t)d->index[at] - 1;
    return -1;
}

bool dict_set(struct dict *d, struct slice name, struct slice value)
{
    int64_t at = dict_find(d, name);

    if (at >= 0) {
        d->entries[at].value = value;
        return false;
    }
    dict_append(d, name, value);
    return true;
}

void dict_append(struct dict *d, struct slice name, struct slice value)
{
    if (d->count == d->cap) {
        size_t cap = d->cap < 8 ? 8 : 2 * d->cap;
        if (cap >= UINT32_MAX)
            abort();
        d->entries = arena_grow(d->arena, d->entries, d->cap * sizeof *d->entries, cap * sizeof *d->entries);
        d->cap = cap;
    }
    d->entries[d->count++] = (struct dict_entry){name, value};
    if (d->index == NULL)
        return;
    if (2 * d->count > d->index_cap)
        index_build(d);
    else
        index_add(d, d->count - 1);
}

bool dict_remove(struct dict *d, struct slice name)
{
    int64_t at = dict_find(d, name);

    if (at < 0)
        return false;
    dict_remove_at(d, (size_t)at);
    return true;
}

void dict_remove_at(struct dict *d, size_t position)
{
    size_t behind = d->count - position - 1;

    if (d->index != NULL) {
        index_remove(d, position);
        for (size_t i = 0; behind > 0 && i < d->index_cap; i++)
            d->index[i] -= d->index[i] > position + 1;
    }
    memmove(d->entries + position, d->entries + position + 1, behind * sizeof *d->entries);
    d->count--;
}

void dict_drop_at(struct dict *d, size_t position)
{
    if (d->index != NULL)
        index_remove(d, position);
    d->entries[position].name = hole;
}

void dict_sweep(struct dict *d)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->count; i++)
        if (d->entries[i].name.len != hole.len)
            d->entries[kept++] = d->entries[i];
    d->count = kept;
    if (d->index != NULL)
        index_build(d);
}
