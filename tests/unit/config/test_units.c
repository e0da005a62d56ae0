/* Numbers with units: every unit, every edge, and what must be refused. */
#include "config/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void check_bytes(const char *text, enum units_result want, int64_t value)
{
    int64_t n = -77;
    if (units_parse_bytes(text, &n) != want || n != (want == UNITS_OK ? value : -77))
        fail_msg("'%s' gave %lld", text, (long long)n);
}

static void check_duration(const char *text, int64_t bare, enum units_result want, int64_t value)
{
    int64_t n = -77;
    if (units_parse_duration(text, bare, &n) != want || n != (want == UNITS_OK ? value : -77))
        fail_msg("'%s' gave %lld", text, (long long)n);
}

static void check_int(const char *text, enum units_result want, int64_t value)
{
    int64_t n = -77;
    if (units_parse_int(text, &n) != want || n != (want == UNITS_OK ? value : -77))
        fail_msg("'%s' gave %lld", text, (long long)n);
}

static void check_rate(const char *text, enum units_result want, int64_t count, int64_t ms)
{
    int64_t n = -77, per = -77;
    enum units_result rc = units_parse_rate(text, &n, &per);
    if (rc != want || n != (want == UNITS_OK ? count : -77) || per != (want == UNITS_OK ? ms : -77))
        fail_msg("'%s' gave %lld/%lld", text, (long long)n, (long long)per);
}

static void test_rates(void **state)
{
    static const char *const bad[] = {"100", "/min", "0/min", "-1/s", "1/", "1/week", "1 /s", "1/s ", "x/s", "1.5/s", "00"};

    check_rate("", UNITS_OK, 0, 0);
    check_rate("0", UNITS_OK, 0, 0);
    check_rate("100/min", UNITS_OK, 100, 60000);
    check_rate("100/minute", UNITS_OK, 100, 60000);
    check_rate("5/S", UNITS_OK, 5, 1000);
    check_rate("7/h", UNITS_OK, 7, 3600000);
    check_rate("1000000000/d", UNITS_OK, 1000000000, 86400000);
    check_rate("1000000001/d", UNITS_TOO_LARGE, 0, 0);
    check_rate("99999999999999999999/s", UNITS_TOO_LARGE, 0, 0);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_rate(bad[i], UNITS_MALFORMED, 0, 0);
}

static void test_bytes(void **state)
{
    check_bytes("0", UNITS_OK, 0);
    check_bytes("1000", UNITS_OK, 1000);
    check_bytes("1b", UNITS_OK, 1);
    check_bytes("1k", UNITS_OK, 1000);
    check_bytes("1kb", UNITS_OK, 1024);
    check_bytes("1KB", UNITS_OK, 1024);
    check_bytes("1KiB", UNITS_OK, 1024);
    check_bytes("2m", UNITS_OK, 2000000);
    check_bytes("15MiB", UNITS_OK, 15728640);
    check_bytes("3g", UNITS_OK, 3000000000);
    check_bytes("1Gb", UNITS_OK, 1073741824);
    check_bytes("1t", UNITS_OK, 1000000000000);
    check_bytes("1tib", UNITS_OK, INT64_C(1) << 40);
    check_bytes("9223372036854775807", UNITS_OK, INT64_MAX);
    check_bytes("8388607tb", UNITS_OK, INT64_C(8388607) << 40);
}

static void test_bytes_refused(void **state)
{
    static const char *const bad[] = {"",   "kb",    "1 kb", " 1",  "1kbb", "-1",
                                      "+1", "1.5mb", "0x10", "1e3", "1ms",  "1kb "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_bytes(bad[i], UNITS_MALFORMED, 0);
    check_bytes("9223372036854775808", UNITS_TOO_LARGE, 0);
    check_bytes("8388608tb", UNITS_TOO_LARGE, 0);
    check_bytes("99999999999999999999999999kb", UNITS_TOO_LARGE, 0);
    check_bytes("99999999999999999999999999x", UNITS_MALFORMED, 0);
}

static void test_duration(void **state)
{
    check_duration("500ms", 1000, UNITS_OK, 500);
    check_duration("10s", 1, UNITS_OK, 10000);
    check_duration("5min", 1, UNITS_OK, 300000);
    check_duration("5m", 1, UNITS_OK, 300000);
    check_duration("2H", 1, UNITS_OK, 7200000);
    check_duration("30d", 1, UNITS_OK, 2592000000);
    check_duration("7", 1, UNITS_OK, 7);
    check_duration("7", 1000, UNITS_OK, 7000);
    check_duration("0", 86400000, UNITS_OK, 0);
    check_duration("106751991167d", 1, UNITS_OK, INT64_C(106751991167) * 86400000);
}

static void test_duration_refused(void **state)
{
    static const char *const bad[] = {"", "s", "30x", "1w", "-5s", "1h30m", "1 s", "ms", "1kb", "s10"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        check_duration(bad[i], 1, UNITS_MALFORMED, 0);
    check_duration("106751991168d", 1, UNITS_TOO_LARGE, 0);
    check_duration("9223372036854775807", 1000, UNITS_TOO_LARGE, 0);
    check_duration("18446744073709551617ms", 1, UNITS_TOO_LARGE, 0);
}

static void test_int(void **state)
{
    check_int("0", UNITS_OK, 0);
    check_int("-5", UNITS_OK, -5);
    check_int("007", UNITS_OK, 7);
    check_int("9223372036854775807", UNITS_OK, INT64_MAX);
    check_int("9223372036854775808", UNITS_TOO_LARGE, 0);
    check_int("-9223372036854775808", UNITS_TOO_LARGE, 0);
    check_int("", UNITS_MALFORMED, 0);
    check_int("-", UNITS_MALFORMED, 0);
    check_int("--1", UNITS_MALFORMED, 0);
    check_int("1x", UNITS_MALFORMED, 0);
}

static void test_bool(void **state)
{
    static const char *const yes[] = {"1", "yes", "TRUE", "On"}, *const no[] = {"0", "No", "false", "off"};
    static const char *const bad[] = {"", "2", "y", "enabled", "yes "};
    for (size_t i = 0; i < 4; i++) {
        bool b = false;
        assert_int_equal(units_parse_bool(yes[i], &b), UNITS_OK);
        assert_true(b);
        assert_int_equal(units_parse_bool(no[i], &b), UNITS_OK);
        assert_false(b);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        bool b = true;
        assert_int_equal(units_parse_bool(bad[i], &b), UNITS_MALFORMED);
        assert_true(b);
    }
}

static void test_unit_of_default(void **state)
{
    assert_int_equal(units_duration_unit("2592000s"), 1000);
    assert_int_equal(units_duration_unit("250ms"), 1);
    assert_int_equal(units_duration_unit("10min"), 60000);
    assert_int_equal(units_duration_unit("5"), 1);
    assert_int_equal(units_duration_unit("x"), 1);
}

static void check_print(int64_t bytes, const char *size, int64_t ms, const char *time)
{
    char buf[UNITS_TEXT];
    units_print_bytes(bytes, buf);
    assert_string_equal(buf, size);
    units_print_duration(ms, buf);
    assert_string_equal(buf, time);
}

static void test_print(void **state)
{
    check_print(0, "0", 0, "0");
    check_print(1, "1", 1, "1ms");
    check_print(1000, "1000", 1000, "1s");
    check_print(1024, "1kb", 1500, "1500ms");
    check_print(67108864, "64mb", 60000, "1min");
    check_print(67108865, "67108865", 5400000, "90min");
    check_print(1073741824, "1gb", 2592000000, "30d");
    check_print(INT64_MAX, "9223372036854775807", INT64_MAX, "9223372036854775807ms");
}

/* What is printed reads back as the same number. */
static void test_round_trip(void **state)
{
    char buf[UNITS_TEXT];
    for (int64_t n = 1; n < INT64_MAX / 7; n = n * 7 + n % 5) {
        int64_t back = -1;
        units_print_bytes(n, buf);
        assert_int_equal(units_parse_bytes(buf, &back), UNITS_OK);
        assert_true(back == n);
        units_print_duration(n, buf);
        assert_int_equal(units_parse_duration(buf, 1, &back), UNITS_OK);
        assert_true(back == n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates), cmocka_unit_test(test_bytes),      cmocka_unit_test(test_bytes_refused),
        cmocka_unit_test(test_duration),   cmocka_unit_test(test_duration_refused),
        cmocka_unit_test(test_int),        cmocka_unit_test(test_bool),
        cmocka_unit_test(test_print),      cmocka_unit_test(test_unit_of_default),
        cmocka_unit_test(test_round_trip),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
