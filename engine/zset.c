#include "engine/zset.h"
#include "engine/call.h"
#include "engine/dict.h"

#include <stdlib.h>
#include <string.h>

#define SEARCHES 4 /* so many members are looked for row by row before they get an index */

struct zset *zset_new(struct arena *a, size_t expected)
{
    struct zset *z = arena_get(a, sizeof *z);

    z->arena = a;
    z->cap = expected;
    if (expected > 0)
        z->rows = arena_get(a, expected * sizeof *z->rows);
    return z;
}

static int row_compare(const struct zset_row *a, const struct zset_row *b)
{
    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    return slice_compare(a->member, b->member);
}

/* How many rows stand before this one, whether it is there or not. */
static size_t rows_before(const struct zset *z, const struct zset_row *row)
{
    size_t low = 0, high = z->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (row_compare(&z->rows[middle], row) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Scores are kept as bytes, since the values of a dict are bytes. */
static void index_set(struct zset *z, struct slice member, double score)
{
    struct slice bytes = {(const char *)&score, sizeof score};

    dict_set(z->scores, member, arena_copy(z->arena, bytes));
}

static void index_build(struct zset *z)
{
    z->scores = dict_new(z->arena, z->count);
    for (size_t i = 0; i < z->count; i++)
        index_set(z, z->rows[i].member, z->rows[i].score);
}

int64_t zset_find(struct zset *z, struct slice member)
{
    struct zset_row row = {.member = member};

    if (z->scores == NULL && z->searches < SEARCHES) {
        z->searches++;
        for (size_t i = 0; i < z->count; i++)
            if (slice_equal(z->rows[i].member, member))
                return (int64_t)i;
        return -1;
    }
    if (z->scores == NULL)
        index_build(z);
    int64_t at = dict_find(z->scores, member);
    if (at < 0)
        return -1;
    memcpy(&row.score, z->scores->entries[at].value.p, sizeof row.score);
    return (int64_t)rows_before(z, &row);
}

static void make_room(struct zset *z)
{
    size_t cap = z->cap < 8 ? 8 : 2 * z->cap;

    if (z->count < z->cap)
        return;
    z->rows = arena_grow(z->arena, z->rows, z->cap * sizeof *z->rows, cap * sizeof *z->rows);
    z->cap = cap;
}

static void insert(struct zset *z, size_t at, const struct zset_row *row)
{
    make_room(z);
    memmove(z->rows + at + 1, z->rows + at, (z->count - at) * sizeof *z->rows);
    z->rows[at] = *row;
    z->count++;
}

static void take_out(struct zset *z, size_t from, size_t n)
{
    memmove(z->rows + from, z->rows + from + n, (z->count - from - n) * sizeof *z->rows);
    z->count -= n;
}

bool zset_set(struct zset *z, struct slice member, double score)
{
    int64_t old = zset_find(z, member);
    struct zset_row row = {member, score};

    if (old >= 0)
        take_out(z, (size_t)old, 1);
    insert(z, rows_before(z, &row), &row);
    if (z->scores != NULL)
        index_set(z, member, score);
    return old < 0;
}

void zset_append(struct zset *z, struct slice member, double score)
{
    insert(z, z->count, &(struct zset_row){member, score});
    z->scores = NULL;
}

void zset_remove_range(struct zset *z, size_t from, size_t n)
{
    if (n > z->count / 8)
        z->scores = NULL; /* cheaper to make anew, when it is needed at all */
    for (size_t i = from; z->scores != NULL && i < from + n; i++)
        dict_drop_at(z->scores, (size_t)dict_find(z->scores, z->rows[i].member));
    if (z->scores != NULL && z->scores->count > 2 * z->count)
        dict_sweep(z->scores);
    if (n > 0)
        take_out(z, from, n);
}

static int compare_rows(const void *a, const void *b)
{
    return row_compare(a, b);
}

void zset_sort(struct zset_row *rows, size_t n)
{
    if (n > 1)
        qsort(rows, n, sizeof *rows, compare_rows);
}
