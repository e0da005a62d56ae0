/* The Mongo archive on the server that CONV_TEST_MONGO_URI names: the contract, by the suite, and commits of several documents
 * that are left lying at each of their steps. Without a server it is skipped (exit 77). */
#include "backends/mongo/intent.h"

#include "tests/unit/backends/archive_suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS 4

static struct archive *open_archive(void)
{
    char why[200] = "";
    struct archive_options options = {
        .url = getenv("CONV_TEST_MONGO_URI"), .workers = 12, .connect_timeout = 1000, .timeout = 4000};
    struct archive *a = archive_open(&options, why, sizeof why);

    if (a == NULL)
        print_error("%s\n", why);
    assert_non_null(a);
    return a;
}

static const struct archive_suite suite = {
    .name = "mongo",
    .open = open_archive,
    .documents = 60,
    .large_bytes = 4u << 20,
    .key_bytes = 900,
    .threads = 3,
    .increments = 8,
    .consistent_loads = false,
};

/* Key 0 is replaced, key 1 deleted, key 2 made, key 3 was to be absent and stays so. */
struct commit {
    struct archive_write writes[KEYS];
    bson_t *docs[KEYS];
};

static const char *const names[KEYS] = {"step:0", "step:1", "step:2", "step:3"};

static int setup(void **state)
{
    struct archive_world *w = calloc(1, sizeof *w);

    w->suite = &suite;
    w->archive = open_archive();
    w->h = archive_attach(w->archive);
    arena_init(&w->arena);
    *state = w;
    assert_int_equal(archive_clear(w->h), ERR_NONE);
    return 0;
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

static void commit_make(struct archive_world *w, struct commit *c)
{
    static const bool there[KEYS] = {true, true, false, false}, stays[KEYS] = {true, false, true, false};

    assert_int_equal(archive_clear(w->h), ERR_NONE);
    for (size_t i = 0; i < KEYS; i++) {
        struct slice key = archive_text(names[i]);
        if (there[i])
            assert_int_equal(archive_put(w, key, 0, 10, "old"), ERR_NONE);
        c->docs[i] = stays[i] ? archive_document(key, "new", 3) : NULL;
        c->writes[i] = (struct archive_write){archive_entry_of(key, 11), there[i] ? 10 : 0, c->docs[i]};
    }
}

static void commit_free(struct commit *c)
{
    for (size_t i = 0; i < KEYS; i++)
        if (c->docs[i] != NULL)
            bson_destroy(c->docs[i]);
}

static void expect(struct archive_world *w, bool done)
{
    archive_expect(w, archive_text(names[0]), done ? 11 : 10, done ? "new" : "old");
    archive_expect(w, archive_text(names[1]), done ? 0 : 10, done ? NULL : "old");
    archive_expect(w, archive_text(names[2]), done ? 11 : 0, done ? "new" : NULL);
    archive_expect(w, archive_text(names[3]), 0, NULL);
}

/* Stops after so many of its steps, as a process that is killed does. True: it was decided by then. */
static bool run_steps(struct archive_world *w, struct commit *c, size_t steps)
{
    struct intent *i = intent_new((struct mongo_handle *)w->h, c->writes, KEYS);

    while (steps-- > 0 && intent_at(i) != INTENT_END)
        assert_int_equal(intent_step(i), ERR_NONE);
    bool decided = intent_at(i) > INTENT_DECIDE;
    intent_free(i);
    return decided;
}

#define STEPS (1 + KEYS + 1 + KEYS + 1)

/* Whatever step it died after, readers see all of it or nothing. */
static void test_killed_then_read(void **state)
{
    struct archive_world *w = *state;
    size_t done = 0;

    for (size_t steps = 0; steps <= STEPS; steps++) {
        struct commit c;
        commit_make(w, &c);
        bool decided = run_steps(w, &c, steps);
        expect(w, decided);
        expect(w, decided);
        done += decided;
        commit_free(&c);
    }
    assert_int_equal(done, 1 + KEYS + 1);
}

/* Writers of one key or of all of them finish or undo what lies in their way, and go on from there. */
static void test_killed_then_written(void **state)
{
    struct archive_world *w = *state;

    for (size_t steps = 0; steps <= STEPS; steps++) {
        struct commit c;
        commit_make(w, &c);
        bool decided = run_steps(w, &c, steps);
        struct slice first = archive_text(names[0]), made = archive_text(names[2]);
        assert_int_equal(archive_put(w, first, decided ? 10 : 11, 12, "other"), ERR_RACE);
        assert_int_equal(archive_put(w, first, decided ? 11 : 10, 12, "other"), ERR_NONE);
        assert_int_equal(archive_put(w, made, decided ? 11 : 0, 13, "other"), ERR_NONE);
        archive_expect(w, first, 12, "other");
        archive_expect(w, made, 13, "other");
        archive_expect(w, archive_text(names[1]), decided ? 0 : 10, decided ? NULL : "old");
        commit_free(&c);
    }
}

static void test_killed_then_committed(void **state)
{
    struct archive_world *w = *state;

    for (size_t steps = 0; steps <= STEPS; steps++) {
        struct commit c;
        commit_make(w, &c);
        bool decided = run_steps(w, &c, steps);
        assert_int_equal(archive_commit(w->h, c.writes, KEYS), decided ? ERR_RACE : ERR_NONE);
        expect(w, true);
        commit_free(&c);
    }
}

/* An owner that comes back after others have undone its commit must not go on with it. */
static void test_undone_under_its_owner(void **state)
{
    struct archive_world *w = *state;

    for (size_t steps = 2; steps <= 1 + KEYS; steps++) {
        struct commit c;
        enum err e = ERR_NONE;
        commit_make(w, &c);
        struct intent *i = intent_new((struct mongo_handle *)w->h, c.writes, KEYS);
        for (size_t s = 0; s < steps; s++)
            assert_int_equal(intent_step(i), ERR_NONE);
        assert_int_equal(archive_put(w, archive_text(names[0]), 10, 20, "other"), ERR_NONE);
        while (e == ERR_NONE && intent_at(i) <= INTENT_DECIDE)
            e = intent_step(i);
        assert_int_equal(e, ERR_RACE);
        assert_int_equal(intent_undo(i), ERR_NONE);
        intent_free(i);
        archive_expect(w, archive_text(names[0]), 20, "other");
        archive_expect(w, archive_text(names[1]), 10, "old");
        archive_expect(w, archive_text(names[2]), 0, NULL);
        commit_free(&c);
    }
}

/* Others did the rest while the owner stood still: its own steps change nothing any more. */
static void test_done_under_its_owner(void **state)
{
    struct archive_world *w = *state;
    struct commit c;

    commit_make(w, &c);
    struct intent *i = intent_new((struct mongo_handle *)w->h, c.writes, KEYS);
    while (intent_at(i) <= INTENT_DECIDE)
        assert_int_equal(intent_step(i), ERR_NONE);
    assert_int_equal(archive_put(w, archive_text(names[0]), 11, 12, "later"), ERR_NONE);
    assert_int_equal(archive_put(w, archive_text(names[1]), 0, 13, "again"), ERR_NONE);
    while (intent_at(i) != INTENT_END)
        assert_int_equal(intent_step(i), ERR_NONE);
    intent_free(i);
    archive_expect(w, archive_text(names[0]), 12, "later");
    archive_expect(w, archive_text(names[1]), 13, "again");
    archive_expect(w, archive_text(names[2]), 11, "new");
    commit_free(&c);
}

struct seen {
    size_t n;
    int64_t versions; /* their sum */
};

static void see(void *ctx, const struct archive_entry *e)
{
    struct seen *seen = ctx;

    assert_true(e->version > 0);
    seen->n++;
    seen->versions += e->version;
}

/* A scan, too, sees all of it or nothing: what moves keys to Redis must not pass by a commit that was acknowledged. */
static void test_killed_then_scanned(void **state)
{
    struct archive_world *w = *state;

    for (size_t steps = 0; steps <= STEPS; steps++) {
        struct commit c;
        struct seen all = {0}, dirty = {0};
        commit_make(w, &c);
        c.writes[2].entry.dirty = true;
        bool decided = run_steps(w, &c, steps);
        assert_int_equal(archive_scan(w->h, ARCHIVE_DIRTY, 0, 100, see, &dirty), ERR_NONE);
        assert_int_equal(dirty.n, decided);
        assert_int_equal(archive_scan(w->h, ARCHIVE_ALL, 0, 100, see, &all), ERR_NONE);
        assert_int_equal(all.n, 2);
        assert_int_equal(all.versions, decided ? 22 : 20);
        commit_free(&c);
    }
}

/* The sweep leaves locked documents, and ends old commits. */
static void test_killed_then_swept(void **state)
{
    struct archive_world *w = *state;

    for (size_t steps = 0; steps <= STEPS; steps++) {
        struct commit c;
        size_t swept = 7;
        struct archive_stats stats;
        commit_make(w, &c);
        bool decided = run_steps(w, &c, steps);
        assert_int_equal(archive_sweep(w->h, (int64_t)1 << 45, 100, &swept), ERR_NONE);
        assert_int_equal(swept, 0);
        assert_int_equal(archive_stats(w->h, &stats), ERR_NONE);
        /* Nothing is left in the way: the lock of a document that was made would count. */
        assert_int_equal(stats.documents, 2);
        expect(w, decided);
        commit_free(&c);
    }
}

/* The last of its keys is not as expected: the locks of the others go at once, the document made for one, too. */
static void test_lost_commit_leaves_nothing(void **state)
{
    struct archive_world *w = *state;
    struct archive_stats stats;
    struct commit c;

    commit_make(w, &c);
    c.writes[KEYS - 1].expected = 5;
    assert_int_equal(archive_commit(w->h, c.writes, KEYS), ERR_RACE);
    assert_non_null(strstr(archive_why(w->h), "version 5 was expected"));
    assert_int_equal(archive_stats(w->h, &stats), ERR_NONE);
    assert_int_equal(stats.documents, 2);
    expect(w, false);
    commit_free(&c);
}

/* More than a document of MongoDB can hold is refused for good, alone and among others; nothing is left of it. */
static void test_too_large(void **state)
{
    struct archive_world *w = *state;
    size_t n = 17u << 20;
    char *value = calloc(1, n);
    struct commit c;

    commit_make(w, &c);
    bson_t *large = archive_document(archive_text(names[2]), value, n);
    c.writes[2].doc = large;
    assert_int_equal(archive_commit(w->h, &c.writes[2], 1), ERR_ARCHIVEBAD);
    assert_int_not_equal(strlen(archive_why(w->h)), 0);
    expect(w, false);
    assert_int_equal(archive_commit(w->h, c.writes, KEYS), ERR_ARCHIVEBAD);
    expect(w, false);
    c.writes[2].doc = c.docs[2];
    assert_int_equal(archive_commit(w->h, c.writes, KEYS), ERR_NONE);
    expect(w, true);
    bson_destroy(large);
    free(value);
    commit_free(&c);
}

/* A lock that a frozen server sets when its commit is long forgotten. */
static void test_lock_without_record(void **state)
{
    struct archive_world *w = *state;
    size_t swept;

    for (size_t steps = 2; steps <= 1 + KEYS; steps++) {
        struct commit c;
        commit_make(w, &c);
        struct intent *late = intent_new((struct mongo_handle *)w->h, c.writes, KEYS);
        assert_int_equal(intent_step(late), ERR_NONE);
        assert_int_equal(archive_sweep(w->h, (int64_t)1 << 45, 100, &swept),
                         ERR_NONE); /* takes the record away */
        for (size_t s = 1; s < steps; s++)
            assert_int_equal(intent_step(late), ERR_NONE);
        expect(w, false);
        assert_int_equal(archive_commit(w->h, c.writes, KEYS), ERR_NONE);
        expect(w, true);
        intent_free(late);
        commit_free(&c);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(killed_then_read),           T(killed_then_written),
        T(killed_then_committed),      T(undone_under_its_owner),
        T(done_under_its_owner),       T(killed_then_swept),
        T(killed_then_scanned),        T(lock_without_record),
        T(lost_commit_leaves_nothing), T(too_large),
    };

    if (getenv("CONV_TEST_MONGO_URI") == NULL) {
        puts("CONV_TEST_MONGO_URI is not set: tests/system/test_archive_mongo.py sets it");
        return 77;
    }
    int failed = archive_suite_run(&suite);
    return failed + cmocka_run_group_tests_name("mongo: commits of several", tests, NULL, NULL);
}
