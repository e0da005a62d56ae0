#include "../in_arena.h"
#include "engine/document.h"
#include "engine/call.h"
#include "engine/dict.h"
#include "engine/list.h"
#include "engine/record.h"
#include "engine/stream.h"
#include "engine/zset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define INIT(text)                                                                                           \
    {                                                                                                        \
        text, sizeof(text) - 1                                                                               \
    } /* for tables */
#define SLICE(text) ((struct slice)INIT(text))

static struct object object_of(enum object_type type, enum object_encoding encoding)
{
    return (struct object){.key = SLICE("conv:42"), .type = type, .encoding = encoding, .expire_ms = -1};
}

static void assert_slice(struct slice got, struct slice want)
{
    assert_true(slice_equal(got, want));
}

/* Encoded, the bytes copied to a block of their own, decoded, and encoded again: to the same document, which
 * a person sees as json. */
static struct object round_trip(const struct object *o, const char *json)
{
    struct object got;
    const char *why = "";
    bson_t doc, again, copy;

    bson_init(&doc);
    bson_init(&again);
    assert_int_equal(document_encode(o, &doc), ERR_NONE);
    assert_true(bson_validate(&doc, BSON_VALIDATE_UTF8, NULL));
    char *seen = bson_as_relaxed_extended_json(&doc, NULL);
    assert_string_equal(seen, json);
    bson_free(seen);
    struct slice bytes = arena_copy(&arena, (struct slice){(const char *)bson_get_data(&doc), doc.len});
    assert_true(bson_init_static(&copy, (const uint8_t *)bytes.p, bytes.len));
    assert_int_equal(document_decode(&copy, &arena, &got, &why), ERR_NONE);
    assert_slice(got.key, o->key);
    assert_int_equal(got.type, o->type);
    assert_int_equal(got.encoding, o->encoding);
    assert_int_equal(got.expire_ms, o->expire_ms);
    assert_false(got.changed);
    assert_int_equal(document_encode(&got, &again), ERR_NONE);
    assert_true(bson_equal(&again, &doc));
    bson_destroy(&doc);
    bson_destroy(&again);
    return got;
}

static void test_string(void **state)
{
    struct object o = object_of(OBJECT_STRING, ENC_EMBSTR);

    o.v.string = SLICE("gr\xc3\xbc\xc3\x9f");
    o.expire_ms = 1700000000123;
    o = round_trip(&o,
                   "{ \"_id\" : \"conv:42\", \"t\" : \"string\", \"n\" : 1, \"exp\" : { \"$date\" : "
                   "\"2023-11-14T22:13:20.123Z\" }, \"enc\" : \"embstr\", \"v\" : \"gr\xc3\xbc\xc3\x9f\" }");
    assert_slice(o.v.string, SLICE("gr\xc3\xbc\xc3\x9f"));
    o = object_of(OBJECT_STRING, ENC_RAW);
    o.v.string = SLICE("a\0b");
    o = round_trip(
        &o, "{ \"_id\" : \"conv:42\", \"t\" : \"string\", \"n\" : 1, \"exp\" : null, \"enc\" : \"raw\", "
            "\"v\" : { \"$binary\" : { \"base64\" : \"YQBi\", \"subType\" : \"00\" } } }");
    assert_slice(o.v.string, SLICE("a\0b"));
    o = object_of(OBJECT_STRING, ENC_EMBSTR);
    o.v.string = (struct slice){NULL, 0};
    o = round_trip(&o, "{ \"_id\" : \"conv:42\", \"t\" : \"string\", \"n\" : 1, \"exp\" : null, \"enc\" : "
                       "\"embstr\", \"v\" : \"\" }");
    assert_int_equal(o.v.string.len, 0);
}

static void test_list(void **state)
{
    struct object o = object_of(OBJECT_LIST, ENC_QUICKLIST);

    o.v.list = list_new(&arena, 0);
    list_push(o.v.list, SLICE("one"), false);
    list_push(o.v.list, SLICE("\xff"), false);
    list_push(o.v.list, SLICE(""), false);
    list_push(o.v.list, SLICE("zero"), true);
    o = round_trip(&o, "{ \"_id\" : \"conv:42\", \"t\" : \"list\", \"n\" : 4, \"exp\" : null, \"enc\" : "
                       "\"quicklist\", \"v\" : [ \"zero\", \"one\", { \"$binary\" : { \"base64\" : \"/w==\", "
                       "\"subType\" : \"00\" } }, \"\" ] }");
    assert_int_equal(o.v.list->count, 4);
    assert_slice(*list_at(o.v.list, 2), SLICE("\xff"));
}

static void test_hash_and_set(void **state)
{
    struct object o = object_of(OBJECT_HASH, ENC_LISTPACK);

    o.v.hash = dict_new(&arena, 0);
    dict_set(o.v.hash, SLICE("z"), SLICE("1"));
    dict_set(o.v.hash, SLICE(""), SLICE("a.b$"));
    o = round_trip(&o, "{ \"_id\" : \"conv:42\", \"t\" : \"hash\", \"n\" : 2, \"exp\" : null, \"enc\" : "
                       "\"listpack\", \"v\" : [ { \"f\" : \"z\", \"v\" : \"1\" }, { \"f\" : \"\", \"v\" : "
                       "\"a.b$\" } ] }");
    assert_slice(o.v.hash->entries[1].value, SLICE("a.b$"));
    o = object_of(OBJECT_SET, ENC_INTSET);
    o.v.set = dict_new(&arena, 0);
    dict_set(o.v.set, SLICE("-7"), SLICE(""));
    dict_set(o.v.set, SLICE("12"), SLICE(""));
    o = round_trip(
        &o, "{ \"_id\" : \"conv:42\", \"t\" : \"set\", \"n\" : 2, \"exp\" : null, \"enc\" : \"intset\", "
            "\"v\" : [ \"-7\", \"12\" ] }");
    assert_int_equal(dict_find(o.v.set, SLICE("12")), 1);
}

static void test_zset(void **state)
{
    struct object o = object_of(OBJECT_ZSET, ENC_SKIPLIST);

    o.v.zset = zset_new(&arena, 0);
    zset_append(o.v.zset, SLICE("low"), -INFINITY);
    zset_append(o.v.zset, SLICE("a"), -0.0);
    zset_append(o.v.zset, SLICE("b"), -0.0);
    zset_append(o.v.zset, SLICE("tiny"), 4.9406564584124654e-324);
    zset_append(o.v.zset, SLICE("third"), 0.1);
    o = round_trip(
        &o, "{ \"_id\" : \"conv:42\", \"t\" : \"zset\", \"n\" : 5, \"exp\" : null, \"enc\" : \"skiplist\", "
            "\"v\" : [ { \"m\" : \"low\", \"s\" : { \"$numberDouble\" : \"-Infinity\" } }, { \"m\" : "
            "\"a\", \"s\" : -0.0 }, { \"m\" : \"b\", \"s\" : -0.0 }, { \"m\" : \"tiny\", \"s\" : "
            "4.9406564584124654418e-324 }, { \"m\" : \"third\", \"s\" : 0.10000000000000000555 } ] }");
    assert_true(signbit(o.v.zset->rows[1].score));
    assert_true(o.v.zset->rows[3].score > 0);
}

static struct object stream_object(void)
{
    static struct slice pairs[] = {INIT("role"), INIT("user"), INIT("role"), INIT("\x80")};
    static struct stream_consumer consumers[] = {{INIT("alice"), 5}, {INIT(""), 6}};
    static struct stream_pending pending[] = {{{1, 2}, 1, 7, 3}};
    static struct stream_group group = {INIT("g"), {1, 2}, -1, consumers, 2, 2, pending, 1, 1};
    struct object o = object_of(OBJECT_STREAM, ENC_STREAM);
    struct stream *s = o.v.stream = stream_new(&arena);

    stream_append(s, (struct stream_entry){{1, 2}, pairs, 4});
    stream_append(s, (struct stream_entry){{1, 3}, pairs, 2});
    s->last_id = (struct stream_id){UINT64_MAX, UINT64_MAX};
    s->max_deleted_id = (struct stream_id){0, 1};
    s->entries_added = UINT64_MAX;
    s->groups = &group;
    s->ngroups = s->groups_cap = 1;
    return o;
}

static void test_stream(void **state)
{
    struct object o = stream_object();

    o = round_trip(
        &o,
        "{ \"_id\" : \"conv:42\", \"t\" : \"stream\", \"n\" : 2, \"exp\" : null, \"enc\" : \"stream\", \"v\" "
        ": { "
        "\"last\" : \"18446744073709551615-18446744073709551615\", \"maxDel\" : \"0-1\", \"added\" : -1, "
        "\"entries\" : [ { \"id\" : \"1-2\", \"f\" : [ \"role\", \"user\", \"role\", { \"$binary\" : { "
        "\"base64\" : \"gA==\", \"subType\" : \"00\" } } ] }, { \"id\" : \"1-3\", \"f\" : [ \"role\", "
        "\"user\" ] "
        "} ], \"groups\" : [ { \"name\" : \"g\", \"last\" : \"1-2\", \"read\" : -1, \"consumers\" : [ { "
        "\"name\" : \"alice\", \"seen\" : { \"$date\" : \"1970-01-01T00:00:00.005Z\" } }, { \"name\" : \"\", "
        "\"seen\" : { \"$date\" : \"1970-01-01T00:00:00.006Z\" } } ], \"pending\" : [ { \"id\" : \"1-2\", "
        "\"c\" : 1, \"at\" : { \"$date\" : \"1970-01-01T00:00:00.007Z\" }, \"n\" : 3 } ] } ] } }");
    const struct stream *s = o.v.stream;
    assert_int_equal(s->count, 2);
    assert_true(s->entries_added == UINT64_MAX && s->last_id.seq == UINT64_MAX && s->max_deleted_id.seq == 1);
    assert_int_equal(s->groups[0].pending[0].consumer, 1);
    assert_int_equal(s->groups[0].pending[0].deliveries, 3);
    assert_int_equal(s->groups[0].consumers[0].seen_ms, 5);
    assert_slice(s->entries[s->start].pairs[3], SLICE("\x80"));
}

static void test_empty_stream_and_tombstone(void **state)
{
    struct object o = object_of(OBJECT_STREAM, ENC_STREAM);

    o.v.stream = stream_new(&arena);
    o = round_trip(
        &o, "{ \"_id\" : \"conv:42\", \"t\" : \"stream\", \"n\" : 0, \"exp\" : null, \"enc\" : \"stream\", "
            "\"v\" : { \"last\" : \"0-0\", \"maxDel\" : \"0-0\", \"added\" : 0, \"entries\" : [  ], "
            "\"groups\" : [  ] } }");
    assert_int_equal(o.v.stream->count, 0);
    o = object_of(OBJECT_NONE, 0);
    round_trip(&o, "{ \"_id\" : \"conv:42\", \"t\" : \"none\", \"n\" : 0, \"exp\" : null }");
}

static void test_many(void **state)
{
    struct object o = object_of(OBJECT_SET, ENC_HASHTABLE);
    const char *why;
    bson_t doc = BSON_INITIALIZER;

    o.v.set = dict_new(&arena, 0);
    for (uint32_t i = 0; i < 5000; i++)
        dict_set(o.v.set, arena_copy(&arena, (struct slice){(const char *)&i, sizeof i}), SLICE(""));
    assert_int_equal(document_encode(&o, &doc), ERR_NONE);
    struct object got;
    assert_int_equal(document_decode(&doc, &arena, &got, &why), ERR_NONE);
    assert_int_equal(got.v.set->count, 5000);
    for (size_t i = 0; i < 5000; i++)
        assert_slice(got.v.set->entries[i].name, o.v.set->entries[i].name);
    bson_destroy(&doc);
}

static void test_too_large(void **state)
{
    struct object o = object_of(OBJECT_STRING, ENC_RAW);
    size_t n = (size_t)15 << 20;
    char *bytes = malloc(n);

    assert_non_null(bytes);
    memset(bytes, 'x', n);
    for (size_t less = 0; less <= 1000; less += 1000) {
        bson_t doc = BSON_INITIALIZER;
        o.v.string = (struct slice){bytes, n - less};
        assert_int_equal(document_encode(&o, &doc), less > 0 ? ERR_NONE : ERR_TOO_LARGE);
        bson_destroy(&doc);
    }
    free(bytes);
}

static const struct key_row {
    struct slice key;
    const char *id;
} key_rows[] = {
    {INIT(""), ""},
    {INIT("conv:42"), "conv:42"},
    {INIT("\xf0\x9f\x98\x80"), "\xf0\x9f\x98\x80"},
    {INIT("hex"), "hex"},
    {INIT("Hex:00"), "Hex:00"},
    {INIT("hex:"), "hex:6865783a"},
    {INIT("hex:00"), "hex:6865783a3030"},
    {INIT("a\0b"), "hex:610062"},
    {INIT("\0"), "hex:00"},
    {INIT("\xff\xfe"), "hex:fffe"},
    {INIT("\xc0\x80"), "hex:c080"},             /* NUL in two bytes */
    {INIT("\xed\xa0\x80"), "hex:eda080"},       /* half a surrogate pair */
    {INIT("\xf4\x90\x80\x80"), "hex:f4908080"}, /* above U+10FFFF */
    {INIT("\xe2\x82"), "hex:e282"},             /* cut short */
};

static void test_keys(void **state)
{
    char buf[64];
    struct slice key;

    for (size_t i = 0; i < sizeof key_rows / sizeof *key_rows; i++) {
        size_t len = strlen(key_rows[i].id);
        assert_int_equal(document_id(key_rows[i].key, buf, sizeof buf), len);
        assert_string_equal(buf, key_rows[i].id);
        assert_true(document_key(key_rows[i].id, &arena, &key));
        assert_slice(key, key_rows[i].key);
        /* No byte too many when there is just no room. */
        memset(buf, '#', sizeof buf);
        assert_int_equal(document_id(key_rows[i].key, buf, len), len);
        assert_int_equal(buf[0], '#');
        assert_int_equal(document_id(key_rows[i].key, buf, len + 1), len);
        assert_int_equal(buf[len + 1], '#');
    }
}

static void test_ids_of_no_key(void **state)
{
    static const char *const ids[] = {"hex:",   "hex:0",   "hex:0g", "hex:FF",
                                      "hex:61", "hex:000", "\xff",   "hex: 0"};
    struct slice key;

    for (size_t i = 0; i < sizeof ids / sizeof *ids; i++)
        assert_false(document_key(ids[i], &arena, &key));
}

/* A document that people or programs may have written into the archive, and what is wrong with it. */
static const struct bad_row {
    const char *json, *why;
} bad_rows[] = {
    {"{}", "_id is not a key"},
    {"{\"_id\": 7, \"t\": \"none\"}", "_id is not a key"},
    {"{\"_id\": \"a\\u0000b\", \"t\": \"none\"}", "_id is not a key"},
    {"{\"_id\": \"hex:61\", \"t\": \"none\"}", "_id is not a key"},
    {"{\"_id\": \"k\"}", "t is not a type"},
    {"{\"_id\": \"k\", \"t\": \"json\"}", "t is not a type"},
    {"{\"_id\": \"k\", \"t\": \"none\", \"exp\": 5}", "exp is not a date since 1970"},
    {"{\"_id\": \"k\", \"t\": \"none\", \"exp\": {\"$date\": {\"$numberLong\": \"-1\"}}}",
     "exp is not a date since 1970"},
    {"{\"_id\": \"k\", \"t\": \"list\", \"v\": [\"a\"]}", "enc is not an encoding of this type"},
    {"{\"_id\": \"k\", \"t\": \"list\", \"enc\": \"raw\", \"v\": [\"a\"]}",
     "enc is not an encoding of this type"},
    {"{\"_id\": \"k\", \"t\": \"list\", \"enc\": \"quicklist\"}", "v is missing, or z is damaged"},
    {"{\"_id\": \"k\", \"t\": \"list\", \"enc\": \"quicklist\", \"v\": \"a\"}", "v is not an array"},
    {"{\"_id\": \"k\", \"t\": \"list\", \"enc\": \"quicklist\", \"v\": {\"0\": \"a\"}}", "v is not an array"},
    {"{\"_id\": \"k\", \"t\": \"list\", \"enc\": \"quicklist\", \"n\": 9223372036854775807, \"v\": []}",
     "v is empty"},
    {"{\"_id\": \"k\", \"t\": \"list\", \"enc\": \"quicklist\", \"v\": [1]}",
     "an element is neither text nor BinData"},
    {"{\"_id\": \"k\", \"t\": \"list\", \"enc\": \"quicklist\", \"v\": [{\"$binary\": {\"base64\": \"AA==\", "
     "\"subType\": \"05\"}}]}",
     "an element is neither text nor BinData"},
    {"{\"_id\": \"k\", \"t\": \"string\", \"enc\": \"raw\", \"v\": 5}", "v is neither text nor BinData"},
    {"{\"_id\": \"k\", \"t\": \"string\", \"enc\": \"int\", \"v\": \"05\"}", "v is not an integer"},
    {"{\"_id\": \"k\", \"t\": \"hash\", \"enc\": \"listpack\", \"v\": [\"f\"]}",
     "an element is not a document"},
    {"{\"_id\": \"k\", \"t\": \"hash\", \"enc\": \"listpack\", \"v\": [{\"f\": \"a\"}]}",
     "an element lacks a field"},
    {"{\"_id\": \"k\", \"t\": \"hash\", \"enc\": \"listpack\", \"v\": [{\"f\": \"a\", \"v\": 1}]}",
     "a field of an element is twice there or of a wrong type"},
    {"{\"_id\": \"k\", \"t\": \"hash\", \"enc\": \"listpack\", \"v\": [{\"f\": \"a\", \"v\": \"\"}, {\"f\": "
     "\"a\", \"v\": \"\"}]}",
     "a field stands twice"},
    {"{\"_id\": \"k\", \"t\": \"set\", \"enc\": \"hashtable\", \"v\": [\"a\", \"a\"]}",
     "a member stands twice"},
    {"{\"_id\": \"k\", \"t\": \"set\", \"enc\": \"intset\", \"v\": [\"a\"]}", "a member is not an integer"},
    {"{\"_id\": \"k\", \"t\": \"zset\", \"enc\": \"listpack\", \"v\": [{\"m\": \"a\", \"s\": "
     "{\"$numberDouble\": \"NaN\"}}]}",
     "a field of an element is twice there or of a wrong type"},
    {"{\"_id\": \"k\", \"t\": \"zset\", \"enc\": \"listpack\", \"v\": [{\"m\": \"a\", \"s\": 2}, {\"m\": "
     "\"b\", \"s\": 1}]}",
     "members are not in order"},
    {"{\"_id\": \"k\", \"t\": \"zset\", \"enc\": \"listpack\", \"v\": [{\"m\": \"a\", \"s\": 1}, {\"m\": "
     "\"a\", \"s\": 2.5}]}",
     "a member stands twice"},
    {"{\"_id\": \"k\", \"t\": \"stream\", \"enc\": \"stream\", \"v\": {\"last\": \"1\"}}",
     "a field of an element is twice there or of a wrong type"},
    {"{\"_id\": \"k\", \"t\": \"stream\", \"enc\": \"stream\", \"v\": {\"last\": "
     "\"1-18446744073709551616\"}}",
     "a field of an element is twice there or of a wrong type"},
};

static void test_refused(void **state)
{
    for (size_t i = 0; i < sizeof bad_rows / sizeof *bad_rows; i++) {
        bson_error_t error;
        bson_t *doc = bson_new_from_json((const uint8_t *)bad_rows[i].json, -1, &error);
        struct object o;
        const char *why = NULL;
        if (doc == NULL)
            fail_msg("%s: %s", bad_rows[i].json, error.message);
        assert_int_equal(document_decode(doc, &arena, &o, &why), ERR_IO);
        if (strcmp(why, bad_rows[i].why) != 0)
            fail_msg("%s: %s", bad_rows[i].json, why);
        bson_destroy(doc);
    }
}

/* Streams whose parts contradict each other: each change of a good one is refused. */
static void test_refused_streams(void **state)
{
    for (int i = 0; i < 6; i++) {
        struct object o = stream_object(), got;
        struct stream *s = o.v.stream;
        struct stream_group *g = s->groups;
        const char *why;
        bson_t doc = BSON_INITIALIZER;
        struct stream_consumer twins[] = {g->consumers[0], g->consumers[0]};
        struct stream_consumer *consumers = g->consumers;
        switch (i) {
        case 0:
            s->last_id = (struct stream_id){1, 2};
            break;
        case 1:
            s->entries[s->start + 1].id = (struct stream_id){1, 2};
            break;
        case 2:
            s->entries[s->start].npairs = 3;
            break;
        case 3:
            g->pending[0].consumer = 2;
            break;
        case 4:
            g->consumers = twins;
            break;
        case 5:
            s->entries[s->start].npairs = 0;
            break;
        }
        assert_int_equal(document_encode(&o, &doc), ERR_NONE);
        assert_int_equal(document_decode(&doc, &arena, &got, &why), ERR_IO);
        bson_destroy(&doc);
        g->consumers = consumers;
        g->pending[0].consumer = 1;
    }
}

/* Any one byte changed: refused, or a document that is encoded again without harm; never a read outside. */
static void test_damaged(void **state)
{
    struct object o = stream_object();
    bson_t doc = BSON_INITIALIZER;

    assert_int_equal(document_encode(&o, &doc), ERR_NONE);
    for (size_t i = 4; i < doc.len; i++)
        for (unsigned flip = 1; flip < 256; flip *= 2) {
            char *bytes = malloc(doc.len);
            bson_t damaged, again = BSON_INITIALIZER;
            struct object got;
            const char *why;
            assert_non_null(bytes);
            memcpy(bytes, bson_get_data(&doc), doc.len);
            bytes[i] = (char)(bytes[i] ^ (int)flip);
            if (bson_init_static(&damaged, (const uint8_t *)bytes, doc.len) &&
                document_decode(&damaged, &arena, &got, &why) == ERR_NONE)
                assert_int_equal(document_encode(&got, &again), ERR_NONE);
            bson_destroy(&again);
            free(bytes);
            arena_reset(&arena);
        }
    bson_destroy(&doc);
}

/* The shortcut for ASCII says what libbson's validator says, wherever the odd byte stands. */
static void test_is_text(void **state)
{
    static const struct slice odd[] = {{"", 0},         {"\0", 1},           {"\x7f", 1},
                                       {"\x80", 1},     {"\xff", 1},         {"\xc3", 1},
                                       {"\xc3\xa9", 2}, {"\xe4\xbd\xa0", 3}, {"\xf0\x9f\x98\x80", 4},
                                       {"\x01", 1}};
    char text[40];

    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        for (size_t before = 0; before <= 17; before++)
            for (size_t after = 0; after <= 17; after++) {
                size_t len = before + odd[i].len + after;
                memset(text, 'a', sizeof text);
                memcpy(text + before, odd[i].p, odd[i].len);
                bool want = len == 0 || bson_utf8_validate(text, len, false);
                assert_int_equal(record_is_text((struct slice){text, len}), want);
            }
}

/* A list's bytes are put together by hand: they are what bson_append_array would have made. */
static void test_a_list_is_the_bson_that_libbson_makes(void **state)
{
    struct object o = object_of(OBJECT_LIST, ENC_QUICKLIST);
    const struct slice kinds[] = {SLICE(""), SLICE("plain"), SLICE("\xff\x00\x01"), SLICE("caf\xc3\xa9"), SLICE("nul\0inside")};
    struct record_index at;
    bson_t doc, want = BSON_INITIALIZER, got;
    bson_iter_t it;
    const uint8_t *bytes;
    uint32_t len;

    o.v.list = list_new(&arena, 4);
    for (size_t i = 0; i < 1101; i++) {
        struct slice value = kinds[i % (sizeof kinds / sizeof *kinds)];
        list_push(o.v.list, value, false);
        assert_true(record_write_value(&want, record_index(&at, i), value));
    }
    bson_init(&doc);
    assert_int_equal(document_encode(&o, &doc), ERR_NONE);
    assert_true(bson_iter_init_find(&it, &doc, "v"));
    bson_iter_array(&it, &len, &bytes);
    assert_true(bson_init_static(&got, bytes, len));
    assert_true(bson_equal(&got, &want));
    bson_destroy(&doc);
    bson_destroy(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_is_text),
        cmocka_unit_test_setup_teardown(test_string, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_list, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_a_list_is_the_bson_that_libbson_makes, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_hash_and_set, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_zset, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_stream, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_empty_stream_and_tombstone, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_many, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_too_large, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_keys, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_ids_of_no_key, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_refused, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_refused_streams, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, arena_set_up, arena_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
