#include "../in_arena.h"
/* Lines of an export: what is written is read back the same, and what is not of the form is refused. */
#include "engine/dict.h"
#include "engine/list.h"
#include "engine/stream.h"
#include "engine/zset.h"
#include "sync/digest.h"
#include "tools/item.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S(text) ((struct slice){text, sizeof(text) - 1})

static char *line_of(const struct object *o)
{
    char *own_text = NULL;
    size_t len;
    FILE *out = open_memstream(&own_text, &len);

    item_write(out, o);
    fclose(out);
    return own_text;
}

static bool reads(const char *line, struct object *ret)
{
    const char *why = NULL;
    cJSON *doc = cJSON_Parse(line);

    assert_non_null(doc);
    bool ok = item_read(doc, &arena, ret, &why);
    cJSON_Delete(doc);
    return ok;
}

static void same(const struct object *o)
{
    struct object back;
    char *own_line = line_of(o);

    assert_true(reads(own_line, &back));
    assert_int_equal(back.key.len, o->key.len);
    assert_memory_equal(back.key.p, o->key.p, o->key.len);
    assert_true(digest_object(o) == digest_object(&back));
    free(own_line);
}

static void test_strings_of_all_bytes(void **state)
{
    char bytes[256];
    struct object o = {.key = S("k\0\xff"), .type = OBJECT_STRING, .expire_ms = 1797893128580};

    for (int i = 0; i < 256; i++)
        bytes[i] = (char)i;
    for (size_t n = 0; n <= sizeof bytes; n++) { /* every length of base64's last group */
        o.v.string = (struct slice){bytes, n};
        same(&o);
    }
}

static void test_text_stays_text(void **state)
{
    const struct {
        struct slice text;
        const char *json;
    } rows[] = {{S("plain \"\\\n"), "\"plain \\\"\\\\\\u000a\""},
                {S("\xc3\xa4"), "\"\xc3\xa4\""},
                {S("\xf0\x9f\x98\x80"), "\"\xf0\x9f\x98\x80\""},
                {S("\xc0\xaf"), "{\"b64\":\"wK8=\"}"},     /* too long for what it says */
                {S("\xed\xa0\x80"), "{\"b64\":\"7aCA\"}"}, /* half of a pair */
                {S("\xf4\x90\x80\x80"), "{\"b64\":\"9JCAgA==\"}"},
                {S("\xc3"), "{\"b64\":\"ww==\"}"},
                {S("a\0b"), "{\"b64\":\"YQBi\"}"}};

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *own_text = NULL;
        size_t len;
        FILE *out = open_memstream(&own_text, &len);
        item_write_text(out, rows[i].text);
        fclose(out);
        assert_string_equal(own_text, rows[i].json);
        free(own_text);
    }
}

static void test_containers(void **state)
{
    struct object list = {.key = S("l"), .type = OBJECT_LIST, .expire_ms = -1, .v.list = list_new(&arena, 3)};
    struct object hash = {.key = S("h"), .type = OBJECT_HASH, .expire_ms = -1, .v.hash = dict_new(&arena, 2)};
    struct object zset = {.key = S("z"), .type = OBJECT_ZSET, .expire_ms = -1, .v.zset = zset_new(&arena, 3)};

    list_push(list.v.list, S("a"), false);
    list_push(list.v.list, S(""), false);
    list_push(list.v.list, S("\xff"), false);
    same(&list);
    dict_append(hash.v.hash, S("f"), S("v"));
    dict_append(hash.v.hash, S(""), S("\x80"));
    same(&hash);
    zset_set(zset.v.zset, S("m"), 1.1);
    zset_set(zset.v.zset, S("i"), -1.0 / 0.0);
    zset_set(zset.v.zset, S("e"), 1e300);
    same(&zset);
}

static void test_streams(void **state)
{
    struct stream *s = stream_new(&arena);
    struct object o = {.key = S("x"), .type = OBJECT_STREAM, .expire_ms = -1, .v.stream = s};
    struct slice pairs[] = {S("f"), S("\xff")};

    stream_append(s, (struct stream_entry){.id = {1, 1}, .pairs = pairs, .npairs = 2});
    stream_append(s, (struct stream_entry){.id = {UINT64_MAX, 7}, .pairs = pairs, .npairs = 2});
    s->last_id = (struct stream_id){UINT64_MAX, 8};
    s->entries_added = UINT64_C(1) << 60; /* more than a double can tell */
    struct stream_group *g = stream_group_add(s, S("g"));
    stream_consumer_add(s, g, S("one"), 5);
    stream_consumer_add(s, g, S("two"), 5);
    *stream_pending_add(s, g, (struct stream_id){1, 1}) =
        (struct stream_pending){{1, 1}, 1, 1700000000000, 3};
    same(&o);
    char *own_line = line_of(&o);
    struct object back;
    assert_true(reads(own_line, &back));
    assert_true(back.v.stream->entries_added == UINT64_C(1) << 60);
    assert_int_equal(back.v.stream->groups[0].pending[0].deliveries, 3);
    free(own_line);
}

static void test_what_is_refused(void **state)
{
    static const char *const lines[] = {
        "{}",
        "{\"key\":\"k\"}",
        "{\"key\":1,\"type\":\"string\",\"value\":\"\"}",
        "{\"key\":\"k\",\"type\":\"tree\",\"value\":\"\"}",
        "{\"key\":\"k\",\"type\":\"string\"}",
        "{\"key\":\"k\",\"type\":\"string\",\"value\":5}",
        "{\"key\":\"k\",\"type\":\"string\",\"value\":{\"b64\":\"a\"}}",
        "{\"key\":\"k\",\"type\":\"string\",\"value\":{\"b64\":\"a=aa\"}}",
        "{\"key\":\"k\",\"type\":\"string\",\"value\":{\"b64\":\"a!aa\"}}",
        "{\"key\":\"k\",\"type\":\"string\",\"value\":\"\",\"expire_at\":-1}",
        "{\"key\":\"k\",\"type\":\"string\",\"value\":\"\",\"expire_at\":1.5}",
        "{\"key\":\"k\",\"type\":\"none\",\"value\":1}",
        "{\"key\":\"k\",\"type\":\"list\",\"value\":[]}",
        "{\"key\":\"k\",\"type\":\"list\",\"value\":[[]]}",
        "{\"key\":\"k\",\"type\":\"list\",\"value\":\"a\"}",
        "{\"key\":\"k\",\"type\":\"hash\",\"value\":[\"f\"]}",
        "{\"key\":\"k\",\"type\":\"hash\",\"value\":[\"f\",\"v\",\"f\",\"v\"]}",
        "{\"key\":\"k\",\"type\":\"set\",\"value\":[\"a\",\"a\"]}",
        "{\"key\":\"k\",\"type\":\"zset\",\"value\":[\"a\",1]}",
        "{\"key\":\"k\",\"type\":\"zset\",\"value\":[\"a\",\"nan\"]}",
        "{\"key\":\"k\",\"type\":\"zset\",\"value\":[\"a\"]}",
        "{\"key\":\"k\",\"type\":\"stream\",\"value\":{}}",
        "{\"key\":\"k\",\"type\":\"stream\",\"value\":{\"last_id\":\"1-1\",\"max_deleted_id\":\"0-0\","
        "\"entries_added\":1,"
        "\"entries\":[[\"1-1\",\"a\"]],\"groups\":[]}}",
        "{\"key\":\"k\",\"type\":\"stream\",\"value\":{\"last_id\":\"1-1\",\"max_deleted_id\":\"0-0\","
        "\"entries_added\":1,"
        "\"entries\":[[\"2-1\",\"a\",\"b\"],[\"1-1\",\"a\",\"b\"]],\"groups\":[]}}",
        "{\"key\":\"k\",\"type\":\"stream\",\"value\":{\"last_id\":\"1-1\",\"max_deleted_id\":\"0-0\","
        "\"entries_added\":1,"
        "\"entries\":[],\"groups\":[{\"name\":\"g\",\"last_id\":\"1-1\",\"entries_read\":0,\"consumers\":[],"
        "\"pending\":[[\"1-1\",0,1,1]]}]}}",
    };
    struct object o;

    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (reads(lines[i], &o))
            fail_msg("taken: %s", lines[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_strings_of_all_bytes, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_text_stays_text, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_containers, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_streams, arena_set_up, arena_tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_refused, arena_set_up, arena_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
