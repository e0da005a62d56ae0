#include "sync/cells.h"

#include <stdlib.h>

#define FIRST_SIZE 256
#define LATE_MS    1000 /* a reader may be about to find that it has expired */

static struct cell *list_new(size_t n)
{
    struct cell *list = calloc(n, sizeof *list);
    if (list == NULL)
        abort();
    return list;
}

void cells_init(struct cells *t)
{
    *t = (struct cells){.size = FIRST_SIZE, .list = list_new(FIRST_SIZE)};
}

void cells_done(struct cells *t)
{
    free(t->list);
    t->list = NULL;
}

/* ---- places ---- */

struct cell *cells_find(const struct cells *t, struct keyid id)
{
    size_t at = id.a & (t->size - 1);

    while (t->list[at].state != CELL_FREE) {
        struct cell *c = &t->list[at];
        if (c->state != CELL_GONE && keyid_same(c->id, id))
            return c;
        at = (at + 1) & (t->size - 1);
    }
    return NULL;
}

static struct cell *place_of(const struct cells *t, struct keyid id)
{
    size_t at = id.a & (t->size - 1);

    while (t->list[at].state != CELL_FREE)
        at = (at + 1) & (t->size - 1);
    return &t->list[at];
}

static bool is_kept(const struct cell *c)
{
    return c->state != CELL_FREE && c->state != CELL_GONE;
}

static void resize(struct cells *t)
{
    struct cell *old = t->list;
    size_t size = t->size, kept = 0;

    for (size_t i = 0; i < size; i++)
        kept += is_kept(&old[i]);
    for (t->size = FIRST_SIZE; t->size < 4 * kept;)
        t->size *= 2;
    t->list = list_new(t->size);
    t->used = kept;
    t->hand = 0;
    for (size_t i = 0; i < size; i++)
        if (is_kept(&old[i]))
            *place_of(t, old[i].id) = old[i];
    free(old);
}

struct cell *cells_add(struct cells *t, struct keyid id)
{
    if (2 * t->used >= t->size)
        resize(t);
    struct cell *c = place_of(t, id);
    *c = (struct cell){.id = id, .expire_ms = -1};
    t->used++;
    return c;
}

/* ---- changes ---- */

bool cells_is_away(const struct cell *c)
{
    return c->state == CELL_LEAVING || c->state == CELL_AWAY || c->state == CELL_COMING;
}

/* by 1: the cell is in the tallies from now on; -1: it is not, until it has changed. */
static void count(struct cells *t, const struct cell *c, int by)
{
    t->moving += c->state == CELL_MOVING ? by : 0;
    if (!cells_is_away(c))
        return;
    t->away += by;
    if (c->tier == CELLS_HIDDEN) {
        t->hidden += by;
        return;
    }
    t->tallies[c->policy].keys[c->tier] += by;
    t->tallies[c->policy].bytes[c->tier] += by * (int64_t)c->bytes;
}

void cells_set_state(struct cells *t, struct cell *c, enum cell_state state)
{
    count(t, c, -1);
    c->state = (uint8_t)state;
    count(t, c, 1);
}

void cells_set(struct cells *t, struct cell *c, uint8_t tier, uint8_t policy, uint32_t bytes)
{
    count(t, c, -1);
    c->tier = tier;
    c->policy = policy;
    c->bytes = bytes > 0 ? bytes : c->bytes;
    count(t, c, 1);
}

void cells_prune(struct cells *t, int64_t now_ms, size_t most)
{
    for (size_t n = most < t->size ? most : t->size; n > 0; n--) {
        struct cell *c = &t->list[t->hand];
        bool ends = c->state == CELL_AWAY || c->state == CELL_RECENT;
        if (ends && c->expire_ms >= 0 && c->expire_ms < now_ms - LATE_MS)
            cells_set_state(t, c, CELL_GONE);
        t->hand = (t->hand + 1) & (t->size - 1);
    }
}
