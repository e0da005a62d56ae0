#include "replies.h"
#include "engine/call.h"
#include "engine/dict.h"
#include "engine/document.h"
#include "engine/list.h"
#include "engine/stream.h"
#include "engine/zset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <string.h>

#define NOW     1700000000000
#define VERSION 0xc001
#define FOOTER  10

static struct object objects[2]; /* "from", "to" */
static struct keyspace keys;

static int set_up(void **state)
{
    memset(objects, 0, sizeof objects);
    objects[0].key = slice_of("from");
    objects[1].key = slice_of("to");
    objects[0].expire_ms = objects[1].expire_ms = -1;
    keys = (struct keyspace){.objects = objects, .count = 2};
    return replies_set_up(state);
}

/* ---- values of every type ---- */

static void make_text(struct object *o)
{
    o->encoding = ENC_RAW;
    o->v.string = (struct slice){"a\0\xff z", 5};
}

static void make_int(struct object *o)
{
    o->encoding = ENC_INT;
    o->v.string = slice_of("-42");
}

static void make_list(struct object *o)
{
    o->encoding = ENC_QUICKLIST;
    o->v.list = list_new(&arena, 0);
    list_push(o->v.list, slice_of("b"), false);
    list_push(o->v.list, (struct slice){"\xff", 1}, true);
    list_push(o->v.list, slice_of(""), false);
}

static void make_hash(struct object *o)
{
    o->encoding = ENC_LISTPACK;
    o->v.hash = dict_new(&arena, 0);
    dict_append(o->v.hash, slice_of("f"), slice_of("1"));
    dict_append(o->v.hash, slice_of(""), (struct slice){"\0", 1});
}

static void make_set(struct object *o)
{
    o->encoding = ENC_INTSET;
    o->v.set = dict_new(&arena, 0);
    dict_append(o->v.set, slice_of("-1"), (struct slice){NULL, 0});
    dict_append(o->v.set, slice_of("7"), (struct slice){NULL, 0});
}

static void make_zset(struct object *o)
{
    o->encoding = ENC_SKIPLIST;
    o->v.zset = zset_new(&arena, 0);
    zset_append(o->v.zset, slice_of("m"), -INFINITY);
    zset_append(o->v.zset, slice_of("a"), 0.1);
    zset_append(o->v.zset, slice_of("b"), 0.1);
}

static void make_stream(struct object *o)
{
    static struct slice pairs[] = {{"f", 1}, {"v", 1}};
    static struct stream_consumer consumer = {{"c", 1}, NOW};
    static struct stream_pending pending = {{1, 2}, 0, NOW, 3};
    static struct stream_group group;
    struct stream *s = stream_new(&arena);

    o->encoding = ENC_STREAM;
    o->v.stream = s;
    s->last_id = (struct stream_id){5, 0};
    s->entries_added = 2;
    stream_append(s, (struct stream_entry){{1, 2}, pairs, 2});
    stream_append(s, (struct stream_entry){{5, 0}, pairs, 2});
    group = (struct stream_group){.name = slice_of("g"), .last_id = {1, 2}, .entries_read = 1};
    group.consumers = &consumer;
    group.pending = &pending;
    group.nconsumers = group.consumers_cap = group.npending = group.pending_cap = 1;
    s->groups = &group;
    s->ngroups = s->groups_cap = 1;
}

static const struct {
    enum object_type type;
    void (*make)(struct object *o);
} values[] = {
    {OBJECT_STRING, make_text},   {OBJECT_STRING, make_int}, {OBJECT_LIST, make_list},
    {OBJECT_HASH, make_hash},     {OBJECT_SET, make_set},    {OBJECT_ZSET, make_zset},
    {OBJECT_STREAM, make_stream},
};
#define VALUES (sizeof values / sizeof *values)

static void make(size_t i, struct object *o)
{
    o->type = (uint8_t)values[i].type;
    values[i].make(o);
}

/* ---- helpers ---- */

static void run(const char *verb, const struct slice *argv, size_t argc)
{
    struct call c = {.argv = argv,
                     .argc = argc,
                     .resp = RESP2,
                     .now_ms = NOW,
                     .out = &out,
                     .arena = &arena,
                     .keys = &keys};

    chain_clear(&out);
    engine_find(verb)(&c);
}

/* The payload that DUMP from answers, in the arena. */
static struct slice dump(void)
{
    const struct slice argv[] = {slice_of("dump"), slice_of("from")};

    run("dump", argv, 2);
    struct slice reply = chain_flat(&out);
    assert_int_equal(reply.p[0], '$');
    const char *body = memchr(reply.p, '\n', reply.len);
    assert_non_null(body);
    size_t head = (size_t)(body + 1 - reply.p);
    return arena_copy(&arena, (struct slice){reply.p + head, reply.len - head - 2});
}

/* RESTORE to ttl payload REPLACE; the reply. */
static struct slice restore(const char *ttl, struct slice payload)
{
    const struct slice argv[] = {slice_of("restore"), slice_of("to"), slice_of(ttl), payload,
                                 slice_of("replace")};

    run("restore", argv, 5);
    return chain_flat(&out);
}

static void expect(struct slice got, const char *want)
{
    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.p, want, got.len);
}

/* Bit by bit, not by a table: another way to the same number. */
static uint64_t crc(const char *p, size_t n)
{
    uint64_t rest = ~(uint64_t)0;

    for (size_t i = 0; i < n; i++) {
        rest ^= (unsigned char)p[i];
        for (int bit = 0; bit < 8; bit++)
            rest = (rest & 1) != 0 ? rest >> 1 ^ 0xc96c5795d7870f42u : rest >> 1;
    }
    return ~rest;
}

/* Makes the footer fit the n bytes before it. */
static void sign(char *payload, size_t n)
{
    payload[n] = (char)(VERSION & 0xff);
    payload[n + 1] = (char)(VERSION >> 8);
    uint64_t sum = crc(payload, n + 2);
    for (size_t i = 0; i < 8; i++)
        payload[n + 2 + i] = (char)(sum >> 8 * i);
}

/* The payload of o as it is, sound or not. */
static struct slice forge(const struct object *o)
{
    bson_t doc = BSON_INITIALIZER;
    struct object bare = *o;

    bare.key = slice_of("");
    assert_int_equal(document_encode(&bare, &doc), ERR_NONE);
    size_t n = doc.len;
    char *payload = arena_get(&arena, n + FOOTER);
    memcpy(payload, bson_get_data(&doc), n);
    bson_destroy(&doc);
    sign(payload, n);
    return (struct slice){payload, n + FOOTER};
}

/* ---- tests ---- */

static void test_there_and_back(void **state)
{
    for (size_t i = 0; i < VALUES; i++) {
        make(i, &objects[0]);
        struct slice payload = dump();
        expect(restore("0", payload), "+OK\r\n");
        assert_int_equal(objects[1].type, values[i].type);
        assert_int_equal(objects[1].encoding, objects[0].encoding);
        assert_int_equal(objects[1].expire_ms, -1);
        assert_true(objects[1].changed && !objects[0].changed);
        assert_true(slice_equal(objects[1].key, slice_of("to")));
        assert_true(slice_equal(forge(&objects[1]), payload));
    }
}

/* The key and its expiry are not part of the value. */
static void test_without_expiry(void **state)
{
    make(0, &objects[0]);
    struct slice payload = dump();
    objects[0].expire_ms = NOW + 5;
    assert_true(slice_equal(dump(), payload));
    expect(restore("1000", payload), "+OK\r\n");
    assert_int_equal(objects[1].expire_ms, NOW + 1000);
    objects[0].expire_ms = NOW - 1;
    const struct slice argv[] = {slice_of("dump"), slice_of("from")};
    run("dump", argv, 2);
    expect(chain_flat(&out), "$-1\r\n");
}

/* A moment that has passed, also one that went over the top, removes what was there. */
static void test_past(void **state)
{
    make(0, &objects[0]);
    struct slice payload = dump();
    make(2, &objects[1]);
    expect(restore("9223372036854775807", payload), "+OK\r\n");
    assert_true(objects[1].type == OBJECT_NONE && objects[1].changed);
    objects[1].changed = false;
    const struct slice argv[] = {slice_of("restore"), slice_of("to"), slice_of("1000"), payload,
                                 slice_of("absttl")};
    run("restore", argv, 5);
    expect(chain_flat(&out), "+OK\r\n");
    assert_true(objects[1].type == OBJECT_NONE && !objects[1].changed);
}

/* Any one byte that is not as it was is noticed; the key stays as it is. */
static void test_damage(void **state)
{
    for (size_t i = 0; i < VALUES; i++) {
        make(i, &objects[0]);
        struct slice payload = dump();
        for (size_t at = 0; at < payload.len; at++) {
            struct slice bad = arena_copy(&arena, payload);
            ((char *)(uintptr_t)bad.p)[at] ^= (char)(1 << at % 8);
            expect(restore("0", bad), "-ERR DUMP payload version or checksum are wrong\r\n");
        }
        for (size_t n = 0; n < payload.len; n++)
            expect(restore("0", (struct slice){payload.p, n}),
                   "-ERR DUMP payload version or checksum are wrong\r\n");
        assert_true(objects[1].type == OBJECT_NONE && !objects[1].changed);
    }
}

/* With a right checksum, whatever the bytes are: a value, or an error; never a crash, and a value can be
 * dumped again. */
static void test_forged_bytes(void **state)
{
    size_t taken = 0, refused = 0;

    for (size_t i = 0; i < VALUES; i++) {
        make(i, &objects[0]);
        struct slice payload = dump();
        for (size_t at = 0; at < 8 * (payload.len - FOOTER); at++) {
            struct slice bad = arena_copy(&arena, payload);
            char *p = (char *)(uintptr_t)bad.p;
            p[at / 8] ^= (char)(1 << at % 8);
            sign(p, payload.len - FOOTER);
            if (restore("0", bad).p[0] == '+') {
                taken++;
                expect(restore("0", forge(&objects[1])), "+OK\r\n");
            } else {
                refused++;
                expect(chain_flat(&out), "-ERR Bad data format\r\n");
            }
        }
    }
    assert_true(taken > 100 && refused > 100);
}

static void expect_unsound(const struct object *o)
{
    expect(restore("0", forge(o)), "-ERR Bad data format\r\n");
    assert_int_equal(objects[1].type, OBJECT_NONE);
}

static void test_forged_dicts(void **state)
{
    struct object o = {.expire_ms = -1};

    make(3, &o);
    dict_append(o.v.hash, slice_of("f"), slice_of("again"));
    expect_unsound(&o);
    o.v.hash->count = 0;
    expect_unsound(&o);
    make(4, &o);
    dict_append(o.v.set, slice_of("x"), (struct slice){NULL, 0}); /* an intset holds numbers */
    expect_unsound(&o);
    o.encoding = ENC_HASHTABLE;
    expect(restore("0", forge(&o)), "+OK\r\n");
}

static void test_forged_others(void **state)
{
    struct object o = {.expire_ms = -1};

    make(1, &o);
    o.v.string = slice_of("042");
    expect_unsound(&o);
    make(2, &o);
    o.encoding = ENC_SKIPLIST;
    expect_unsound(&o);
    make(2, &o);
    o.v.list->count = 0;
    expect_unsound(&o);
    make(5, &o);
    zset_append(o.v.zset, slice_of("m"), 9);
    expect_unsound(&o);
    make(5, &o);
    zset_append(o.v.zset, slice_of("c"), 0);
    expect_unsound(&o);
    make(5, &o);
    zset_append(o.v.zset, slice_of("c"), NAN);
    expect_unsound(&o);
    o = (struct object){.type = OBJECT_NONE, .expire_ms = -1};
    expect_unsound(&o);
}

static void test_forged_streams(void **state)
{
    struct object o = {.expire_ms = -1};

    make(6, &o);
    o.v.stream->last_id.ms = 4; /* below an entry */
    expect_unsound(&o);
    make(6, &o);
    o.v.stream->entries[o.v.stream->start + 1].id.ms = 1;
    o.v.stream->entries[o.v.stream->start + 1].id.seq = 2;
    expect_unsound(&o);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, replies_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_there_and_back), TEST(test_without_expiry), TEST(test_past),
        TEST(test_damage),         TEST(test_forged_bytes),   TEST(test_forged_dicts),
        TEST(test_forged_others),  TEST(test_forged_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
