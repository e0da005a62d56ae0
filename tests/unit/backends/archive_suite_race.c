/* Handles side by side in threads: the conformance suite's races. */
#include "tests/unit/backends/archive_suite.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#define THREADS_MAX 16

/* cmocka's assertions belong to the thread of the test, so racers count what went wrong. */
struct racer {
    pthread_t thread;
    unsigned number;
    struct archive_world world;
    unsigned done, lost, wrong;
    char why[160];
};

static void wrong(struct racer *r)
{
    r->wrong++;
    snprintf(r->why, sizeof r->why, "%s", archive_why(r->world.h));
}

/* All of them at once, each with a handle of its own; the sums of what they counted. */
static struct racer race(struct archive_world *w, void *(*run)(void *racer))
{
    struct racer racers[THREADS_MAX] = {0}, sum = {0};
    unsigned n = w->suite->threads;

    assert_in_range(n, 2, THREADS_MAX);
    for (unsigned i = 0; i < n; i++) {
        racers[i].world = (struct archive_world){w->suite, w->archive, archive_attach(w->archive), {0}};
        arena_init(&racers[i].world.arena);
        racers[i].number = i;
    }
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(pthread_create(&racers[i].thread, NULL, run, &racers[i]), 0);
    for (unsigned i = 0; i < n; i++) {
        pthread_join(racers[i].thread, NULL);
        archive_detach(racers[i].world.h);
        arena_done(&racers[i].world.arena);
        sum.done += racers[i].done;
        sum.lost += racers[i].lost;
        sum.wrong += racers[i].wrong;
        if (racers[i].wrong > 0)
            print_error("racer %u: %u wrong, at last: %s\n", i, racers[i].wrong, racers[i].why);
    }
    assert_int_equal(sum.wrong, 0);
    return sum;
}

/* Adds one to the version of each key, of all or of none. */
static enum err increment(struct racer *r, const struct slice *keys, size_t n, struct archive_found *found)
{
    struct archive_write writes[2];
    bson_t *docs[2];

    arena_reset(&r->world.arena);
    enum err e = archive_load(r->world.h, keys, n, &r->world.arena, found);
    if (e != ERR_NONE)
        return e;
    for (size_t i = 0; i < n; i++) {
        docs[i] =
            BCON_NEW("_id", BCON_UTF8(i == 0 ? "left" : "right"), "count", BCON_INT64(found[i].version + 1));
        writes[i] = (struct archive_write){archive_entry_of(keys[i], found[i].version + 1), found[i].version,
                                           docs[i]};
    }
    e = archive_commit(r->world.h, writes, n);
    for (size_t i = 0; i < n; i++)
        bson_destroy(docs[i]);
    return e;
}

static void *count_up(void *racer)
{
    struct racer *r = racer;
    struct slice key = archive_text("left");
    struct archive_found found;

    while (r->done < r->world.suite->increments && r->wrong == 0) {
        enum err e = increment(r, &key, 1, &found);
        if (e == ERR_NONE)
            r->done++;
        else if (e == ERR_RACE)
            r->lost++;
        else
            wrong(r);
    }
    return NULL;
}

static int64_t stored_count(struct archive_world *w, const char *key)
{
    struct slice k = archive_text(key);
    struct archive_found found;
    bson_t doc;
    bson_iter_t it;

    assert_int_equal(archive_load(w->h, &k, 1, &w->arena, &found), ERR_NONE);
    assert_true(bson_init_static(&doc, (const uint8_t *)found.doc.p, found.doc.len));
    assert_true(bson_iter_init_find(&it, &doc, "count"));
    assert_int_equal(bson_iter_as_int64(&it), found.version);
    return found.version;
}

/* No update is lost: the count is the number of commits that were acknowledged. */
void test_race_counter(void **state)
{
    struct archive_world *w = *state;
    struct racer sum = race(w, count_up);

    assert_int_equal(sum.done, w->suite->threads * w->suite->increments);
    assert_int_equal(stored_count(w, "left"), sum.done);
}

/* Many looks at both while others write: never half of a commit. */
static void look(struct racer *r, const struct slice *keys)
{
    struct archive_found found[2];

    for (unsigned i = 0; i < 40 * r->world.suite->increments && r->wrong == 0; i++) {
        arena_reset(&r->world.arena);
        enum err e = archive_load(r->world.h, keys, 2, &r->world.arena, found);
        if (e != ERR_NONE || found[0].version != found[1].version)
            wrong(r);
    }
}

static void *count_both(void *racer)
{
    struct racer *r = racer;
    struct slice keys[] = {archive_text("left"), archive_text("right")};
    struct archive_found found[2];

    if (r->number % 2 == 1 && r->world.suite->consistent_loads) {
        look(r, keys);
        return NULL;
    }
    while (r->done < r->world.suite->increments && r->wrong == 0) {
        enum err e = increment(r, keys, 2, found);
        bool torn = (e == ERR_NONE || e == ERR_RACE) && found[0].version != found[1].version;
        if ((e != ERR_NONE && e != ERR_RACE) || (torn && (e == ERR_NONE || r->world.suite->consistent_loads)))
            wrong(r);
        else if (e == ERR_NONE)
            r->done++;
        else
            r->lost++;
    }
    return NULL;
}

/* Two keys that are always written together never differ. */
void test_race_pairs(void **state)
{
    struct archive_world *w = *state;
    struct racer sum = race(w, count_both);

    assert_int_equal(stored_count(w, "left"), sum.done);
    assert_int_equal(stored_count(w, "right"), sum.done);
}

static void *insert_all(void *racer)
{
    struct racer *r = racer;
    char name[16];

    for (unsigned i = 0; i < r->world.suite->increments && r->wrong == 0; i++) {
        snprintf(name, sizeof name, "new:%u", i);
        enum err e = archive_put(&r->world, archive_text(name), 0, 1, name);
        if (e == ERR_NONE)
            r->done++;
        else if (e == ERR_RACE)
            r->lost++;
        else
            wrong(r);
    }
    return NULL;
}

/* Of all who make a key just one succeeds. */
void test_race_inserts(void **state)
{
    struct archive_world *w = *state;
    struct racer sum = race(w, insert_all);

    assert_int_equal(sum.done, w->suite->increments);
    assert_int_equal(sum.lost, (w->suite->threads - 1) * w->suite->increments);
    archive_expect(w, archive_text("new:0"), 1, "new:0");
}
