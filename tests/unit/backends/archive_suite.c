#include "tests/unit/backends/archive_suite.h"

#include "engine/document.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WRITES 20

static const struct archive_suite *running; /* cmocka's setup has no argument */

struct slice archive_text(const char *s)
{
    return (struct slice){s, strlen(s)};
}

bson_t *archive_document(struct slice key, const char *value, size_t n)
{
    size_t len = document_id(key, NULL, 0);
    char *id = malloc(len + 1);
    bson_t *doc = bson_new();

    assert_non_null(id);
    assert_int_equal(document_id(key, id, len + 1), len);
    assert_true(bson_append_utf8(doc, "_id", 3, id, (int)len));
    assert_true(bson_append_utf8(doc, "t", 1, "string", 6));
    assert_true(bson_append_binary(doc, "v", 1, BSON_SUBTYPE_BINARY, (const uint8_t *)value, (uint32_t)n));
    assert_true(bson_append_date_time(doc, "exp", 3, 1700000000123));
    free(id);
    return doc;
}

struct archive_entry archive_entry_of(struct slice key, int64_t version)
{
    return (struct archive_entry){
        .key = key, .hash = archive_hash(key), .version = version, .expire_ms = -1, .type = OBJECT_STRING};
}

enum err archive_put_entry(struct archive_handle *h, const struct archive_entry *e, int64_t expected,
                           const char *value)
{
    bson_t *doc = value == NULL ? NULL : archive_document(e->key, value, strlen(value));
    struct archive_write w = {*e, expected, doc};
    enum err err = archive_commit(h, &w, 1);

    if (doc != NULL)
        bson_destroy(doc);
    return err;
}

enum err archive_put(struct archive_world *w, struct slice key, int64_t expected, int64_t version,
                     const char *value)
{
    struct archive_entry e = archive_entry_of(key, version);
    return archive_put_entry(w->h, &e, expected, value);
}

void archive_expect_fields(struct slice stored, const bson_t *doc)
{
    bson_t got, a, b;
    bson_iter_t it, at;

    assert_true(bson_init_static(&got, (const uint8_t *)stored.p, stored.len));
    assert_true(bson_validate(&got, BSON_VALIDATE_NONE, NULL));
    assert_true(bson_iter_init(&it, doc));
    while (bson_iter_next(&it)) {
        assert_true(bson_iter_init_find(&at, &got, bson_iter_key(&it)));
        bson_init(&a);
        bson_init(&b);
        assert_true(bson_append_iter(&a, NULL, 0, &it) && bson_append_iter(&b, NULL, 0, &at));
        assert_true(bson_equal(&a, &b));
        bson_destroy(&a);
        bson_destroy(&b);
    }
}

static void expect_found(const struct archive_found *found, struct slice key, int64_t version,
                         const char *value, size_t n)
{
    assert_int_equal(found->version, version);
    if (version != 0) {
        bson_t *doc = archive_document(key, value, n);
        archive_expect_fields(found->doc, doc);
        bson_destroy(doc);
    }
}

void archive_expect(struct archive_world *w, struct slice key, int64_t version, const char *value)
{
    struct archive_found found = {77, {NULL, 0}, true};

    assert_int_equal(archive_load(w->h, &key, 1, &w->arena, &found), ERR_NONE);
    expect_found(&found, key, version, value, value == NULL ? 0 : strlen(value));
}

static void count_entry(void *ctx, const struct archive_entry *e)
{
    *(size_t *)ctx += 1;
}

size_t archive_count(struct archive_world *w)
{
    size_t n = 0;
    assert_int_equal(archive_scan(w->h, ARCHIVE_ALL, 0, 10000, count_entry, &n), ERR_NONE);
    return n;
}

static int setup(void **state)
{
    struct archive_world *w = calloc(1, sizeof *w);

    w->suite = running;
    w->archive = running->open();
    w->h = archive_attach(w->archive);
    arena_init(&w->arena);
    *state = w;
    enum err e = archive_clear(w->h);
    if (e != ERR_NONE)
        print_error("clear: %s (%s)\n", archive_why(w->h), err_name(e));
    return e == ERR_NONE ? 0 : -1;
}

static int teardown(void **state)
{
    struct archive_world *w = *state;

    arena_done(&w->arena);
    archive_detach(w->h);
    archive_close(w->archive);
    free(w);
    return 0;
}

static void test_insert(void **state)
{
    struct slice key = archive_text("conv:1");

    archive_expect(*state, key, 0, NULL);
    assert_int_equal(archive_put(*state, key, 0, 1, "a"), ERR_NONE);
    archive_expect(*state, key, 1, "a");
    assert_int_equal(archive_put(*state, key, 0, 2, "b"), ERR_RACE);
    assert_int_not_equal(strlen(archive_why(((struct archive_world *)*state)->h)), 0);
    archive_expect(*state, key, 1, "a");
}

static void test_replace(void **state)
{
    struct slice key = archive_text("conv:1");

    assert_int_equal(archive_put(*state, key, 3, 4, "a"), ERR_RACE); /* there is none */
    archive_expect(*state, key, 0, NULL);
    assert_int_equal(archive_put(*state, key, 0, 5, "a"), ERR_NONE);
    assert_int_equal(archive_put(*state, key, 4, 6, "b"), ERR_RACE);
    assert_int_equal(archive_put(*state, key, 6, 7, "b"), ERR_RACE);
    archive_expect(*state, key, 5, "a");
    assert_int_equal(archive_put(*state, key, 5, 6, "longer than it was before"), ERR_NONE);
    archive_expect(*state, key, 6, "longer than it was before");
    assert_int_equal(archive_put(*state, key, 6, 9, ""), ERR_NONE);
    archive_expect(*state, key, 9, "");
}

static void test_delete(void **state)
{
    struct slice key = archive_text("conv:1");

    assert_int_equal(archive_put(*state, key, 1, 0, NULL), ERR_RACE);
    assert_int_equal(archive_put(*state, key, 0, 0, NULL), ERR_NONE); /* it is absent, as expected */
    assert_int_equal(archive_put(*state, key, 0, 5, "a"), ERR_NONE);
    assert_int_equal(archive_put(*state, key, 0, 0, NULL), ERR_RACE);
    assert_int_equal(archive_put(*state, key, 4, 0, NULL), ERR_RACE);
    archive_expect(*state, key, 5, "a");
    assert_int_equal(archive_put(*state, key, 5, 0, NULL), ERR_NONE);
    archive_expect(*state, key, 0, NULL);
    assert_int_equal(archive_put(*state, key, 5, 6, "b"), ERR_RACE);
    assert_int_equal(archive_put(*state, key, 0, 6, "b"), ERR_NONE);
    archive_expect(*state, key, 6, "b");
}

static void test_large_versions(void **state)
{
    struct slice key = archive_text("conv:1");
    int64_t versions[] = {1,
                          INT32_MAX,
                          (int64_t)UINT32_MAX + 1,
                          (int64_t)1 << 53,
                          ((int64_t)1 << 53) + 1,
                          ((int64_t)1 << 62) - 1,
                          (int64_t)1 << 62};

    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        assert_int_equal(archive_put(*state, key, i == 0 ? 0 : versions[i - 1], versions[i], "a"), ERR_NONE);
        archive_expect(*state, key, versions[i], "a");
        assert_int_equal(archive_put(*state, key, versions[i] - 1, versions[i] + 1, "b"), ERR_RACE);
        assert_int_equal(archive_put(*state, key, versions[i] + 1, versions[i] + 2, "b"), ERR_RACE);
    }
}

/* WRITES keys n0, n1, …: the even ones are there with version 10; writes replace, delete or insert them. */
struct batch {
    char names[WRITES][8];
    struct archive_write writes[WRITES];
};

static void batch_make(struct archive_world *w, struct batch *b)
{
    for (size_t i = 0; i < WRITES; i++) {
        snprintf(b->names[i], sizeof b->names[i], "n%zu", i);
        struct slice key = archive_text(b->names[i]);
        if (i % 2 == 0)
            assert_int_equal(archive_put(w, key, 0, 10, "old"), ERR_NONE);
        bson_t *doc = i % 4 == 2 ? NULL : archive_document(key, "new", 3);
        b->writes[i] = (struct archive_write){archive_entry_of(key, 11), i % 2 == 0 ? 10 : 0, doc};
    }
}

static void batch_free(struct batch *b)
{
    for (size_t i = 0; i < WRITES; i++)
        if (b->writes[i].doc != NULL)
            bson_destroy((bson_t *)b->writes[i].doc);
}

static void batch_expect(struct archive_world *w, const struct batch *b, bool done)
{
    for (size_t i = 0; i < WRITES; i++) {
        int64_t before = i % 2 == 0 ? 10 : 0, after = i % 4 == 2 ? 0 : 11;
        archive_expect(w, archive_text(b->names[i]), done ? after : before, done ? "new" : "old");
    }
}

static void test_commit_many(void **state)
{
    struct batch b;

    batch_make(*state, &b);
    assert_int_equal(archive_commit(((struct archive_world *)*state)->h, b.writes, WRITES), ERR_NONE);
    batch_expect(*state, &b, true);
    batch_free(&b);
}

/* The write that loses may be of any kind and stand anywhere. */
static void test_commit_is_atomic(void **state)
{
    static const size_t losers[] = {WRITES - 1, WRITES - 2, WRITES - 4, WRITES / 2, 1, 0};
    struct archive_world *w = *state;
    struct batch b;

    batch_make(w, &b);
    for (size_t i = 0; i < sizeof losers / sizeof losers[0]; i++) {
        struct archive_write *loser = &b.writes[losers[i]];
        loser->expected += 1;
        assert_int_equal(archive_commit(w->h, b.writes, WRITES), ERR_RACE);
        loser->expected -= 1;
        batch_expect(w, &b, false);
    }
    assert_int_equal(archive_commit(w->h, b.writes, WRITES), ERR_NONE);
    batch_expect(w, &b, true);
    batch_free(&b);
}

static void test_load_many(void **state)
{
    struct archive_world *w = *state;
    struct batch b;
    struct slice keys[2 * WRITES];
    struct archive_found found[2 * WRITES];

    batch_make(w, &b);
    for (size_t i = 0; i < 2 * WRITES; i++)
        keys[i] = i < WRITES ? archive_text(b.names[WRITES - 1 - i]) : archive_text("absent");
    for (size_t n = 1; n <= 2 * WRITES; n *= 2) {
        memset(found, 0x55, sizeof found);
        assert_int_equal(archive_load(w->h, keys, n, &w->arena, found), ERR_NONE);
        for (size_t i = 0; i < n; i++)
            expect_found(&found[i], keys[i], i < WRITES && i % 2 == 1 ? 10 : 0, "old", 3);
    }
    batch_free(&b);
}

static void test_odd_keys(void **state)
{
    static const struct slice keys[] = {
        {"", 0},         {"\0", 1},        {"a", 1},        {"a\0", 2},
        {"a\0b", 3},     {"\xff", 1},      {"hex:ff", 6},   {"hex:FF", 6},
        {"hex:", 4},     {"Hex:ff", 6},    {"hex:6869", 8}, {"hi", 2},
        {"\xc3\xa9", 2}, {"e\xcc\x81", 3}, {"\xc3", 1},     {"\r\n", 2},
        {"$a.b", 4},     {"{a}", 3},       {"A", 1},        {" a", 2},
        {"a ", 2},       {"'\"\\%_*", 6},  {"_id", 3},      {"\xf0\x9f\x98\x80", 4},
    };
    enum { N = sizeof keys / sizeof keys[0] };
    struct archive_world *w = *state;
    struct archive_found found[N];
    char value[16];

    for (size_t i = 0; i < N; i++) {
        archive_expect(w, keys[i], 0, NULL);
        snprintf(value, sizeof value, "%zu", i);
        assert_int_equal(archive_put(w, keys[i], 0, (int64_t)i + 1, value), ERR_NONE);
    }
    assert_int_equal(archive_load(w->h, keys, N, &w->arena, found), ERR_NONE);
    for (size_t i = 0; i < N; i++) {
        int n = snprintf(value, sizeof value, "%zu", i);
        expect_found(&found[i], keys[i], (int64_t)i + 1, value, (size_t)n);
        assert_int_equal(archive_put(w, keys[i], (int64_t)i + 1, 0, NULL), ERR_NONE);
        archive_expect(w, keys[i], 0, NULL);
    }
}

static void test_long_keys(void **state)
{
    struct archive_world *w = *state;
    size_t n = w->suite->key_bytes;
    char *text = malloc(n), *binary = malloc(n);

    memset(text, 'k', n);
    memset(binary, 0xfe, n);
    struct slice keys[] = {{text, n}, {text, n - 1}, {binary, n / 2}, {binary, n / 2 - 1}};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(archive_put(w, keys[i], 0, (int64_t)i + 1, "v"), ERR_NONE);
    for (size_t i = 0; i < 4; i++) {
        archive_expect(w, keys[i], (int64_t)i + 1, "v");
        assert_int_equal(archive_put(w, keys[i], (int64_t)i + 1, 9, "w"), ERR_NONE);
        archive_expect(w, keys[i], 9, "w");
    }
    free(text);
    free(binary);
}

static void test_large_documents(void **state)
{
    struct archive_world *w = *state;
    struct slice key = archive_text("large");
    size_t most = w->suite->large_bytes, sizes[] = {most, 100, most / 3, most, 4000, 0};
    char *value = malloc(most);
    int64_t version = 0;

    for (size_t i = 0; i < most; i++)
        value[i] = (char)(i * 31 + i / 4096);
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        bson_t *doc = archive_document(key, value, sizes[i]);
        struct archive_write write = {archive_entry_of(key, version + 1), version, doc};
        struct archive_found found;
        assert_int_equal(archive_commit(w->h, &write, 1), ERR_NONE);
        assert_int_equal(archive_load(w->h, &key, 1, &w->arena, &found), ERR_NONE);
        expect_found(&found, key, ++version, value, sizes[i]);
        bson_destroy(doc);
    }
    free(value);
}

static void test_nothing_expires_by_itself(void **state)
{
    struct archive_world *w = *state;
    struct archive_entry e = archive_entry_of(archive_text("old"), 1);

    e.expire_ms = 1;
    assert_int_equal(archive_put_entry(w->h, &e, 0, "a"), ERR_NONE);
    assert_int_equal(archive_ping(w->h), ERR_NONE);
    archive_expect(w, e.key, 1, "a");
    e.version = 2;
    assert_int_equal(archive_put_entry(w->h, &e, 0, "b"), ERR_RACE);
    assert_int_equal(archive_put_entry(w->h, &e, 1, "b"), ERR_NONE);
}

static void test_two_handles(void **state)
{
    struct archive_world *w = *state, other = *w;
    struct slice key = archive_text("conv:1");

    other.h = archive_attach(w->archive);
    arena_init(&other.arena);
    assert_int_equal(archive_put(w, key, 0, 1, "a"), ERR_NONE);
    archive_expect(&other, key, 1, "a");
    assert_int_equal(archive_put(&other, key, 1, 2, "b"), ERR_NONE);
    archive_expect(w, key, 2, "b");
    assert_int_equal(archive_put(w, key, 1, 3, "c"), ERR_RACE);
    assert_int_equal(archive_put(&other, key, 2, 0, NULL), ERR_NONE);
    archive_expect(w, key, 0, NULL);
    arena_done(&other.arena);
    archive_detach(other.h);
}

static void test_reopen(void **state)
{
    struct archive_world *w = *state;
    struct batch b;

    batch_make(w, &b);
    assert_int_equal(archive_commit(w->h, b.writes, WRITES), ERR_NONE);
    archive_detach(w->h);
    archive_close(w->archive);
    w->archive = w->suite->open();
    w->h = archive_attach(w->archive);
    batch_expect(w, &b, true);
    assert_int_equal(archive_count(w), WRITES * 3 / 4);
    batch_free(&b);
}

static void test_names(void **state)
{
    struct archive_world *w = *state;

    assert_true(strlen(archive_kind(w->archive)) > 0);
    assert_true(archive_writers(w->archive) >= 1);
    assert_int_equal(archive_ping(w->h), ERR_NONE);
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int archive_suite_run(const struct archive_suite *suite)
{
    const struct CMUnitTest tests[] = {
        T(names),
        T(insert),
        T(replace),
        T(delete),
        T(large_versions),
        T(commit_many),
        T(commit_is_atomic),
        T(load_many),
        T(odd_keys),
        T(long_keys),
        T(large_documents),
        T(nothing_expires_by_itself),
        T(control),
        T(control_is_apart),
        T(clear),
        T(stats),
        T(two_handles),
        T(reopen),
        T(scan_pages),
        T(scan_one_hash),
        T(scan_dirty),
        T(scan_ends),
        T(scan_under_writes),
        T(scan_tells_all),
        T(sweep_takes_expired),
        T(sweep_limit),
        T(race_counter),
        T(race_pairs),
        T(race_inserts),
    };

    running = suite;
    return _cmocka_run_group_tests(suite->name, tests, sizeof tests / sizeof tests[0], NULL, NULL);
}
