#include "base/keyid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 20000

static int compare(const void *x, const void *y)
{
    const struct keyid *a = x, *b = y;

    if (a->a != b->a)
        return a->a < b->a ? -1 : 1;
    return a->b < b->b ? -1 : a->b > b->b;
}

/* Keys that differ in one digit, or only in their length, are all told apart, and spread over a table. */
static void test_keys_are_told_apart(void **state)
{
    static struct keyid ids[KEYS];
    static unsigned cells[256];
    struct keyid_secret secret;
    char text[40], zeros[40] = {0};

    (void)state;
    keyid_secret_init(&secret);
    for (size_t i = 0; i < KEYS; i++) {
        int n = snprintf(text, sizeof text, "conv:%zu", i);
        struct slice key = i < sizeof zeros ? (struct slice){zeros, i} : (struct slice){text, (size_t)n};
        ids[i] = keyid_of(&secret, key);
        assert_true(keyid_same(ids[i], keyid_of(&secret, key)));
        cells[ids[i].a & 255]++;
    }
    qsort(ids, KEYS, sizeof ids[0], compare);
    for (size_t i = 1; i < KEYS; i++)
        assert_false(keyid_same(ids[i - 1], ids[i]));
    for (size_t i = 0; i < 256; i++)
        assert_in_range(cells[i], KEYS / 256 / 4, KEYS / 256 * 4);
}

static void test_secrets_differ(void **state)
{
    struct keyid_secret one, other;
    struct slice key = {"conv:1", 6};

    (void)state;
    keyid_secret_init(&one);
    keyid_secret_init(&other);
    assert_false(keyid_same(keyid_of(&one, key), keyid_of(&other, key)));
    memcpy(&other, &one, sizeof other); /* one that was kept finds the same keys again */
    assert_true(keyid_same(keyid_of(&one, key), keyid_of(&other, key)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_keys_are_told_apart), cmocka_unit_test(test_secrets_differ)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
