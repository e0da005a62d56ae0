/* Ops that repeat what Redis has done: on the exact predecessor, by Redis' clock, or not at all. */
#include "tests/unit/executor/run_world.h"

#include "base/clock.h"
#include "base/version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS (24 * 3600 * 1000)
#define V(n)   version_make(WORLD_EPOCH, 1000 + (n))

static struct op *fresh(struct world *w, int64_t seq, int64_t copied, const char *lines)
{
    struct op *op = world_copy(w, "redis", seq, copied, lines);
    for (size_t i = 0; i < op->nkeys; i++)
        op->keys[i].fresh = true;
    return op;
}

static struct op *next(struct world *w, int64_t seq, int64_t copied, const char *lines)
{
    return world_copy(w, "redis", seq, copied, lines);
}

static void expect_redis(struct world *w, const char *key, int64_t version, int64_t seq)
{
    struct stored s = world_stored(w, key);

    assert_int_equal(s.version, version);
    assert_true(s.record.redis);
    assert_false(s.dirty || s.record.journalled);
    assert_int_equal(s.record.nsessions, 1);
    assert_string_equal(s.record.sessions[0].session, "redis");
    assert_int_equal(s.record.sessions[0].seq, seq);
}

/* ---- the predecessor ---- */

static void test_one_after_the_other(void **state)
{
    struct world *w = *state;

    struct op *op =
        fresh(w, 1, V(1), "PEXPIRETIME k\nRPUSH k a b\nLTRIM k -5 -1\nPEXPIREAT k 33000000000000");
    op->steps[2].if_written = op->steps[3].if_written = true;
    world_expect(w, op, "");
    assert_true(op->changed && op->keys[0].changed);
    expect_redis(w, "k", V(1), 1);
    assert_int_equal(world_stored(w, "k").expire_ms, 33000000000000);
    world_expect(w, next(w, 2, V(2), "RPUSH k c"), "");
    expect_redis(w, "k", V(2), 2);
    world_ask(w, "LRANGE k 0 -1", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    assert_int_equal(w->counts.races, 0);
}

/* It has waited for the one before it. */
static struct op *late(struct op *op)
{
    op->timed_out = true;
    return op;
}

static void test_a_predecessor_that_is_missing(void **state)
{
    struct world *w = *state;

    world_expect_error(w, late(next(w, 1, V(1), "RPUSH k a")), ERR_RACE); /* nothing is there */
    assert_int_equal(world_stored(w, "k").version, 0);
    world_expect(w, fresh(w, 2, V(2), "RPUSH k a"), "");
    world_expect_error(w, late(next(w, 4, V(4), "RPUSH k c")), ERR_RACE);
    world_expect_error(w, fresh(w, 4, V(4), "RPUSH k c"), ERR_RACE); /* new there, alive here */
    world_expect_error(w, fresh(w, 3, V(3), "RPUSH k c"), ERR_RACE);
    expect_redis(w, "k", V(2), 2);
    assert_int_equal(w->counts.races, 0); /* nothing was tried again */
    assert_int_equal(w->counts.commits, 1);
}

/* Replies of two connections cross: the later copy waits for the one before it. */
static void test_a_predecessor_that_is_still_to_come(void **state)
{
    struct world *w = *state;

    world_expect(w, fresh(w, 1, V(1), "RPUSH k a"), "");
    struct op *third = next(w, 3, V(3), "RPUSH k c");
    world_expect(w, third, NULL);
    assert_true(third->parks);
    expect_redis(w, "k", V(1), 1);
    world_expect(w, next(w, 2, V(2), "RPUSH k b"), "");
    world_expect(w, next(w, 3, V(3), "RPUSH k c"), "");
    world_ask(w, "LRANGE k 0 -1", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
}

static void test_what_is_done_already(void **state)
{
    struct world *w = *state;

    world_expect(w, fresh(w, 1, V(5), "RPUSH k a"), "");
    world_expect(w, fresh(w, 1, V(5), "RPUSH k a"), "");
    world_expect(w, next(w, 2, V(4), "RPUSH k b"), ""); /* a later state of the epoch has it */
    expect_redis(w, "k", V(5), 1);
    world_ask(w, "LLEN k", ":1\r\n");
    assert_int_equal(w->counts.commits, 1);
}

/* A state of a later epoch need not have it: Redis may have lost it in between. */
static void test_a_later_epoch(void **state)
{
    struct world *w = *state;
    int64_t later = version_make(WORLD_EPOCH + 1, 1);

    world_expect(w, fresh(w, 7, later, "RPUSH k a"), "");
    struct op *other = world_copy(w, "stranger", 8, V(5), "RPUSH k b");
    world_expect_error(w, other, ERR_RACE);
    world_expect(w, next(w, 7, V(5), "RPUSH k b"), ""); /* by its id it is there */
    assert_int_equal(world_stored(w, "k").version, later);
}

static void test_the_archives_own_state(void **state)
{
    struct world *w = *state;

    world_expect(w, fresh(w, 1, V(1), "RPUSH k a"), "");
    world_expect(w, world_write(w, OP_OWED, "me", 1, "RPUSH k b"), ":2\r\n");
    int64_t own = world_stored(w, "k").version;
    world_expect_error(w, next(w, 2, V(2), "RPUSH k c"), ERR_RACE);    /* behind it */
    world_expect_error(w, next(w, 3, own + 1, "RPUSH k c"), ERR_RACE); /* right before it, but not Redis' */
    world_expect(w, next(w, 1, V(1), "RPUSH k a"), "");                /* the state has this one */
    assert_int_equal(world_stored(w, "k").version, own);
    world_ask(w, "LLEN k", ":2\r\n");
}

/* ---- what it leaves ---- */

/* Redis has counted a write that changed nothing, or was refused. */
static void test_versions_of_writes_that_change_nothing(void **state)
{
    struct world *w = *state;

    world_expect(w, fresh(w, 1, V(1), "RPUSH k a"), "");
    struct op *op = next(w, 2, V(2), "LREM k 0 x");
    world_expect(w, op, "");
    assert_true(op->changed); /* the version: the next copy may wait for it */
    expect_redis(w, "k", V(2), 2);
    op = next(w, 3, V(3), "SADD k x\nPEXPIREAT k 33000000000000"); /* WRONGTYPE: the expiry was not moved */
    op->steps[1].if_written = true;
    world_expect(w, op, "");
    expect_redis(w, "k", V(3), 3);
    assert_int_equal(world_stored(w, "k").expire_ms, -1);
    world_ask(w, "LRANGE k 0 -1", "*1\r\n$1\r\na\r\n");
    world_expect(w, fresh(w, 4, V(1), "DEL none"), "");
    expect_redis(w, "none", V(1), 4);
    assert_int_equal(world_stored(w, "none").type, OBJECT_NONE);
}

static void test_deletions(void **state)
{
    struct world *w = *state;
    size_t swept;

    world_expect(w, fresh(w, 1, V(1), "RPUSH k a"), "");
    world_expect(w, next(w, 2, V(2), "LPOP k"), "");
    expect_redis(w, "k", V(2), 2);
    struct stored s = world_stored(w, "k");
    assert_int_equal(s.type, OBJECT_NONE);
    assert_in_range(s.expire_ms, world_now() + DAY_MS - 60000, world_now() + DAY_MS);
    world_ask(w, "EXISTS k", ":0\r\n");
    world_expect(w, next(w, 3, V(3), "RPUSH k b"), ""); /* on the tombstone */
    expect_redis(w, "k", V(3), 3);
    world_ask(w, "LRANGE k 0 -1", "*1\r\n$1\r\nb\r\n");
    assert_int_equal(world_stored(w, "k").expire_ms, -1);
    world_expect(w, next(w, 4, V(4), "DEL k"), "");
    world_expect(w, fresh(w, 5, V(9), "RPUSH k c"), ""); /* Redis has forgotten its versions since */
    expect_redis(w, "k", V(9), 5);
    world_expect(w, next(w, 6, V(10), "DEL k"), "");
    assert_int_equal(archive_sweep(w->handle, world_now() + DAY_MS + 60000, 10, &swept), ERR_NONE);
    assert_int_equal(swept, 1);
    assert_int_equal(world_stored(w, "k").version, 0);
}

/* A deletion that Redis was owed, and a key that Redis has made since. */
static void test_on_an_owed_tombstone(void **state)
{
    struct world *w = *state;

    world_expect(w, world_write(w, OP_JOURNAL, "me", 1, "RPUSH k a"), ":1\r\n");
    world_expect(w, world_write(w, OP_JOURNAL, "me", 2, "DEL k"), ":1\r\n");
    int64_t old = world_stored(w, "k").version;
    world_expect_error(w, fresh(w, 1, old - 1, "RPUSH k b"), ERR_RACE); /* a late one */
    world_expect(w, fresh(w, 2, old + 5, "RPUSH k b"), "");
    struct stored s = world_stored(w, "k");
    assert_true(s.record.redis);
    assert_false(s.dirty || s.record.journalled);
    assert_int_equal(s.record.nsessions, 2); /* "me" is part of its past */
}

/* Owned by Redis, but its hand-over has not been confirmed: mark and journal stay. */
static void test_in_the_middle_of_a_hand_over(void **state)
{
    struct world *w = *state;
    struct record r = {0};
    struct slice key = {"k", 1};
    struct record_write write = {.now_ms = 5, .requests = {"*1\r\n$4\r\nPING\r\n", 14}};
    bson_t *doc = BCON_NEW("_id", "k", "t", "string", "enc", "raw", "v", "old", "exp", BCON_NULL);
    struct archive_write commit = {.entry = {.key = key,
                                             .hash = archive_hash(key),
                                             .version = V(3),
                                             .expire_ms = -1,
                                             .type = OBJECT_STRING,
                                             .dirty = true},
                                   .doc = doc};

    record_journal(&r, &w->arena, V(1), &write);
    r.redis = true;
    assert_true(record_encode(&r, doc));
    assert_int_equal(archive_commit(w->handle, &commit, 1), ERR_NONE);
    bson_destroy(doc);
    world_expect(w, next(w, 1, V(4), "APPEND k er"), "");
    struct stored s = world_stored(w, "k");
    assert_true(s.dirty && s.record.redis && s.record.journalled);
    assert_int_equal(s.record.base, V(1));
    assert_int_equal(s.record.nwrites, 1);
    assert_int_equal(s.version, V(4));
    world_expect(w, next(w, 2, V(5), "DEL k"), "");
    s = world_stored(w, "k");
    assert_true(s.dirty && s.record.journalled && s.type == OBJECT_NONE);
    assert_int_equal(s.expire_ms, -1);
}

/* ---- clocks ---- */

static struct op *at(struct op *op, int64_t now_ms)
{
    op->now_ms = now_ms;
    return op;
}

static void test_by_redis_clock(void **state)
{
    struct world *w = *state;
    int64_t then = 32000000000000; /* far from ours */
    char lines[64];

    world_expect(w, at(fresh(w, 1, V(1), "SET k a PX 10000"), then), "");
    assert_int_equal(world_stored(w, "k").expire_ms, then + 10000);
    world_expect(w, at(next(w, 2, V(2), "APPEND k b"), then + 7999), "");
    world_expect_error(w, at(next(w, 3, V(3), "APPEND k c"), then + 8000), ERR_RACE); /* is it there? */
    world_expect_error(w, at(next(w, 3, V(3), "APPEND k c"), then + 12000), ERR_RACE);
    world_ask(w, "GET k", "$2\r\nab\r\n");
    world_expect(w, at(next(w, 3, V(3), "APPEND k c"), then + 12001), "");
    world_ask(w, "GET k", "$1\r\nc\r\n"); /* it was not */
    assert_int_equal(world_stored(w, "k").expire_ms, -1);
    snprintf(lines, sizeof lines, "PEXPIREAT k %lld", (long long)then + 20000);
    world_expect(w, at(next(w, 4, V(4), lines), then + 13000), "");
    world_expect(w, at(fresh(w, 5, V(9), "RPUSH k x"), then + 23000), ""); /* dead, and made anew */
    expect_redis(w, "k", V(9), 5);
    world_ask(w, "LLEN k", ":1\r\n");
}

/* Nothing of an expired value stays behind what did not bring it back. */
static void test_expired_and_not_brought_back(void **state)
{
    struct world *w = *state;
    int64_t then = 32000000000000;

    world_expect(w, at(fresh(w, 1, V(1), "SET k a PX 10000"), then), "");
    world_expect(w, at(next(w, 2, V(2), "DEL k"), then + 20000), "");
    assert_int_equal(world_stored(w, "k").type, OBJECT_NONE);
    assert_int_equal(world_stored(w, "k").version, V(2));
}

/* ---- several keys ---- */

static void test_several_keys(void **state)
{
    struct world *w = *state;
    struct op *op = fresh(w, 1, V(1), "MSET a 1 b 2");

    op->keys[1].copied = V(100);
    world_expect(w, op, "");
    expect_redis(w, "a", V(1), 1);
    expect_redis(w, "b", V(100), 1);
    op = next(w, 2, V(2), "RENAME a b");
    op->keys[1].copied = V(102); /* 101 is missing */
    world_expect_error(w, late(op), ERR_RACE);
    expect_redis(w, "a", V(1), 1);
    op = next(w, 2, V(2), "RENAME a b");
    op->keys[1].copied = V(101);
    world_expect(w, op, "");
    expect_redis(w, "a", V(2), 2);
    expect_redis(w, "b", V(101), 2);
    world_ask(w, "GET b", "$1\r\n1\r\n");
    op = world_copy(w, "late", 1, V(3), "RENAME a b");
    op->keys[1].copied = V(101); /* one has it, one has not */
    world_expect_error(w, op, ERR_RACE);
}

/* Redis is lost when its copy has reached one key only: the archive does the rest. */
static struct op *owed(struct world *w, int64_t seq, int64_t a, int64_t b, const char *lines)
{
    struct op *op = next(w, seq, a, lines);

    op->keys[1].copied = b;
    op->role = OP_JOURNAL;
    op->second = true;
    return op;
}

static void test_the_rest_of_several_keys(void **state)
{
    static const struct {
        const char *lines, *a, *b;
    } rows[] = {
        {"RPUSH a 2\nRPUSH b 2", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"},
        {"DEL a b", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "*0\r\n"},
        {"LMOVE a b LEFT RIGHT", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n", "*1\r\n$1\r\n1\r\n"}, /* a gap */
        {"GET x\nRPUSH b 2\nLRANGE a 0 -1\nRPUSH a 2", "*2\r\n$1\r\n1\r\n$1\r\n2\r\n",
         "*2\r\n$1\r\n1\r\n$1\r\n2\r\n"},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t seq = 10 * (int64_t)i + 10;
        world_expect(w, fresh(w, seq, V(seq), "RPUSH a 1"), "");
        world_expect(w, fresh(w, seq + 1, V(seq), "RPUSH b 1"), "");
        world_expect(w, next(w, seq + 2, V(seq + 1), "RPUSH a 2"), ""); /* what the copier would have read */
        struct op *op = owed(w, seq + 2, V(seq + 1), V(seq + 1), rows[i].lines);
        size_t a = op_find_key(op, (struct slice){"a", 1}), b = op_find_key(op, (struct slice){"b", 1});
        op->keys[a].copied = op->keys[b].copied = V(seq + 1);
        world_expect_error(w, op, ERR_INDOUBT);
        world_ask(w, "LRANGE a 0 -1", rows[i].a);
        world_ask(w, "LRANGE b 0 -1", rows[i].b);
        world_ask(w, "FLUSHALL", "+OK\r\n");
    }
}

/* A key without a version may hold anything. */
static void test_keys_without_a_version(void **state)
{
    struct world *w = *state;

    world_ask(w, "SADD src x", ":1\r\n");
    struct op *op = fresh(w, 1, V(1), "SUNIONSTORE dst src");
    op->keys[1].copied = 0;
    world_expect_error(w, op, ERR_RACE);
    op = fresh(w, 1, V(1), "SMEMBERS src\nSADD dst y"); /* what it only reads does not matter */
    op->keys[0].copied = 0;
    world_expect(w, op, "");
    expect_redis(w, "dst", V(1), 1);
    assert_false(world_stored(w, "src").record.redis);
    world_expect_error(w, fresh(w, 2, V(1), "SORT l BY w* STORE l"), ERR_RACE);
    world_expect_error(w, fresh(w, 2, V(1), "RPUSH m a\nEVAL x 1 m"), ERR_RACE); /* nothing of it */
    assert_int_equal(world_stored(w, "m").version, 0);
}

/* ---- batches ---- */

static void test_a_batch(void **state)
{
    struct world *w = *state;
    struct op *ops[] = {fresh(w, 1, V(1), "RPUSH k a"), next(w, 2, V(2), "RPUSH k b"),
                        next(w, 4, V(4), "RPUSH k d"),  next(w, 3, V(3), "RPUSH k c"),
                        fresh(w, 5, V(1), "SET o 1"),   next(w, 6, V(3), "SET o 3"),
                        world_op(w, "SET p 1")};
    static const enum err errors[] = {ERR_NONE, ERR_NONE, ERR_RACE, ERR_NONE, ERR_NONE, ERR_RACE, ERR_NONE};

    late(ops[2]);
    late(ops[5]);
    for (size_t i = 0; i < 7; i++)
        world_add(w, ops[i]);
    world_run(w);
    for (size_t i = 0; i < 7; i++)
        assert_int_equal(ops[i]->error, errors[i]);
    expect_redis(w, "k", V(3), 3);
    world_ask(w, "LRANGE k 0 -1", "*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n");
    assert_int_equal(w->counts.commits, 1);
    assert_int_equal(w->counts.alone, 0); /* who was refused has not made the others run again */
}

/* Another process was faster: they look again. */
static void test_a_race(void **state)
{
    struct world *w = *state;

    world_expect(w, fresh(w, 1, V(1), "RPUSH k a"), "");
    world_plan(w, "op=commit fail=1 error=race");
    struct op *b = next(w, 2, V(2), "RPUSH k b"), *c = next(w, 3, V(3), "RPUSH k c");
    world_add(w, b);
    world_add(w, c);
    world_run(w);
    assert_int_equal(b->error, ERR_NONE);
    assert_int_equal(c->error, ERR_NONE);
    assert_int_equal(w->counts.races, 1);
    expect_redis(w, "k", V(3), 3);
    world_plan(w, "op=commit fail=1 error=lost-after");
    world_expect_error(w, next(w, 4, V(4), "RPUSH k d"), ERR_ARCHIVELOST);
    world_expect(w, next(w, 4, V(4), "RPUSH k d"), ""); /* it was done */
    world_ask(w, "LLEN k", ":4\r\n");
}

#define TEST WORLD_TEST

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_after_the_other),
        TEST(test_a_predecessor_that_is_missing),
        TEST(test_a_predecessor_that_is_still_to_come),
        TEST(test_what_is_done_already),
        TEST(test_a_later_epoch),
        TEST(test_the_archives_own_state),
        TEST(test_versions_of_writes_that_change_nothing),
        TEST(test_deletions),
        TEST(test_on_an_owed_tombstone),
        TEST(test_in_the_middle_of_a_hand_over),
        TEST(test_by_redis_clock),
        TEST(test_expired_and_not_brought_back),
        TEST(test_several_keys),
        TEST(test_the_rest_of_several_keys),
        TEST(test_keys_without_a_version),
        TEST(test_a_batch),
        TEST(test_a_race),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
