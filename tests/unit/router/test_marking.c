/* The requests that put marks, byte by byte. The script's: tests/unit/proxy/test_block.c; what it does: tests/system/test_dual_write.py. */
#include "router/marking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void check(const struct marking *m, size_t requests, const char *text)
{
    struct chunk_pool pool;
    struct chain out;

    chunk_pool_init(&pool);
    chain_init(&out, &pool);
    marking_put(&out, m);
    struct slice all = chain_flat(&out);
    assert_int_equal(all.len, strlen(text));
    assert_memory_equal(all.p, text, all.len);
    assert_int_equal(marking_requests(m->nkeys), requests);
    chain_clear(&out);
    chunk_pool_done(&pool);
}

static void test_id_only(void **state)
{
    struct marking m = {.session = "a-1-2", .seq = 12};
    check(&m, 1, "*4\r\n$4\r\nHSET\r\n$8\r\ncvp:sess\r\n$5\r\na-1-2\r\n$2\r\n12\r\n");
}

static void test_two_keys(void **state)
{
    struct slice keys[] = {{"k", 1}, {"", 0}};
    struct marking m = {.session = "s", .seq = 1, .fresh = 9, .keys = keys, .nkeys = 2};

    check(&m, 6,
          "*4\r\n$6\r\nHSETNX\r\n$7\r\ncvp:ver\r\n$1\r\nk\r\n$1\r\n9\r\n*4\r\n$7\r\nHINCRBY\r\n$7\r\ncvp:"
          "ver\r\n$1\r\nk\r\n$1\r\n1\r\n"
          "*4\r\n$6\r\nHSETNX\r\n$7\r\ncvp:ver\r\n$0\r\n\r\n$1\r\n9\r\n*4\r\n$7\r\nHINCRBY\r\n$7\r\ncvp:"
          "ver\r\n$0\r\n\r\n$1\r\n1\r\n"
          "*4\r\n$4\r\nSADD\r\n$9\r\ncvp:dirty\r\n$1\r\nk\r\n$0\r\n\r\n*4\r\n$4\r\nHSET\r\n$8\r\ncvp:"
          "sess\r\n$1\r\ns\r\n$1\r\n1\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_id_only), cmocka_unit_test(test_two_keys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
