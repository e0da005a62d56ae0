#include "proxy/handed.h"

#include "base/mutant.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define FIRST_SIZE 256

struct cell {
    struct handed_id id;
    uint8_t state; /* enum handed_state; HANDED_UNKNOWN: free */
};

struct handed {
    uint64_t secret[4];
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

    if (h == NULL || getrandom(h->secret, sizeof h->secret, 0) != sizeof h->secret)
        abort();
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

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

struct handed_id handed_id(const struct handed *h, struct slice key)
{
    struct handed_id id = {h->secret[0] ^ key.len, h->secret[1]};

    for (size_t at = 0; at < key.len; at += 8) {
        uint64_t word = 0;
        memcpy(&word, key.p + at, key.len - at < 8 ? key.len - at : 8);
        id.a = mix(id.a ^ word ^ h->secret[2]);
        id.b = mix(id.b + word * (h->secret[3] | 1));
    }
    return (struct handed_id){mix(id.a + h->secret[3]), mix(id.b ^ h->secret[2])};
}

/* Its cell, or the free one where it belongs. */
static struct cell *find(const struct handed *h, struct handed_id id)
{
    size_t at = id.a & (h->size - 1);

    while (h->cells[at].state != HANDED_UNKNOWN && (h->cells[at].id.a != id.a || h->cells[at].id.b != id.b))
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

enum handed_state handed_get(const struct handed *h, struct handed_id id)
{
    enum handed_state state = find(h, id)->state;
    return MUTANT(no_confirm) && state == HANDED_ASKED ? HANDED_YES : state;
}

void handed_set(struct handed *h, struct handed_id id, enum handed_state state)
{
    struct cell *cell = find(h, id);

    h->used += cell->state == HANDED_UNKNOWN;
    *cell = (struct cell){id, (uint8_t)state};
    if (2 * h->used > h->size)
        grow(h);
}
