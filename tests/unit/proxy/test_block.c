/* EXEC's reply, taken apart: the client gets what is its own, trimmed and translated; whatever else arrives does no harm.
 * The upstream is never connected, so that nothing is undone here: tests/system does that. */
#include "proxy/block.h"

#include "base/clock.h"
#include "base/log.h"
#include "executor/op.h"
#include "proxy/stats.h"
#include "resp/request.h"
#include "tests/unit/settings_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static struct {
    struct loop loop;
    struct upstream_env env;
    struct upstream *u;
    struct slot slot;
    struct request request; /* the last one that was planned */
    struct chain sent;      /* what would go to Redis */
} w;

static void no_wake(struct upstream_env *env)
{
}

static int set_up(void **state)
{
    memset(&w, 0, sizeof w);
    chunk_pool_init(&w.loop.turn.chunks);
    w.loop.settings = settings_of((const char *[]){"conv.max_messages=3", "conv.ttl=60"}, 2);
    w.loop.policies = policy_set_new(w.loop.settings);
    w.loop.stats = calloc(1, sizeof *w.loop.stats);
    w.env = (struct upstream_env){.turn = &w.loop.turn, .settings = w.loop.settings, .wake = no_wake};
    w.u = upstream_new(&w.env, LANE_FAST, 0, RESP2);
    request_init(&w.request);
    plan_init(&w.loop.plan, &w.loop.turn.chunks);
    chain_init(&w.sent, &w.loop.turn.chunks);
    chain_init(&w.slot.reply, &w.loop.turn.chunks);
    w.slot.loop = &w.loop;
    w.slot.kind = SLOT_BLOCK;
    w.slot.block = block_new(w.u, 1000000);
    return 0;
}

static int tear_down(void **state)
{
    block_free(w.slot.block);
    chain_clear(&w.slot.reply);
    chain_clear(&w.sent);
    request_done(&w.request);
    plan_done(&w.loop.plan);
    upstream_free(w.u);
    assert_int_equal(w.loop.turn.chunks.bytes, 0);
    chunk_pool_done(&w.loop.turn.chunks);
    free(w.loop.stats);
    policy_set_free(w.loop.policies);
    settings_unref(w.loop.settings);
    return 0;
}

/* Plans an inline command and adds it to the block, as managed_send and transaction do. */
static void add(const char *line, bool in_multi)
{
    struct request *r = &w.request;
    struct request_progress progress = {0};
    size_t n = strlen(line);

    assert_int_equal(request_parse(r, &progress, line, n, n), REQUEST_DONE);
    plan_make(&w.loop.plan, w.loop.policies, command_find(r->argv[0]), r->argv, r->argc, RESP2, in_multi,
              1000000);
    block_add(w.slot.block, &w.loop, &w.loop.plan, (struct slice){line, n}, &w.sent);
}

static void finish_with(const char *reply, size_t n, void (*finish)(struct slot *slot))
{
    chain_clear(&w.slot.reply);
    chain_append(&w.slot.reply, reply, n);
    finish(&w.slot);
}

static void assert_reply(const char *text)
{
    struct slice all = chain_flat(&w.slot.reply);
    if (all.len != strlen(text) || memcmp(all.p, text, all.len) != 0)
        fail_msg("got %.*s, expected %s", (int)all.len, all.p, text);
}

static void assert_one(const char *exec, const char *client)
{
    finish_with(exec, strlen(exec), block_finish_one);
    assert_reply(client);
}

static void assert_all(const char *exec, const char *client)
{
    finish_with(exec, strlen(exec), block_finish_all);
    assert_reply(client);
}

/* PEXPIRETIME | RPUSH | LTRIM | PEXPIREAT */
static void test_push_tells_the_trimmed_length(void **state)
{
    add("RPUSH conv:1 a b\r\n", false);
    assert_int_equal(block_commands(w.slot.block), 4);
    assert_one("*4\r\n:-2\r\n:2\r\n+OK\r\n:1\r\n", ":2\r\n");
    assert_one("*4\r\n:99\r\n:3\r\n+OK\r\n:1\r\n", ":3\r\n");
    assert_one("*4\r\n:99\r\n:5\r\n+OK\r\n:1\r\n", ":3\r\n");
}

static void test_each_push_counts_its_conversation(void **state)
{
    add("RPUSH conv:1 a b\r\n", false);
    assert_one("*4\r\n:-2\r\n:2\r\n+OK\r\n:1\r\n", ":2\r\n");
    struct policy_stats *stats =
        &w.loop.stats->policies[loop_policy_id(&w.loop, &w.loop.settings->policies[0])];
    assert_int_equal(counter_get(&stats->msg_count), 1);
    assert_int_equal(counter_get(&stats->msg_buckets[0]), 1); /* none were there before */
    assert_int_equal(counter_get(&stats->writes), 1);
}

static void test_refused_write_is_told_as_redis_said_it(void **state)
{
    add("RPUSH conv:1 a\r\n", false);
    assert_one("*4\r\n:5000\r\n-WRONGTYPE Operation\r\n-WRONGTYPE x\r\n:1\r\n", "-WRONGTYPE Operation\r\n");
}

static void test_errors_instead_of_an_array(void **state)
{
    add("RPUSH conv:1 a\r\n", false);
    assert_one("-OOM command not allowed\r\n", "-OOM command not allowed\r\n");
    assert_true(w.slot.failed);
    struct policy_stats *stats =
        &w.loop.stats->policies[loop_policy_id(&w.loop, &w.loop.settings->policies[0])];
    assert_int_equal(counter_get(&stats->persist_errors[PERSIST_OOM]), 1);
}

/* Not what was asked for: it is passed on as it is, whatever its form. */
static void test_arrays_of_another_size(void **state)
{
    static const char *const others[] = {"*3\r\n:1\r\n:2\r\n:3\r\n",
                                         "*5\r\n:1\r\n:2\r\n:3\r\n:4\r\n:5\r\n",
                                         "*-1\r\n",
                                         "*0\r\n",
                                         "+OK\r\n",
                                         "$3\r\nabc\r\n",
                                         "_\r\n"};

    add("RPUSH conv:1 a\r\n", false);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_one(others[i], others[i]);
}

/* A reply that was cut anywhere is never read beyond its end (the sanitizers look), and nothing is made of it. */
static void test_cut_anywhere(void **state)
{
    static const char whole[] = "*4\r\n:5000\r\n:2\r\n+OK\r\n:1\r\n";

    add("RPUSH conv:1 a b\r\n", false);
    for (size_t n = 1; n < sizeof whole - 1; n++) {
        char *part = malloc(n);
        memcpy(part, whole, n);
        chain_clear(&w.slot.reply);
        chain_append_own(&w.slot.reply, part, 0, n);
        block_finish_one(&w.slot);
        struct slice all = chain_flat(&w.slot.reply);
        assert_int_equal(all.len, n);
        assert_memory_equal(all.p, whole, n);
    }
}

static void test_transaction_keeps_the_clients_replies(void **state)
{
    add("GET raw\r\n", true);
    add("RPUSH conv:1 a\r\n", true);
    add("LRANGE conv:1 0 -1\r\n", true);
    assert_int_equal(block_commands(w.slot.block), 6);
    assert_all("*6\r\n$1\r\nx\r\n:-2\r\n:7\r\n+OK\r\n:1\r\n*2\r\n$1\r\na\r\n*0\r\n",
               "*3\r\n$1\r\nx\r\n:3\r\n*2\r\n$1\r\na\r\n*0\r\n");
    assert_all("*-1\r\n", "*-1\r\n"); /* a watched key was touched */
    assert_all("_\r\n", "_\r\n");
}

/* More entries and keys than the block has room for by itself. */
static void test_many_commands(void **state)
{
    char line[64], *exec = malloc(65536), *client = malloc(65536);
    size_t e = 0, c = 0;

    e += (size_t)sprintf(exec + e, "*400\r\n");
    c += (size_t)sprintf(client + c, "*100\r\n");
    for (int i = 0; i < 100; i++) {
        snprintf(line, sizeof line, "RPUSH conv:a-rather-long-name:%d a\r\n", i);
        add(line, true);
        e += (size_t)sprintf(exec + e, ":-2\r\n:%d\r\n+OK\r\n:1\r\n", i % 5 + 1);
        c += (size_t)sprintf(client + c, ":%d\r\n", i % 5 + 1 < 3 ? i % 5 + 1 : 3);
    }
    assert_int_equal(block_commands(w.slot.block), 400);
    assert_all(exec, client);
    free(exec);
    free(client);
}

static void test_single_rewritten_command(void **state)
{
    w.slot.kind = SLOT_COLLECT;
    add("SETNX conv:s v\r\n", false);
    assert_int_equal(block_commands(w.slot.block), 1);
    finish_with("+OK\r\n", 5, block_finish_single);
    assert_reply(":1\r\n");
    finish_with("$-1\r\n", 5, block_finish_single);
    assert_reply(":0\r\n");
    finish_with("-OOM no\r\n", 9, block_finish_single);
    assert_reply("-OOM no\r\n");
}

/* ---- marks ---- */

static void add_marked(const char *line, bool in_multi, bool marked)
{
    static const bool yes[] = {true}, no[] = {false};
    struct plan_marks marks = {.keeps_id = yes, .marked = marked ? yes : no, .count = 1};

    w.loop.plan.marks = &marks;
    add(line, in_multi);
    w.loop.plan.marks = NULL;
}

/* The commands, then what block_track adds. */
static void track(void)
{
    struct chain out;

    w.loop.acting.epoch = 256;
    chain_init(&out, &w.loop.turn.chunks);
    block_track(&w.slot, &w.sent, &out);
    w.sent = out;
}

static void finish_text(const char *reply, void (*finish)(struct slot *slot))
{
    finish_with(reply, strlen(reply), finish);
}

static void assert_sent_ends(const char *text)
{
    struct slice all = chain_flat(&w.sent);
    size_t n = strlen(text);
    assert_true(all.len >= n);
    assert_memory_equal(all.p + all.len - n, text, n);
}

static void test_marks_stand_behind_the_commands(void **state)
{
    add_marked("APPEND conv:1 a\r\n", true, true);
    add_marked("INCR conv:1\r\n", true, true);
    track();
    char text[512];
    snprintf(text, sizeof text,
             "*4\r\n$6\r\nHSETNX\r\n$7\r\ncvp:ver\r\n$6\r\nconv:1\r\n$16\r\n2251799814685248\r\n"
             "*4\r\n$7\r\nHINCRBY\r\n$7\r\ncvp:ver\r\n$6\r\nconv:1\r\n$1\r\n1\r\n"
             "*3\r\n$4\r\nSADD\r\n$9\r\ncvp:dirty\r\n$6\r\nconv:1\r\n"
             "*4\r\n$4\r\nHSET\r\n$8\r\ncvp:sess\r\n$%zu\r\n%s\r\n$1\r\n1\r\n",
             strlen(upstream_session(w.u)), upstream_session(w.u));
    assert_sent_ends(text);
    assert_int_equal(block_commands(w.slot.block), 6 + 4); /* PEXPIRETIME, the command, PEXPIREAT: twice */
    assert_all("*10\r\n:-2\r\n:1\r\n:1\r\n:5\r\n-ERR x\r\n:1\r\n:1\r\n:99\r\n:1\r\n:0\r\n",
               "*2\r\n:1\r\n-ERR x\r\n");
    assert_true(block_has_marked(w.slot.block));
    assert_false(block_is_strange(w.slot.block));
}

static void test_only_the_id(void **state)
{
    add_marked("INCR conv:1\r\n", false, false);
    track();
    assert_int_equal(block_commands(w.slot.block), 3 + 1);
    assert_one("*4\r\n:-2\r\n:1\r\n:1\r\n:0\r\n", ":1\r\n");
    assert_false(block_has_marked(w.slot.block));
}

/* Another session's field was there, ours is gone: Redis was emptied. What comes behind it on this connection counts for nothing, too. */
static void test_emptied_redis(void **state)
{
    add_marked("INCR conv:1\r\n", false, true);
    track();
    finish_text("*7\r\n:-2\r\n:1\r\n:1\r\n:1\r\n:99\r\n:1\r\n:1\r\n", block_finish_one);
    assert_true(block_is_strange(w.slot.block));
    assert_false(block_has_marked(w.slot.block));
    assert_false(upstream_answers_count(w.u));
    block_free(w.slot.block);
    w.slot.block = block_new(w.u, 1000000);
    chain_clear(&w.sent);
    add_marked("INCR conv:1\r\n", false, true);
    track();
    finish_text("*7\r\n:-2\r\n:1\r\n:1\r\n:1\r\n:99\r\n:1\r\n:0\r\n", block_finish_one);
    assert_true(block_is_strange(w.slot.block));
}

static void test_versions_reach_the_copy(void **state)
{
    static const char request[] =
        "*3\r\n$4\r\nMSET\r\n$6\r\nconv:1\r\n$1\r\na\r\n*3\r\n$6\r\nAPPEND\r\n$6\r\nconv:2\r\n$1\r\nb\r\n";

    add_marked("MSET conv:1 a conv:1 c\r\n", true, true);
    add_marked("APPEND conv:2 b\r\n", true, true);
    track();
    w.slot.copy = op_new(OP_EXEC, RESP2, (struct slice){request, sizeof request - 1});
    assert_int_equal(block_commands(w.slot.block), 3 + 3 + 2 * 2 + 2);
    assert_all("*12\r\n+OK\r\n:1\r\n:1\r\n:-2\r\n:1\r\n:1\r\n:0\r\n:2251799813685300\r\n:1\r\n:"
               "2251799813685249\r\n:2\r\n:0\r\n",
               "*2\r\n+OK\r\n:1\r\n");
    assert_int_equal(w.slot.copy->keys[0].copied, 2251799813685300);
    assert_false(w.slot.copy->keys[0].fresh);
    assert_int_equal(w.slot.copy->keys[1].copied, 2251799813685249);
    assert_true(w.slot.copy->keys[1].fresh);
    w.slot.copy->keys[1].copied = 0;
    assert_all("*12\r\n+OK\r\n:1\r\n:1\r\n:5000\r\n:1\r\n:1\r\n:1\r\n:9\r\n:1\r\n:8\r\n:2\r\n:0\r\n",
               "*2\r\n+OK\r\n:1\r\n");
    assert_int_equal(w.slot.copy->keys[0].copied, 9); /* MSET: whatever it held */
    assert_true(w.slot.copy->keys[0].fresh);
    assert_int_equal(w.slot.copy->keys[1].copied,
                     0); /* it was there without a version: what it held is not known to the archive */
    op_free(w.slot.copy);
}

static void test_archive_answers_without_marks(void **state)
{
    add_marked("INCR conv:1\r\n", false, true);
    track();
    block_turn_to_archive(w.slot.block);
    assert_one("*3\r\n:-2\r\n:7\r\n:1\r\n", ":7\r\n");
    assert_false(block_has_marked(w.slot.block));
}

static void assert_script(const char *reply, const char *client, bool marked)
{
    finish_with(reply, strlen(reply), block_finish_script);
    assert_reply(client);
    assert_int_equal(block_has_marked(w.slot.block), marked);
}

static void test_script(void **state)
{
    struct chain out;

    w.loop.acting.epoch = 256;
    add_marked("SPOP conv:1\r\n", false, true);
    assert_int_equal(w.loop.plan.kind, PLAN_MARKED_SCRIPT);
    chain_init(&out, &w.loop.turn.chunks);
    block_track_script(&w.slot, &w.loop.plan, RESP2, &w.sent, &out);
    w.sent = out;
    char text[512];
    snprintf(
        text, sizeof text,
        "$1\r\n5\r\n$6\r\nconv:1\r\n$6\r\nconv:1\r\n$8\r\ncvp:sess\r\n$7\r\ncvp:ver\r\n$9\r\ncvp:dirty\r\n$%"
        "zu\r\n%s\r\n"
        "$1\r\n1\r\n$16\r\n2251799814685248\r\n$1\r\n1\r\n$7\r\n1060000\r\n$4\r\nSPOP\r\n$6\r\nconv:1\r\n",
        strlen(upstream_session(w.u)), upstream_session(w.u));
    assert_sent_ends(text);
    assert_script("*3\r\n:1\r\n$2\r\n99\r\n$1\r\nx\r\n", "$1\r\nx\r\n", true);
    assert_script("*3\r\n:1\r\n$2\r\n99\r\n$-1\r\n", "$-1\r\n", true);
    assert_script("*2\r\n:1\r\n$2\r\n99\r\n", "_\r\n", true);
    assert_script("*1\r\n:0\r\n", ":0\r\n", false);
    assert_script("*0\r\n", "_\r\n", false);
    assert_script("-WRONGTYPE x\r\n", "-WRONGTYPE x\r\n", false);
    assert_false(block_is_strange(w.slot.block));
    finish_text("*5\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n", block_finish_script);
    assert_int_equal(chain_flat(&w.slot.reply).p[0], '-');
    finish_text("-CVPSTRANGER it was emptied\r\n", block_finish_script);
    assert_true(block_is_strange(w.slot.block));
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_push_tells_the_trimmed_length),
        TEST(test_each_push_counts_its_conversation),
        TEST(test_refused_write_is_told_as_redis_said_it),
        TEST(test_errors_instead_of_an_array),
        TEST(test_arrays_of_another_size),
        TEST(test_cut_anywhere),
        TEST(test_transaction_keeps_the_clients_replies),
        TEST(test_many_commands),
        TEST(test_single_rewritten_command),
        TEST(test_marks_stand_behind_the_commands),
        TEST(test_only_the_id),
        TEST(test_emptied_redis),
        TEST(test_versions_reach_the_copy),
        TEST(test_archive_answers_without_marks),
        TEST(test_script),
    };
    log_setup(LOG_ERROR + 1, LOG_LOGFMT, STDERR_FILENO); /* persist_error is expected */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
