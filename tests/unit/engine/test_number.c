#include "engine/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define S(text)                                                                                              \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    }

/* What redis-server 7.0.15 made of a text: NULL when it refused it. */
struct reading {
    struct slice text;
    const char *printed;
};

/* As a double: ZADD, then ZSCORE (zset-max-listpack-entries 0: small sorted sets lose the sign of -0). As an
 * increment: INCRBYFLOAT on a key that did not exist. */
static const struct {
    struct slice text;
    const char *as_double, *as_increment;
} fractions[] = {
    {S("0"), "0", "0"},
    {S("-0"), "-0", "0"},
    {S("-0.0"), "-0", "0"},
    {S("-00"), "-0", "0"},
    {S("+0"), "0", "0"},
    {S("0.0"), "0", "0"},
    {S("1"), "1", "1"},
    {S("+1"), "1", "1"},
    {S("-1"), "-1", "-1"},
    {S("01"), "1", "1"},
    {S("1."), "1", "1"},
    {S("1.5"), "1.5", "1.5"},
    {S(".5"), "0.5", "0.5"},
    {S("-.5"), "-0.5", "-0.5"},
    {S("+.5"), "0.5", "0.5"},
    {S("."), NULL, NULL},
    {S(""), NULL, NULL},
    {S("-"), NULL, NULL},
    {S("+"), NULL, NULL},
    {S(" 1"), NULL, NULL},
    {S("1 "), NULL, NULL},
    {S("\0111"), NULL, NULL},
    {S("1\012"), NULL, NULL},
    {S("1e5"), "100000", "100000"},
    {S("1E5"), "100000", "100000"},
    {S("1e+5"), "100000", "100000"},
    {S("1e-5"), "1.0000000000000001e-05", "0.00001"},
    {S("1e"), NULL, NULL},
    {S("1e-400"), NULL, "0"},
    {S("5e-324"), "4.9406564584124654e-324", "0"},
    {S("4.9e-324"), "4.9406564584124654e-324", "0"},
    {S("2e-324"), NULL, "0"},
    {S("1e-310"), "9.9999999999999694e-311", "0"},
    {S("infinit"), NULL, NULL},
    {S("infx"), NULL, NULL},
    {S("nan"), NULL, NULL},
    {S("NaN"), NULL, NULL},
    {S("-nan"), NULL, NULL},
    {S("nan(1)"), NULL, NULL},
    {S("0x10"), "16", "16"},
    {S("0x1p3"), "8", "8"},
    {S("-0x1.8p1"), "-3", "-3"},
    {S("0X1P-2"), "0.25", "0.25"},
    {S("0x"), NULL, NULL},
    {S("0x1p"), NULL, NULL},
    {S("1e5x"), NULL, NULL},
    {S("abc"), NULL, NULL},
    {S("1,5"), NULL, NULL},
    {S("1_000"), NULL, NULL},
    {S("0.1"), "0.10000000000000001", "0.1"},
    {S("0.2"), "0.20000000000000001", "0.2"},
    {S("0.3"), "0.29999999999999999", "0.3"},
    {S("3.14159265358979"), "3.14159265358979", "3.14159265358979"},
    {S("1e15"), "1000000000000000", "1000000000000000"},
    {S("1e16"), "10000000000000000", "10000000000000000"},
    {S("1e17"), "1e+17", "100000000000000000"},
    {S("123456789012345678"), "1.2345678901234568e+17", "123456789012345678"},
    {S("9007199254740992"), "9007199254740992", "9007199254740992"},
    {S("9007199254740993"), "9007199254740992", "9007199254740993"},
    {S("4503599627370495"), "4503599627370495", "4503599627370495"},
    {S("4503599627370496"), "4503599627370496", "4503599627370496"},
    {S("4503599627370497"), "4503599627370497", "4503599627370497"},
    {S("-4503599627370496"), "-4503599627370496", "-4503599627370496"},
    {S("9223372036854775807"), "9.2233720368547758e+18", "9223372036854775807"},
    {S("9223372036854775808"), "9.2233720368547758e+18", "9223372036854775808"},
    {S("18446744073709551616"), "1.8446744073709552e+19", "18446744073709551616"},
    {S("1e21"), "1e+21", "1000000000000000000000"},
    {S("1e22"), "1e+22", "10000000000000000000000"},
    {S("1e100"), "1e+100",
     "9999999999999999999669353532207342619498699019828496079271391541752018669482644324418977840117055488"},
    {S("-1e100"), "-1e+100",
     "-9999999999999999999669353532207342619498699019828496079271391541752018669482644324418977840117055488"},
    {S("1234567.891"), "1234567.8910000001", "1234567.89099999999996271"},
    {S("0.000001"), "9.9999999999999995e-07", "0.000001"},
    {S("0.0000001"), "9.9999999999999995e-08", "0.0000001"},
    {S("1e-7"), "9.9999999999999995e-08", "0.0000001"},
    {S("100000"), "100000", "100000"},
    {S("1000000"), "1000000", "1000000"},
    {S("12345678.9"), "12345678.9", "12345678.8999999999996362"},
    {S("123456789012.5"), "123456789012.5", "123456789012.5"},
    {S("1e20"), "1e+20", "100000000000000000000"},
    {S("100000000000000000000"), "1e+20", "100000000000000000000"},
    {S("0.1e1"), "1", "1"},
    {S("00.1"), "0.10000000000000001", "0.1"},
    {S("1\0002"), NULL, NULL},
    {S("\000"), NULL, NULL},
    {S("1\000"), NULL, NULL},
    {S("1d"), NULL, NULL},
    {S("1f"), NULL, NULL},
    {S("1L"), NULL, NULL},
    {S("0b1"), NULL, NULL},
    {S("0o7"), NULL, NULL},
    {S("1e0005"), "100000", "100000"},
    {S("1e-0005"), "1.0000000000000001e-05", "0.00001"},
    {S("2.2250738585072014e-308"), "2.2250738585072014e-308", "0"},
    {S("1.0000000000000002"), "1.0000000000000002", "1.0000000000000002"},
    {S("0.99999999999999999"), "1", "0.99999999999999999"},
    {S("99999999999999999999.5"), "1e+20", "100000000000000000000"},
    {S("5.0e-1"), "0.5", "0.5"},
};

/* As doubles only: increments print all their digits. */
static const struct reading doubles[] = {
    {S("1e400"), NULL},
    {S("-1e400"), NULL},
    {S("1e308"), "1e+308"},
    {S("1.7976931348623157e308"), "1.7976931348623157e+308"},
    {S("1.8e308"), NULL},
    {S("inf"), "inf"},
    {S("-inf"), "-inf"},
    {S("+inf"), "inf"},
    {S("Inf"), "inf"},
    {S("INF"), "inf"},
    {S("infinity"), "inf"},
    {S("-infinity"), "-inf"},
    {S("1.5e300"), "1.5000000000000001e+300"},
};

/* INCRBY on a key that did not exist. */
static const struct reading ints[] = {
    {S("0"), "0"},
    {S("-0"), NULL},
    {S("+0"), NULL},
    {S("1"), "1"},
    {S("+1"), NULL},
    {S("-1"), "-1"},
    {S("01"), NULL},
    {S("-01"), NULL},
    {S("00"), NULL},
    {S("9223372036854775807"), "9223372036854775807"},
    {S("9223372036854775808"), NULL},
    {S("-9223372036854775808"), "-9223372036854775808"},
    {S("-9223372036854775809"), NULL},
    {S("99999999999999999999"), NULL},
    {S("18446744073709551616"), NULL},
    {S("18446744073709551617"), NULL},
    {S("1.0"), NULL},
    {S("1e3"), NULL},
    {S(""), NULL},
    {S(" 1"), NULL},
    {S("1 "), NULL},
    {S("-"), NULL},
    {S("--1"), NULL},
    {S("1\000"), NULL},
    {S("a"), NULL},
    {S("0x10"), NULL},
    {S("10000000000000000000"), NULL},
    {S("-10000000000000000000"), NULL},
    {S("000000000000000000001"), NULL},
    {S("1234567890123456789"), "1234567890123456789"},
};

/* SORT of a list of this one element: 1 when it was a number. */
static const struct {
    struct slice text;
    bool good;
} sortables[] = {
    {S(""), true},       {S(" 1"), true},      {S("1 "), false},     {S("1\000x"), true},  {S("0x10"), true},
    {S("1e400"), false}, {S("1e-400"), false}, {S("5e-324"), false}, {S("1e-310"), false}, {S("nan"), false},
    {S("inf"), true},    {S("-inf"), true},    {S("a"), false},      {S("+1"), true},      {S("1.0"), true},
};

static void expect(const char *text, size_t n, struct slice read, const char *want)
{
    if (strlen(text) != n || want == NULL || strcmp(text, want) != 0)
        fail_msg("'%.*s' became '%s'", (int)read.len, read.p, text);
}

static void expect_double(struct slice read, const char *want)
{
    char text[NUMBER_TEXT];
    double value = 42;

    if (number_double(read, &value)) {
        expect(text, number_print_double(text, value), read, want);
    } else {
        assert_null(want);
        assert_true(value == 42);
    }
}

static void expect_increment(struct slice read, const char *want)
{
    char text[NUMBER_TEXT];
    long double value = 42;

    if (number_long_double(read, &value)) {
        expect(text, number_print_human(text, value), read, want);
    } else {
        assert_null(want);
        assert_true(value == 42);
    }
}

static void test_doubles(void **state)
{
    for (size_t i = 0; i < COUNT(fractions); i++)
        expect_double(fractions[i].text, fractions[i].as_double);
    for (size_t i = 0; i < COUNT(doubles); i++)
        expect_double(doubles[i].text, doubles[i].printed);
}

static void test_increments(void **state)
{
    for (size_t i = 0; i < COUNT(fractions); i++)
        expect_increment(fractions[i].text, fractions[i].as_increment);
}

static void test_ints(void **state)
{
    char text[24];

    for (size_t i = 0; i < COUNT(ints); i++) {
        int64_t value = 42;
        if (number_int(ints[i].text, &value)) {
            expect(text, number_print_int(text, value), ints[i].text, ints[i].printed);
        } else {
            assert_null(ints[i].printed);
            assert_int_equal(value, 42);
        }
    }
}

static void test_sortables(void **state)
{
    for (size_t i = 0; i < COUNT(sortables); i++) {
        double value = 42;
        if (number_sortable(sortables[i].text, &value) != sortables[i].good)
            fail_msg("'%s'", sortables[i].text.p);
        assert_true(sortables[i].good || value == 42);
    }
    double value;
    assert_true(number_sortable((struct slice){NULL, 0}, &value) && value == 0);
}

/* Every printed double reads back as itself. */
static void test_round_trip(void **state)
{
    uint64_t bits = 88172645463325252u;

    for (int i = 0; i < 20000; i++) {
        char text[NUMBER_TEXT];
        double value, again;
        bits ^= bits << 13;
        bits ^= bits >> 7;
        bits ^= bits << 17;
        memcpy(&value, &bits, sizeof value);
        if (i % 2 == 0)
            value = (double)(int64_t)bits / (i % 7 == 0 ? 1 : 1024);
        if (isnan(value) || fabs(value) < 1e-300)
            continue;
        size_t n = number_print_double(text, value);
        assert_true(number_double((struct slice){text, n}, &again));
        assert_memory_equal(&value, &again, sizeof value);
    }
}

/* Texts of any length: a double may have them, an increment up to 5119 bytes. */
static void test_long_texts(void **state)
{
    static char zeros[10001];
    double d;
    long double l;
    int64_t n;

    memset(zeros, '0', sizeof zeros);
    zeros[1] = '.';
    zeros[10000] = '1';
    assert_true(number_double((struct slice){zeros, 10000}, &d) && d == 0);
    assert_false(number_double((struct slice){zeros, 10001}, &d)); /* too small */
    assert_true(number_sortable((struct slice){zeros, 10000}, &d) && d == 0);
    assert_true(number_long_double((struct slice){zeros, 5119}, &l) && l == 0);
    assert_false(number_long_double((struct slice){zeros, 5120}, &l));
    assert_false(number_int((struct slice){zeros + 2, 5000}, &n));
}

static void test_largest(void **state)
{
    static char text[NUMBER_TEXT];

    assert_int_equal(number_print_human(text, -1.18973149535723176502e+4932L), 4934);
    assert_int_equal(strlen(text), 4934);
    number_print_human(text, (long double)INFINITY);
    assert_string_equal(text, "inf");
    number_print_human(text, (long double)-INFINITY);
    assert_string_equal(text, "-inf");
    number_print_double(text, NAN);
    assert_string_equal(text, "nan");
    assert_int_equal(number_print_int(text, INT64_MIN), 20);
    assert_string_equal(text, "-9223372036854775808");
}

/* In a locale with a decimal comma, all the same. Skipped where the machine has none. */
static void test_locale(void **state)
{
    static const char *const names[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "ru_RU.UTF-8"};
    bool found = false;

    for (size_t i = 0; i < COUNT(names) && !found; i++)
        found = setlocale(LC_ALL, names[i]) != NULL;
    if (!found)
        skip();
    test_doubles(state);
    test_increments(state);
    test_sortables(state);
    setlocale(LC_ALL, "C");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_doubles),    cmocka_unit_test(test_increments),
        cmocka_unit_test(test_ints),       cmocka_unit_test(test_sortables),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_long_texts),
        cmocka_unit_test(test_largest),    cmocka_unit_test(test_locale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
