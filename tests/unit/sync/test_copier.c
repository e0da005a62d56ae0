#include "sync/copier.h"

#include "base/clock.h"
#include "base/version.h"
#include "sync/handoff.h"
#include "tests/unit/sync/two_stores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>

#define EPOCH 300
#define V9    version_make(299, 1000)

static struct copier_counts counts;
static struct copier copier;

static int setup(void **state)
{
    two_stores_set_up(state);
    memset(&counts, 0, sizeof counts);
    if (world != NULL)
        copier = (struct copier){
            .handle = world->handle, .link = world->link, .proxy = "p1", .epoch = EPOCH, .counts = &counts};
    return 0;
}

static size_t run_round(void)
{
    size_t left = 99;

    assert_int_equal(copier_round(&copier, 100, &left), ERR_NONE);
    sync_redis_expect(&world->redis, "0", "EXISTS cvp:busy:p1");
    return left;
}

static void expect_copy(const char *key, const char *line)
{
    assert_string_equal(two_stores_line(world, key), line);
    assert_int_equal(two_stores_version(world, key), two_stores_redis_version(world, key));
}

/* ---- a round ---- */

static void test_new_and_newer(void **state)
{
    two_stores_need();
    two_stores_append(world, "k", "a", "s1", 1);
    two_stores_append(world, "l", "b", "s2", 9);
    assert_int_equal(run_round(), 0);
    expect_copy("k", "[a] redis clean");
    expect_copy("l", "[b] redis clean");
    two_stores_append(world, "k", "c", "s1", 2);
    assert_int_equal(run_round(), 0);
    expect_copy("k", "[a c] redis clean");
    struct record r = two_stores_record(world, "k");
    assert_true(record_has(&r, &(struct write_id){"s1", 2}));
    assert_false(record_has(&r, &(struct write_id){"s1", 3}));
    assert_int_equal(counts.claimed, 3);
    assert_int_equal(counts.copied, 3);
    assert_true(counts.bytes > 0);
}

static void test_equal_and_older(void **state)
{
    two_stores_need();
    int64_t v = two_stores_append(world, "k", "a", "s1", 1);

    two_stores_append(world, "l", "b", "s1", 2);
    two_stores_put(world,
                   &(struct two_doc){.key = "k", .elements = "as it is", .version = v, .record.redis = true});
    two_stores_put(
        world, &(struct two_doc){.key = "l", .elements = "later", .version = v + 7, .record.redis = true});
    assert_int_equal(run_round(), 0);
    assert_string_equal(two_stores_line(world, "k"), "[as it is] redis clean");
    assert_string_equal(two_stores_line(world, "l"), "[later] redis clean");
    assert_int_equal(counts.unmarked, 2);
    assert_int_equal(counts.copied, 0);
}

static void test_deleted_keys(void **state)
{
    two_stores_need();
    size_t swept = 0;

    two_stores_append(world, "k", "a", "s1", 1);
    assert_int_equal(run_round(), 0);
    two_stores_append(world, "k", "b", "s1", 2);
    two_stores_append(world, "new", "b", "s1", 3);
    sync_redis_ask(&world->redis, "DEL k new");
    assert_int_equal(run_round(), 0);
    expect_copy("k", "none redis clean");
    expect_copy("new", "none redis clean");
    assert_int_equal(counts.tombstones, 2);
    assert_int_equal(archive_sweep(world->handle, clock_wall_us() / 1000, 10, &swept), ERR_NONE);
    assert_int_equal(swept, 0);
    two_stores_append(world, "k", "again", "s1", 4);
    assert_int_equal(run_round(), 0);
    expect_copy("k", "[again] redis clean");
}

static void test_expiry_is_copied(void **state)
{
    two_stores_need();
    int64_t at = clock_wall_us() / 1000 + 60000;
    size_t swept = 0;

    two_stores_append(world, "k", "a", "s1", 1);
    sync_redis_ask(&world->redis, "PEXPIREAT k %lld", (long long)at);
    assert_int_equal(run_round(), 0);
    assert_int_equal(archive_sweep(world->handle, at, 10, &swept), ERR_NONE);
    assert_int_equal(swept, 0);
    assert_int_equal(archive_sweep(world->handle, at + 1, 10, &swept), ERR_NONE);
    assert_int_equal(swept, 1);
}

/* A key from before dual writes has no version: it gets one, and then is copied under it. */
static void test_key_without_a_version(void **state)
{
    two_stores_need();
    sync_redis_ask(&world->redis, "RPUSH k a b");
    sync_redis_ask(&world->redis, "SADD cvp:dirty k gone");
    assert_int_equal(run_round(), 0);
    expect_copy("k", "[a b] redis clean");
    assert_int_equal(version_epoch(two_stores_version(world, "k")), EPOCH);
    assert_string_equal(two_stores_line(world, "gone"), "absent");
}

/* ---- H23: writes in the meantime ---- */

static enum err write_before_commit(struct two_stores *t, int commit, bool after)
{
    if (commit == 1 && !after)
        two_stores_append(t, "k", "late", "s1", 2);
    return ERR_NONE;
}

static void test_write_between_claim_and_unmark(void **state)
{
    two_stores_need();
    two_stores_append(world, "k", "a", "s1", 1);
    two_stores_set_hook(world, write_before_commit);
    assert_int_equal(run_round(), 1);
    two_stores_set_hook(world, NULL);
    sync_redis_expect(&world->redis, "1", "SISMEMBER cvp:dirty k");
    assert_string_equal(two_stores_line(world, "k"), "[a] redis clean");
    assert_int_equal(run_round(), 0);
    expect_copy("k", "[a late] redis clean");
}

/* ---- others at work ---- */

static int thieves;

/* A copy of a state before Redis' own arrives from elsewhere. */
static enum err steal(struct two_stores *t, int commit, bool after)
{
    if (after || commit > thieves)
        return ERR_NONE;
    two_stores_put(t, &(struct two_doc){.key = "k",
                                        .elements = "a",
                                        .version = version_make(256, 500) + commit,
                                        .record.redis = true});
    return ERR_NONE;
}

static void test_races(void **state)
{
    two_stores_need();
    two_stores_append(world, "k", "a", "s1", 1);
    thieves = 1;
    two_stores_set_hook(world, steal);
    assert_int_equal(run_round(), 0);
    expect_copy("k", "[a] redis clean");
    assert_int_equal(counts.races, 1);

    two_stores_append(world, "k", "b", "s1", 2);
    thieves = 100;
    two_stores_set_hook(world, steal);
    assert_int_equal(run_round(), 1);
    two_stores_set_hook(world, NULL);
    sync_redis_expect(&world->redis, "1", "SISMEMBER cvp:dirty k");
    assert_int_equal(run_round(), 0);
    expect_copy("k", "[a b] redis clean");
}

static enum err take_over(struct two_stores *t, int commit, bool after)
{
    if (commit == 1 && !after)
        two_stores_put(t, &(struct two_doc){.key = "k",
                                            .elements = "theirs",
                                            .version = version_make(EPOCH + 1, 0),
                                            .record.redis = true});
    return ERR_NONE;
}

/* Who was paused while the next epoch began copies nothing any more (I10). */
static void test_of_an_epoch_that_is_over(void **state)
{
    two_stores_need();
    two_stores_append(world, "k", "a", "s1", 1);
    two_stores_set_hook(world, take_over);
    assert_int_equal(run_round(), 1);
    two_stores_set_hook(world, NULL);
    assert_string_equal(two_stores_line(world, "k"), "[theirs] redis clean");
    sync_redis_expect(&world->redis, "1", "SISMEMBER cvp:dirty k");
    sync_redis_expect(&world->redis, "[a]", "LRANGE k 0 -1");
}

/* ---- what the archive has of its own ---- */

static void test_leftovers_are_handed_over_first(void **state)
{
    two_stores_need();
    struct two_doc d = {.key = "k", .elements = "a y", .version = V9, .dirty = true};

    d.record.journalled = true;
    d.record.base = two_stores_append(world, "k", "a", "s1", 1);
    two_stores_append(world, "k", "b", "s1", 2);
    two_stores_journal(world, &d.record, "k", "y", "arch", 1);
    two_stores_put(world, &d);
    assert_int_equal(run_round(), 0);
    expect_copy("k", "[a b y] redis clean");
    sync_redis_expect(&world->redis, "[a, b, y]", "LRANGE k 0 -1");
}

static void test_dead_ones_of_the_archive(void **state)
{
    two_stores_need();
    int64_t v = two_stores_append(world, "low", "a", "s1", 1);

    two_stores_put(world, &(struct two_doc){.key = "low", .version = v - 1, .expire_ms = INT64_MAX / 2});
    two_stores_append(world, "high", "a", "s1", 2);
    two_stores_put(world, &(struct two_doc){.key = "high", .version = V9, .expire_ms = INT64_MAX / 2});
    sync_redis_ask(&world->redis, "SADD cvp:dirty nowhere");
    two_stores_put(world,
                   &(struct two_doc){.key = "nowhere", .elements = "a", .version = V9, .expire_ms = 1000});
    assert_int_equal(run_round(), 0);
    expect_copy("low", "[a] redis clean");
    expect_copy("high", "none redis clean");
    sync_redis_expect(&world->redis, "0", "EXISTS high");
    assert_string_equal(two_stores_line(world, "nowhere"), "[a] archive clean");
}

/* ---- the ids of a copy ---- */

/* More sessions than a document has room for: those that have written last are there. */
static void test_ids_of_sessions_that_write(void **state)
{
    char session[16];

    two_stores_need();
    for (int i = 0; i < RECORD_SESSIONS + 20; i++) {
        snprintf(session, sizeof session, "old-%d", i);
        sync_redis_ask(&world->redis, "HSET cvp:sess %s 5", session);
    }
    two_stores_append(world, "other", "a", "p-1-1", 3);
    assert_int_equal(run_round(), 0);
    for (int i = 0; i < 20; i++) {
        snprintf(session, sizeof session, "p-2-%d", i);
        two_stores_append(world, "k", "a", session, 7);
    }
    assert_int_equal(run_round(), 0);
    struct record r = two_stores_record(world, "k");
    for (int i = 0; i < 20; i++) {
        struct write_id id = {.seq = 7};
        snprintf(id.session, sizeof id.session, "p-2-%d", i);
        assert_true(record_has(&r, &id));
    }
    assert_int_equal(r.nsessions, RECORD_SESSIONS);
}

static void test_recent_sessions(void **state)
{
    static struct recent recent;
    struct write_id ids[] = {{"a", 1}, {"b", 1}, {"c", 1}};

    assert_int_equal(recent_sort(&recent, ids, 3, 1000), 3);
    struct write_id later[] = {{"a", 2}, {"b", 1}, {"c", 1}};
    assert_int_equal(recent_sort(&recent, later, 3, 1001), 3);
    assert_string_equal(later[2].session, "a");
    struct write_id last[] = {{"a", 2}, {"b", 1}, {"c", 9}};
    assert_int_equal(recent_sort(&recent, last, 3, 1000 + RECENT_US), 2);
    assert_string_equal(last[0].session, "a");
    assert_string_equal(last[1].session, "c");
    /* Whoever had to make room counts as new. */
    for (int i = 0; i < RECENT_SESSIONS; i++) {
        struct write_id id = {.seq = 1};
        snprintf(id.session, sizeof id.session, "s%d", i);
        assert_int_equal(recent_sort(&recent, &id, 1, 5000 + RECENT_US), 1);
    }
    assert_int_equal(recent_sort(&recent, ids, 3, 6000 + RECENT_US), 3);
}

/* ---- what can't be carried ---- */

static void test_a_value_that_is_too_large(void **state)
{
    two_stores_need();
    static char element[1000 * 1000];

    memset(element, 'e', sizeof element - 1);
    for (int i = 0; i < 17; i++)
        sync_redis_ask(&world->redis, "RPUSH big %s", element);
    two_stores_append(world, "big", "a", "s1", 1);
    two_stores_append(world, "k", "a", "s1", 2);
    assert_int_equal(run_round(), 1);
    sync_redis_expect(&world->redis, "[big]", "SMEMBERS cvp:dirty");
    expect_copy("k", "[a] redis clean");
    assert_string_equal(two_stores_line(world, "big"), "absent");
    assert_int_equal(counts.failed, 1);
    assert_int_equal(copier_keys(&copier, (struct slice[]){{"big", 3}}, 1), ERR_TOO_LARGE);
}

/* ---- failures ---- */

static enum err failure;

static enum err fail_commit(struct two_stores *t, int commit, bool after)
{
    return after == (failure == ERR_ARCHIVELOST) ? failure : ERR_NONE;
}

static void test_the_archive_fails(void **state)
{
    static const enum err errors[] = {ERR_ARCHIVEDOWN, ERR_ARCHIVELOST};
    size_t left;

    two_stores_need();
    for (int i = 0; i < 2; i++) {
        two_stores_append(world, "k", "a", "s1", i + 1);
        failure = errors[i];
        two_stores_set_hook(world, fail_commit);
        assert_int_equal(copier_round(&copier, 10, &left), failure);
        two_stores_set_hook(world, NULL);
        sync_redis_expect(&world->redis, "[k]", "SMEMBERS cvp:dirty");
        sync_redis_expect(&world->redis, "0", "EXISTS cvp:busy:p1");
    }
    assert_int_equal(run_round(), 0);
    expect_copy("k", "[a a] redis clean");
}

static enum err cut(struct two_stores *t, int commit, bool after)
{
    if (after)
        link_interrupt(t->link);
    return ERR_NONE;
}

static void test_redis_fails_and_claims_are_recovered(void **state)
{
    size_t left;

    two_stores_need();
    two_stores_append(world, "k", "a", "s1", 1);
    sync_redis_ask(&world->redis, "SADD cvp:busy:another x y");
    two_stores_set_hook(world, cut);
    assert_int_equal(copier_round(&copier, 10, &left), ERR_REDISLOST);
    two_stores_set_hook(world, NULL);
    assert_int_equal(copier_round(&copier, 10, &left), ERR_REDISDOWN);
    two_stores_link(world);
    sync_redis_expect(&world->redis, "[k]", "SMEMBERS cvp:busy:p1");
    assert_int_equal(copier_recover(&copier), ERR_NONE);
    sync_redis_expect(&world->redis, "0", "EXISTS cvp:busy:p1 cvp:busy:another");
    sync_redis_expect(&world->redis, "3", "SCARD cvp:dirty");
    assert_int_equal(run_round(), 0);
    expect_copy("k", "[a] redis clean");
}

/* Connections live on, and what they write has a young version: no successor of what the archive has. */
static void test_redis_was_emptied(void **state)
{
    size_t left;

    two_stores_need();
    two_stores_append(world, "k", "a", "s1", 1);
    assert_int_equal(run_round(), 0);
    sync_redis_ask(&world->redis, "FLUSHALL");
    sync_redis_ask(&world->redis, "HSET cvp:ver k %lld", (long long)version_make(299, 5));
    two_stores_append(world, "k", "b", "s1", 2);
    assert_int_equal(copier_round(&copier, 10, &left), ERR_REDISDOWN);
    assert_non_null(strstr(link_why(world->link), "emptied"));
    assert_string_equal(two_stores_line(world, "k"), "[a] redis clean");
}

/* ---- keys that somebody waits for ---- */

static void test_these_keys_now(void **state)
{
    two_stores_need();
    struct slice keys[] = {{"k", 1}, {"unmarked", 8}, {"nowhere", 7}};

    two_stores_append(world, "k", "a", "s1", 1);
    two_stores_append(world, "other", "a", "s1", 2);
    two_stores_append(world, "unmarked", "u", "s1", 3);
    sync_redis_ask(&world->redis, "SREM cvp:dirty unmarked");
    thieves = 3;
    two_stores_set_hook(world, steal);
    assert_int_equal(copier_keys(&copier, keys, 3), ERR_NONE);
    expect_copy("k", "[a] redis clean");
    expect_copy("unmarked", "[u] redis clean");
    sync_redis_expect(&world->redis, "[other]", "SMEMBERS cvp:dirty");
    sync_redis_expect(&world->redis, "0", "EXISTS cvp:busy:p1");

    two_stores_append(world, "k", "b", "s1", 4);
    thieves = 1000;
    two_stores_set_hook(world, steal);
    assert_int_equal(copier_keys(&copier, keys, 3), ERR_RACE);
    sync_redis_expect(&world->redis, "1", "SISMEMBER cvp:dirty k");
}

/* ---- pace ---- */

#define PACE 10000

static void mark_all(bool append)
{
    redisContext *c = world->redis.client;
    redisReply *r;

    for (int i = 0; i < PACE; i++) {
        if (append) {
            redisAppendCommand(c, "RPUSH conv:%d first-message second-message", i);
            redisAppendCommand(c, "HINCRBY cvp:ver conv:%d %lld", i, (long long)version_make(256, 1000));
        }
        redisAppendCommand(c, "SADD cvp:dirty conv:%d", i);
    }
    for (int i = 0; i < (append ? 3 : 1) * PACE; i++) {
        assert_int_equal(redisGetReply(c, (void **)&r), REDIS_OK);
        freeReplyObject(r);
    }
}

static double carry_all(void)
{
    int64_t begun = clock_mono_us();
    size_t left = 1;

    while (left > 0)
        assert_int_equal(copier_round(&copier, 500, &left), ERR_NONE);
    return PACE / ((double)(clock_mono_us() - begun) / 1e6);
}

static void test_pace(void **state)
{
    two_stores_need();
    mark_all(true);
    print_message("%d keys copied: %.0f/s\n", PACE, carry_all());
    mark_all(false);
    print_message("and unmarked: %.0f/s\n", carry_all());
    expect_copy("conv:77", "[first-message second-message] redis clean");
    assert_int_equal(counts.copied, PACE);
    assert_int_equal(counts.unmarked, PACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_new_and_newer, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_equal_and_older, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_deleted_keys, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_expiry_is_copied, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_key_without_a_version, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_write_between_claim_and_unmark, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_races, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_of_an_epoch_that_is_over, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_leftovers_are_handed_over_first, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_dead_ones_of_the_archive, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_ids_of_sessions_that_write, setup, two_stores_tear_down),
        cmocka_unit_test(test_recent_sessions),
        cmocka_unit_test_setup_teardown(test_a_value_that_is_too_large, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_the_archive_fails, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_redis_fails_and_claims_are_recovered, setup,
                                        two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_redis_was_emptied, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_these_keys_now, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_pace, setup, two_stores_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
