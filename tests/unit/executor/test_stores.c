/* What the archive keeps of its own writes: versions, owners, marks, journals, tombstones, ids, and second attempts. */
#include "tests/unit/executor/run_world.h"

#include "base/version.h"
#include "engine/list.h"
#include "executor/replay.h"

#include <stdio.h>
#include <string.h>

#define DAY_MS (24 * 3600 * 1000)

static void expect_journal(const struct stored *s, size_t i, const char *session, int64_t seq,
                           const char *requests)
{
    assert_true(i < s->record.nwrites);
    const struct record_write *w = &s->record.writes[i];
    assert_string_equal(w->id.session, session);
    assert_int_equal(w->id.seq, seq);
    assert_int_equal(w->requests.len, strlen(requests));
    assert_memory_equal(w->requests.p, requests, strlen(requests));
    assert_true(w->now_ms <= world_now() && w->now_ms > world_now() - 60000);
}

/* Makes key what Redis had at this version. */
static void copied(struct world *w, const char *lines, int64_t version)
{
    struct op *op = world_copy(w, "redis", version & 1023, version, lines);
    op->keys[0].fresh = true;
    world_expect(w, op, NULL);
}

/* ---- versions ---- */

static void test_versions(void **state)
{
    struct world *w = *state;

    world_expect(w, world_op(w, "SET k 1"), "+OK\r\n");
    int64_t first = world_stored(w, "k").version;
    assert_int_equal(version_epoch(first), VERSION_FIRST_EPOCH);
    world_expect(w, world_op(w, "SET k 2"), "+OK\r\n");
    int64_t second = world_stored(w, "k").version;
    assert_true(second > first);
    world_expect(w, world_write(w, OP_PLAIN, "", 0, "SET k 3"), "+OK\r\n");
    int64_t third = world_stored(w, "k").version;
    assert_int_equal(version_epoch(third), WORLD_EPOCH);
    world_expect(w, world_op(w, "SET k 4"), "+OK\r\n"); /* the epoch never falls */
    assert_int_equal(world_stored(w, "k").version, third + 1);
}

/* Documents of builds that counted µs. */
static void test_old_versions(void **state)
{
    struct world *w = *state;
    int64_t now_us = world_now() * 1000 + 3600000000;

    world_ask(w, "SET k 1", "+OK\r\n");
    struct stored s = world_stored(w, "k");
    bson_t *doc = BCON_NEW("_id", "k", "t", "string", "enc", "raw", "v", "old", "ver", BCON_INT64(now_us));
    struct archive_write write = {.entry = {.key = {"k", 1},
                                            .hash = archive_hash((struct slice){"k", 1}),
                                            .version = now_us,
                                            .expire_ms = -1,
                                            .type = OBJECT_STRING},
                                  .expected = s.version,
                                  .doc = doc};
    assert_int_equal(archive_commit(w->handle, &write, 1), ERR_NONE);
    bson_destroy(doc);
    world_ask(w, "APPEND k x", ":4\r\n");
    assert_true(world_stored(w, "k").version > now_us);
}

/* A key that is deleted and made anew at once is never taken for what it was. */
static void test_versions_of_a_key_made_anew(void **state)
{
    struct world *w = *state;
    int64_t last = 0;

    for (int i = 0; i < 15; i++) {
        world_ask(w, "SET k 1\nSET k 2\nSET k 3", "*3\r\n+OK\r\n+OK\r\n+OK\r\n");
        int64_t version = world_stored(w, "k").version;
        assert_true(version > last);
        last = version;
        world_ask(w, "DEL k", ":1\r\n");
        assert_int_equal(world_stored(w, "k").version, 0);
    }
    world_ask(w, "SET k 1\nSET k 2", NULL);
    last = world_stored(w, "k").version;
    world_ask(w, "FLUSHALL", "+OK\r\n");
    world_ask(w, "SET k 3", "+OK\r\n");
    assert_true(world_stored(w, "k").version > last);
}

/* ---- plain ---- */

static void test_plain_says_nothing(void **state)
{
    struct world *w = *state;
    struct record none = {0};

    world_expect(w, world_write(w, OP_PLAIN, "", 0, "RPUSH k a"), ":1\r\n");
    struct stored s = world_stored(w, "k");
    assert_memory_equal(&s.record, &none, sizeof none);
    assert_false(s.dirty);
}

/* Redis has had the key: a deletion is not forgotten at once. */
static void test_plain_takes_over_from_redis(void **state)
{
    struct world *w = *state;

    copied(w, "RPUSH k a", version_make(WORLD_EPOCH, 1000));
    assert_true(world_stored(w, "k").record.redis);
    world_expect(w, world_write(w, OP_PLAIN, "me", 4, "RPUSH k b"), ":2\r\n");
    struct stored s = world_stored(w, "k");
    assert_false(s.record.redis || s.record.journalled || s.dirty);
    assert_int_equal(s.record.nsessions, 2);
    copied(w, "RPUSH other a", version_make(WORLD_EPOCH, 1000));
    world_expect(w, world_write(w, OP_PLAIN, "me", 5, "DEL other"), ":1\r\n");
    s = world_stored(w, "other");
    assert_int_equal(s.type, OBJECT_NONE);
    assert_false(s.dirty || s.record.redis);
    assert_in_range(s.expire_ms, world_now() + DAY_MS - 60000, world_now() + DAY_MS);
    world_ask(w, "EXISTS other", ":0\r\n");
}

/* ---- owed ---- */

static void test_owed_leaves_marks_and_tombstones(void **state)
{
    struct world *w = *state;

    world_expect(w, world_write(w, OP_OWED, "me", 1, "SET k v"), "+OK\r\n");
    struct stored s = world_stored(w, "k");
    assert_true(s.dirty);
    assert_false(s.record.redis || s.record.journalled);
    assert_int_equal(s.record.nsessions, 1);
    int64_t before = s.version;
    world_expect(w, world_write(w, OP_OWED, "me", 2, "DEL k"), ":1\r\n");
    s = world_stored(w, "k");
    assert_int_equal(s.type, OBJECT_NONE);
    assert_true(s.dirty && s.version > before);
    assert_int_equal(s.expire_ms, -1); /* the sweeper lets it be */
    world_ask(w, "EXISTS k", ":0\r\n");
    world_ask(w, "TYPE k", "+none\r\n");
    world_ask(w, "KEYS *", "*0\r\n");
    world_ask(w, "SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n");
    world_ask(w, "RANDOMKEY", "$-1\r\n");
    world_ask(w, "DBSIZE", ":0\r\n");
    world_expect(w, world_write(w, OP_PLAIN, "me", 3, "RPUSH k a"), ":1\r\n");
    assert_true(world_stored(w, "k").dirty); /* still owed */
    world_expect(w, world_write(w, OP_PLAIN, "me", 4, "DEL k"), ":1\r\n");
    assert_true(world_stored(w, "k").dirty);
    world_expect(w, world_write(w, OP_OWED, "me", 5, "DEL never"), ":0\r\n");
    assert_int_equal(world_stored(w, "never").version, 0);
}

/* In more pages than one, and again when nothing is left to look for. */
static void test_dbsize(void **state)
{
    struct world *w = *state;
    char lines[2400 * 24] = "MSET";

    for (int i = 0; i < 2300; i++)
        sprintf(lines + strlen(lines), " k%d v", i);
    world_expect(w, world_write(w, OP_OWED, "me", 1, lines), "+OK\r\n");
    world_ask(w, "DBSIZE", ":2300\r\n");
    assert_true(w->counts.no_tombstones);
    world_expect(w, world_write(w, OP_OWED, "me", 2, "DEL k0 k7 k2299"), ":3\r\n");
    assert_false(w->counts.no_tombstones);
    world_ask(w, "DBSIZE", ":2297\r\n");
    world_ask(w, "DBSIZE", ":2297\r\n");
    world_ask(w, "FLUSHALL", "+OK\r\n");
    world_ask(w, "DBSIZE", ":0\r\n");
    assert_true(w->counts.no_tombstones);
}

/* Made and deleted in one batch: Redis may have had it before. */
static void test_owed_deletion_within_a_batch(void **state)
{
    struct world *w = *state;

    world_add(w, world_write(w, OP_OWED, "me", 1, "SET k v"));
    world_add(w, world_write(w, OP_OWED, "me", 2, "DEL k"));
    world_run(w);
    struct stored s = world_stored(w, "k");
    assert_true(s.version > 0 && s.dirty && s.type == OBJECT_NONE);
}

/* What would have to be told key by key. */
static void test_owed_is_not_emptied(void **state)
{
    struct world *w = *state;

    world_expect(w, world_write(w, OP_OWED, "me", 1, "SET k v"), "+OK\r\n");
    struct op *op = world_write(w, OP_JOURNAL, "me", 2, "FLUSHALL");
    world_expect(w, op, NULL);
    assert_int_equal(op->reply[0], '-');
    assert_true(world_stored(w, "k").version > 0);
    world_ask(w, "FLUSHALL", "+OK\r\n");
    assert_int_equal(world_stored(w, "k").version, 0);
}

/* ---- the journal ---- */

#define RPUSH_A "*3\r\n$5\r\nRPUSH\r\n$1\r\nk\r\n$1\r\na\r\n"
#define LTRIM_K "*4\r\n$5\r\nLTRIM\r\n$1\r\nk\r\n$2\r\n-9\r\n$2\r\n-1\r\n"

static void test_journal(void **state)
{
    struct world *w = *state;
    int64_t base = version_make(WORLD_EPOCH - 1, 1000);

    copied(w, "RPUSH k x", base);
    struct op *op = world_write(w, OP_JOURNAL, "me", 1, "PEXPIRETIME k\nRPUSH k a\nLTRIM k -9 -1\nGET other");
    op->steps[2].if_written = true;
    world_expect(w, op, "*4\r\n:-1\r\n:2\r\n+OK\r\n$-1\r\n");
    struct stored s = world_stored(w, "k");
    assert_true(s.dirty && s.record.journalled && !s.record.redis && !s.record.overflowed);
    assert_int_equal(s.record.base, base);
    assert_int_equal(s.record.nwrites, 1);
    expect_journal(&s, 0, "me", 1, RPUSH_A LTRIM_K);
    world_expect(w, world_write(w, OP_PLAIN, "me", 2, "DEL k"),
                 ":1\r\n"); /* plain, but the journal goes on */
    s = world_stored(w, "k");
    assert_int_equal(s.type, OBJECT_NONE);
    assert_true(s.dirty && s.record.journalled);
    assert_int_equal(s.record.base, base);
    expect_journal(&s, 1, "me", 2, "*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n");
    assert_int_equal(world_stored(w, "other").version, 0);
}

/* Noted is what was run and not refused. */
static void test_journal_leaves_out_what_was_refused(void **state)
{
    struct world *w = *state;

    world_expect(w, world_write(w, OP_JOURNAL, "me", 1, "SET k a"), "+OK\r\n");
    struct op *op = world_write(
        w, OP_JOURNAL, "me", 2,
        "RPUSH k x\nLTRIM k 0 -1\nSETNX k b\nPEXPIREAT k 1\nAPPEND k c\nPEXPIREAT k 33000000000000");
    op->steps[1].if_written = op->steps[3].if_written = op->steps[5].if_written = true;
    op->steps[2].conditional = true;
    world_expect(w, op, NULL);
    struct stored s = world_stored(w, "k");
    assert_int_equal(s.record.base, 0);
    assert_int_equal(s.record.nwrites, 2);
    expect_journal(&s, 1, "me", 2,
                   "*3\r\n$6\r\nAPPEND\r\n$1\r\nk\r\n$1\r\nc\r\n*3\r\n$9\r\nPEXPIREAT\r\n$1\r\nk\r\n$"
                   "14\r\n33000000000000\r\n");
    world_expect(w, world_write(w, OP_JOURNAL, "me", 3, "SETNX k b"), ":0\r\n");
    assert_int_equal(world_stored(w, "k").version, s.version);
}

/* Commands of several keys, and those whose outcome is drawn. */
static void test_journal_overflows(void **state)
{
    struct world *w = *state;

    world_expect(w, world_write(w, OP_JOURNAL, "me", 1, "SADD a x y\nSADD b y z"), "*2\r\n:2\r\n:2\r\n");
    world_expect(w, world_write(w, OP_JOURNAL, "me", 2, "SINTERSTORE d a b"), ":1\r\n");
    assert_true(world_stored(w, "d").record.overflowed && world_stored(w, "d").dirty);
    assert_false(world_stored(w, "a").record.overflowed);
    world_expect(w, world_write(w, OP_JOURNAL, "me", 3, "RENAME a e"), "+OK\r\n");
    assert_true(world_stored(w, "a").record.overflowed && world_stored(w, "e").record.overflowed);
    assert_int_equal(world_stored(w, "a").type, OBJECT_NONE);
    world_expect(w, world_write(w, OP_JOURNAL, "me", 4, "SPOP b"), NULL);
    assert_true(world_stored(w, "b").record.overflowed);
    world_expect(w, world_write(w, OP_JOURNAL, "me", 5, "RPUSH l 1\nRPOPLPUSH l l"),
                 NULL); /* one key all the same */
    assert_false(world_stored(w, "l").record.overflowed);
    world_expect(w, world_write(w, OP_JOURNAL, "me", 6, "MSET m 1 n 2"), "+OK\r\n");
    assert_true(world_stored(w, "m").record.overflowed && world_stored(w, "n").record.overflowed);
}

/* What was noted makes of the state before what the archive has made of it. */
static void test_journal_replays(void **state)
{
    static const char *const writes[] = {"RPUSH k a b c",        "LPUSH k z", "LREM k 0 b",
                                         "LINSERT k BEFORE c y", "LPOP k",    "RPUSH k d\nLTRIM k -3 -1"};
    struct world *w = *state;
    struct object o = {.key = {"k", 1}, .expire_ms = -1};

    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++)
        world_add(w, world_write(w, OP_JOURNAL, "me", (int64_t)i + 1, writes[i]));
    world_run(w);
    struct stored s = world_stored(w, "k");
    assert_int_equal(s.record.nwrites, 6);
    for (size_t i = 0; i < s.record.nwrites; i++)
        assert_true(replay_write(&o, &w->arena, &s.record.writes[i]));
    world_ask(w, "LRANGE k 0 -1", "*3\r\n$1\r\ny\r\n$1\r\nc\r\n$1\r\nd\r\n");
    assert_int_equal(o.v.list->count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_memory_equal(list_at(o.v.list, i)->p, &"ycd"[i], 1);
}

/* Its time is over, but Redis is still owed what was done to it. */
static void test_journal_outlives_expiry(void **state)
{
    struct world *w = *state;
    char lines[64];

    snprintf(lines, sizeof lines, "RPUSH k a\nPEXPIREAT k %lld", (long long)world_now() + 3);
    world_expect(w, world_write(w, OP_JOURNAL, "me", 1, lines), "*2\r\n:1\r\n:1\r\n");
    int64_t until = world_now() + 5;
    while (world_now() <= until)
        ;
    world_ask(w, "EXISTS k", ":0\r\n");
    world_expect(w, world_write(w, OP_JOURNAL, "me", 2, "RPUSH k b"), ":1\r\n");
    struct stored s = world_stored(w, "k");
    assert_true(s.dirty);
    assert_int_equal(s.record.nwrites, 2);
    assert_int_equal(s.record.base, 0);
}

/* A wait that has found nothing is not noted, nor what it left of itself. */
static void test_journal_of_one_that_waits(void **state)
{
    struct world *w = *state;

    world_expect(w, world_write(w, OP_JOURNAL, "me", 1, "XGROUP CREATE s g $ MKSTREAM"), "+OK\r\n");
    int64_t version = world_stored(w, "s").version;
    struct op *op = world_write(w, OP_JOURNAL, "me", 2, "XREADGROUP GROUP g me BLOCK 1000 STREAMS s >");
    world_expect(w, op, "");
    assert_true(op->parks);
    assert_int_equal(world_stored(w, "s").version, version);
    assert_int_equal(world_stored(w, "s").record.nwrites, 1);
}

/* ---- epochs ---- */

static void test_moved(void **state)
{
    struct world *w = *state;

    copied(w, "RPUSH k x", version_make(WORLD_EPOCH + 1, 1000));
    struct stored before = world_stored(w, "k");
    world_expect_error(w, world_write(w, OP_OWED, "me", 1, "RPUSH k y"), ERR_MOVED);
    world_expect_error(w, world_write(w, OP_PLAIN, "me", 2, "SET other 1\nDEL k"), ERR_MOVED);
    assert_int_equal(world_stored(w, "k").version, before.version);
    assert_int_equal(world_stored(w, "other").version, 0);
    world_expect(w, world_write(w, OP_PLAIN, "me", 3, "LRANGE k 0 -1"),
                 "*1\r\n$1\r\nx\r\n"); /* reads go on */
    struct op *op = world_write(w, OP_OWED, "me", 4, "RPUSH k y");
    op->epoch = WORLD_EPOCH + 1;
    world_expect(w, op, ":2\r\n");
    op = world_op(w, "RPUSH k z");
    world_expect(w, op, ":3\r\n"); /* without an epoch nothing is asked */
}

/* ---- second attempts ---- */

static struct op *second(struct world *w, int64_t seq, const char *lines)
{
    struct op *op = world_write(w, OP_JOURNAL, "me", seq, lines);
    op->second = true;
    return op;
}

static void test_second(void **state)
{
    static const struct {
        const char *before, *lines, *again; /* again NULL: in doubt */
    } rows[] = {
        {"RPUSH k a", "RPUSH k b", ":2\r\n"},
        {"RPUSH k a", "LPUSHX k b", ":2\r\n"},
        {"RPUSH k a", "RPUSHX k b c", ":3\r\n"},
        {"RPUSH k a", "LINSERT k BEFORE a b", ":2\r\n"},
        {"RPUSH k a", "LPUSH k b", ":2\r\n"},
        {"SET k a", "APPEND k bc", ":3\r\n"},
        {"SET k a", "SETRANGE k 4 bc", ":6\r\n"},
        {"SET k a", "SET k b EX 100", "+OK\r\n"},
        {"SET k a", "SETEX k 100 b", "+OK\r\n"},
        {"SET k a", "PSETEX k 100000 b", "+OK\r\n"},
        {"SET k a", "MSET k b other c", "+OK\r\n"},
        {"HSET k f v", "HMSET k f w", "+OK\r\n"},
        {"SET k a", "SET k b XX", NULL},
        {"SET k a", "SET k b GET", NULL},
        {"SET k 1", "INCR k", NULL},
        {"HSET k f v", "HSET k g w", NULL},
        {"SADD k a", "SADD k b", NULL},
        {"RPUSH k a b", "LPOP k", NULL},
        {"SET k a", "DEL k", NULL},
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t seq = 10 * (int64_t)i + 10;
        world_expect(w, second(w, seq, rows[i].before), NULL); /* not known: done */
        world_expect(w, world_write(w, OP_JOURNAL, "me", seq + 1, rows[i].lines), NULL);
        int64_t version = world_stored(w, "k").version;
        if (rows[i].again != NULL)
            world_expect(w, second(w, seq + 1, rows[i].lines), rows[i].again);
        else
            world_expect_error(w, second(w, seq + 1, rows[i].lines), ERR_INDOUBT);
        assert_int_equal(world_stored(w, "k").version, version);
        world_ask(w, "FLUSHALL", "+OK\r\n");
    }
}

/* As the proxy makes it of one command: with its own steps around the client's. */
static void test_second_of_a_block(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < 2; i++) {
        struct op *op =
            second(w, 1, "PEXPIRETIME k\nRPUSH k a b c\nLTRIM k -2 -1\nPEXPIREAT k 33000000000000");
        op->steps[2].if_written = op->steps[3].if_written = true;
        world_expect(w, op, i == 0 ? "*4\r\n:-2\r\n:3\r\n+OK\r\n:1\r\n" : "*4\r\n:0\r\n:2\r\n:0\r\n:0\r\n");
    }
    world_ask(w, "LRANGE k 0 -1", "*2\r\n$1\r\nb\r\n$1\r\nc\r\n");
    world_expect(w, second(w, 2, "RPUSH k d\nRPUSH k e"), "*2\r\n:3\r\n:4\r\n");
    world_expect_error(w, second(w, 2, "RPUSH k d\nRPUSH k e"), ERR_INDOUBT);
    world_ask(w, "LLEN k", ":4\r\n");
}

/* The commit's answer was lost: the second attempt finds the first. */
static void test_second_after_a_lost_commit(void **state)
{
    struct world *w = *state;

    world_plan(w, "op=commit fail=1 error=lost-after");
    world_expect_error(w, world_write(w, OP_JOURNAL, "me", 1, "RPUSH k a"), ERR_ARCHIVELOST);
    world_expect(w, second(w, 1, "RPUSH k a"), ":1\r\n");
    world_plan(w, "op=commit fail=1 error=lost-before");
    world_expect_error(w, world_write(w, OP_JOURNAL, "me", 2, "RPUSH k b"), ERR_ARCHIVELOST);
    world_expect(w, second(w, 2, "RPUSH k b"), ":2\r\n");
    world_ask(w, "LLEN k", ":2\r\n");
}

/* ---- sizes ---- */

/* The value fits, value and journal do not: the journal gives way. */
static void test_a_value_that_leaves_no_room(void **state)
{
    enum { VALUE = 15720000, PIECE = 1048000 };
    struct world *w = *state;
    char *lines = malloc(VALUE + 64);

    assert_non_null(lines);
    memset(lines, 'x', VALUE + 64);
    memcpy(lines, "SET k ", 6);
    lines[6 + VALUE] = '\0';
    world_expect(w, world_op(w, lines), "+OK\r\n");
    memset(lines, 'x', VALUE);
    memcpy(lines, "SETRANGE k 0 ", 13);
    lines[13 + PIECE] = '\0';
    world_expect(w, world_write(w, OP_JOURNAL, "me", 1, lines), ":15720000\r\n");
    struct stored s = world_stored(w, "k");
    assert_true(s.dirty && s.record.journalled && s.record.overflowed);
    world_expect(w, world_write(w, OP_JOURNAL, "me", 2, "SET k small"), "+OK\r\n");
    assert_true(world_stored(w, "k").record.overflowed);
    world_expect_error(w, world_write(w, OP_JOURNAL, "me", 3, "SETRANGE k 15728640 x"), ERR_TOO_LARGE);
    s = world_stored(w, "k");
    assert_int_equal(s.record.sessions[0].seq, 2);
    free(lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(test_versions),
        WORLD_TEST(test_old_versions),
        WORLD_TEST(test_versions_of_a_key_made_anew),
        WORLD_TEST(test_plain_says_nothing),
        WORLD_TEST(test_plain_takes_over_from_redis),
        WORLD_TEST(test_owed_leaves_marks_and_tombstones),
        WORLD_TEST(test_dbsize),
        WORLD_TEST(test_owed_deletion_within_a_batch),
        WORLD_TEST(test_owed_is_not_emptied),
        WORLD_TEST(test_journal),
        WORLD_TEST(test_journal_leaves_out_what_was_refused),
        WORLD_TEST(test_journal_overflows),
        WORLD_TEST(test_journal_replays),
        WORLD_TEST(test_journal_outlives_expiry),
        WORLD_TEST(test_journal_of_one_that_waits),
        WORLD_TEST(test_moved),
        WORLD_TEST(test_second),
        WORLD_TEST(test_second_of_a_block),
        WORLD_TEST(test_second_after_a_lost_commit),
        WORLD_TEST(test_a_value_that_leaves_no_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
