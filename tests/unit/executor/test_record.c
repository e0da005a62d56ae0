/* The protocol's part of a document: there and back, its limits, and what others may have put there. */
#include "executor/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(literal) ((struct slice){literal, sizeof(literal) - 1})

static struct arena arena;

static int setup(void **state)
{
    arena_init(&arena);
    return 0;
}

static int teardown(void **state)
{
    arena_done(&arena);
    return 0;
}

static struct write_id id_of(const char *session, int64_t seq)
{
    struct write_id id = {.seq = seq};
    snprintf(id.session, sizeof id.session, "%s", session);
    return id;
}

static struct record_write write_of(const char *session, int64_t seq, struct slice requests)
{
    return (struct record_write){id_of(session, seq), 1700000000000 + seq, requests};
}

/* What comes back when it is stored beside other fields. */
static struct record there_and_back(const struct record *r, bson_t *doc)
{
    struct record back;

    bson_init(doc);
    BSON_APPEND_UTF8(doc, "_id", "k");
    assert_true(record_encode(r, doc));
    BSON_APPEND_INT64(doc, "ver", 7);
    assert_true(bson_validate(doc, BSON_VALIDATE_UTF8, NULL));
    record_decode(doc, &arena, &back);
    return back;
}

static void expect_same(const struct record *a, const struct record *b)
{
    assert_int_equal(a->redis, b->redis);
    assert_int_equal(a->journalled, b->journalled);
    assert_int_equal(a->overflowed, b->overflowed);
    assert_int_equal(a->base, b->base);
    assert_int_equal(a->nsessions, b->nsessions);
    for (size_t i = 0; i < a->nsessions; i++) {
        assert_string_equal(a->sessions[i].session, b->sessions[i].session);
        assert_int_equal(a->sessions[i].seq, b->sessions[i].seq);
    }
    assert_int_equal(a->nwrites, b->nwrites);
    for (size_t i = 0; i < a->nwrites; i++) {
        assert_string_equal(a->writes[i].id.session, b->writes[i].id.session);
        assert_int_equal(a->writes[i].id.seq, b->writes[i].id.seq);
        assert_int_equal(a->writes[i].now_ms, b->writes[i].now_ms);
        assert_int_equal(a->writes[i].requests.len, b->writes[i].requests.len);
        assert_memory_equal(a->writes[i].requests.p, b->writes[i].requests.p, a->writes[i].requests.len);
    }
}

static void expect_there_and_back(const struct record *r)
{
    bson_t doc;
    struct record back = there_and_back(r, &doc);

    expect_same(r, &back);
    bson_destroy(&doc);
}

/* ---- there and back ---- */

static void test_nothing_is_not_written(void **state)
{
    struct record none = {0};
    bson_t doc = BSON_INITIALIZER;

    assert_true(record_encode(&none, &doc));
    assert_int_equal(bson_count_keys(&doc), 0);
    bson_destroy(&doc);
    expect_there_and_back(&none);
}

static void test_all_of_it(void **state)
{
    struct record r = {.redis = true};
    struct write_id ids[] = {id_of("proxy-1-c7", 12), id_of("b", 1),
                             id_of("12345678901234567890abc", INT64_MAX)};
    struct record_write writes[] = {write_of("b", 2, TEXT("*2\r\n$3\r\nDEL\r\n$1\r\nk\r\n")),
                                    write_of("", 0, TEXT("*2\r\n$3\r\nGET\r\n$2\r\n\xff\0\r\n"))};

    record_add_ids(&r, ids, 3);
    expect_there_and_back(&r);
    record_journal(&r, &arena, 41, &writes[0]);
    record_journal(&r, &arena, 42, &writes[1]);
    assert_int_equal(r.base, 41);
    expect_there_and_back(&r);
    record_journal(&r, &arena, 43, NULL);
    assert_true(r.overflowed);
    expect_there_and_back(&r);
}

/* A key that was not there, and whose journal has nothing yet to replay. */
static void test_a_journal_from_nothing(void **state)
{
    struct record r = {0};

    record_journal(&r, &arena, 0, NULL);
    assert_true(r.journalled && r.overflowed);
    expect_there_and_back(&r);
    r = (struct record){.journalled = true, .base = 0};
    expect_there_and_back(&r);
}

/* ---- ids ---- */

static void test_the_newest_ids_stay(void **state)
{
    struct record r = {0};
    char session[16];

    for (int i = 0; i < RECORD_SESSIONS + 4; i++) {
        snprintf(session, sizeof session, "s%d", i);
        struct write_id id = id_of(session, i + 1);
        record_add_id(&r, &id);
    }
    assert_int_equal(r.nsessions, RECORD_SESSIONS);
    assert_string_equal(r.sessions[0].session, "s4");
    assert_string_equal(r.sessions[RECORD_SESSIONS - 1].session, session);
    struct write_id again = id_of("s4", 100), next = id_of("new", 1);
    record_add_id(&r, &again); /* is the newest now */
    record_add_id(&r, &next);
    assert_int_equal(r.nsessions, RECORD_SESSIONS);
    assert_string_equal(r.sessions[0].session, "s6");
    assert_true(record_has(&r, &again) && record_has(&r, &next));
    struct write_id forgotten = id_of("s5", 6);
    assert_false(record_has(&r, &forgotten));
    expect_there_and_back(&r);
}

static void test_a_session_has_all_up_to_its_last(void **state)
{
    struct record r = {0};
    struct write_id seven = id_of("a", 7), five = id_of("a", 5), eight = id_of("a", 8), other = id_of("b", 5);
    struct write_id none = id_of("a", 0);

    record_add_id(&r, &seven);
    record_add_id(&r, &five); /* late: the last stays the last */
    record_add_id(&r, &none);
    assert_int_equal(r.nsessions, 1);
    assert_int_equal(r.sessions[0].seq, 7);
    assert_true(record_has(&r, &seven) && record_has(&r, &five));
    assert_false(record_has(&r, &eight) || record_has(&r, &other) || record_has(&r, &none));
}

/* ---- the journal's limits ---- */

static void test_too_many_writes(void **state)
{
    struct record r = {0};

    for (int i = 0; i < RECORD_JOURNAL; i++) {
        struct record_write w = write_of("a", i + 1, TEXT("*1\r\n$4\r\nPING\r\n"));
        record_journal(&r, &arena, 9, &w);
    }
    assert_false(r.overflowed);
    assert_int_equal(r.nwrites, RECORD_JOURNAL);
    assert_int_equal(r.writes[100].id.seq, 101);
    expect_there_and_back(&r);
    struct record_write more = write_of("a", 1000, TEXT("*1\r\n$4\r\nPING\r\n"));
    record_journal(&r, &arena, 9, &more);
    assert_true(r.overflowed && r.journalled);
    assert_int_equal(r.nwrites, 0);
    assert_int_equal(r.base, 9);
    record_journal(&r, &arena, 10, &more); /* it stays so */
    assert_int_equal(r.nwrites, 0);
    expect_there_and_back(&r);
}

static void test_too_many_bytes(void **state)
{
    struct record r = {0};
    char *bytes = calloc(1, RECORD_JOURNAL_BYTES + 1);

    assert_non_null(bytes);
    struct record_write most = write_of("a", 1, (struct slice){bytes, RECORD_JOURNAL_BYTES - 10});
    struct record_write ten = write_of("a", 2, (struct slice){bytes, 10});
    struct record_write one = write_of("a", 3, (struct slice){bytes, 1});
    record_journal(&r, &arena, 1, &most);
    record_journal(&r, &arena, 1, &ten);
    assert_false(r.overflowed);
    assert_int_equal(r.nwrites, 2);
    expect_there_and_back(&r);
    record_journal(&r, &arena, 1, &one);
    assert_true(r.overflowed);

    struct record alone = {0};
    struct record_write huge = write_of("a", 1, (struct slice){bytes, RECORD_JOURNAL_BYTES + 1});
    record_journal(&alone, &arena, 1, &huge);
    assert_true(alone.overflowed);
    free(bytes);
}

/* A journal goes on from where a document left it. */
static void test_a_stored_journal_goes_on(void **state)
{
    struct record r = {0}, back;
    bson_t doc;

    for (int i = 0; i < 5; i++) {
        struct record_write w = write_of("a", i + 1, TEXT("*1\r\n$4\r\nPING\r\n"));
        record_journal(&r, &arena, 9, &w);
    }
    back = there_and_back(&r, &doc);
    for (int i = 5; i < 20; i++) {
        struct record_write w = write_of("a", i + 1, TEXT("*1\r\n$4\r\nPING\r\n"));
        record_journal(&back, &arena, 1000, &w);
    }
    assert_int_equal(back.base, 9);
    assert_int_equal(back.nwrites, 20);
    for (int i = 0; i < 20; i++)
        assert_int_equal(back.writes[i].id.seq, i + 1);
    bson_destroy(&doc);
}

/* 15 MiB of value and a journal don't go into one document. */
static void test_a_document_that_is_full(void **state)
{
    struct record r = {0};
    char *bytes = malloc(15 << 20);
    bson_t doc = BSON_INITIALIZER, again = BSON_INITIALIZER;

    assert_non_null(bytes);
    memset(bytes, 'x', 15 << 20);
    BSON_APPEND_BINARY(&doc, "v", BSON_SUBTYPE_BINARY, (uint8_t *)bytes, (15 << 20) - 100);
    bson_copy_to(&doc, &again);
    struct record_write w = write_of("a", 1, (struct slice){bytes, RECORD_JOURNAL_BYTES});
    record_journal(&r, &arena, 1, &w);
    assert_false(record_encode(&r, &doc));
    record_journal(&r, &arena, 1, NULL);
    assert_true(record_encode(&r, &again));
    bson_destroy(&doc);
    bson_destroy(&again);
    free(bytes);
}

/* ---- what others have put there ---- */

/* Takes JSON with ' for ". */
static struct record decode(const char *json)
{
    struct record r;
    char text[1024];
    bson_error_t error;

    snprintf(text, sizeof text, "%s", json);
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    bson_t *doc = bson_new_from_json((uint8_t *)text, -1, &error);
    assert_non_null(doc);
    struct slice copy = arena_copy(&arena, (struct slice){(const char *)bson_get_data(doc), doc->len});
    bson_destroy(doc);
    bson_t kept;
    assert_true(bson_init_static(&kept, (const uint8_t *)copy.p, copy.len));
    record_decode(&kept, &arena, &r);
    return r;
}

static void test_fields_of_other_kinds(void **state)
{
    struct record none = {0};
    struct record r = decode("{'_id': 'k', 'own': 1, 'sess': 'x', 'base': 'y', 'j': 1, 'jx': 2}");

    expect_same(&none, &r);
    r = decode("{'own': 'mongo', 'j': [{'s': 'a'}], 'jx': true}"); /* without base there is no journal */
    expect_same(&none, &r);
    r = decode("{'sess': {'ok': 5, 'bad seq': 1, 'x.y': 2, '': 3, 'text': 'z', 'zero': 0, 'minus': -1,"
               " '123456789012345678901234': 1, 'deep': {'a': 1}, 'ok2': 6}}");
    assert_int_equal(r.nsessions, 2);
    assert_string_equal(r.sessions[0].session, "ok");
    assert_string_equal(r.sessions[1].session, "ok2");
}

static void test_a_journal_that_cannot_be_read_overflows(void **state)
{
    static const char *const bad[] = {
        "{'base': 1, 'j': 'x'}",
        "{'base': 1, 'j': {'$numberDouble': '1.0'}}",
        "{'base': 1, 'j': [1]}",
        "{'base': 1, 'j': [{'s': 'a', 'n': 1, 'at': {'$date': {'$numberLong': '5'}}}]}",
        "{'base': 1, 'j': [{'s': 'a', 'n': 1, 'at': 5, 'c': 'x'}]}",
        "{'base': 1, 'j': [{'s': 'a b', 'n': 1, 'at': {'$date': {'$numberLong': '5'}}, 'c': 'x'}]}",
        "{'base': 1, 'jx': true, 'j': [{'s': 'a', 'n': 1, 'at': {'$date': {'$numberLong': '5'}}, 'c': 'x'}]}",
        "{'base': 1, 'j': [{'s': 'a', 'n': 1, 'at': {'$date': {'$numberLong': '5'}}, 'c': 'x'}, null]}",
    };

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct record r = decode(bad[i]);
        assert_true(r.journalled && r.overflowed);
        assert_int_equal(r.nwrites, 0);
        assert_int_equal(r.base, 1);
    }
    struct record good =
        decode("{'base': 1, 'j': [{'s': 'a', 'n': 1, 'at': {'$date': {'$numberLong': '5'}}, 'c': 'x'}]}");
    assert_false(good.overflowed);
    assert_int_equal(good.nwrites, 1);
    assert_int_equal(good.writes[0].now_ms, 5);
}

/* Whatever a byte becomes, decoding ends, and what it gives can be stored again. */
static void test_bytes_that_were_changed(void **state)
{
    struct record r = {.redis = true}, back;
    struct record_write w = write_of("abc", 3, TEXT("*1\r\n$4\r\nPING\r\n"));
    bson_t doc = BSON_INITIALIZER, changed;

    record_add_id(&r, &w.id);
    record_journal(&r, &arena, 1, &w);
    record_journal(&r, &arena, 1, &w);
    assert_true(record_encode(&r, &doc));
    uint8_t *bytes = malloc(doc.len);
    assert_non_null(bytes);
    for (size_t i = 4; i < doc.len - 1; i++)
        for (int value = 0; value < 256; value++) {
            memcpy(bytes, bson_get_data(&doc), doc.len);
            bytes[i] = (uint8_t)value;
            if (!bson_init_static(&changed, bytes, doc.len))
                continue;
            arena_reset(&arena);
            record_decode(&changed, &arena, &back);
            bson_t again = BSON_INITIALIZER;
            assert_true(record_encode(&back, &again));
            assert_true(back.nsessions <= RECORD_SESSIONS && back.nwrites <= RECORD_JOURNAL);
            bson_destroy(&again);
        }
    free(bytes);
    bson_destroy(&doc);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_nothing_is_not_written),
        TEST(test_all_of_it),
        TEST(test_a_journal_from_nothing),
        TEST(test_the_newest_ids_stay),
        TEST(test_a_session_has_all_up_to_its_last),
        TEST(test_too_many_writes),
        TEST(test_too_many_bytes),
        TEST(test_a_stored_journal_goes_on),
        TEST(test_a_document_that_is_full),
        TEST(test_fields_of_other_kinds),
        TEST(test_a_journal_that_cannot_be_read_overflows),
        TEST(test_bytes_that_were_changed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
