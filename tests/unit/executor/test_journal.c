/* Whatever is done to a key while a journal is kept: the journal, replayed on the state before, gives the state after.
 * Random commands (CONV_SEED repeats a run). */
#include "tests/unit/executor/run_world.h"

#include "engine/document.h"
#include "executor/replay.h"
#include "executor/scope.h"
#include "tests/unit/settings_of.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS 60
#define WRITES 40

static const char *const commands[] = {
    "RPUSH k %d a",
    "LPUSH k %d",
    "LTRIM k -%d -1",
    "LSET k 0 %d",
    "LINSERT k BEFORE a %d",
    "LREM k 1 %d",
    "RPOP k",
    "RPOPLPUSH k k",
    "LPUSHX k %d",
    "HSET k f%d v",
    "HINCRBY k f%d 3",
    "HDEL k f%d",
    "HSETNX k f%d w",
    "SADD k m%d",
    "SREM k m%d",
    "ZADD k %d m",
    "ZINCRBY k 2 m%d",
    "ZPOPMIN k",
    "ZREMRANGEBYRANK k 0 %d",
    "SET k %d",
    "APPEND k %d",
    "INCRBY k %d",
    "SETRANGE k %d xyz",
    "INCRBYFLOAT k %d.5",
    "GETDEL k",
    "DEL k",
    "PEXPIRE k 1%d00000",
    "PERSIST k",
    "EXPIREAT k 99%d0000000",
    "XADD k 5-%d f v",
    "XADD k * f %d",
    "XTRIM k MAXLEN %d",
    "XGROUP CREATE k g%d $ MKSTREAM",
    "SETBIT k %d 1",
    "PFADD k %d",
    "BLPOP k 1",
    "RPUSH k %d\nLTRIM k -5 -1\nPEXPIREAT k 33000000000000",
    "SADD k %d\nGET other\nSADD k x y",
    "MSETNX k %d",
    "LMPOP 1 k LEFT COUNT %d",
    "EVAL redis.call('RPUSH',KEYS[1],ARGV[1],'a')redis.call('LTRIM',KEYS[1],-3,-1) 1 k %d",
    "EVAL redis.call('DEL',KEYS[1])redis.call('SET',KEYS[1],math.random(9))redis.call('APPEND',KEYS[1],ARGV[1]) 1 k %d",
    "EVAL redis.pcall('LPUSH',KEYS[1],'x','y','z')error('end') 1 k %d",
    "EVAL redis.call('HSET',KEYS[1],ARGV[1],redis.call('TIME')[1])redis.call('PERSIST',KEYS[1]) 1 k %d",
};

static struct scope *scope; /* its policy trims and expires */

static unsigned draw(unsigned n)
{
    return (unsigned)rand() % n;
}

static struct op *random_write(struct world *w, int64_t seq)
{
    char lines[128];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(lines, sizeof lines, commands[draw(sizeof commands / sizeof *commands)], (int)draw(5));
#pragma GCC diagnostic pop
    struct op *op = world_write(w, OP_JOURNAL, "me", seq, lines);
    if (op->nsteps == 3 && strcmp(op->steps[1].cmd->name, "ltrim") == 0)
        op->steps[1].if_written = op->steps[2].if_written = true;
    op->block_until_us = 0;
    op->scope = op->scripted ? scope_ref(scope) : NULL;
    return op;
}

static struct object stored_object(struct world *w)
{
    struct slice key = {"k", 1};
    struct archive_found found;
    struct object o = {.key = key, .expire_ms = -1};
    const char *why;
    bson_t doc;

    assert_int_equal(archive_load(w->handle, &key, 1, &w->arena, &found), ERR_NONE);
    if (found.version == 0)
        return o;
    assert_true(bson_init_static(&doc, (const uint8_t *)found.doc.p, found.doc.len));
    assert_int_equal(document_decode(&doc, &w->arena, &o, &why), ERR_NONE);
    return o;
}

static void expect_same(const struct object *a, const struct object *b)
{
    bson_t one = BSON_INITIALIZER, other = BSON_INITIALIZER;

    assert_int_equal(document_encode(a, &one), ERR_NONE);
    assert_int_equal(document_encode(b, &other), ERR_NONE);
    if (!bson_equal(&one, &other)) {
        char *text[] = {bson_as_canonical_extended_json(&one, NULL),
                        bson_as_canonical_extended_json(&other, NULL)};
        print_error("%s\n%s\n", text[0], text[1]);
        bson_free(text[0]);
        bson_free(text[1]);
        fail();
    }
    bson_destroy(&one);
    bson_destroy(&other);
}

/* One key's life: some writes that no journal knows, then some that one does, in batches. Returns how many were noted. */
static size_t round_of(struct world *w)
{
    for (unsigned i = draw(8); i > 0; i--) {
        struct op *op = random_write(w, 0);
        op->role = OP_PLAIN;
        world_add(w, op);
    }
    world_run(w);
    struct object o = stored_object(w);
    int64_t before = world_stored(w, "k").version;
    for (int i = 0; i < WRITES; i++) {
        world_add(w, random_write(w, i + 1));
        if (draw(4) == 0)
            world_run(w);
    }
    world_run(w);
    struct stored s = world_stored(w, "k");
    if (s.version == before)
        return 0;
    assert_true(s.record.journalled && !s.record.overflowed && s.dirty);
    assert_int_equal(s.record.base, before);
    for (size_t i = 0; i < s.record.nwrites; i++)
        assert_true(replay_write(&o, &w->arena, &s.record.writes[i]));
    struct object now = stored_object(w);
    expect_same(&now, &o);
    return s.record.nwrites;
}

static void test_replayed_journals(void **state)
{
    struct world *w = *state;
    size_t noted = 0;

    for (int i = 0; i < ROUNDS; i++) {
        noted += round_of(w);
        world_forget(w);
        world_ask(w, "FLUSHALL", "+OK\r\n");
    }
    assert_true(noted > ROUNDS * 5); /* there was something to replay */
}

int main(void)
{
    static const char *const sets[] = {"conv.match=*", "conv.ttl=1h", "conv.max_messages=4"};
    const struct CMUnitTest tests[] = {WORLD_TEST(test_replayed_journals)};
    const char *given = getenv("CONV_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);

    printf("CONV_SEED=%u\n", seed);
    srand(seed);
    const struct settings *settings = settings_of(sets, sizeof sets / sizeof *sets);
    scope = scope_new(settings, (bool[]){true}, (uint8_t[]){OP_JOURNAL}, 1);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    scope_unref(scope);
    settings_unref(settings);
    return failed;
}
