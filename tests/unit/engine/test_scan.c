#include "engine/scan.h"
#include "engine/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define NAMES 3000 /* 0 … 999 stay, 1000 … 1999 leave one by one, 2000 … 2999 come one by one */

static struct slice name_of(char *buf, size_t i)
{
    return (struct slice){buf, (size_t)sprintf(buf, "name:%zu", i)};
}

/* Reads a set of names page by page, while others leave and come: those that stay are seen once each. */
static void read_all(int64_t count, unsigned seen[NAMES])
{
    size_t pages = 0, gone = 0;
    struct scan s = {.count = count};
    char buf[32];

    memset(seen, 0, NAMES * sizeof *seen);
    do {
        scan_page(&s, 2000, false);
        for (size_t i = 0; i < NAMES; i++) {
            bool there = i < 1000 || (i < 2000 ? i >= 1000 + gone : i < 2000 + gone);
            if (there && scan_takes(&s, name_of(buf, i)))
                seen[i]++;
        }
        if (gone < 1000)
            gone++;
        s.cursor = s.end;
        assert_true(++pages <= 2001);
    } while (s.end < (uint64_t)1 << 52);
}

static void test_promise(void **state)
{
    static const int64_t counts[] = {1, 2, 10, 300, 1999, 2000, 100000, INT64_MAX};
    static unsigned seen[NAMES];

    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        read_all(counts[c], seen);
        for (size_t i = 0; i < 1000; i++)
            assert_int_equal(seen[i], 1);
        for (size_t i = 1000; i < NAMES; i++)
            assert_true(seen[i] <= 1);
    }
}

/* Pages hold about as many names as are asked for. */
static void test_page_size(void **state)
{
    struct scan s = {.count = 100};
    char buf[32];
    size_t n = 0;

    scan_page(&s, NAMES, false);
    for (size_t i = 0; i < NAMES; i++)
        n += scan_takes(&s, name_of(buf, i));
    assert_in_range(n, 50, 150);
}

/* A cursor that we never gave is no reason to read past the end, or for ever. */
static void test_foreign_cursor(void **state)
{
    static const uint64_t cursors[] = {((uint64_t)1 << 52) - 1, (uint64_t)1 << 52, UINT64_MAX};
    char buf[32];

    for (size_t c = 0; c < sizeof cursors / sizeof *cursors; c++) {
        struct scan s = {.cursor = cursors[c], .count = 1};
        scan_page(&s, NAMES, false);
        assert_int_equal(s.end, (uint64_t)1 << 52);
        for (size_t i = 0; i < NAMES; i++)
            assert_false(scan_takes(&s, name_of(buf, i)));
    }
}

static void test_whole(void **state)
{
    struct scan s = {.cursor = 12345, .count = 1, .pattern = {"*7", 2}};
    char buf[32];
    size_t n = 0;

    scan_page(&s, 100, true);
    for (size_t i = 0; i < 100; i++)
        n += scan_takes(&s, name_of(buf, i));
    assert_int_equal(n, 10);
    assert_int_equal(s.end, (uint64_t)1 << 52);
}

static const struct {
    const char *pattern, *text;
    bool matches;
} patterns[] = {
    {"", "", true},      {"", "a", false},     {"*", "", true},         {"**", "", false},
    {"**", "a", true},   {"a*", "a", true},    {"a**", "a", true},      {"?", "", false},
    {"?", "a", true},    {"[ab]", "b", true},  {"[^ab]", "b", false},   {"[c-a]", "b", true},
    {"[a-", "-", true},  {"[a-]", "]", true},  {"[\\]]", "]", true},    {"[\\a-c]", "b", false},
    {"[^", "x", true},   {"[", "[", false},    {"[]", "]", false},      {"\\*", "*", true},
    {"\\*", "a", false}, {"a\\", "a\\", true}, {"*b*c", "abxbc", true}, {"*b*c", "abxb", false},
    {"A", "a", false},
};

static void test_patterns(void **state)
{
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        struct slice p = {patterns[i].pattern, strlen(patterns[i].pattern)};
        struct slice t = {patterns[i].text, strlen(patterns[i].text)};
        if (pattern_match(p, t) != patterns[i].matches)
            fail_msg("pattern %s, text %s: not %d", patterns[i].pattern, patterns[i].text,
                     patterns[i].matches);
    }
    assert_true(pattern_match((struct slice){"a\0?", 3}, (struct slice){"a\0b", 3}));
    assert_false(pattern_match((struct slice){"a\0?", 3}, (struct slice){"axb", 3}));
}

/* Many stars, and a text that almost matches: the product of the lengths, not a power of them. */
static void test_hostile_pattern(void **state)
{
    char pattern[2001], text[4001];
    struct timespec from, to;

    for (size_t i = 0; i < 2000; i++)
        pattern[i] = i % 2 == 0 ? '*' : 'a';
    pattern[2000] = 'b';
    memset(text, 'a', sizeof text);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &from);
    assert_false(pattern_match((struct slice){pattern, 2001}, (struct slice){text, 4001}));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &to);
    assert_true(to.tv_sec - from.tv_sec < 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promise),        cmocka_unit_test(test_page_size),
        cmocka_unit_test(test_foreign_cursor), cmocka_unit_test(test_whole),
        cmocka_unit_test(test_patterns),       cmocka_unit_test(test_hostile_pattern),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
