#include "base/sha1.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

static void expect(const char *text, size_t n, const char *digits)
{
    char sha[SHA1_HEX + 1];

    sha1_hex((struct slice){text, n}, sha);
    assert_string_equal(sha, digits);
}

/* The first three are FIPS 180's. */
static void test_known(void **state)
{
    const char *two_blocks = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";

    expect("abc", 3, "a9993e364706816aba3e25717850c26c9cd0d89d");
    expect("", 0, "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    expect(two_blocks, strlen(two_blocks), "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    expect("return 1", 8, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"); /* as Redis says */
}

/* A length on either side of each border of padding. */
static void test_lengths(void **state)
{
    char zeros[130] = {0};

    expect(zeros, 55, "8e8832c642a6a38c74c17fc92ccedc266c108e6c");
    expect(zeros, 56, "9438e360f578e12c0e0e8ed28e2c125c1cefee16");
    expect(zeros, 64, "c8d7d0ef0eedfa82d2ea1aa592845b9a6d4b02b7");
    expect(zeros, 119, "85634f17f58bda0e4f0515dfb68bc1af922a031f");
    expect(zeros, 120, "b110a88a11436b215220486c1081dec2fb0f389a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_known), cmocka_unit_test(test_lengths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
