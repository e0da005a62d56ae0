#include "router/keys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS 32

/* Arguments are separated by single blanks; '' stands for an empty one. keys: "1r 2w", or "malformed". */
static const struct {
    const char *command;
    const char *keys;
} rows[] = {
    {"GET a", "1r"},
    {"get", "malformed"},
    {"GET a b", "malformed"},
    {"SET a 1", "1w"},
    {"SET a 1 EX 5 GET", "1w"},
    {"RPUSH a x y z", "1w"},
    {"LRANGE a 0 -1", "1r"},
    {"GET ''", "1r"},
    {"PING", ""},
    {"PING hello", ""},
    {"MGET a b c", "1r 2r 3r"},
    {"MSET a 1 b 2", "1w 3w"},
    {"MSET a 1 b", "malformed"},
    {"MSETNX a 1", "1w"},
    {"DEL a b", "1w 2w"},
    {"EXISTS a a a", "1r 2r 3r"},
    {"LCS a b LEN", "1r 2r"},
    {"RENAME a b", "1w 2w"},
    {"COPY a b DB 1 REPLACE", "1r 2w"},
    {"SMOVE a b m", "1w 2w"},
    {"LMOVE a b LEFT RIGHT", "1w 2w"},
    {"SINTERSTORE d a b", "1w 2r 3r"},
    {"BITOP AND d a b", "2w 3r 4r"},
    {"BITOP NOT d a", "2w 3r"},
    {"PFMERGE d", "1w"},
    {"PFMERGE d a b", "1w 2r 3r"},
    {"PFCOUNT a b", "1r 2r"},
    {"BLPOP a b 0", "1w 2w"},
    {"BLPOP a", "malformed"},
    {"BRPOPLPUSH a b 0", "1w 2w"},
    {"BITFIELD a", "1r"},
    {"BITFIELD a GET u8 0 get i16 3", "1r"},
    {"BITFIELD a GET u8 0 SET u8 0 1", "1w"},
    {"BITFIELD a OVERFLOW SAT INCRBY u8 0 1", "1w"},
    {"BITFIELD a GET u8", "1r"},

    {"ZUNIONSTORE d 2 a b WEIGHTS 1 2", "1w 3r 4r"},
    {"ZUNIONSTORE d 2 a", "malformed"},
    {"ZUNIONSTORE d 3 a b", "malformed"},
    {"ZUNIONSTORE d 0 a", "1w"},
    {"ZUNIONSTORE d -1 a", "malformed"},
    {"ZUNIONSTORE d x a", "malformed"},
    {"ZUNIONSTORE d '' a", "malformed"},
    {"ZUNIONSTORE d +1 a", "malformed"},
    {"ZUNIONSTORE d 01 a", "malformed"},
    {"ZUNIONSTORE d 1.0 a", "malformed"},
    {"ZUNIONSTORE d 4294967297 a", "malformed"},
    {"ZUNIONSTORE d 9223372036854775807 a", "malformed"},
    {"ZUNIONSTORE d 9223372036854775808 a", "malformed"},
    {"ZUNIONSTORE d 18446744073709551617 a", "malformed"},
    {"ZUNIONSTORE d -9223372036854775808 a", "malformed"},
    {"ZDIFF 1 a", "2r"},
    {"ZINTER 2 a b WITHSCORES", "2r 3r"},
    {"SINTERCARD 2 a b LIMIT 3", "2r 3r"},
    {"LMPOP 2 a b LEFT", "2w 3w"},
    {"LMPOP 3 a b LEFT", "2w 3w 4w"},
    {"BLMPOP 0 1 a LEFT", "3w"},
    {"BZMPOP 0 2 a b MIN", "3w 4w"},
    {"EVAL s 0", ""},
    {"EVAL s 0 x y", ""},
    {"EVAL s 2 a b x", "3w 4w"},
    {"EVAL s 1", "malformed"},
    {"EVALSHA_RO s 1 a", "3r"},
    {"FCALL f 1 a", "3w"},
    {"EVAL s -5 a", "malformed"},

    {"XADD a * f v", "1w"},
    {"XREAD STREAMS a 0", "2r"},
    {"XREAD COUNT 2 STREAMS a b 0 0", "4r 5r"},
    {"XREAD COUNT 2 BLOCK 0 streams a b c 0 0 0", "6r 7r 8r"},
    {"XREAD STREAMS a b 0", "malformed"},
    {"XREAD STREAMS streams 0", "2r"},
    {"XREAD COUNT 2 a", ""},
    {"XREAD COUNT 2 STREAMS", ""},
    {"XREADGROUP GROUP streams c STREAMS a >", "5w"},
    {"XREADGROUP GROUP g streams COUNT 1 STREAMS a b > >", "7w 8w"},
    {"XGROUP CREATE a g $ MKSTREAM", "2w"},
    {"XGROUP create a g", "malformed"},
    {"XINFO STREAM a FULL", "2r"},
    {"XINFO HELP", ""},
    {"OBJECT ENCODING a", "2r"},
    {"OBJECT nothing a", ""},
    {"MEMORY USAGE a SAMPLES 0", "2r"},

    {"SORT a", "1r"},
    {"SORT a BY w_* LIMIT 0 5 GET # DESC ALPHA STORE d", "1r 12w"},
    {"SORT a store d", "1r 3w"},
    {"SORT a BY store", "1r"},
    {"SORT a GET store GET x STORE d", "1r 7w"},
    {"SORT a LIMIT store store", "1r"},
    {"SORT a STORE d STORE e", "1r 5w"},
    {"SORT a STORE STORE", "1r 3w"},
    {"SORT a STORE", "malformed"},
    {"SORT a LIMIT", "1r"},
    {"SORT_RO a GET x", "1r"},
    {"GEORADIUS a 1 2 3 m", "1r"},
    {"GEORADIUS a 1 2 3 m COUNT 5 STORE d", "1r 9w"},
    {"GEORADIUS a 1 2 3 m storedist d", "1r 7w"},
    {"GEORADIUS a 1 2 3 m STORE d STOREDIST e", "1r 7w 9w"},
    {"GEORADIUS a 1 2 3 m STORE", "malformed"},
    {"GEORADIUSBYMEMBER a STORE 3 m", "1r"},
    {"GEORADIUSBYMEMBER a m 3 m STORE d", "1r 6w"},
    {"GEOSEARCHSTORE d a FROMMEMBER m BYRADIUS 1 m", "1w 2r"},
    {"MIGRATE h 1 a 0 100", "3w"},
    {"MIGRATE h 1 '' 0 100 KEYS a b", "7w 8w"},
    {"MIGRATE h 1 '' 0 100 COPY REPLACE AUTH keys KEYS a b", "11w 12w"},
    {"MIGRATE h 1 '' 0 100 AUTH2 keys keys KEYS keys", "10w"},
    {"MIGRATE h 1 '' 0 100 KEYS a keys b", "7w 8w 9w"},
    {"MIGRATE h 1 '' 0 100 KEYS", ""},
    {"MIGRATE h 1 '' 0 100", "3w"},
    {"MIGRATE h 1 a 0 100 AUTH keys", "3w"},
    {"MIGRATE h 1 '' 0 100 AUTH", "3w"},

    {"WATCH a b", "1r 2r"},
    {"PUBLISH c m", ""},
    {"SPUBLISH c m", ""},
    {"SSUBSCRIBE c d", ""},
    {"SUNSUBSCRIBE", ""},
    {"SCAN 0 MATCH a", ""},
    {"FLUSHALL", ""},
    {"CONFIG GET a", ""},
    {"CLIENT", "malformed"},
};

struct line {
    char text[256];
    struct slice argv[MAX_ARGS];
    size_t argc;
};

static void split(struct line *line, const char *command)
{
    snprintf(line->text, sizeof line->text, "%s", command);
    line->argc = 0;
    char *rest = line->text;
    for (char *arg; (arg = strsep(&rest, " ")) != NULL; line->argc++) {
        assert_true(line->argc < MAX_ARGS);
        line->argv[line->argc] = (struct slice){arg, strcmp(arg, "''") == 0 ? 0 : strlen(arg)};
    }
}

static const struct command *find(const struct line *line)
{
    const struct command *cmd = command_find(line->argv[0]);
    assert_non_null(cmd);
    const struct command *sub = line->argc > 1 ? command_find_sub(cmd, line->argv[1]) : NULL;
    return sub != NULL ? sub : cmd;
}

struct seen {
    char text[256];
    int count;
    int stop_after;
};

static bool note(void *ctx, struct key_ref ref)
{
    struct seen *seen = ctx;
    size_t len = strlen(seen->text);
    snprintf(seen->text + len, sizeof seen->text - len, "%s%u%c", len > 0 ? " " : "", ref.arg,
             ref.write ? 'w' : 'r');
    return ++seen->count != seen->stop_after;
}

static void test_table(void **state)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct line line;
        struct seen seen = {.count = 0};
        split(&line, rows[i].command);
        int n = keys_each(find(&line), line.argv, line.argc, note, &seen);
        if (strcmp(n < 0 ? "malformed" : seen.text, rows[i].keys) != 0)
            fail_msg("%s: %d, \"%s\"; expected \"%s\"", rows[i].command, n, seen.text, rows[i].keys);
        assert_true(n < 0 || n == seen.count);
    }
}

static void test_stops(void **state)
{
    static const char *const commands[] = {"MGET a b c d e", "EVAL s 3 a b c", "ZUNIONSTORE d 2 a b",
                                           "MIGRATE h 1 '' 0 1 KEYS a b c", "XREAD STREAMS a b c 0 0 0"};
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        for (int stop = 1; stop <= 3; stop++) {
            struct line line;
            struct seen seen = {.stop_after = stop};
            split(&line, commands[i]);
            assert_int_equal(keys_each(find(&line), line.argv, line.argc, note, &seen), stop);
            assert_int_equal(seen.count, stop);
        }
    }
}

/* A row as a module's COMMAND INFO may describe it: what Redis's own rows don't use. */
static void test_foreign_rows(void **state)
{
    static const struct {
        struct keyspec spec;
        const char *command;
        const char *keys;
    } foreign[] = {
        {{BEGIN_KEYWORD, FIND_RANGE, true, false, 0, -2, "KEYS", -1, 1, 0}, "X KEYS a KEYS b c", "4w 5w"},
        {{BEGIN_KEYWORD, FIND_RANGE, true, false, 0, -2, "KEYS", -1, 1, 0}, "X a b KEYS", ""},
        {{BEGIN_KEYWORD, FIND_RANGE, true, false, 0, -9, "KEYS", -1, 1, 0}, "X KEYS a", ""},
        {{BEGIN_INDEX, FIND_RANGE, false, false, 0, 1, NULL, -1, 1, 3}, "X a b c d e f", "1r 2r"},
        {{BEGIN_INDEX, FIND_RANGE, false, false, 0, 2, NULL, 4, 2, 0}, "X a b c d e f g", "malformed"},
        {{BEGIN_INDEX, FIND_RANGE, false, false, 0, 2, NULL, 5, 2, 0}, "X a b c d e f g", "2r 4r 6r"},
        {{BEGIN_INDEX, FIND_RANGE, false, false, 0, 2, NULL, 5, 1, 0}, "X a b", "malformed"},
        {{BEGIN_INDEX, FIND_KEYNUM, false, false, 0, 1, NULL, 1, 2, 2}, "X o 2 a x b y", "3r 5r"},
        {{BEGIN_INDEX, FIND_KEYNUM, false, false, 0, 1, NULL, 1, 2, 2}, "X o 3 a x b y", "malformed"},
        {{BEGIN_INDEX, FIND_KEYNUM, false, false, 0, 1, NULL, 1, 2, 2}, "X o", "malformed"},
        {{BEGIN_INDEX, FIND_RANGE, false, true, 0, 1, NULL, -1, 1, 0}, "X a b", ""},
        {{BEGIN_UNKNOWN, FIND_UNKNOWN, true, false, 0, 0, NULL, 0, 0, 0}, "X a b", ""},
    };
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        struct command cmd = {.name = "x", .arity = -1, .nspecs = 1, .specs = {foreign[i].spec}};
        struct line line;
        struct seen seen = {.count = 0};
        split(&line, foreign[i].command);
        int n = keys_each(&cmd, line.argv, line.argc, note, &seen);
        if (strcmp(n < 0 ? "malformed" : seen.text, foreign[i].keys) != 0)
            fail_msg("%zu: %d, \"%s\"; expected \"%s\"", i, n, seen.text, foreign[i].keys);
    }
}

struct bounds {
    size_t argc;
    int visits;
};

static bool within(void *ctx, struct key_ref ref)
{
    struct bounds *bounds = ctx;
    assert_true(ref.arg > 0 && ref.arg < bounds->argc);
    bounds->visits++;
    return true;
}

static uint32_t random_next(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

/* Whatever follows the verb: every reported key is an argument, and none is reported more often than there
 * are arguments. The heap array lets the sanitizer see a read past the end. */
static void test_hostile_arguments(void **state)
{
    static const char *const words[] = {"",        "0",         "1",           "2",
                                        "7",       "-1",        "99999999999", "keys",
                                        "streams", "store",     "STORE",       "auth",
                                        "auth2",   "get",       "by",          "limit",
                                        "a",       "storedist", "4294967295",  "9223372036854775807"};
    uint32_t seed = 20240607;
    for (unsigned round = 0; round < 400; round++) {
        for (uint16_t id = 0; id < command_count(); id++) {
            struct bounds bounds = {.argc = 1 + random_next(&seed) % 11};
            struct slice *argv = malloc(bounds.argc * sizeof *argv);
            for (size_t i = 0; i < bounds.argc; i++) {
                const char *word = words[random_next(&seed) % (sizeof words / sizeof words[0])];
                argv[i] = (struct slice){word, strlen(word)};
            }
            int n = keys_each(command_at(id), argv, bounds.argc, within, &bounds);
            assert_true(n == -1 || n == bounds.visits);
            assert_true(bounds.visits <= (int)bounds.argc);
            free(argv);
        }
    }
}

static void test_many_keys(void **state)
{
    enum { ARGS = 1000001 };
    struct slice *argv = malloc(ARGS * sizeof *argv);
    struct bounds bounds = {.argc = ARGS};
    for (size_t i = 0; i < ARGS; i++)
        argv[i] = (struct slice){"k", 1};
    assert_int_equal(keys_each(command_find((struct slice){"mget", 4}), argv, ARGS, within, &bounds),
                     ARGS - 1);
    argv[2] = (struct slice){"999998", 6};
    assert_int_equal(keys_each(command_find((struct slice){"eval", 4}), argv, ARGS, within, &bounds), 999998);
    argv[2] = (struct slice){"999999", 6};
    assert_int_equal(keys_each(command_find((struct slice){"eval", 4}), argv, ARGS, within, &bounds), -1);
    free(argv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),        cmocka_unit_test(test_stops),
        cmocka_unit_test(test_foreign_rows), cmocka_unit_test(test_hostile_arguments),
        cmocka_unit_test(test_many_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
