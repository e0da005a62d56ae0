#include "proxy/handed.h"

#include "base/mutant.h"

#include <stdlib.h>

#define FIRST_SIZE 256

struct cell {
    struct keyid id;
    uint8_t state; /* enum handed_state; HANDED_UNKNOWN: free */
};

struct handed {
    struct keyid_secret secret;
    struct cell *cells;
    size_t size, used; /* size: a power of two */
};

static struct cell *cells_new(size_t n)
{
    struct cell *cells = calloc(n, sizeof *cells);
    if (cells == NULL)
        abort();
    return cells;
}

struct handed *handed_new(void)
{
    struct handed *h = calloc(1, sizeof *h);

    if (h == NULL)
        abort();
    keyid_secret_init(&h->secret);
    h->size = FIRST_SIZE;
    h->cells = cells_new(h->size);
    return h;
}

void handed_free(struct handed *own_h)
{
    if (own_h != NULL)
        free(own_h->cells);
    free(own_h);
}

void handed_clear(struct handed *h)
{
    free(h->cells);
    h->size = FIRST_SIZE;
    h->used = 0;
    h->cells = cells_new(h->size);
}

struct keyid handed_id(const struct handed *h, struct slice key)
{
    return keyid_of(&h->secret, key);
}

/* Its cell, or the free one where it belongs. */
static struct cell *find(const struct handed *h, struct keyid id)
{
    size_t at = id.a & (h->size - 1);

    while (h->cells[at].state != HANDED_UNKNOWN && !keyid_same(h->cells[at].id, id))
        at = (at + 1) & (h->size - 1);
    return &h->cells[at];
}

static void grow(struct handed *h)
{
    struct cell *old = h->cells;
    size_t size = h->size;

    h->size = 2 * size;
    h->cells = cells_new(h->size);
    for (size_t i = 0; i < size; i++)
        if (old[i].state != HANDED_UNKNOWN)
            *find(h, old[i].id) = old[i];
    free(old);
}

enum handed_state handed_get(const struct handed *h, struct keyid id)
{
    enum handed_state state = find(h, id)->state;
    return MUTANT(no_confirm) && state == HANDED_ASKED ? HANDED_YES : state;
}

void handed_set(struct handed *h, struct keyid id, enum handed_state state)
{
    struct cell *cell = find(h, id);

    h->used += cell->state == HANDED_UNKNOWN;
    *cell = (struct cell){id, (uint8_t)state};
    if (2 * h->used > h->size)
        grow(h);
}
