#include "router/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *pattern;
    const char *key;
    bool matches;
} rows[] = {
    {"conv:*", "conv:1", true},
    {"conv:*", "conv:", true},
    {"conv:*", "conv:a:b:c", true},
    {"conv:*", "conv", false},
    {"conv:*", "xconv:1", false},
    {"conv:*", "CONV:1", false},
    {"conv:*", "", false},
    {"conv:all", "conv:all", true},
    {"conv:all", "conv:all2", false},
    {"conv:all", "conv:al", false},
    {"", "", true},
    {"", "a", false},
    {"*", "", true},
    {"*", "anything:at:all", true},

    {"tenant:*:wm:*", "tenant:a:wm:x", true},
    {"tenant:*:wm:*", "tenant:a:wm:", true},
    {"tenant:*:wm:*", "tenant:a:wm:x:y:z", true},
    {"tenant:*:wm:*", "tenant:a:b:wm:x", false},
    {"tenant:*:wm:*", "tenant::wm:x", false},
    {"tenant:*:wm:*", "tenant:a:wm", false},
    {"tenant:*:wm:*", "tenant:a", false},
    {"tenant:*:wm:*", "tenant:", false},
    {"tenant:*:wm:*", "tenant:wm:wm:x", true},
    {"tenant:*:wm", "tenant:a:wm", true},
    {"tenant:*:wm", "tenant:a:wm:", false},
    {"tenant:*:wm", "tenant:a:wm:wm", false},
    {"*:history", "s1:history", true},
    {"*:history", ":history", false},
    {"*:history", "a:b:history", false},
    {"*:history", "s1:history2", false},
    {"a*b", "axb", true},
    {"a*b", "ab", false},
    {"a*b", "axbxb", true},
    {"a*b", "ax:b", false},
    {"a*b", "axbc", false},
    {"a*b*", "axb", true},
    {"a*b*", "abb", true},
    {"a*b*", "ab", false},
    {"a*b*c", "axbxbxc", true},
    {"a*b*c", "axbc", false},
    {"a*b*c", "axbbc", true},
    {"a*ab", "aaab", true},
    {"a*ab", "aab", false},
    {"**", "", false},
    {"**", "x", true},
    {"**", "x:y", true},
    {"**", ":", false},
    {"a**", "a", false},
    {"a**b", "axxb", true},
    {"a**b", "axb", false},
    {"a*:*:*", "ax:y:z", true},
    {"a*:*:*", "ax::z", false},
    {"a?[x]\\*", "a?[x]\\y", true},
    {"a?[x]\\*", "ab[x]\\y", false},
};

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct slice key = {rows[i].key, strlen(rows[i].key)};
        if (policy_match(rows[i].pattern, key) != rows[i].matches)
            fail_msg("\"%s\" and \"%s\": expected %d", rows[i].pattern, rows[i].key, rows[i].matches);
    }
}

static void test_globs(void **state)
{
    static const char *const cases[][2] = {
        {"conv:*", "conv:*"}, {"a:*:b:*", "a:*:b:*"}, {"exact", "exact"}, {"a?[b]\\*", "a\\?\\[b\\]\\\\*"}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *glob = policy_glob(cases[i][0]);
        assert_string_equal(glob, cases[i][1]);
        free(glob);
    }
}

static void test_binary_keys(void **state)
{
    assert_true(policy_match("conv:*", (struct slice){"conv:\0\xff\r\n", 9}));
    assert_true(policy_match("conv:*:x", (struct slice){"conv:\0\xff:x", 9}));
    assert_false(policy_match("conv:all", (struct slice){"conv:all\0", 9}));
    assert_false(policy_match("", (struct slice){"\0", 1}));
    assert_true(policy_match("*", (struct slice){NULL, 0}) && policy_match("", (struct slice){"", 0}));
}

/* The documented rule, written down as it reads: tries every length for every "*". */
static bool obvious_match(const char *pattern, const char *key)
{
    if (*pattern == '\0')
        return *key == '\0';
    if (*pattern != '*')
        return *pattern == *key && obvious_match(pattern + 1, key + 1);
    if (pattern[1] == '\0')
        return true;
    for (; *key != '\0' && *key != ':'; key++) {
        if (obvious_match(pattern + 1, key + 1))
            return true;
    }
    return false;
}

/* Numbers all words, the empty one first. */
static void spell(char *text, unsigned number, unsigned base, const char *letters)
{
    for (; number > 0; number = (number - 1) / base)
        *text++ = letters[(number - 1) % base];
    *text = '\0';
}

/* Every short pattern over {a b : *} against every short key over {a b :}. */
static void test_against_the_obvious(void **state)
{
    unsigned matches = 0;
    for (unsigned p = 0; p < 1365; p++) {
        char pattern[8];
        spell(pattern, p, 4, "*a:b");
        for (unsigned k = 0; k < 3280; k++) {
            char key[9];
            spell(key, k, 3, "a:b");
            bool expected = obvious_match(pattern, key);
            matches += expected;
            if (policy_match(pattern, (struct slice){key, strlen(key)}) != expected)
                fail_msg("\"%s\" and \"%s\": expected %d", pattern, key, expected);
        }
    }
    assert_true(matches > 1000);
}

/* A hostile key and pattern must not take exponential time: this would never end if it did. */
static void test_stays_cheap(void **state)
{
    enum { LEN = 20000 };
    char *key = malloc(LEN);
    memset(key, 'a', LEN);
    assert_false(policy_match("*a*a*a*a*a*a*a*a*a*a*a*a*b", (struct slice){key, LEN}));
    assert_true(policy_match("*a*a*a*a*a*a*a*a*a*a*a*a*a", (struct slice){key, LEN}));
    free(key);
}

static char conv[] = "conv:*";
static char special[] = "conv:vip:*";
static char exact[] = "counter";
static char tenants[] = "tenant:*:wm:*";

static void test_first_match_wins(void **state)
{
    struct policy_conf policies[] = {
        {.match = exact}, {.match = special}, {.match = conv}, {.match = tenants}};
    struct settings conf = {.policies = policies, .policy_count = 4};
    const struct slice keys[] = {{"counter", 7}, {"counter2", 8}, {"conv:vip:1", 10}, {"conv:vip", 8}, {"tenant:t:wm:x", 13}, {"", 0}};
    struct policy_set *set = policy_set_new(&conf);
    assert_non_null(set);
    assert_false(policy_set_empty(set));
    assert_ptr_equal(policy_find(set, (struct slice){"counter", 7}), &policies[0]);
    assert_ptr_equal(policy_find(set, (struct slice){"conv:vip:1", 10}), &policies[1]);
    assert_ptr_equal(policy_find(set, (struct slice){"conv:vip", 8}), &policies[2]);
    assert_ptr_equal(policy_find(set, (struct slice){"tenant:t:wm:x", 13}), &policies[3]);
    assert_null(policy_find(set, (struct slice){"counter2", 8}));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        assert_ptr_equal(policy_of_key(&conf, keys[i]), policy_find(set, keys[i]));
    assert_null(policy_find(set, (struct slice){"", 0}));
    policy_set_free(set);
}

static void test_order_is_the_settings_order(void **state)
{
    struct policy_conf policies[] = {{.match = conv}, {.match = special}};
    struct settings conf = {.policies = policies, .policy_count = 2};
    struct policy_set *set = policy_set_new(&conf);
    assert_ptr_equal(policy_find(set, (struct slice){"conv:vip:1", 10}), &policies[0]);
    policy_set_free(set);
}

static void test_empty(void **state)
{
    struct settings conf = {.policy_count = 0};
    struct policy_set *set = policy_set_new(&conf);
    assert_true(policy_set_empty(set));
    assert_null(policy_find(set, (struct slice){"conv:1", 6}));
    policy_set_free(set);
    policy_set_free(NULL);
}

static void test_of_prefix(void **state)
{
    static const struct {
        const char *prefix;
        int policy; /* -1: none, -2: may differ */
    } cases[] = {
        {"conv:", -2},   {"conv:1", 1}, {"conv:vip:", -2}, {"conv:vip", -2}, {"conv", -2},
        {"", -2},        {"app:", -1},  {"exact", -2},     {"exactly", -1},  {"t:", -2},
        {"t:a:wm:", -2}, {"u", -1},     {"conv:x", 1},     {"conv;", -1},
    };
    struct policy_conf policies[] = {
        {.match = "conv:vip:1"}, {.match = "conv:*"}, {.match = "exact"}, {.match = "t:*:wm:*"}};
    struct settings conf = {.policies = policies, .policy_count = 4};
    struct policy_set *set = policy_set_new(&conf);

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct policy_conf *found;
        bool same = policy_of_prefix(set, (struct slice){cases[i].prefix, strlen(cases[i].prefix)}, &found);
        int got = !same ? -2 : (found == NULL ? -1 : (int)(found - policies));
        if (got != cases[i].policy)
            fail_msg("%s: %d, expected %d", cases[i].prefix, got, cases[i].policy);
    }
    policy_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_globs),
        cmocka_unit_test(test_binary_keys),
        cmocka_unit_test(test_against_the_obvious),
        cmocka_unit_test(test_stays_cheap),
        cmocka_unit_test(test_first_match_wins),
        cmocka_unit_test(test_order_is_the_settings_order),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_of_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
