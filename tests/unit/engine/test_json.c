/* What is JSON, and what only looks like it: the grammar's edges. */
#include "engine/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

static bool valid(const char *text)
{
    return json_is_valid((struct slice){text, strlen(text)});
}

static void test_good(void **state)
{
    static const char *const good[] = {"null", "true", " false ", "0", "-0", "12.50", "1e9", "1E-2", "-1.5e+30", "\"\"",
                                       "\"a\\u00e9\\n\\\"\\\\\\/\"", "[]", "[ ]", "{}", "{ }", "[1, [2], {}]",
                                       "{\"result\": \"approved\", \"by\": [\"a\", null], \"n\": {\"x\": 1}}",
                                       "\r\n\t[1]\n", "\"\xc3\xa4\""};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!valid(good[i]))
            fail_msg("%s", good[i]);
}

static void test_bad(void **state)
{
    static const char *const bad[] = {"", " ", "nul", "truefalse", "True", "01", "1.", ".5", "+1", "-", "1e", "1e+", "0x1", "NaN",
                                      "\"", "\"a", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "\"\n\"", "[", "]", "[1,]", "[,1]", "[1 2]", "{", "}",
                                      "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "{1:2}", "{\"a\":1 \"b\":2}", "[1}", "{\"a\":1]", "1 2",
                                      "[] []", "'a'", "{\"result\": \"appro", "\"\\", "// c\n1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (valid(bad[i]))
            fail_msg("%s", bad[i]);
    assert_false(json_is_valid((struct slice){"1\0", 2}));
    assert_false(json_is_valid((struct slice){"\"\\\0\"", 4}));
}

static void test_deep(void **state)
{
    char text[2 * JSON_DEPTH + 3];

    memset(text, '[', JSON_DEPTH);
    memset(text + JSON_DEPTH, ']', JSON_DEPTH);
    assert_true(json_is_valid((struct slice){text, 2 * JSON_DEPTH}));
    assert_false(json_is_valid((struct slice){text, 2 * JSON_DEPTH - 1}));
    memset(text, '[', JSON_DEPTH + 1);
    memset(text + JSON_DEPTH + 1, ']', JSON_DEPTH + 1);
    assert_false(json_is_valid((struct slice){text, 2 * JSON_DEPTH + 2}));
}

/* Every text that a valid one is cut to, read up to its very end: what ASan watches. */
static void test_cut(void **state)
{
    static const char whole[] = "{\"a\": [1.5e3, \"x\\u0041\\n\", true, {\"b\": null}]}";

    for (size_t n = 0; n < sizeof whole - 1; n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, whole, n);
        assert_false(json_is_valid((struct slice){copy, n}));
        free(copy);
    }
    assert_true(valid(whole));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad), cmocka_unit_test(test_deep),
                                       cmocka_unit_test(test_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
