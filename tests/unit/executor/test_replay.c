/* A journal's commands on one object. */
#include "executor/replay.h"

#include "engine/list.h"
#include "resp/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW   1700000000000
#define WORDS 12

static struct arena arena;
static struct object object;

static int setup(void **state)
{
    arena_init(&arena);
    object = (struct object){.key = {"k", 1}, .expire_ms = -1};
    return 0;
}

static int teardown(void **state)
{
    arena_done(&arena);
    return 0;
}

/* Requests of words, separated by blanks; lines are requests. The bytes are gone after the call, as a document's would be. */
static bool replay_at(int64_t now_ms, const char *lines)
{
    struct chunk_pool pool;
    struct chain chain;
    struct slice argv[WORDS];

    chunk_pool_init(&pool);
    chain_init(&chain, &pool);
    for (const char *p = lines; *p != '\0'; p += *p == '\n') {
        size_t n = 0;
        for (; *p != '\0' && *p != '\n'; p += strcspn(p, " \n"), p += *p == ' ')
            argv[n++] = (struct slice){p, strcspn(p, " \n")};
        build_request(&chain, argv, n);
    }
    struct slice all = chain_flat(&chain);
    char *copy = malloc(all.len + 1);
    assert_non_null(copy);
    memcpy(copy, all.p, all.len);
    struct record_write w = {.now_ms = now_ms, .requests = {copy, all.len}};
    bool ok = replay_write(&object, &arena, &w);
    memset(copy, '?', all.len);
    free(copy);
    chain_clear(&chain);
    chunk_pool_done(&pool);
    return ok;
}

static void expect_list(const char *words)
{
    char text[256] = "";

    assert_int_equal(object.type, OBJECT_LIST);
    for (size_t i = 0; i < object.v.list->count; i++) {
        struct slice s = *list_at(object.v.list, i);
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%.*s", i > 0 ? " " : "", (int)s.len,
                 s.p);
    }
    assert_string_equal(text, words);
}

static void test_push_trim_expire(void **state)
{
    assert_true(replay_at(NOW, "RPUSH k a b c\nLTRIM k -2 -1\nPEXPIREAT k 1700000060000"));
    expect_list("b c");
    assert_int_equal(object.expire_ms, 1700000060000);
    assert_true(object.changed);
    assert_true(replay_at(NOW + 1, "LPUSH k z"));
    expect_list("z b c");
}

/* By the clock of then, not of now. */
static void test_its_own_clock(void **state)
{
    assert_true(replay_at(NOW, "SET k v PX 1000"));
    assert_int_equal(object.expire_ms, NOW + 1000);
    assert_true(replay_at(NOW + 500, "APPEND k w"));
    assert_memory_equal(object.v.string.p, "vw", 2);
    assert_true(replay_at(NOW + 1500, "APPEND k x"));
    assert_int_equal(object.v.string.len, 1); /* it had expired */
    assert_int_equal(object.expire_ms, -1);
}

static void test_errors_are_fine(void **state)
{
    assert_true(replay_at(NOW, "RPUSH k a"));
    object.changed = false;
    assert_true(replay_at(NOW, "SADD k x\nINCR k\nBLPOP k 0\nRPUSH k b"));
    expect_list("b");
    assert_true(replay_at(NOW, "DEL k"));
    assert_int_equal(object.type, OBJECT_NONE);
}

static void test_damage(void **state)
{
    static const char *const bad[] = {
        "RPUSH other a", "RPUSH k a\nRENAME k other", "NOSUCH k", "GET", "PING", "EVAL x 1 k",
        "LMPOP x k LEFT"};
    struct record_write cut = {.now_ms = NOW, .requests = {"*3\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$5\r\nab", 29}};
    struct record_write empty = {.now_ms = NOW}, plain = {.now_ms = NOW, .requests = {"DEL k\r\n", 7}};

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(replay_at(NOW, bad[i]));
    assert_false(replay_write(&object, &arena, &cut));
    assert_false(replay_write(&object, &arena, &empty));
    assert_false(replay_write(&object, &arena, &plain));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_push_trim_expire),
        TEST(test_its_own_clock),
        TEST(test_errors_are_fine),
        TEST(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
