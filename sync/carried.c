#include "sync/carried.h"

#define MANY 4096 /* keys; fewer are not worth the trouble */

void carried_init(struct carried *c)
{
    *c = (struct carried){0};
    arena_init(&c->arena);
}

void carried_done(struct carried *c)
{
    arena_done(&c->arena);
}

static void put(struct carried *c, struct slice key, uint64_t at)
{
    if (c->n == c->cap) {
        size_t cap = c->cap == 0 ? 64 : 2 * c->cap;
        c->keys = arena_grow(&c->arena, c->keys, c->cap * sizeof *c->keys, cap * sizeof *c->keys);
        c->cap = cap;
    }
    c->keys[c->n++] = (struct carried_key){arena_copy(&c->arena, key), at};
}

void carried_add(struct carried *c, const struct slice *keys, size_t n)
{
    c->now++;
    for (size_t i = 0; i < n; i++)
        put(c, keys[i], c->now);
}

struct slice *carried_with(const struct carried *c, uint64_t since, struct arena *a, const struct slice *keys,
                           size_t n, size_t *ret_n)
{
    struct slice *all = arena_get(a, (n + c->n + 1) * sizeof *all);
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        all[count++] = keys[i];
    for (size_t i = 0; i < c->n; i++)
        if (c->keys[i].at > since)
            all[count++] = c->keys[i].key;
    *ret_n = count;
    return all;
}

void carried_forget(struct carried *c, uint64_t until)
{
    struct carried old = *c;

    if (c->n < MANY && until < c->now)
        return;
    carried_init(c);
    c->now = old.now;
    for (size_t i = 0; i < old.n; i++)
        if (old.keys[i].at > until)
            put(c, old.keys[i].key, old.keys[i].at);
    carried_done(&old);
}
