/* Distinct keys, few and many, short, long and empty. */
#include "proxy/touched.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(size_t n)
{
    struct touched t;
    char name[128];

    touched_init(&t);
    for (int pass = 0; pass < 3; pass++) {
        for (size_t i = 0; i < n; i++) {
            int len = snprintf(name, sizeof name, "%0*zu", (int)(i % 100 + 1), i);
            touched_add(&t, (struct slice){name, (size_t)len});
            touched_add(&t, (struct slice){NULL, 0});
        }
    }
    assert_int_equal(t.count, n + 1);
    assert_int_equal(touched_key(&t, 1).len, 0);
    for (size_t i = 0; i < n; i++) {
        struct slice key = touched_key(&t, i == 0 ? 0 : i + 1);
        int len = snprintf(name, sizeof name, "%0*zu", (int)(i % 100 + 1), i);
        assert_int_equal(key.len, len);
        assert_memory_equal(key.p, name, key.len);
        assert_int_equal(touched_find(&t, (struct slice){name, (size_t)len}), i == 0 ? 0 : i + 1);
    }
    assert_int_equal(touched_find(&t, (struct slice){NULL, 0}), 1);
    assert_int_equal(touched_find(&t, (struct slice){"none", 4}), t.count);
    touched_done(&t);
}

static void test_sizes(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 15, 16, 17, 63, 64, 65, 1000, 20000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        check(sizes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sizes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
