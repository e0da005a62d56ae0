/* Plans of faults: what they may say, and which call meets what. */
#include "backends/trace/faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct faults parsed(const char *text)
{
    struct faults f;
    char why[200] = "";

    if (!faults_parse(text, &f, why, sizeof why))
        fail_msg("'%s': %s", text, why);
    return f;
}

static void expect_printed(const char *text, const char *printed)
{
    struct faults f = parsed(text);
    char buf[512];

    assert_int_equal(faults_print(&f, buf, sizeof buf), strlen(printed));
    assert_string_equal(buf, printed);
    f = parsed(buf);
    faults_print(&f, buf, sizeof buf);
    assert_string_equal(buf, printed);
}

static void test_valid_plans(void **state)
{
    expect_printed("", "");
    expect_printed(" ; ;\t;\n", "");
    expect_printed("op=commit delay=100ms fail=3 error=lost-after; op=ping fail=100% error=down",
                   "op=commit delay=100ms fail=3 error=lost-after; op=ping fail=100% error=down");
    expect_printed("op=all  log ;op=control hang;", "op=all log; op=control hang");
    expect_printed("seed=42; op=load error=bad delay=0..20ms fail=50%",
                   "op=load delay=0..20ms fail=50% error=bad; seed=42");
    expect_printed("op=control_set fail=1 error=race seed=18446744073709551615",
                   "op=control_set fail=1 error=race; seed=18446744073709551615");
    expect_printed("op=sweep delay=5..5ms", "op=sweep delay=5ms");
    expect_printed("op=clear fail=0 error=down", "op=clear fail=0 error=down");
}

static void test_print_is_cut(void **state)
{
    struct faults f = parsed("op=all log; op=ping hang");
    char buf[8] = "";

    assert_int_equal(faults_print(&f, buf, sizeof buf), strlen("op=all log; op=ping hang"));
    assert_string_equal(buf, "op=all ");
    assert_int_equal(faults_print(&f, NULL, 0), strlen("op=all log; op=ping hang"));
}

static void test_invalid_plans(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"delay=3ms", "delay stands before op="},
        {"op=put", "there is no operation 'put'"},
        {"op", "op needs a value"},
        {"op=", "there is no operation ''"},
        {"op=load hang=1", "hang takes no value"},
        {"op=load speed=1", "'speed' is not known; there are op, delay, fail, error, hang, log, seed"},
        {"op=load", "op=load: nothing is to happen; there are delay, fail, hang, log"},
        {"op=load delay=0ms", "op=load: nothing is to happen; there are delay, fail, hang, log"},
        {"op=load log op=ping log", "two op= in one clause; clauses end with ';'"},
        {"op=load log; hang", "hang stands before op="},
        {"op=load delay=10", "delay=10: it is 100ms or 10..100ms, at most 600000"},
        {"op=load delay=ms", "delay=ms: it is 100ms or 10..100ms, at most 600000"},
        {"op=load delay=-1ms", "delay=-1ms: it is 100ms or 10..100ms, at most 600000"},
        {"op=load delay=9..1ms", "delay=9..1ms: it is 100ms or 10..100ms, at most 600000"},
        {"op=load delay=600001ms", "delay=600001ms: it is 100ms or 10..100ms, at most 600000"},
        {"op=load delay=1msx", "delay=1msx: it is 100ms or 10..100ms, at most 600000"},
        {"op=load fail=3", "op=load: fail= needs error="},
        {"op=load error=bad", "op=load: error= needs fail="},
        {"op=load fail=101% error=bad", "fail=101%: it is a number of calls, or 0% to 100%"},
        {"op=load fail=9223372036854775808 error=bad",
         "fail=9223372036854775808: it is a number of calls, or 0% to 100%"},
        {"op=load fail=x error=bad", "fail=x: it is a number of calls, or 0% to 100%"},
        {"op=load fail=1 error=lost",
         "there is no error 'lost'; there are down, lost-before, lost-after, race, bad"},
        {"op=load fail=1 error=lost-after", "op=load can't fail with lost-after"},
        {"op=ping fail=1 error=race", "op=ping can't fail with race"},
        {"seed=-1", "seed=-1: it is a number"},
        {"seed=18446744073709551616", "seed=18446744073709551616: it is a number"},
        {"op=ping log;op=ping log;op=ping log;op=ping log;op=ping log;op=ping log;op=ping log;op=ping "
         "log;op=ping log;"
         "op=ping log;op=ping log;op=ping log;op=ping log;op=ping log;op=ping log;op=ping log;op=ping log",
         "more than 16 clauses"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct faults f = {.seed = 7};
        char why[200] = "";
        assert_false(faults_parse(rows[i].text, &f, why, sizeof why));
        assert_string_equal(why, rows[i].why);
        assert_int_equal(f.seed, 7);
    }
}

static void test_draws(void **state)
{
    struct faults f = parsed("op=commit fail=25% error=down; op=all delay=3..9ms; seed=5"), g = f;
    int failed = 0;

    for (int i = 0; i < 4000; i++) {
        struct fault one = faults_draw(&f, TRACE_COMMIT), same = faults_draw(&g, TRACE_COMMIT);
        assert_int_equal(one.error, same.error);
        assert_int_equal(one.delay_us, same.delay_us);
        assert_in_range(one.delay_us, 3000, 9000);
        failed += one.error == ERR_ARCHIVEDOWN;
    }
    assert_in_range(failed, 880, 1120);
    g = parsed("op=commit fail=25% error=down; op=all delay=3..9ms; seed=6");
    assert_int_not_equal(faults_draw(&g, TRACE_COMMIT).delay_us, faults_draw(&f, TRACE_COMMIT).delay_us);
}

/* A clause for all operations counts only the calls that know its error. */
static void test_only_errors_of_the_contract(void **state)
{
    struct faults f = parsed("op=all fail=2 error=race");

    for (int op = 0; op < TRACE_OPS; op++)
        if (op != TRACE_COMMIT && op != TRACE_CONTROL_SET)
            assert_int_equal(faults_draw(&f, op).error, ERR_NONE);
    assert_int_equal(faults_draw(&f, TRACE_CONTROL_SET).error, ERR_RACE);
    assert_int_equal(faults_draw(&f, TRACE_COMMIT).error, ERR_RACE);
    assert_int_equal(faults_draw(&f, TRACE_COMMIT).error, ERR_NONE);
    f = parsed("op=all fail=100% error=lost-before");
    for (int op = 0; op < TRACE_OPS; op++) {
        bool writes = op == TRACE_COMMIT || op == TRACE_CONTROL_SET || op == TRACE_CLEAR || op == TRACE_SWEEP;
        assert_int_equal(faults_draw(&f, op).error, writes ? ERR_ARCHIVELOST : ERR_NONE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_valid_plans),
        cmocka_unit_test(test_print_is_cut),
        cmocka_unit_test(test_invalid_plans),
        cmocka_unit_test(test_draws),
        cmocka_unit_test(test_only_errors_of_the_contract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
