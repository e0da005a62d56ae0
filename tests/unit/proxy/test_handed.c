/* Keys that are Redis' again: none is taken for another, whatever their bytes. */
#include "proxy/handed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include <string.h>

#define KEYS 20000

static struct slice key_of(int i, char *buf, size_t cap)
{
    int n = snprintf(buf, cap, "conv:%d", i);
    return (struct slice){buf, (size_t)n};
}

static void test_many(void **state)
{
    struct handed *h = handed_new();
    char text[32];

    for (int i = 0; i < KEYS; i += 2)
        handed_set(h, handed_id(h, key_of(i, text, sizeof text)), i % 4 == 0 ? HANDED_YES : HANDED_ASKED);
    for (int i = 0; i < KEYS; i++) {
        enum handed_state wanted = i % 2 != 0 ? HANDED_UNKNOWN : i % 4 == 0 ? HANDED_YES : HANDED_ASKED;
        assert_int_equal(handed_get(h, handed_id(h, key_of(i, text, sizeof text))), wanted);
    }
    handed_clear(h);
    assert_int_equal(handed_get(h, handed_id(h, key_of(0, text, sizeof text))), HANDED_UNKNOWN);
    handed_free(h);
}

static void test_states_change(void **state)
{
    static const enum handed_state states[] = {HANDED_ASKED, HANDED_NO, HANDED_ASKED, HANDED_YES};
    struct handed *h = handed_new();
    struct keyid id = handed_id(h, (struct slice){"k", 1});

    for (size_t i = 0; i < 4; i++) {
        handed_set(h, id, states[i]);
        assert_int_equal(handed_get(h, id), states[i]);
    }
    handed_free(h);
}

/* Keys that differ in length, in zeros, or beyond the first words. */
static void test_alike(void **state)
{
    static const struct slice keys[] = {{"", 0},
                                        {"\0", 1},
                                        {"\0\0", 2},
                                        {"abcdefgh", 8},
                                        {"abcdefgh\0", 9},
                                        {"abcdefghi", 9},
                                        {"abcdefgi", 8},
                                        {"abcdefghabcdefgh", 16},
                                        {"abcdefghabcdefgi", 16}};
    struct handed *h = handed_new();

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        assert_int_equal(handed_get(h, handed_id(h, keys[i])), HANDED_UNKNOWN);
        handed_set(h, handed_id(h, keys[i]), HANDED_YES);
    }
    handed_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_many), cmocka_unit_test(test_states_change),
                                       cmocka_unit_test(test_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
