/* tests/unit/in_arena — a test that allocates from an arena of its own: `arena`, with set_up and tear_down for cmocka. */
#ifndef TESTS_UNIT_IN_ARENA_H
#define TESTS_UNIT_IN_ARENA_H

#include "engine/arena.h"

static struct arena arena;

static inline int arena_set_up(void **state)
{
    arena_init(&arena);
    return 0;
}

static inline int arena_tear_down(void **state)
{
    arena_done(&arena);
    return 0;
}

#endif
