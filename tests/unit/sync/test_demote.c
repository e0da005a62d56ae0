#include "sync/demote.h"

#include "base/version.h"
#include "sync/sync.h"
#include "tests/unit/sync/two_stores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#define EPOCH 300

static struct warm *warm;
static bool is_quiet;
static const char *awaited, *asked; /* keys; asked: by a client, while the fence is waited for */

static bool fence(void *ctx, bool (*go_on)(void *arg), void *arg)
{
    (void)ctx;
    if (asked != NULL)
        assert_true(warm_is_home(warm, two_stores_key(asked)));
    return is_quiet && go_on(arg);
}

static bool is_awaited(void *ctx, struct slice key)
{
    (void)ctx;
    return awaited != NULL && key.len == strlen(awaited) && memcmp(key.p, awaited, key.len) == 0;
}

static bool go_on(void *ctx)
{
    (void)ctx;
    return true;
}

static const struct sync_ops ops = {.fence = fence, .is_awaited = is_awaited};

static int set_up(void **state)
{
    warm = warm_new();
    is_quiet = true;
    awaited = asked = NULL;
    return two_stores_set_up(state);
}

static int tear_down(void **state)
{
    warm_free(warm);
    return two_stores_tear_down(state);
}

/* Both stores have the list [a], equal and clean. */
static int64_t put(const char *key)
{
    int64_t version = two_stores_append(world, key, "a", "s1", 1);

    sync_redis_ask(&world->redis, "SREM cvp:dirty %s", key);
    two_stores_put(world, &(struct two_doc){.key = key, .elements = "a", .version = version, .record.redis = true});
    return version;
}

static enum err demote(struct demotion *d, size_t n)
{
    struct moves_stores s = {.handle = world->handle,
                             .link = world->link,
                             .settings = world->redis.settings,
                             .epoch = EPOCH,
                             .warm = warm,
                             .ops = &ops,
                             .go_on = go_on};

    return demote_keys(&s, &world->arena, d, n);
}

static struct demotion to(const char *key, enum record_level level)
{
    return (struct demotion){.key = two_stores_key(key),
                             .policy = "conv",
                             .tier = {.level = (uint8_t)level, .importance = 40, .seen_ms = 1700000000000, .accesses = 3},
                             .why = "nobody has said"};
}

/* The reason why it stays; NULL: it has left. */
static const char *why_not(const char *key)
{
    struct demotion d = to(key, RECORD_WARM);

    assert_int_equal(demote(&d, 1), ERR_NONE);
    return d.why;
}

static void expect_home(const char *key)
{
    sync_redis_expect(&world->redis, "1", "EXISTS %s", key);
    assert_true(warm_is_home(warm, two_stores_key(key)));
    assert_int_equal(warm_away(warm), 0);
}

/* ---- it leaves ---- */

static void test_it_leaves(void **state)
{
    (void)state;
    two_stores_need();
    int64_t version = put("k");

    assert_null(why_not("k"));
    sync_redis_expect(&world->redis, "0", "EXISTS k");
    assert_int_equal(two_stores_redis_version(world, "k"), version);
    assert_string_equal(two_stores_line(world, "k"), "[a] redis clean");
    struct record r = two_stores_record(world, "k");
    assert_int_equal(r.tier.level, RECORD_WARM);
    assert_int_equal(r.tier.importance, 40);
    assert_int_equal(r.tier.accesses, 3);
    assert_int_equal(warm_tier(warm, two_stores_key("k")), RECORD_WARM);
    assert_int_equal(warm_away(warm), 1);
}

static void test_some_leave_and_some_stay(void **state)
{
    (void)state;
    two_stores_need();
    char names[40][8];
    struct demotion d[40];

    for (int i = 0; i < 40; i++) {
        snprintf(names[i], sizeof names[i], "k%d", i);
        d[i] = to(names[i], i % 2 == 0 ? RECORD_WARM : RECORD_COLD);
        put(names[i]);
        if (i % 5 == 0)
            two_stores_append(world, names[i], "b", "s1", 2); /* newer than its document */
    }
    assert_int_equal(demote(d, 40), ERR_NONE);
    for (int i = 0; i < 40; i++) {
        assert_int_equal(d[i].why == NULL, i % 5 != 0);
        assert_int_equal(warm_tier(warm, d[i].key), i % 5 == 0 ? RECORD_WORKING : i % 2 == 0 ? RECORD_WARM : RECORD_COLD);
    }
    assert_int_equal(warm_away(warm), 32);
}

/* ---- it stays ---- */

static void test_the_stores_are_not_equal(void **state)
{
    (void)state;
    two_stores_need();
    int64_t version = put("newer");

    two_stores_append(world, "newer", "b", "s1", 2);
    assert_string_equal(why_not("newer"), "the archive does not have its newest state yet");
    two_stores_append(world, "alone", "a", "s1", 3);
    assert_string_equal(why_not("alone"), "the archive does not have it");
    version = put("dirty");
    two_stores_put(world, &(struct two_doc){.key = "dirty", .elements = "a", .version = version, .dirty = true, .record.redis = true});
    assert_string_equal(why_not("dirty"), "the stores are not equal yet");
    version = put("archive's");
    two_stores_put(world, &(struct two_doc){.key = "archive's", .elements = "a", .version = version});
    assert_string_equal(why_not("archive's"), "the stores are not equal yet");
    expect_home("newer");
    expect_home("alone");
    expect_home("dirty");
    expect_home("archive's");
}

static void test_somebody_needs_it(void **state)
{
    (void)state;
    two_stores_need();
    put("k");
    awaited = "k"; /* BLPOP */
    assert_string_equal(why_not("k"), "it is in use");
    awaited = NULL;
    asked = "k";
    assert_string_equal(why_not("k"), "it is in use");
    asked = NULL;
    is_quiet = false; /* requests that were sent before are under way still */
    assert_string_equal(why_not("k"), "it is in use");
    expect_home("k");
    is_quiet = true;
    assert_null(why_not("k"));
}

static void test_another_epoch(void **state)
{
    (void)state;
    two_stores_need();
    struct demotion d = to("k", RECORD_WARM);

    put("k");
    sync_redis_ask(&world->redis, "SET cvp:ep 301");
    assert_int_equal(demote(&d, 1), ERR_REDISDOWN);
    assert_non_null(d.why);
    expect_home("k");
    sync_redis_ask(&world->redis, "DEL cvp:ep"); /* it was emptied */
    assert_int_equal(demote(&d, 1), ERR_REDISDOWN);
    expect_home("k");
}

/* ---- a client, or another mover, comes between the steps ---- */

static enum err write_at_last(struct two_stores *t, int commit, bool after)
{
    if (after && commit == 1)
        two_stores_append(t, "k", "b", "s1", 2);
    return ERR_NONE;
}

static void test_a_write_after_the_document_was_written(void **state)
{
    (void)state;
    two_stores_need();
    put("k");
    two_stores_set_hook(world, write_at_last);
    assert_string_equal(why_not("k"), "it is in use");
    expect_home("k");
    sync_redis_expect(&world->redis, "[a, b]", "LRANGE k 0 -1");
}

static enum err refuse(struct two_stores *t, int commit, bool after)
{
    (void)t;
    (void)commit;
    return after ? ERR_NONE : ERR_RACE;
}

static void test_the_document_was_written_by_another(void **state)
{
    (void)state;
    two_stores_need();
    put("k");
    two_stores_set_hook(world, refuse);
    assert_string_equal(why_not("k"), "it is in use");
    expect_home("k");
}

static enum err lose(struct two_stores *t, int commit, bool after)
{
    (void)t;
    (void)commit;
    return after ? ERR_ARCHIVELOST : ERR_NONE;
}

/* Whether the document was written is not known: Redis has the key still, for sure. */
static void test_the_archive_is_lost(void **state)
{
    (void)state;
    two_stores_need();
    struct demotion d = to("k", RECORD_WARM);

    put("k");
    two_stores_set_hook(world, lose);
    assert_int_equal(demote(&d, 1), ERR_ARCHIVELOST);
    assert_non_null(d.why);
    expect_home("k");
}

static enum err kill_redis(struct two_stores *t, int commit, bool after)
{
    (void)commit;
    if (after)
        sync_redis_kill(&t->redis);
    return ERR_NONE;
}

/* Whether Redis took it out is not known: it is asked for before it is used. */
static void test_redis_is_lost(void **state)
{
    (void)state;
    two_stores_need();
    struct demotion d = to("k", RECORD_WARM);

    put("k");
    two_stores_set_hook(world, kill_redis);
    assert_int_not_equal(demote(&d, 1), ERR_NONE);
    assert_false(warm_is_home(warm, two_stores_key("k")));
    sync_redis_again(&world->redis);
}

/* ---- deeper ---- */

static void test_deeper(void **state)
{
    (void)state;
    two_stores_need();
    struct moves_stores s = {.handle = world->handle, .warm = warm};
    struct demotion d[] = {to("k", RECORD_COLD), to("home", RECORD_COLD), to("none", RECORD_COLD)};
    struct record_tier facts;

    put("k");
    put("home");
    assert_null(why_not("k"));
    assert_int_equal(demote_deeper(&s, &world->arena, d, 3), ERR_NONE);
    assert_null(d[0].why);
    assert_string_equal(d[1].why, "it is in use");
    assert_non_null(d[2].why);
    assert_int_equal(two_stores_record(world, "k").tier.level, RECORD_COLD);
    assert_int_equal(two_stores_record(world, "home").tier.level, RECORD_WORKING);
    assert_int_equal(warm_tier(warm, two_stores_key("k")), RECORD_COLD);
    assert_true(warm_facts(warm, two_stores_key("k"), &facts));
    assert_int_equal(facts.accesses, 3);
    assert_int_equal(warm_away(warm), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_it_leaves),
        TEST(test_some_leave_and_some_stay),
        TEST(test_the_stores_are_not_equal),
        TEST(test_somebody_needs_it),
        TEST(test_another_epoch),
        TEST(test_a_write_after_the_document_was_written),
        TEST(test_the_document_was_written_by_another),
        TEST(test_the_archive_is_lost),
        TEST(test_redis_is_lost),
        TEST(test_deeper),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
