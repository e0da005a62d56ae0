#include "tools/keyset.h"

#include "engine/dict.h"

#include <stdlib.h>

#define FIRST  1024
#define SEED_A 0x9e3779b97f4a7c15u
#define SEED_B 0xc2b2ae3d27d4eb4fu

void keyset_init(struct keyset *k)
{
    *k = (struct keyset){0};
}

void keyset_done(struct keyset *k)
{
    free(k->rows);
    *k = (struct keyset){0};
}

/* The row that has it, or the free one where it belongs. */
static struct keyset_row *find(const struct keyset *k, uint64_t a, uint64_t b)
{
    size_t i = (size_t)a & (k->cap - 1);

    while ((k->rows[i].a != 0 || k->rows[i].b != 0) && (k->rows[i].a != a || k->rows[i].b != b))
        i = (i + 1) & (k->cap - 1);
    return &k->rows[i];
}

static void grow(struct keyset *k)
{
    struct keyset old = *k;

    k->cap = old.cap == 0 ? FIRST : 2 * old.cap;
    k->rows = calloc(k->cap, sizeof *k->rows);
    if (k->rows == NULL)
        abort();
    for (size_t i = 0; i < old.cap; i++)
        if (old.rows[i].a != 0 || old.rows[i].b != 0)
            *find(k, old.rows[i].a, old.rows[i].b) = old.rows[i];
    free(old.rows);
}

bool keyset_add(struct keyset *k, struct slice key)
{
    uint64_t a = dict_hash(key, SEED_A), b = dict_hash(key, SEED_B);

    if (2 * k->count >= k->cap)
        grow(k);
    b += a == 0 && b == 0; /* that would be a free row */
    struct keyset_row *row = find(k, a, b);
    if (row->a != 0 || row->b != 0)
        return false;
    *row = (struct keyset_row){a, b};
    k->count++;
    return true;
}
