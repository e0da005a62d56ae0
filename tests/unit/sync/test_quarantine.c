#include "sync/quarantine.h"

#include "engine/list.h"
#include "tests/unit/backends/archive_file.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 4
#define EACH    20

static struct archive_world w;

static int setup(void **state)
{
    if (file_setup(state) != 0)
        return -1;
    w = file_world(5000);
    return 0;
}

static int teardown(void **state)
{
    file_world_close(&w);
    return file_teardown(state);
}

/* A list of one element under this key. */
static struct quarantine_entry entry_of(struct arena *a, const char *key, int64_t version)
{
    struct quarantine_entry q = {
        .object = {.key = {key, strlen(key)}, .expire_ms = -1}, .version = version, .why = "for a test"};

    list_push(list_make(a, &q.object), (struct slice){"element", 7}, false);
    q.object.key = (struct slice){key, strlen(key)};
    return q;
}

static int64_t put(const char *key, int64_t version)
{
    struct quarantine_entry q = entry_of(&w.arena, key, version);

    assert_int_equal(quarantine_put(w.h, &q), ERR_NONE);
    return q.number;
}

static int64_t count(void)
{
    int64_t n = -1;

    assert_int_equal(quarantine_count(w.h, &n), ERR_NONE);
    return n;
}

static void test_kept_and_found(void **state)
{
    struct quarantine_entry q;
    bool found;

    assert_int_equal(count(), 0);
    int64_t number = put("conv:\xff", 77);
    assert_int_equal(count(), 1);
    assert_int_equal(quarantine_get(w.h, &w.arena, number, &q, &found), ERR_NONE);
    assert_true(found);
    assert_int_equal(q.version, 77);
    assert_string_equal(q.why, "for a test");
    assert_true(q.at_ms > 0);
    assert_true(slice_is(q.object.key, "conv:\xff"));
    assert_int_equal(q.object.type, OBJECT_LIST);
    assert_true(slice_is(*list_at(q.object.v.list, 0), "element"));
    assert_int_equal(quarantine_get(w.h, &w.arena, number + 1, &q, &found), ERR_NONE);
    assert_false(found);
}

static void test_put_again_is_one_entry(void **state)
{
    int64_t first = put("k", 1);

    assert_int_equal(put("k", 1), first);
    assert_int_not_equal(put("k", 2), first);
    assert_int_not_equal(put("l", 1), first);
    assert_int_equal(count(), 3);
}

static int64_t put_text(const char *key, int64_t version, const char *text)
{
    struct quarantine_entry q = entry_of(&w.arena, key, version);

    *list_at(q.object.v.list, 0) = (struct slice){text, strlen(text)};
    assert_int_equal(quarantine_put(w.h, &q), ERR_NONE);
    return q.number;
}

/* States that came without a version, and one that was dropped before: each is kept. */
static void test_what_only_looks_the_same_is_kept(void **state)
{
    int64_t before = count(), first = put_text("conv:alike", 0, "one"), second = put_text("conv:alike", 0, "two");

    assert_int_not_equal(first, second);
    assert_int_equal(put_text("conv:alike", 0, "two"), second);
    assert_int_equal(count(), before + 2);
    assert_int_equal(quarantine_drop(w.h, second), ERR_NONE);
    int64_t again = put_text("conv:alike", 0, "two");
    assert_true(again > second);
    assert_int_equal(put_text("conv:alike", 0, "two"), again);
    assert_int_equal(quarantine_drop(w.h, first), ERR_NONE);
    assert_int_equal(quarantine_drop(w.h, again), ERR_NONE);
    assert_int_equal(count(), before);
}

static void test_pages_and_drops(void **state)
{
    struct quarantine_entry page[10];
    char key[8];
    size_t n;

    for (int i = 1; i <= 100; i++) {
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(put(key, 5), i);
    }
    for (int i = 2; i <= 100; i += 2)
        assert_int_equal(quarantine_drop(w.h, i), ERR_NONE);
    assert_int_equal(quarantine_drop(w.h, 2), ERR_RACE);
    assert_int_equal(count(), 50);
    assert_int_equal(quarantine_page(w.h, &w.arena, 0, 10, page, &n), ERR_NONE);
    assert_int_equal(n, 10);
    assert_int_equal(page[9].number, 19);
    assert_int_equal(quarantine_page(w.h, &w.arena, 91, 10, page, &n), ERR_NONE);
    assert_int_equal(n, 4);
    assert_int_equal(page[3].number, 99);
    assert_int_equal(put("new", 1), 101);
}

/* Who dies between the entry and the book leaves an entry that the next one counts. */
static void test_an_entry_that_was_not_counted(void **state)
{
    struct quarantine_entry page[4];
    size_t n;
    bson_t *doc = BCON_NEW("v", BCON_INT64(9), "why", "died", "at", BCON_DATE_TIME(5), "doc", "{", "_id",
                           "dead", "t", "none", "}");

    put("k", 1);
    assert_int_equal(archive_control_set(w.h, "quarantine:2", 0, 1, doc), ERR_NONE);
    bson_destroy(doc);
    assert_int_equal(put("l", 1), 3);
    assert_int_equal(count(), 3);
    assert_int_equal(quarantine_page(w.h, &w.arena, 0, 4, page, &n), ERR_NONE);
    assert_int_equal(n, 3);
    assert_string_equal(page[1].why, "died");
}

static void test_a_damaged_entry(void **state)
{
    struct quarantine_entry q;
    bool found;
    bson_t *doc = BCON_NEW("v", "nothing");

    assert_int_equal(archive_control_set(w.h, "quarantine:1", 0, 1, doc), ERR_NONE);
    bson_destroy(doc);
    assert_int_equal(quarantine_get(w.h, &w.arena, 1, &q, &found), ERR_ARCHIVEBAD);
}

static void *put_many(void *arg)
{
    struct archive_handle *h = archive_attach(w.archive);
    struct arena a;
    char key[16];
    void *why = NULL;

    arena_init(&a);
    for (int i = 0; i < EACH && why == NULL; i++) {
        snprintf(key, sizeof key, "%s%d", (const char *)arg, i);
        struct quarantine_entry q = entry_of(&a, key, 1);
        enum err e = quarantine_put(h, &q);
        if (e != ERR_NONE && e != ERR_RACE)
            why = "a put has failed";
    }
    arena_done(&a);
    archive_detach(h);
    return why;
}

static void test_several_at_once(void **state)
{
    static const char *const names[THREADS] = {"a", "b", "c", "d"};
    struct quarantine_entry page[THREADS * EACH + 1];
    pthread_t threads[THREADS];
    void *why;
    size_t n;

    archive_detach(w.h); /* there may be four */
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, put_many, (void *)names[i]), 0);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], &why);
        assert_null(why);
    }
    w.h = archive_attach(w.archive);
    put("last", 1);
    assert_int_equal(quarantine_page(w.h, &w.arena, 0, THREADS * EACH + 1, page, &n), ERR_NONE);
    assert_int_equal(n, THREADS * EACH + 1);
    assert_int_equal(count(), n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_kept_and_found, setup, teardown),
        cmocka_unit_test_setup_teardown(test_put_again_is_one_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_only_looks_the_same_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pages_and_drops, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_entry_that_was_not_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_damaged_entry, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several_at_once, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
