#include "sync/uses.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char dir[] = "/tmp/uses.XXXXXX", path[sizeof dir];
static struct archive *archive;
static struct archive_handle *h;

static int set_up(void **state)
{
    char url[80], why[160];

    (void)state;
    snprintf(path, sizeof path, "%s", dir);
    assert_non_null(mkdtemp(path));
    snprintf(url, sizeof url, "sqlite:%s/a.db", path);
    archive = archive_open(&(struct archive_options){.url = url, .workers = 2, .timeout = 5000}, why, sizeof why);
    assert_non_null(archive);
    h = archive_attach(archive);
    return 0;
}

static int tear_down(void **state)
{
    char command[80];

    (void)state;
    archive_detach(h);
    archive_close(archive);
    snprintf(command, sizeof command, "rm -rf %s", path);
    return system(command);
}

static struct slice slice(const char *text)
{
    return (struct slice){text, strlen(text)};
}

static struct uses *begin(void)
{
    struct uses *u = uses_new();

    assert_int_equal(uses_load(u, h), ERR_NONE);
    assert_true(uses_is_loaded(u));
    return u;
}

static void touch(struct uses *u, const char *key, int n)
{
    while (n-- > 0)
        uses_touch(u, slice(key));
}

static void test_counting(void **state)
{
    (void)state;
    struct uses *u = uses_new();

    touch(u, "k", 3); /* nobody knows yet what was kept */
    assert_int_equal(uses_count(u, slice("k")), 0);
    assert_false(uses_is_owed(u));
    assert_int_equal(uses_load(u, h), ERR_NONE);
    assert_int_equal(uses_count(u, slice("k")), 0);
    touch(u, "k", 3);
    touch(u, "much", 1000);
    assert_int_equal(uses_count(u, slice("k")), 3);
    assert_int_equal(uses_count(u, slice("much")), USES_MOST);
    assert_int_equal(uses_count(u, slice("other")), 0);
    assert_true(uses_is_owed(u));
    uses_free(u);
}

static void test_the_next_process_goes_on(void **state)
{
    (void)state;
    struct uses *u = begin();

    touch(u, "k", 3);
    assert_int_equal(uses_keep(u, h), ERR_NONE);
    assert_false(uses_is_owed(u));
    assert_int_equal(uses_count(u, slice("k")), 3);
    touch(u, "k", 2);
    assert_int_equal(uses_keep(u, h), ERR_NONE);
    touch(u, "k", 50); /* it is killed before it keeps these */
    uses_free(u);
    u = begin();
    assert_int_equal(uses_count(u, slice("k")), 5);
    touch(u, "k", 1);
    assert_int_equal(uses_count(u, slice("k")), 6);
    uses_free(u);
}

static void test_two_add_up(void **state)
{
    (void)state;
    struct uses *a = begin(), *b = begin();

    touch(a, "k", 3);
    touch(b, "k", 4);
    touch(b, "much", 200);
    touch(a, "much", 200);
    assert_int_equal(uses_keep(a, h), ERR_NONE);
    touch(b, "k", 1);
    assert_int_equal(uses_keep(b, h), ERR_NONE);
    assert_int_equal(uses_count(b, slice("k")), 8);
    assert_int_equal(uses_count(b, slice("much")), USES_MOST);
    touch(a, "k", 1);
    assert_int_equal(uses_keep(a, h), ERR_NONE);
    assert_int_equal(uses_count(a, slice("k")), 9);
    assert_int_equal(uses_keep(b, h), ERR_NONE);
    assert_int_equal(uses_count(b, slice("k")), 9);
    uses_free(a);
    uses_free(b);
}

/* ---- what may have become of the document ---- */

static struct archive_found stored(struct arena *a)
{
    struct archive_found found;

    arena_init(a);
    assert_int_equal(archive_control_get(h, "uses", a, &found), ERR_NONE);
    return found;
}

static void test_a_damaged_document(void **state)
{
    (void)state;
    struct uses *u = begin();
    struct arena a;

    touch(u, "k", 3);
    assert_int_equal(uses_keep(u, h), ERR_NONE);
    struct archive_found found = stored(&a);
    bson_t *doc = BCON_NEW("_id", "uses", "z", BCON_BIN(BSON_SUBTYPE_BINARY, (const uint8_t *)"xyz", 3));
    assert_int_equal(archive_control_set(h, "uses", found.version, found.version + 1, doc), ERR_NONE);
    bson_destroy(doc);
    arena_done(&a);
    touch(u, "k", 1); /* who knows better mends it */
    assert_int_equal(uses_keep(u, h), ERR_NONE);
    uses_free(u);
    u = begin();
    assert_int_equal(uses_count(u, slice("k")), 4);
    found = stored(&a);
    assert_int_equal(archive_control_set(h, "uses", found.version, 0, NULL), ERR_NONE);
    arena_done(&a);
    uses_free(u);
    u = begin(); /* and who does not begins anew */
    assert_int_equal(uses_count(u, slice("k")), 0);
    uses_free(u);
}

/* ---- what was used long ago ---- */

static void change_halved(int64_t ms)
{
    struct arena a;
    struct archive_found found = stored(&a);
    bson_t old, *doc = bson_new();

    assert_true(bson_init_static(&old, (const uint8_t *)found.doc.p, found.doc.len));
    bson_copy_to_excluding_noinit(&old, doc, "halved", NULL);
    BSON_APPEND_DATE_TIME(doc, "halved", ms);
    assert_int_equal(archive_control_set(h, "uses", found.version, found.version + 1, doc), ERR_NONE);
    bson_destroy(doc);
    arena_done(&a);
}

static void test_a_full_sketch_forgets_by_halves(void **state)
{
    (void)state;
    int64_t now_ms = clock_wall_us() / 1000;
    struct uses *u = begin();
    char key[24];

    for (int i = 0; i < 400000; i++) {
        snprintf(key, sizeof key, "conv:%d", i);
        uses_touch(u, slice(key));
    }
    touch(u, "much", 100);
    unsigned much = uses_count(u, slice("much"));
    assert_int_equal(uses_keep(u, h), ERR_NONE);
    assert_int_equal(uses_count(u, slice("much")), much); /* it was begun today */
    change_halved(now_ms - 2 * 86400000ll);
    assert_int_equal(uses_keep(u, h), ERR_NONE);
    assert_int_equal(uses_count(u, slice("much")), much / 2);
    assert_int_equal(uses_keep(u, h), ERR_NONE);
    assert_int_equal(uses_count(u, slice("much")), much / 2);
    uses_free(u);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_counting),
        TEST(test_the_next_process_goes_on),
        TEST(test_two_add_up),
        TEST(test_a_damaged_document),
        TEST(test_a_full_sketch_forgets_by_halves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
