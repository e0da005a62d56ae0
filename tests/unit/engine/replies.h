/* tests/unit/engine/replies — a test that looks at replies: `out`, empty at each start, and an arena beside it. */
#ifndef TESTS_UNIT_ENGINE_REPLIES_H
#define TESTS_UNIT_ENGINE_REPLIES_H

#include "../in_arena.h"
#include "engine/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static struct chunk_pool pool;
static struct chain out;

static inline int replies_set_up(void **state)
{
    chunk_pool_init(&pool);
    chain_init(&out, &pool);
    return arena_set_up(state);
}

static inline int replies_tear_down(void **state)
{
    chain_clear(&out);
    chunk_pool_done(&pool);
    return arena_tear_down(state);
}

static inline struct slice slice_of(const char *text)
{
    return (struct slice){text, strlen(text)};
}

/* What has been replied since the last look, to the letter. */
static inline void expect_reply(const char *reply)
{
    struct slice got = chain_flat(&out);

    assert_int_equal(got.len, strlen(reply));
    assert_memory_equal(got.p, reply, got.len);
    chain_clear(&out);
}

#endif
