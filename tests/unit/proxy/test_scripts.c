#include "proxy/scripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static char memory[4096];

static char *get(void *ctx, size_t n)
{
    assert_true(n <= sizeof memory);
    return memory;
}

static struct slice text(const char *s)
{
    return (struct slice){s, strlen(s)};
}

static bool finds(struct scripts *s, const char *sha, const char *body)
{
    struct slice found = scripts_find(s, text(sha), get, NULL);
    return body == NULL ? found.p == NULL : found.len == strlen(body) && memcmp(found.p, body, found.len) == 0;
}

static void test_seen(void **state)
{
    struct scripts *s = scripts_new(1 << 20);
    struct scripts_report report;
    char sha[SHA1_HEX + 1], again[SHA1_HEX + 1];

    scripts_see(s, text("return 1"), sha);
    scripts_see(s, text("return 1"), again);
    assert_string_equal(sha, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    assert_string_equal(again, sha);
    assert_true(finds(s, sha, "return 1"));
    assert_true(finds(s, "E0E1F9FABFC9D4800C877A703B823AC0578FF8DB", "return 1"));
    assert_true(finds(s, "e0e1f9fabfc9d4800c877a703b823ac0578ff8d", NULL));
    assert_true(finds(s, "e0e1f9fabfc9d4800c877a703b823ac0578ff8dc", NULL));
    assert_true(finds(s, "", NULL));
    scripts_report(s, &report);
    assert_int_equal(report.count, 1);
    scripts_flush(s);
    assert_false(scripts_has(s, text(sha)));
    assert_int_equal(scripts_serial(s), 1);
    scripts_free(s);
}

/* What is used stays, what is not is forgotten first. */
static void test_bound(void **state)
{
    enum { KEPT = 10 };
    struct scripts *s = scripts_new(KEPT * (128 + 9));
    char body[32], first[SHA1_HEX + 1], second[SHA1_HEX + 1];
    struct scripts_report report;

    scripts_see(s, text("return 10"), first);
    scripts_see(s, text("return 11"), second);
    for (int i = 12; i < 60; i++) {
        snprintf(body, sizeof body, "return %d", i);
        scripts_see(s, text(body), NULL);
        assert_true(finds(s, first, "return 10"));
    }
    assert_false(scripts_has(s, text(second)));
    scripts_report(s, &report);
    assert_int_equal(report.count, KEPT);
    assert_true(report.bytes <= KEPT * (128 + 9));
    scripts_free(s);
}

static void test_too_large(void **state)
{
    struct scripts *s = scripts_new(0);
    char sha[SHA1_HEX + 1];

    scripts_see(s, text("return 1"), sha);
    assert_string_equal(sha, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    assert_false(scripts_has(s, text(sha)));
    scripts_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seen), cmocka_unit_test(test_bound),
                                       cmocka_unit_test(test_too_large)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
