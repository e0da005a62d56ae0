/* Control documents, clear and stats of the conformance suite. */
#include "tests/unit/backends/archive_suite.h"

static void expect_control(struct archive_world *w, const char *name, int64_t version, const char *value)
{
    struct archive_found found = {77, {NULL, 0}, true};

    assert_int_equal(archive_control_get(w->h, name, &w->arena, &found), ERR_NONE);
    assert_int_equal(found.version, version);
    if (version == 0)
        return;
    bson_t *doc = BCON_NEW("state", BCON_UTF8(value));
    archive_expect_fields(found.doc, doc);
    bson_destroy(doc);
}

static enum err set_control(struct archive_world *w, const char *name, int64_t expected, int64_t version,
                            const char *value)
{
    bson_t *doc = value == NULL ? NULL : BCON_NEW("state", BCON_UTF8(value));
    enum err e = archive_control_set(w->h, name, expected, version, doc);

    if (doc != NULL)
        bson_destroy(doc);
    return e;
}

static void control_remove(struct archive_world *w, const char *name)
{
    struct archive_found found;

    assert_int_equal(archive_control_get(w->h, name, &w->arena, &found), ERR_NONE);
    assert_int_equal(archive_control_set(w->h, name, found.version, 0, NULL), ERR_NONE);
}

/* clear leaves control documents alone, so the tests tidy up themselves. */
void test_control(void **state)
{
    struct archive_world *w = *state;

    control_remove(w, "suite");
    expect_control(w, "suite", 0, NULL);
    assert_int_equal(set_control(w, "suite", 1, 2, "a"), ERR_RACE);
    assert_int_equal(set_control(w, "suite", 0, 1, "a"), ERR_NONE);
    expect_control(w, "suite", 1, "a");
    expect_control(w, "suite2", 0, NULL);
    assert_int_equal(set_control(w, "suite", 0, 2, "b"), ERR_RACE);
    assert_int_equal(set_control(w, "suite", 2, 3, "b"), ERR_RACE);
    assert_int_equal(set_control(w, "suite", 1, (int64_t)1 << 62, "b"), ERR_NONE);
    expect_control(w, "suite", (int64_t)1 << 62, "b");
    assert_int_equal(set_control(w, "suite", 0, 0, NULL), ERR_RACE);
    assert_int_equal(set_control(w, "suite", 2, 0, NULL), ERR_RACE);
    assert_int_equal(set_control(w, "suite", (int64_t)1 << 62, 0, NULL), ERR_NONE);
    assert_int_equal(set_control(w, "suite", 0, 0, NULL), ERR_NONE);
    expect_control(w, "suite", 0, NULL);
}

void test_control_is_apart(void **state)
{
    struct archive_world *w = *state;

    control_remove(w, "suite");
    assert_int_equal(set_control(w, "suite", 0, 4, "a"), ERR_NONE);
    archive_expect(w, archive_text("suite"), 0, NULL);
    assert_int_equal(archive_put(w, archive_text("suite"), 0, 1, "doc"), ERR_NONE);
    expect_control(w, "suite", 4, "a");
    assert_int_equal(archive_count(w), 1);
    assert_int_equal(archive_clear(w->h), ERR_NONE);
    assert_int_equal(archive_count(w), 0);
    expect_control(w, "suite", 4, "a");
    control_remove(w, "suite");
}

/* d0 to d9, version 10. */
static void fill(struct archive_world *w)
{
    char name[8] = "d0";

    for (; name[1] <= '9'; name[1]++)
        assert_int_equal(archive_put(w, archive_text(name), 0, 10, "old"), ERR_NONE);
}

void test_clear(void **state)
{
    struct archive_world *w = *state;

    fill(w);
    assert_int_equal(archive_count(w), 10);
    assert_int_equal(archive_clear(w->h), ERR_NONE);
    assert_int_equal(archive_count(w), 0);
    archive_expect(w, archive_text("d0"), 0, NULL);
    assert_int_equal(archive_put(w, archive_text("d0"), 10, 11, "a"), ERR_RACE);
    assert_int_equal(archive_put(w, archive_text("d0"), 0, 11, "a"), ERR_NONE);
    assert_int_equal(archive_clear(w->h), ERR_NONE);
    assert_int_equal(archive_clear(w->h), ERR_NONE);
}

static void expect_documents(struct archive_world *w, int64_t n)
{
    struct archive_stats stats = {.documents = -7, .bytes = -7};

    assert_int_equal(archive_stats(w->h, &stats), ERR_NONE);
    assert_true(stats.documents == n || stats.documents == -1);
    assert_true(stats.bytes > 0 || (stats.bytes == 0 && n == 0) || stats.bytes == -1);
}

void test_stats(void **state)
{
    struct archive_world *w = *state;

    expect_documents(w, 0);
    fill(w);
    expect_documents(w, 10);
    assert_int_equal(archive_put(w, archive_text("d3"), 10, 11, "new"), ERR_NONE);
    assert_int_equal(archive_put(w, archive_text("d4"), 0, 11, "new"), ERR_RACE);
    expect_documents(w, 10);
    assert_int_equal(archive_put(w, archive_text("d5"), 10, 0, NULL), ERR_NONE);
    assert_int_equal(archive_put(w, archive_text("d5"), 0, 0, NULL), ERR_NONE); /* nothing was there */
    expect_documents(w, 9);
    assert_int_equal(archive_clear(w->h), ERR_NONE);
    expect_documents(w, 0);
}
