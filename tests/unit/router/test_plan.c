/* The exact bytes of each class of plan. What Redis makes of them: tests/system/test_managed_plan.py. */
#include "router/plan.h"

#include "base/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW      1000000
#define MAX_ARGS 32

static struct policy_conf confs[] = {
    {.name = "conv", .index = 0, .match = "conv:*", .ttl = 60000, .max_messages = 3},
    {.name = "wide", .index = 1, .match = "wide:*", .ttl = 5000},
    {.name = "none", .index = 2, .match = "none:*"},
    {.name = "keep", .index = 3, .match = "keep:*", .max_messages = 2},
    {.name = "bytes", .index = 4, .match = "bytes:*", .max_bytes = 9},
};
static const struct settings settings = {.policy_count = sizeof confs / sizeof confs[0], .policies = confs};

struct fixture {
    struct policy_set *policies;
    struct chunk_pool pool;
    struct plan plan;
    char words[2048];
    struct slice argv[MAX_ARGS];
    size_t argc;
    char text[16384]; /* what was emitted: arguments joined by blanks, commands by " | " */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    f->policies = policy_set_new(&settings);
    assert_non_null(f->policies);
    chunk_pool_init(&f->pool);
    plan_init(&f->plan, &f->pool);
    *state = f;
    return 0;
}

/* Nothing may be left in the pool: the plan gives all its chunks back. */
static int tear_down(void **state)
{
    struct fixture *f = *state;
    plan_done(&f->plan);
    size_t left = f->pool.bytes;
    policy_set_free(f->policies);
    chunk_pool_done(&f->pool);
    free(f);
    return left != 0;
}

static void split(struct fixture *f, const char *line)
{
    snprintf(f->words, sizeof f->words, "%s", line);
    f->argc = 0;
    for (char *rest = f->words, *word; (word = strsep(&rest, " ")) != NULL; f->argc++)
        f->argv[f->argc] = (struct slice){word, strlen(word)};
}

/* "*1\r\n$4\r\nPING\r\n" becomes "PING"; every length is checked. */
static size_t plain_text(char *to, size_t cap, struct slice from)
{
    const char *p = from.p, *end = from.p + from.len;
    size_t n = 0;

    while (p < end) {
        char *after;
        assert_int_equal(*p, '*');
        long args = strtol(p + 1, &after, 10);
        p = after + 2;
        if (n > 0)
            n += (size_t)snprintf(to + n, cap - n, " | ");
        for (long i = 0; i < args; i++) {
            assert_int_equal(*p, '$');
            long len = strtol(p + 1, &after, 10);
            assert_memory_equal(after, "\r\n", 2);
            n += (size_t)snprintf(to + n, cap - n, "%s%.*s", i > 0 ? " " : "", (int)len, after + 2);
            p = after + 2 + len + 2;
            assert_memory_equal(p - 2, "\r\n", 2);
        }
    }
    assert_ptr_equal(p, end);
    return n;
}

static const struct plan *make(struct fixture *f, const char *line, enum resp resp, bool in_multi)
{
    struct chain out;
    split(f, line);
    const struct command *cmd = command_find(f->argv[0]);
    assert_non_null(cmd);
    plan_make(&f->plan, f->policies, cmd, f->argv, f->argc, resp, in_multi, NOW);
    chain_init(&out, &f->pool);
    for (size_t i = 0; i < f->plan.nsteps; i++)
        plan_emit(&f->plan, i, &out, NOW);
    f->text[0] = '\0';
    plain_text(f->text, sizeof f->text, chain_flat(&out));
    chain_clear(&out);
    return &f->plan;
}

struct row {
    const char *line;
    enum plan_kind kind;
    const char *text; /* NULL: as it came */
    enum plan_reply reply;
    bool conditional;
};

/* clang-format off */
/* Initializers of a row; the text of BECOMES may be followed by reply and conditional. */
#define RAW(line_)               {.line = line_, .kind = PLAN_RAW}
#define BECOMES(kind_, line_, ...) {.line = line_, .kind = PLAN_##kind_, .text = __VA_ARGS__}
/* clang-format on */

static void check(struct fixture *f, const struct row *row, bool in_multi)
{
    const struct plan *p = make(f, row->line, RESP2, in_multi);
    if (p->kind != row->kind)
        fail_msg("%s: kind %d", row->line, (int)p->kind);
    assert_string_equal(f->text, row->text != NULL ? row->text : row->line);
    assert_int_equal(p->reply, row->reply);
    assert_int_equal(p->conditional, row->conditional);
}

static void check_all(void **state, const struct row *rows, size_t n, bool in_multi)
{
    for (size_t i = 0; i < n; i++)
        check(*state, &rows[i], in_multi);
}
#define CHECK(in_multi, ...)                                                                                 \
    do {                                                                                                     \
        static const struct row rows[] = {__VA_ARGS__};                                                      \
        check_all(state, rows, sizeof rows / sizeof rows[0], in_multi);                                      \
    } while (0)

static void raw_keys_pass(void **state)
{
    struct fixture *f = *state;
    CHECK(false, RAW("RPUSH other a"), RAW("LPOP other"), RAW("SET x [1,2,3,4]"), RAW("PING"));
    assert_null(f->plan.policy);
    assert_int_equal(f->plan.nkeys, 0);
}

static void reads_pass(void **state)
{
    struct fixture *f = *state;
    CHECK(false, RAW("GET conv:1"), RAW("BITFIELD conv:1 GET u8 0"), RAW("SORT conv:1"),
          RAW("LRANGE conv:1 0 -1"));
    assert_ptr_equal(f->plan.policy, &confs[0]);
    assert_int_equal(f->plan.nkeys, 0);
}

static void own_and_none_pass(void **state)
{
    struct fixture *f = *state;
    CHECK(false, RAW("EXPIRE conv:1 10"), RAW("SETEX conv:1 10 v"), RAW("XACK conv:1 g 1-1"),
          RAW("DEL conv:1"));
    assert_ptr_equal(f->plan.policy, &confs[0]);
    assert_int_equal(f->plan.nkeys, 1);
    assert_ptr_equal(f->plan.keys[0].key.p, f->argv[1].p);
}

static void a_policy_without_limits_adds_nothing(void **state)
{
    CHECK(false, RAW("RPUSH none:1 a"), RAW("SET none:1 a"), RAW("SETNX none:1 a"), RAW("GETSET none:1 a"),
          RAW("LPOP none:1"), RAW("PERSIST none:1"), RAW("GETEX none:1 PERSIST"), RAW("RESTORE none:1 0 x"),
          RAW("HSETNX none:1 f v"), RAW("SET none:1 v KEEPTTL"), RAW("SET none:1 [1,2,3]"),
          RAW("LPOP keep:1"));
}

static void malformed_passes(void **state)
{
    struct fixture *f = *state;
    CHECK(false, RAW("SET conv:1 [1,2,3,4] EX"), RAW("SET conv:1 v NX XX"), RAW("SET conv:1 v FOO"),
          RAW("SET conv:1 v KEEPTTL PX 5"), RAW("SET conv:1 v PERSIST"), RAW("GETEX conv:1 KEEPTTL"),
          RAW("GETEX conv:1 PERSIST EX 5"), RAW("MSET conv:1 a conv:2"), RAW("LMPOP x conv:1 LEFT"),
          RAW("RPUSH conv:1"));
    assert_null(f->plan.policy);
}

static void set_carries_the_ttl(void **state)
{
    CHECK(false, BECOMES(SINGLE, "SET wide:1 v", "SET wide:1 v PX 5000"),
          BECOMES(SINGLE, "set wide:1 v nx get", "set wide:1 v nx get PX 5000"), RAW("SET wide:1 v EX 10"),
          RAW("SET wide:1 v pxat 10 xx"),
          BECOMES(BLOCK, "SET wide:1 v keepttl", "SET wide:1 v keepttl | PEXPIREAT wide:1 1005000 NX"),
          BECOMES(SINGLE, "SETNX wide:1 v", "SET wide:1 v NX PX 5000", REPLY_SETNX),
          BECOMES(SINGLE, "GETSET wide:1 v", "SET wide:1 v GET PX 5000"));
    CHECK(true, BECOMES(SINGLE, "SET wide:1 v", "SET wide:1 v PX 5000"),
          BECOMES(SINGLE, "SETNX wide:1 v", "SET wide:1 v NX PX 5000", REPLY_SETNX));
}

static void other_options_carry_the_ttl(void **state)
{
    CHECK(false, RAW("GETEX conv:1"), RAW("GETEX conv:1 EX 5"),
          BECOMES(SINGLE, "GETEX conv:1 persist", "GETEX conv:1 PX 60000"),
          BECOMES(SINGLE, "RESTORE conv:1 0 x REPLACE", "RESTORE conv:1 60000 x REPLACE"),
          BECOMES(SINGLE, "RESTORE conv:1 0 x absttl", "RESTORE conv:1 1060000 x absttl"),
          RAW("RESTORE conv:1 00 x"), RAW("RESTORE conv:1 5 x"));
}

static void pushes_are_trimmed(void **state)
{
    CHECK(
        false,
        BECOMES(BLOCK, "RPUSH conv:1 a b",
                "PEXPIRETIME conv:1 | RPUSH conv:1 a b | LTRIM conv:1 -3 -1 | PEXPIREAT conv:1 1060000",
                REPLY_PUSH),
        BECOMES(BLOCK, "LPUSH conv:1 a",
                "PEXPIRETIME conv:1 | LPUSH conv:1 a | LTRIM conv:1 0 2 | PEXPIREAT conv:1 1060000",
                REPLY_PUSH),
        BECOMES(BLOCK, "RPUSHX conv:1 a",
                "PEXPIRETIME conv:1 | RPUSHX conv:1 a | LTRIM conv:1 -3 -1 | PEXPIREAT conv:1 1060000",
                REPLY_PUSH, true),
        BECOMES(BLOCK, "RPUSH wide:1 a", "PEXPIRETIME wide:1 | RPUSH wide:1 a | PEXPIREAT wide:1 1005000",
                REPLY_PUSH),
        BECOMES(BLOCK, "RPUSH keep:1 a", "RPUSH keep:1 a | LTRIM keep:1 -2 -1", REPLY_PUSH),
        BECOMES(BLOCK, "XADD conv:1 * f v",
                "PEXPIRETIME conv:1 | XADD conv:1 * f v | XTRIM conv:1 MAXLEN 3 | PEXPIREAT conv:1 1060000",
                REPLY_AS_IS, true),
        BECOMES(
            BLOCK, "ZADD conv:1 1 a",
            "PEXPIRETIME conv:1 | ZADD conv:1 1 a | ZREMRANGEBYRANK conv:1 0 -4 | PEXPIREAT conv:1 1060000"));
}

static void writes_slide(void **state)
{
    CHECK(
        false,
        BECOMES(BLOCK, "HSET wide:1 f v", "PEXPIRETIME wide:1 | HSET wide:1 f v | PEXPIREAT wide:1 1005000"),
        BECOMES(BLOCK, "HSETNX wide:1 f v",
                "PEXPIRETIME wide:1 | HSETNX wide:1 f v | PEXPIREAT wide:1 1005000", REPLY_AS_IS, true),
        BECOMES(BLOCK, "ZADD wide:1 CH INCR 1 a",
                "PEXPIRETIME wide:1 | ZADD wide:1 CH INCR 1 a | PEXPIREAT wide:1 1005000", REPLY_AS_IS, true),
        BECOMES(BLOCK, "ZADD wide:1 CH 1 incr",
                "PEXPIRETIME wide:1 | ZADD wide:1 CH 1 incr | PEXPIREAT wide:1 1005000"),
        BECOMES(
            BLOCK, "MSET wide:1 a other b none:1 c conv:1 d",
            "MSET wide:1 a other b none:1 c conv:1 d | PEXPIREAT wide:1 1005000 | PEXPIREAT conv:1 1060000"),
        BECOMES(BLOCK, "LMOVE wide:1 conv:1 LEFT LEFT",
                "PEXPIRETIME wide:1 | PEXPIRETIME conv:1 | LMOVE wide:1 conv:1 LEFT LEFT | PEXPIREAT wide:1 "
                "1005000 | "
                "PEXPIREAT conv:1 1060000",
                REPLY_AS_IS, true),
        BECOMES(BLOCK, "SUNIONSTORE wide:1 conv:1",
                "PEXPIRETIME wide:1 | SUNIONSTORE wide:1 conv:1 | PEXPIREAT wide:1 1005000"));
}

/* "EVAL script keys… expiries… command…": the script must have all the parts named and none of those in
 * unwanted. */
static void check_script(struct fixture *f, const char *tail, const char *unwanted)
{
    assert_int_equal(f->plan.kind, PLAN_SCRIPT);
    assert_int_equal(strncmp(f->text, "EVAL #!lua flags=allow-oom\n", 27), 0);
    const char *end = strstr(f->text, "return reply\n ");
    assert_non_null(end);
    assert_string_equal(end + 14, tail);
    if (unwanted != NULL)
        assert_null(strstr(f->text, unwanted));
}

static void what_frees_memory_goes_as_a_script(void **state)
{
    struct fixture *f = *state;

    make(f, "LPOP conv:1", RESP2, false);
    check_script(f, "1 conv:1 1060000 LPOP conv:1", "setresp");
    assert_int_equal(f->plan.reply, REPLY_AS_IS);
    make(f, "LPOP conv:1 2", RESP2, false);
    assert_int_equal(f->plan.reply, REPLY_NULL_ARRAY);
    make(f, "LPOP conv:1 2", RESP3, false);
    assert_int_equal(f->plan.reply, REPLY_AS_IS);
    assert_non_null(strstr(f->text, "redis.setresp(3)\n"));
    check_script(f, "1 conv:1 1060000 LPOP conv:1 2", "reply == 0");
    make(f, "LMPOP 4 wide:1 none:1 other conv:1 LEFT", RESP2, false);
    check_script(f, "2 wide:1 conv:1 1005000 1060000 LMPOP 4 wide:1 none:1 other conv:1 LEFT", NULL);
    make(f, "SMOVE other wide:1 m", RESP2, false);
    check_script(f, "1 wide:1 1005000 SMOVE other wide:1 m", "setresp");
    assert_non_null(strstr(f->text, "reply == 0"));
    assert_true(f->plan.conditional);
    make(f, "PERSIST conv:1", RESP2, false);
    check_script(f, "1 conv:1 1060000 PERSIST conv:1", "reply == 0");
}

static void in_multi_nothing_is_a_script(void **state)
{
    CHECK(true, BECOMES(BLOCK, "LPOP wide:1", "PEXPIRETIME wide:1 | LPOP wide:1 | PEXPIREAT wide:1 1005000"),
          BECOMES(BLOCK, "BLPOP wide:1 0", "PEXPIRETIME wide:1 | BLPOP wide:1 0 | PEXPIREAT wide:1 1005000"),
          BECOMES(BLOCK, "SMOVE wide:1 other m",
                  "PEXPIRETIME wide:1 | SMOVE wide:1 other m | PEXPIREAT wide:1 1005000", REPLY_AS_IS, true),
          BECOMES(BLOCK, "PERSIST wide:1", "PERSIST wide:1 | PEXPIREAT wide:1 1005000"));
}

static void scripts_leave_no_key_without_a_ttl(void **state)
{
    CHECK(false, BECOMES(BLOCK, "EVAL s 1 wide:1 a", "EVAL s 1 wide:1 a | PEXPIREAT wide:1 1005000 NX"),
          BECOMES(
              BLOCK, "evalsha f00 3 conv:1 raw wide:1",
              "evalsha f00 3 conv:1 raw wide:1 | PEXPIREAT conv:1 1060000 NX | PEXPIREAT wide:1 1005000 NX"),
          BECOMES(BLOCK, "FCALL f 2 none:1 conv:1 wide:1",
                  "FCALL f 2 none:1 conv:1 wide:1 | PEXPIREAT conv:1 1060000 NX"),
          RAW("EVAL s 0 wide:1"), RAW("EVAL s 1 raw wide:1"), RAW("EVAL s 2 none:1 keep:1"),
          RAW("EVAL s 2 wide:1"), RAW("EVAL s x wide:1"), RAW("EVAL_RO s 1 wide:1"),
          RAW("EVALSHA_RO s 1 wide:1"), RAW("FCALL_RO f 1 wide:1"));
    CHECK(true, BECOMES(BLOCK, "FCALL f 1 wide:1", "FCALL f 1 wide:1 | PEXPIREAT wide:1 1005000 NX"));
}

/* What the first line of a script says of itself. */
static void scripts_that_a_block_would_hinder(void **state)
{
    static const struct {
        const char *script;
        enum plan_kind kind;
        size_t nkeys;
    } rows[] = {
        {"#!lua flags=allow-oom\nreturn 1", PLAN_RAW, 1},
        {"#!lua flags=no-writes\nreturn 1", PLAN_RAW, 0},
        {"#!lua flags=allow-stale,no-writes,allow-oom", PLAN_RAW, 0},
        {"#!lua flags=no-cluster,allow-oom\r\n", PLAN_RAW, 1},
        {"#!lua\n-- flags=allow-oom", PLAN_BLOCK, 1},
        {"#!lua flags=allow-oomph\nreturn 1", PLAN_BLOCK, 1},
        {"-- flags=allow-oom\nreturn 1", PLAN_BLOCK, 1},
        {"#!", PLAN_BLOCK, 1},
        {"#", PLAN_BLOCK, 1},
        {"", PLAN_BLOCK, 1},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        split(f, "EVAL script 1 wide:1");
        char *exact = malloc(strlen(rows[i].script)); /* without a NUL: the sanitizer sees who looks for it */
        f->argv[1] =
            (struct slice){memcpy(exact, rows[i].script, strlen(rows[i].script)), strlen(rows[i].script)};
        plan_make(&f->plan, f->policies, command_find(f->argv[0]), f->argv, f->argc, RESP2, false, NOW);
        assert_int_equal(f->plan.kind, rows[i].kind);
        assert_int_equal(f->plan.nkeys, rows[i].nkeys);
        free(exact);
    }
}

static void json_histories_are_trimmed(void **state)
{
    struct fixture *f = *state;
    CHECK(false, BECOMES(SINGLE, "SET keep:1 [1,2,3]", "SET keep:1 [2,3]"), RAW("SET keep:1 [1,2]"),
          RAW("SET keep:1 {\"a\":[1,2,3]}"), RAW("SET keep:1 [1,2,3"),
          BECOMES(SINGLE, "SET bytes:1 [\"aaaa\",\"b\"]", "SET bytes:1 [\"b\"]"),
          BECOMES(SINGLE, "SETEX conv:1 9 [1,2,3,4]", "SETEX conv:1 9 [2,3,4]"),
          BECOMES(SINGLE, "SETNX conv:1 [1,2,3,4]", "SET conv:1 [2,3,4] NX PX 60000", REPLY_SETNX),
          BECOMES(SINGLE, "SETNX keep:1 [1,2,3,4]", "SETNX keep:1 [3,4]"), RAW("APPEND keep:1 [1,2,3,4]"),
          BECOMES(SINGLE, "MSET keep:1 [1,2,3] other [1,2,3]", "MSET keep:1 [2,3] other [1,2,3]"),
          BECOMES(BLOCK, "MSETNX conv:1 [1,2,3,4]",
                  "PEXPIRETIME conv:1 | MSETNX conv:1 [2,3,4] | PEXPIREAT conv:1 1060000", REPLY_AS_IS,
                  true));
    make(f, "MSET keep:1 [1,2,3] keep:2 {} conv:1 [1,2,3,4] keep:3 hello keep:4 []", RESP2, false);
    assert_int_equal(f->plan.json.trimmed, 2);
    assert_int_equal(f->plan.json.not_array, 1);
    assert_int_equal(f->plan.json.invalid, 1);
    make(f, "SET keep:1 v", RESP2, false);
    assert_int_equal(f->plan.json.trimmed, 0);
}

/* A trimmed value that no chunk can hold. */
static void long_histories_are_trimmed(void **state)
{
    struct fixture *f = *state;
    size_t half = 100000, n = 2 * half + 7;
    char *text = malloc(n + 1);
    assert_non_null(text);
    text[0] = '[';
    memcpy(text + 1, "1,\"", 3);
    memset(text + 4, 'a', half);
    memcpy(text + 4 + half, "\",\"", 3);
    memset(text + 7 + half, 'b', half - 2);
    memcpy(text + 5 + 2 * half, "\"]", 2);
    struct slice argv[] = {{"SET", 3}, {"keep:1", 6}, {text, n}};

    plan_make(&f->plan, f->policies, command_find(argv[0]), argv, 3, RESP2, false, NOW);
    assert_int_equal(f->plan.kind, PLAN_SINGLE);
    struct slice value = f->plan.rewrite.argv[2];
    assert_int_equal(value.len, n - 2);
    assert_int_equal(value.p[0], '[');
    assert_memory_equal(value.p + 1, text + 3, n - 3);
    free(text);
}

static void too_large_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t n = LIMIT_MANAGED_VALUE + 1;
    char *text = calloc(n, 1);
    assert_non_null(text);
    struct slice argv[] = {{"RPUSH", 5}, {"conv:1", 6}, {text, n}};
    const struct command *cmd = command_find(argv[0]);

    plan_make(&f->plan, f->policies, cmd, argv, 3, RESP2, false, NOW);
    assert_int_equal(f->plan.kind, PLAN_REFUSED);
    assert_int_equal(f->plan.error, ERR_TOO_LARGE);
    assert_int_equal(f->plan.nsteps, 0);
    argv[2].len = LIMIT_MANAGED_VALUE;
    plan_make(&f->plan, f->policies, cmd, argv, 3, RESP2, false, NOW);
    assert_int_equal(f->plan.kind, PLAN_BLOCK);
    argv[2].len = n;
    argv[1] = (struct slice){"other", 5};
    plan_make(&f->plan, f->policies, cmd, argv, 3, RESP2, false, NOW);
    assert_int_equal(f->plan.kind, PLAN_RAW);
    free(text);
}

static void replies_tell_what_was_written(void **state)
{
    static const struct {
        const char *reply;
        bool always, conditionally;
    } rows[] = {
        {"-WRONGTYPE x\r\n", true, true}, {":0\r\n", false, true},   {":-1\r\n", false, true},
        {"$-1\r\n", false, true},         {"*-1\r\n", false, true},  {"_\r\n", false, true},
        {":1\r\n", false, false},         {":10\r\n", false, false}, {":-10\r\n", false, false},
        {"$1\r\n0\r\n", false, false},    {"+OK\r\n", false, false}, {",0\r\n", false, false},
        {"*0\r\n", false, false},         {"", false, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = strlen(rows[i].reply);
        assert_int_equal(plan_nothing_written(false, rows[i].reply, n), rows[i].always);
        assert_int_equal(plan_nothing_written(true, rows[i].reply, n), rows[i].conditionally);
    }
}

/* ---- marks ---- */

static const bool all_marked[] = {true, true, true, true, true}, none_marked[] = {false, false, false, false, false};
static const bool conv_only[] = {true, false, false, false, false};

static const struct plan *make_marked(struct fixture *f, const char *line, enum resp resp, const bool *keeps, const bool *marked)
{
    struct plan_marks marks = {.keeps_id = keeps, .marked = marked, .count = 5};
    f->plan.marks = &marks;
    const struct plan *p = make(f, line, resp, false);
    f->plan.marks = NULL;
    return p;
}

static void marked_writes_are_blocks_or_scripts(void **state)
{
    static const struct {
        const char *line;
        enum plan_kind kind;
        const char *steps;
        bool conditional;
        enum plan_reply reply;
    } rows[] = {
        {"RPUSH conv:1 a", PLAN_BLOCK, "PEXPIRETIME conv:1 | RPUSH conv:1 a | LTRIM conv:1 -3 -1 | PEXPIREAT conv:1 1060000", false,
         REPLY_PUSH},
        {"RPUSH none:1 a", PLAN_BLOCK, "RPUSH none:1 a", false, REPLY_AS_IS},
        {"SET conv:1 v", PLAN_BLOCK, "SET conv:1 v PXAT 1060000", false, REPLY_AS_IS},
        {"SET conv:1 v EX 9", PLAN_BLOCK, "SET conv:1 v EX 9", false, REPLY_AS_IS},
        {"SETNX conv:1 v", PLAN_BLOCK, "SET conv:1 v NX PXAT 1060000", false, REPLY_SETNX},
        {"GETEX conv:1 PERSIST", PLAN_MARKED_SCRIPT, "GETEX conv:1 PXAT 1060000", false, REPLY_AS_IS},
        {"DEL conv:1 raw", PLAN_MARKED_SCRIPT, "DEL conv:1 raw", false, REPLY_NULL_ARRAY},
        {"EXPIRE conv:1 9", PLAN_MARKED_SCRIPT, "EXPIRE conv:1 9", false, REPLY_NULL_ARRAY},
        {"GETDEL conv:1", PLAN_MARKED_SCRIPT, "GETDEL conv:1", false, REPLY_AS_IS},
        {"LPOP conv:1 2", PLAN_MARKED_SCRIPT, "LPOP conv:1 2 | PEXPIREAT conv:1 1060000", false, REPLY_NULL_ARRAY},
        {"SMOVE none:1 none:2 m", PLAN_MARKED_SCRIPT, "SMOVE none:1 none:2 m", true, REPLY_NULL_ARRAY},
        {"EVAL s 1 none:1", PLAN_BLOCK, "EVAL s 1 none:1", false, REPLY_AS_IS},
        {"XREADGROUP GROUP g c STREAMS none:1 >", PLAN_MARKED_SCRIPT, "XREADGROUP GROUP g c STREAMS none:1 >", false,
         REPLY_NULL_ARRAY},
        {"XREADGROUP GROUP g c STREAMS none:1 0", PLAN_BLOCK, "XREADGROUP GROUP g c STREAMS none:1 0", false, REPLY_AS_IS},
        {"GET conv:1", PLAN_RAW, "GET conv:1", false, REPLY_AS_IS},
        {"SET raw v", PLAN_RAW, "SET raw v", false, REPLY_AS_IS},
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct plan *p = make_marked(f, rows[i].line, RESP2, all_marked, all_marked);
        assert_string_equal(f->text, rows[i].steps);
        assert_int_equal(p->kind, rows[i].kind);
        assert_int_equal(p->conditional, rows[i].conditional);
        assert_int_equal(p->reply, rows[i].reply);
        assert_int_equal(p->tracked, p->kind != PLAN_RAW);
        for (size_t k = 0; k < p->nkeys; k++)
            assert_true(p->keys[k].marked);
    }
    assert_int_equal(make_marked(f, "XREADGROUP GROUP g c STREAMS none:1 none:2 > >", RESP2, all_marked, all_marked)->kind,
                     PLAN_MARKED_SCRIPT);
    assert_int_equal(make_marked(f, "XREADGROUP GROUP g c STREAMS none:1 none:2 > >", RESP3, all_marked, all_marked)->kind, PLAN_BLOCK);
}

static void marks_are_by_policy(void **state)
{
    struct fixture *f = *state;
    const struct plan *p = make_marked(f, "DEL none:1", RESP2, conv_only, conv_only);
    assert_int_equal(p->kind, PLAN_RAW);
    assert_false(p->guarded || p->tracked);
    p = make_marked(f, "DEL none:1 conv:1 raw", RESP2, conv_only, conv_only);
    assert_int_equal(p->kind, PLAN_MARKED_SCRIPT);
    assert_true(p->guarded && p->tracked && p->mixed);
    assert_false(p->keys[0].marked);
    assert_true(p->keys[1].marked);
    p = make_marked(f, "DEL conv:1 conv:2", RESP2, conv_only, none_marked);
    assert_int_equal(p->kind, PLAN_MARKED_SCRIPT); /* its id is kept */
    assert_true(p->tracked && !p->mixed);
    assert_false(p->keys[0].marked);
    p = make_marked(f, "GET conv:1", RESP2, conv_only, conv_only);
    assert_true(p->guarded && !p->tracked);
    p = make(f, "DEL conv:1", RESP2, false);
    assert_int_equal(p->kind, PLAN_RAW);
    assert_false(p->guarded || p->tracked);
}

static void undo_names_both_expiries(void **state)
{
    struct fixture *f = *state;
    struct chain out;
    chain_init(&out, &f->pool);
    plan_undo(&out, (struct slice){"conv:1", 6}, 1060000, -1, false);
    size_t n = plain_text(f->text, sizeof f->text, chain_flat(&out));
    chain_clear(&out);
    assert_int_equal(strncmp(f->text, "EVAL ", 5), 0);
    assert_string_equal(f->text + n - strlen(" 1 conv:1 1060000 -1"), " 1 conv:1 1060000 -1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(raw_keys_pass),
        TEST(reads_pass),
        TEST(own_and_none_pass),
        TEST(a_policy_without_limits_adds_nothing),
        TEST(malformed_passes),
        TEST(set_carries_the_ttl),
        TEST(other_options_carry_the_ttl),
        TEST(pushes_are_trimmed),
        TEST(writes_slide),
        TEST(what_frees_memory_goes_as_a_script),
        TEST(in_multi_nothing_is_a_script),
        TEST(scripts_leave_no_key_without_a_ttl),
        TEST(scripts_that_a_block_would_hinder),
        TEST(json_histories_are_trimmed),
        TEST(long_histories_are_trimmed),
        TEST(too_large_is_refused),
        TEST(replies_tell_what_was_written),
        TEST(marked_writes_are_blocks_or_scripts),
        TEST(marks_are_by_policy),
        TEST(undo_names_both_expiries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
