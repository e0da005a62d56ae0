#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/trial.h"

#include <stdio.h>
#include <string.h>

enum { MAX = 16 };

static size_t words(const char *text, struct slice *argv)
{
    size_t n = 0;
    for (const char *p = text; *p != '\0';) {
        size_t len = strcspn(p, " ");
        argv[n++] = (struct slice){p, len};
        p += len + (p[len] == ' ');
    }
    return n;
}

/* The form of a command for the keys whose numbers are the digits of which. */
static void check_form(const char *text, const char *which, const char *expected)
{
    struct slice argv[MAX];
    size_t argc = words(text, argv), places[MAX], n = strlen(which);
    const struct command *cmd = command_find(argv[0]);
    struct trial t;
    char got[256];
    size_t len = 0;

    for (size_t i = 0; i < n; i++)
        places[i] = (size_t)(which[i] - '0');
    trial_init(&t, cmd, argv, argc, places, n);
    for (size_t i = 0; i < t.argc; i++)
        len += (size_t)snprintf(got + len, sizeof got - len, "%s%.*s", i > 0 ? " " : "", (int)t.argv[i].len, t.argv[i].p);
    assert_string_equal(got, expected);
    assert_true(command_arity_ok(t.cmd, t.argc));
    trial_done(&t);
}

static void test_forms(void **state)
{
    check_form("BLPOP a b c 0", "012", "lmpop 3 a b c LEFT");
    check_form("BLPOP a b c 0", "1", "lmpop 1 b LEFT");
    check_form("BRPOP a 0.5", "0", "lmpop 1 a RIGHT");
    check_form("BLMPOP 0 2 a b LEFT COUNT 3", "1", "lmpop 1 b LEFT COUNT 3");
    check_form("BLMOVE a b LEFT RIGHT 0", "0", "lmove a b LEFT RIGHT");
    check_form("BRPOPLPUSH a b 0", "0", "rpoplpush a b");
    check_form("BZPOPMIN a b 0", "01", "zmpop 2 a b MIN");
    check_form("BZPOPMAX a 0", "0", "zmpop 1 a MAX");
    check_form("BZMPOP 0 1 a MAX", "0", "zmpop 1 a MAX");
    check_form("XREAD COUNT 2 BLOCK 0 STREAMS a b 1-1 2-2", "1", "xread COUNT 2 STREAMS b 2-2");
    check_form("XREAD BLOCK 0 STREAMS a b 1-1 2-2", "01", "xread STREAMS a b 1-1 2-2");
    check_form("XREADGROUP GROUP block streams BLOCK 5 NOACK STREAMS a >", "0", "xreadgroup GROUP block streams NOACK STREAMS a >");
}

/* Each command that may wait has a row. */
static void test_every_row(void **state)
{
    size_t seen = 0;

    for (uint16_t i = 0; i < command_count(); i++) {
        const struct command *cmd = command_at(i);
        if (cmd->route != ROUTE_BLOCKING || cmd->nspecs == 0) /* WAIT has no keys */
            continue;
        assert_non_null(trial_type(cmd));
        seen++;
    }
    assert_int_equal(seen, 8);
}

static void check_tell(const char *name, const char *reply, const char *expected)
{
    struct chunk_pool pool;
    struct chain out;

    chunk_pool_init(&pool);
    chain_init(&out, &pool);
    trial_tell(command_find((struct slice){name, strlen(name)}), (struct slice){reply, strlen(reply)}, &out);
    struct slice got = chain_flat(&out);
    assert_int_equal(got.len, strlen(expected));
    assert_memory_equal(got.p, expected, got.len);
    chain_clear(&out);
    chunk_pool_done(&pool);
}

static void test_replies(void **state)
{
    check_tell("blpop", "*2\r\n$1\r\nk\r\n*1\r\n$1\r\nv\r\n", "*2\r\n$1\r\nk\r\n$1\r\nv\r\n");
    check_tell("bzpopmin", "*2\r\n$1\r\nz\r\n*1\r\n*2\r\n$1\r\nm\r\n,1.5\r\n", "*3\r\n$1\r\nz\r\n$1\r\nm\r\n,1.5\r\n");
    check_tell("blmove", "$1\r\nv\r\n", "$1\r\nv\r\n");
}

static void check_end(const char *reply, enum trial_end expected)
{
    assert_int_equal(trial_end((struct slice){reply, strlen(reply)}), expected);
}

static void test_ends(void **state)
{
    check_end("*-1\r\n", TRIAL_NOTHING);
    check_end("$-1\r\n", TRIAL_NOTHING);
    check_end("_\r\n", TRIAL_NOTHING);
    check_end("-WRONGTYPE Operation\r\n", TRIAL_OTHER_TYPE);
    check_end("-NOGROUP No such\r\n", TRIAL_NO_GROUP);
    check_end("-ERR x\r\n", TRIAL_ERROR);
    check_end("*2\r\n", TRIAL_FOUND);
    check_end("$1\r\nv\r\n", TRIAL_FOUND);
}

static void check_kinds(const char *a, const char *b, bool same)
{
    struct slice first[MAX], second[MAX];
    size_t na = words(a, first), nb = words(b, second);
    uint64_t one = trial_kind(command_find(first[0]), first, na), other = trial_kind(command_find(second[0]), second, nb);

    assert_int_equal(one == other, same);
}

static void test_kinds(void **state)
{
    check_kinds("BLPOP a 0", "BLMOVE a b LEFT LEFT 0", true);
    check_kinds("BLPOP a 0", "BZPOPMIN a 0", false);
    check_kinds("XREADGROUP GROUP g c BLOCK 0 STREAMS a >", "XREADGROUP GROUP g d BLOCK 0 STREAMS b >", true);
    check_kinds("XREADGROUP GROUP g c BLOCK 0 STREAMS a >", "XREADGROUP GROUP h c BLOCK 0 STREAMS a >", false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms), cmocka_unit_test(test_every_row), cmocka_unit_test(test_replies),
        cmocka_unit_test(test_ends),  cmocka_unit_test(test_kinds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
