/* What may be repeated on the other store. That the effect is the same there: tests/system/test_dual_write.py. */
#include "router/copyable.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static bool ask(const char *line)
{
    char words[256], *rest = words, *word;
    struct slice argv[16];
    size_t argc = 0;

    snprintf(words, sizeof words, "%s", line);
    while ((word = strsep(&rest, " ")) != NULL)
        argv[argc++] = (struct slice){word, strlen(word)};
    const struct command *cmd = command_of(argv, argc);
    assert_non_null(cmd);
    assert_true(command_arity_ok(cmd, argc));
    return copyable(cmd, argv, argc);
}

static void test_yes(void **state)
{
    static const char *const lines[] = {
        "APPEND k v",
        "INCR k",
        "SET k v",
        "SET k v NX GET",
        "SET k v KEEPTTL",
        "SET k v PXAT 9",
        "SET k v exat 9",
        "SETNX k v",
        "GETEX k",
        "GETEX k PERSIST",
        "GETEX k PXAT 9",
        "MSET a 1 b 2",
        "LPUSH k v",
        "RPOP k",
        "LMOVE a b LEFT RIGHT",
        "ZADD k 1 m",
        "XADD k 1-1 f v",
        "XADD k NOMKSTREAM 5 f v",
        "XADD k MAXLEN 3 1-1 f v",
        "XADD k MAXLEN = 3 1-1 f v",
        "XTRIM k MAXLEN 3",
        "XTRIM k MINID = 3",
        "XDEL k 1-1",
        "PEXPIREAT k 9",
        "PEXPIREAT k 9 NX",
        "PERSIST k",
        "DEL a b",
        "RENAME a b",
        "GET k",
        "PEXPIRETIME k",
        "XGROUP CREATE k g $",
        "ZREMRANGEBYRANK k 0 -4",
        "LTRIM k -3 -1",
        "PFADD k a",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (!ask(lines[i]))
            fail_msg("%s", lines[i]);
}

static void test_no(void **state)
{
    static const char *const lines[] = {
        "SET k v EX 9",
        "SET k v px 9",
        "SET k v NX EX 9 GET",
        "SETEX k 9 v",
        "PSETEX k 9 v",
        "GETEX k EX 9",
        "EXPIRE k 9",
        "PEXPIRE k 9",
        "SPOP k",
        "XADD k * f v",
        "XADD k 5-* f v",
        "XADD k MAXLEN ~ 3 1-1 f v",
        "XADD k MAXLEN 3 * f v",
        "XADD k MINID ~ 3 LIMIT 9 1-1 f v",
        "XTRIM k MAXLEN ~ 3",
        "INCRBYFLOAT k 1",
        "HINCRBYFLOAT k f 1",
        "EVAL s 1 k",
        "RESTORE k 0 x",
        "SORT k STORE d",
        "SUNIONSTORE d a",
        "COPY a b",
        "BITOP AND d a",
        "XREADGROUP GROUP g c STREAMS k >",
        "XCLAIM k g c 0 1-1",
        "MIGRATE h 1 k 0 9",
        "FLUSHALL",
        "EVAL_RO s 1 k",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (ask(lines[i]))
            fail_msg("%s", lines[i]);
    assert_false(copyable(NULL, NULL, 0));
}

/* Every row is found: the table is sorted and names what there is. SET and GETEX don't take these words. */
static void test_all_rows_are_found(void **state)
{
    size_t found = 0;
    struct slice argv[4] = {{"x", 1}, {"k", 1}, {"v", 1}, {"1-1", 3}};

    for (uint16_t id = 0; id < command_count(); id++) {
        const struct command *cmd = command_at(id);
        found += (cmd->flags & CMD_READONLY) == 0 && copyable(cmd, argv, 4);
    }
    assert_int_equal(found, 62 - 2);
}

static bool overwrites(const char *line)
{
    char words[256], *rest = words, *word;
    struct slice argv[16];
    size_t argc = 0;

    snprintf(words, sizeof words, "%s", line);
    while ((word = strsep(&rest, " ")) != NULL)
        argv[argc++] = (struct slice){word, strlen(word)};
    return copyable_overwrites(command_of(argv, argc), argv, argc);
}

static void test_overwrites(void **state)
{
    static const char *const yes[] = {"SET k v", "set k v PXAT 9", "SET k nx", "MSET k v l w"};
    static const char *const no[] = {"SET k v NX",  "SET k v XX",    "SET k v GET", "SET k v KEEPTTL",  "SET k v EX 9",
                                     "SET k v PX 9", "SET k v WRONG", "SETNX k v",   "MSETNX k v", "APPEND k v",
                                     "GETSET k v",   "GET k",         "NOSUCH k"};

    for (size_t i = 0; i < sizeof yes / sizeof *yes; i++)
        assert_true(overwrites(yes[i]));
    for (size_t i = 0; i < sizeof no / sizeof *no; i++)
        assert_false(overwrites(no[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_overwrites),
        cmocka_unit_test(test_yes),
        cmocka_unit_test(test_no),
        cmocka_unit_test(test_all_rows_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
