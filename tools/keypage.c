#include "tools/keypage.h"

#include <stdlib.h>

#define FIRST 1024

void keypage_init(struct keypage *p)
{
    *p = (struct keypage){0};
    arena_init(&p->arena);
}

void keypage_done(struct keypage *p)
{
    arena_done(&p->arena);
    free(p->keys);
    p->keys = NULL;
    p->n = p->cap = 0;
}

void keypage_add(struct keypage *p, struct slice key)
{
    if (p->n == p->cap) {
        p->cap = p->cap == 0 ? FIRST : 2 * p->cap;
        p->keys = realloc(p->keys, p->cap * sizeof *p->keys);
        if (p->keys == NULL)
            abort();
    }
    p->keys[p->n++] = arena_copy(&p->arena, key);
}

void keypage_clear(struct keypage *p)
{
    p->n = 0;
    arena_reset(&p->arena);
}
