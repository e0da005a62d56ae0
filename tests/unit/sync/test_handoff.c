#include "sync/handoff.h"

#include "base/clock.h"
#include "base/version.h"
#include "sync/quarantine.h"
#include "tests/unit/sync/two_stores.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define EPOCH 300
#define V0    version_make(256, 1000)
#define V9    version_make(299, 1000)

static struct handoff_counts counts;

static int setup(void **state)
{
    memset(&counts, 0, sizeof counts);
    return two_stores_set_up(state);
}

static enum err hand_in_epoch(const char *key, int64_t epoch, bool versions_count, enum handoff_result *ret)
{
    struct handoff h = {.handle = world->handle,
                        .link = world->link,
                        .epoch = epoch,
                        .versions_count = versions_count,
                        .counts = &counts};
    struct slice k = two_stores_key(key);

    return handoff_keys(&h, &k, 1, ret);
}

static enum handoff_result hand(const char *key)
{
    enum handoff_result result = HANDOFF_BAD;

    assert_int_equal(hand_in_epoch(key, EPOCH, true, &result), ERR_NONE);
    return result;
}

/* Both stores have these elements, say so with one version of the epoch, and owe each other nothing. */
static void expect_both(const char *key, const char *elements, int64_t epoch)
{
    char line[300], redis[300], *p = redis;

    snprintf(line, sizeof line, "[%s] redis clean", elements);
    assert_string_equal(two_stores_line(world, key), line);
    for (snprintf(redis, sizeof redis, "[%s]", elements); *p != '\0'; p++)
        if (*p == ' ') {
            memmove(p + 1, p, strlen(p) + 1);
            *p++ = ',';
        }
    sync_redis_expect(&world->redis, redis, "LRANGE %s 0 -1", key);
    assert_int_equal(two_stores_version(world, key), two_stores_redis_version(world, key));
    assert_int_equal(version_epoch(two_stores_version(world, key)), epoch);
    sync_redis_expect(&world->redis, "0", "SISMEMBER cvp:dirty %s", key);
}

/* Redis: old [a], then its tail [b x]; the archive has [a x y], and in its journal x (which Redis has executed, too) and y. */
static void make_fork(const char *key)
{
    struct two_doc d = {.key = key, .elements = "a x y", .version = V9, .dirty = true};

    d.record.journalled = true;
    d.record.base = two_stores_append(world, key, "a", "s1", 1);
    two_stores_append(world, key, "b", "s1", 2);
    two_stores_append(world, key, "x", "s1", 3);
    two_stores_journal(world, &d.record, key, "x", "s1", 3);
    two_stores_journal(world, &d.record, key, "y", "arch", 1);
    two_stores_put(world, &d);
}

/* ---- every way ---- */

static void test_redis_empty(void **state)
{
    two_stores_need();
    int64_t later = clock_wall_us() / 1000 + 100000;

    two_stores_put(
        world, &(struct two_doc){
                   .key = "k", .elements = "a b", .version = V0, .expire_ms = later, .record.redis = true});
    assert_int_equal(hand("k"), HANDOFF_DONE);
    expect_both("k", "a b", EPOCH);
    const redisReply *at = sync_redis_ask(&world->redis, "PEXPIRETIME k");
    assert_int_equal(at->integer, later);
    assert_int_equal(counts.restored, 1);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    assert_int_equal(counts.equal, 1);
    expect_both("k", "a b", EPOCH);
}

static void test_nothing_to_do(void **state)
{
    two_stores_need();
    int64_t v = two_stores_append(world, "k", "a", "s1", 1);

    assert_int_equal(hand("nowhere"), HANDOFF_DONE);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    assert_string_equal(two_stores_line(world, "k"), "absent");
    two_stores_put(world, &(struct two_doc){.key = "k", .elements = "a", .version = v, .record.redis = true});
    two_stores_append(world, "k", "b", "s1", 2);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    assert_string_equal(two_stores_line(world, "k"), "[a] redis clean");
    assert_int_equal(two_stores_redis_version(world, "k"), v + 1);
    sync_redis_expect(&world->redis, "1", "SISMEMBER cvp:dirty k");
    assert_int_equal(counts.looked, 3);
}

static void test_equal_only_changes_owner(void **state)
{
    two_stores_need();
    int64_t v = two_stores_append(world, "k", "a", "s1", 1);

    two_stores_put(world, &(struct two_doc){.key = "k", .elements = "a", .version = v, .dirty = true});
    assert_int_equal(hand("k"), HANDOFF_DONE);
    assert_string_equal(two_stores_line(world, "k"), "[a] redis clean");
    assert_int_equal(two_stores_version(world, "k"), v);
    assert_int_equal(counts.kept, 1);
}

static void test_redis_at_base(void **state)
{
    two_stores_need();
    struct two_doc d = {.key = "k", .elements = "a x", .version = V9, .dirty = true};

    d.record.journalled = true;
    d.record.base = two_stores_append(world, "k", "a", "s1", 1);
    two_stores_journal(world, &d.record, "k", "x", "s1", 2);
    two_stores_put(world, &d);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    expect_both("k", "a x", EPOCH);
}

static void test_tail_of_its_own(void **state)
{
    two_stores_need();
    make_fork("k");
    assert_int_equal(hand("k"), HANDOFF_DONE);
    expect_both("k", "a b x y", EPOCH);
    assert_int_equal(counts.merged, 1);
    struct record r = two_stores_record(world, "k");
    assert_true(record_has(&r, &(struct write_id){"s1", 3}));
    assert_true(record_has(&r, &(struct write_id){"arch", 1}));
}

/* x was executed in both stores, y by the archive only: the archive's order is the clients'. */
static void test_tail_is_in_the_journal(void **state)
{
    two_stores_need();
    struct two_doc d = {.key = "k", .elements = "a w x", .version = V9, .dirty = true};

    d.record.journalled = true;
    d.record.base = two_stores_append(world, "k", "a", "s1", 1);
    two_stores_append(world, "k", "x", "s1", 2);
    two_stores_journal(world, &d.record, "k", "w", "s2", 7);
    two_stores_journal(world, &d.record, "k", "x", "s1", 2);
    two_stores_put(world, &d);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    expect_both("k", "a w x", EPOCH);
    assert_int_equal(counts.restored, 1);
}

static void test_overflow_and_a_tail(void **state)
{
    two_stores_need();
    struct quarantine_entry q[2];
    struct two_doc d = {.key = "k", .elements = "a z", .version = V9, .dirty = true};
    int64_t n = 0, v;
    size_t page;

    d.record.journalled = d.record.overflowed = true;
    d.record.base = two_stores_append(world, "k", "a", "s1", 1);
    v = two_stores_append(world, "k", "tail", "s1", 2);
    two_stores_put(world, &d);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    expect_both("k", "a z", EPOCH);
    assert_int_equal(counts.quarantined, 1);
    assert_int_equal(quarantine_count(world->handle, &n), ERR_NONE);
    assert_int_equal(n, 1);
    assert_int_equal(quarantine_page(world->handle, &world->arena, 0, 2, q, &page), ERR_NONE);
    assert_int_equal(page, 1);
    assert_int_equal(q[0].version, v);
    assert_int_equal(q[0].object.type, OBJECT_LIST);
    assert_memory_equal(q[0].object.key.p, "k", 1);
    assert_int_equal(quarantine_drop(world->handle, q[0].number), ERR_NONE);
    assert_int_equal(quarantine_drop(world->handle, q[0].number), ERR_RACE);
    assert_int_equal(quarantine_count(world->handle, &n), ERR_NONE);
    assert_int_equal(n, 0);
}

/* Redis has written without versions: they say nothing about its tail. */
static void test_without_versions(void **state)
{
    two_stores_need();
    enum handoff_result result = HANDOFF_BAD;
    struct two_doc d = {.key = "k", .elements = "x y", .version = V9, .dirty = true};

    sync_redis_ask(&world->redis, "RPUSH k old1 old2 x");
    sync_redis_ask(&world->redis, "HSET cvp:sess s1 4");
    d.record.journalled = true;
    two_stores_journal(world, &d.record, "k", "x", "s1", 4);
    two_stores_journal(world, &d.record, "k", "y", "arch", 1);
    two_stores_put(world, &d);
    assert_int_equal(hand_in_epoch("k", EPOCH, false, &result), ERR_NONE);
    assert_int_equal(result, HANDOFF_DONE);
    expect_both("k", "old1 old2 x y", EPOCH);

    /* And once more: Redis goes on under the version that it was given. */
    sync_redis_ask(&world->redis, "RPUSH k new");
    d = (struct two_doc){
        .key = "k", .elements = "old1 old2 x y z", .version = version_make(EPOCH + 1, 5), .dirty = true};
    d.record.journalled = true;
    d.record.base = two_stores_redis_version(world, "k");
    two_stores_journal(world, &d.record, "k", "z", "arch", 2);
    two_stores_put(world, &d);
    assert_int_equal(hand_in_epoch("k", EPOCH + 2, false, &result), ERR_NONE);
    assert_int_equal(result, HANDOFF_DONE);
    expect_both("k", "old1 old2 x y new z", EPOCH + 2);
}

static void expect_gone(const char *key, int64_t epoch)
{
    size_t swept = 0;
    int64_t in_two_days = clock_wall_us() / 1000 + 2 * 86400000LL;

    assert_string_equal(two_stores_line(world, key), "none redis clean");
    sync_redis_expect(&world->redis, "0", "EXISTS %s", key);
    assert_int_equal(two_stores_redis_version(world, key), two_stores_version(world, key));
    assert_int_equal(version_epoch(two_stores_version(world, key)), epoch);
    assert_int_equal(archive_sweep(world->handle, clock_wall_us() / 1000, 10, &swept), ERR_NONE);
    assert_int_equal(swept, 0);
    assert_int_equal(archive_sweep(world->handle, in_two_days, 10, &swept), ERR_NONE);
    assert_int_equal(swept, 1);
}

static void test_deleted_by_the_archive(void **state)
{
    two_stores_need();
    struct two_doc d = {.key = "k", .version = V9, .dirty = true};

    d.record.journalled = d.record.overflowed = true;
    d.record.base = two_stores_append(world, "k", "a", "s1", 1);
    two_stores_put(world, &d);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    expect_gone("k", EPOCH);
}

static void test_expired_in_the_archive(void **state)
{
    two_stores_need();
    struct two_doc d = {.key = "k", .elements = "a b", .version = V9, .expire_ms = 1000, .dirty = true};

    d.record.journalled = true;
    d.record.base = two_stores_append(world, "k", "a", "s1", 1);
    two_stores_journal(world, &d.record, "k", "b", "arch", 1);
    two_stores_put(world, &d);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    expect_gone("k", EPOCH);
    two_stores_put(world,
                   &(struct two_doc){
                       .key = "e", .elements = "a", .version = V9, .expire_ms = 1000, .record.redis = true});
    assert_int_equal(hand("e"), HANDOFF_DONE);
    sync_redis_expect(&world->redis, "0", "HEXISTS cvp:ver e");
}

static void test_epoch_is_over(void **state)
{
    two_stores_need();
    two_stores_put(world,
                   &(struct two_doc){.key = "k", .elements = "a", .version = version_make(EPOCH + 1, 3)});
    assert_int_equal(hand("k"), HANDOFF_AGAIN);
    sync_redis_expect(&world->redis, "0", "EXISTS k");
    assert_int_equal(counts.again, 1);
}

/* ---- what can't be ---- */

static void test_damaged_document(void **state)
{
    two_stores_need();
    struct slice key = two_stores_key("k");
    bson_t *doc = BCON_NEW("_id", "k", "t", "list", "v", BCON_INT32(3));
    struct archive_write w = {
        .entry = {.key = key, .hash = archive_hash(key), .version = V9, .expire_ms = -1, .type = OBJECT_LIST},
        .doc = doc};

    assert_int_equal(archive_commit(world->handle, &w, 1), ERR_NONE);
    bson_destroy(doc);
    assert_int_equal(hand("k"), HANDOFF_BAD);
    assert_int_equal(counts.failed, 1);
    sync_redis_expect(&world->redis, "0", "EXISTS k");
}

/* Redis' tail and the journal make more than a document holds: both stores stay as they are, and others are handed over. */
static void test_too_large_together(void **state)
{
    two_stores_need();
    static char element[200 * 1024];
    struct two_doc d = {.key = "k", .elements = "x", .version = V9, .dirty = true};
    struct handoff h = {.handle = world->handle,
                        .link = world->link,
                        .epoch = EPOCH,
                        .versions_count = true,
                        .counts = &counts};
    struct slice keys[] = {{"k", 1}, {"small", 5}};
    enum handoff_result results[2];

    memset(element, 'e', sizeof element - 1);
    for (int i = 0; i < 80; i++)
        sync_redis_ask(&world->redis, "RPUSH k %s", element);
    d.record.journalled = true;
    two_stores_journal(world, &d.record, "k", "x", "arch", 1);
    two_stores_put(world, &d);
    two_stores_put(world, &(struct two_doc){.key = "small", .elements = "a", .version = V9});
    assert_int_equal(handoff_keys(&h, keys, 2, results), ERR_NONE);
    assert_int_equal(results[0], HANDOFF_BAD);
    assert_int_equal(results[1], HANDOFF_DONE);
    assert_string_equal(two_stores_line(world, "k"), "[x] archive dirty base 0 j 1");
    sync_redis_expect(&world->redis, "80", "LLEN k");
    expect_both("small", "a", EPOCH);
}

/* ---- those who die in the middle ---- */

/* What goes wrong, and at which commit: 1 is step 3, 2 is step 5. */
static struct trouble {
    int commit;
    bool after;
    enum err e; /* ERR_NONE: the connection to Redis breaks */
} trouble;

static enum err cause_trouble(struct two_stores *t, int commit, bool after)
{
    if (commit != trouble.commit || after != trouble.after)
        return ERR_NONE;
    t->hook = NULL;
    if (trouble.e == ERR_NONE)
        link_interrupt(t->link);
    return trouble.e;
}

static const struct trouble troubles[] = {
    {1, false, ERR_ARCHIVEDOWN}, {1, true, ERR_ARCHIVELOST}, {1, true, ERR_NONE},
    {2, false, ERR_ARCHIVEDOWN}, {2, true, ERR_ARCHIVELOST},
};

#define TROUBLES (sizeof troubles / sizeof *troubles)

static void fail_once(const char *key, size_t which)
{
    enum handoff_result result;

    trouble = troubles[which];
    two_stores_set_hook(world, cause_trouble);
    enum err e = hand_in_epoch(key, EPOCH, true, &result);
    assert_int_equal(e, trouble.e == ERR_NONE ? ERR_REDISLOST : trouble.e);
    assert_null(world->hook);
    two_stores_link(world);
}

static void test_stopped_after_each_step(void **state)
{
    char key[16];

    two_stores_need();
    for (size_t i = 0; i < TROUBLES; i++) {
        snprintf(key, sizeof key, "k%zu", i);
        make_fork(key);
        fail_once(key, i);
        if (i == 1 || i == 2 || i == 3) /* so that a pass over what is dirty finds it */
            assert_non_null(strstr(two_stores_line(world, key), "[a b x y] redis dirty base"));
        assert_int_equal(hand(key), HANDOFF_DONE);
        expect_both(key, "a b x y", EPOCH);
        assert_int_equal(hand(key), HANDOFF_DONE);
        expect_both(key, "a b x y", EPOCH);
    }
}

static void test_stopped_without_a_journal(void **state)
{
    char key[16];

    two_stores_need();
    for (size_t i = 0; i < TROUBLES; i++) {
        snprintf(key, sizeof key, "k%zu", i);
        two_stores_append(world, key, "a", "s1", 1);
        two_stores_put(world, &(struct two_doc){.key = key, .elements = "a b", .version = V9, .dirty = true});
        fail_once(key, i);
        assert_int_equal(hand(key), HANDOFF_DONE);
        expect_both(key, "a b", EPOCH);
    }
}

/* The archive goes on with what was half handed over: what the journal had is in the state, and is not replayed again. */
static void append_in_archive(const char *key, const char *elements, const char *element)
{
    struct two_doc d = {
        .key = key, .elements = elements, .version = version_make(EPOCH + 1, 1), .dirty = true};
    struct record r = two_stores_record(world, key);
    char request[80];
    int n = snprintf(request, sizeof request, "*3\r\n$5\r\nRPUSH\r\n$%zu\r\n%s\r\n$1\r\n%s\r\n", strlen(key),
                     key, element);
    struct record_write w = {.id = {"arch", 9}, .now_ms = 5, .requests = {request, (size_t)n}};

    record_journal(&r, &world->arena, two_stores_version(world, key), &w);
    d.record = r;
    two_stores_put(world, &d);
}

static void test_redis_lost_in_the_middle(void **state)
{
    enum handoff_result result;
    char key[16];

    two_stores_need();
    for (int versions_count = 0; versions_count < 2; versions_count++)
        for (size_t i = 1; i < TROUBLES; i++) {
            snprintf(key, sizeof key, "k%d%zu", versions_count, i);
            make_fork(key);
            fail_once(key, i);
            append_in_archive(key, "a b x y z", "z");
            assert_int_equal(hand_in_epoch(key, EPOCH + 2, versions_count, &result), ERR_NONE);
            assert_int_equal(result, HANDOFF_DONE);
            expect_both(key, "a b x y z", EPOCH + 2);
        }
}

/* ---- others at work ---- */

static enum err write_in_between(struct two_stores *t, int commit, bool after)
{
    if (commit == 1 && after)
        two_stores_append(t, "k", "late", "s1", 4);
    return ERR_NONE;
}

static void test_written_between_read_and_restore(void **state)
{
    two_stores_need();
    make_fork("k");
    two_stores_set_hook(world, write_in_between);
    assert_int_equal(hand("k"), HANDOFF_AGAIN);
    sync_redis_expect(&world->redis, "[a, b, x, late]", "LRANGE k 0 -1");
    two_stores_set_hook(world, NULL);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    expect_both("k", "a b x late y", EPOCH);
}

/* Without a journal nobody knows how the two go together: the archive's state stays, Redis' is kept aside. */
static void test_written_in_between_without_a_journal(void **state)
{
    two_stores_need();
    int64_t n;

    two_stores_append(world, "k", "a", "s1", 1);
    two_stores_put(world, &(struct two_doc){.key = "k", .elements = "a b", .version = V9, .dirty = true});
    two_stores_set_hook(world, write_in_between);
    assert_int_equal(hand("k"), HANDOFF_AGAIN);
    two_stores_set_hook(world, NULL);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    expect_both("k", "a b", EPOCH);
    assert_int_equal(quarantine_count(world->handle, &n), ERR_NONE);
    assert_int_equal(n, 1);
}

/* Another mover does all of it while this one stands between two steps. */
static enum handoff_result second;
static struct trouble second_at;

static enum err second_mover_run(struct two_stores *t)
{
    struct handoff h = {.handle = archive_attach(&t->archive.base),
                        .link = link_new(),
                        .epoch = EPOCH,
                        .versions_count = true,
                        .counts = &counts};
    struct slice key = {"k", 1};
    enum err e = link_open(h.link, t->redis.settings) ? handoff_keys(&h, &key, 1, &second) : ERR_REDISDOWN;

    link_free(h.link);
    archive_detach(h.handle);
    return e;
}

static enum err second_mover(struct two_stores *t, int commit, bool after)
{
    if (commit != second_at.commit || after != second_at.after)
        return ERR_NONE;
    t->hook = NULL;
    return second_mover_run(t);
}

static void test_another_mover_in_between(void **state)
{
    two_stores_need();
    for (int i = 0; i < 4; i++) {
        sync_redis_ask(&world->redis, "DEL k cvp:ver cvp:dirty cvp:sess");
        make_fork("k");
        second_at = (struct trouble){.commit = 1 + i / 2, .after = i % 2};
        second = HANDOFF_BAD;
        two_stores_set_hook(world, second_mover);
        enum handoff_result first = hand("k");
        assert_null(world->hook);
        assert_int_equal(second, HANDOFF_DONE);
        assert_true(first == HANDOFF_DONE || first == HANDOFF_AGAIN);
        assert_int_equal(hand("k"), HANDOFF_DONE);
        expect_both("k", "a b x y", EPOCH);
    }
}

static enum err die(struct two_stores *t, int commit, bool after)
{
    return after ? ERR_ARCHIVELOST : ERR_NONE;
}

static enum err dying_mover(struct two_stores *t, int commit, bool after)
{
    if (commit != 1 || !after)
        return ERR_NONE;
    two_stores_set_hook(t, die);
    enum err e = second_mover_run(t);
    two_stores_set_hook(t, NULL);
    return e == ERR_ARCHIVELOST ? ERR_NONE : e;
}

/* The other one goes no further than its first commit. Were that a step 3 of its own, this one's restore would look like a tail. */
static void test_another_mover_dies_in_between(void **state)
{
    two_stores_need();
    make_fork("k");
    two_stores_set_hook(world, dying_mover);
    enum handoff_result first = hand("k");
    assert_null(world->hook);
    assert_true(first == HANDOFF_DONE || first == HANDOFF_AGAIN);
    assert_int_equal(hand("k"), HANDOFF_DONE);
    expect_both("k", "a b x y", EPOCH);
}

static enum err steal(struct two_stores *t, int commit, bool after)
{
    if (commit == 1 && !after)
        two_stores_put(
            t, &(struct two_doc){.key = "k2", .elements = "stolen", .version = V9 + 5, .dirty = true});
    return ERR_NONE;
}

static void test_one_of_a_page_races(void **state)
{
    two_stores_need();
    struct handoff h = {.handle = world->handle,
                        .link = world->link,
                        .epoch = EPOCH,
                        .versions_count = true,
                        .counts = &counts};
    struct slice keys[] = {{"k1", 2}, {"k2", 2}, {"k3", 2}};
    enum handoff_result results[3];

    for (int i = 0; i < 3; i++) {
        char key[3] = {'k', (char)('1' + i), '\0'};
        two_stores_put(world, &(struct two_doc){.key = key, .elements = "a", .version = V9, .dirty = true});
    }
    two_stores_set_hook(world, steal);
    assert_int_equal(handoff_keys(&h, keys, 3, results), ERR_NONE);
    two_stores_set_hook(world, NULL);
    assert_int_equal(results[0], HANDOFF_DONE);
    assert_int_equal(results[1], HANDOFF_AGAIN);
    assert_int_equal(results[2], HANDOFF_DONE);
    expect_both("k1", "a", EPOCH);
    expect_both("k3", "a", EPOCH);
    assert_string_equal(two_stores_line(world, "k2"), "[stolen] archive dirty");
    assert_int_equal(hand("k2"), HANDOFF_DONE);
    expect_both("k2", "stolen", EPOCH);
}

#define MANY 200

static void *hand_all(void *arg)
{
    static struct handoff_counts mine[2];
    struct handoff h = {.handle = archive_attach(&world->archive.base),
                        .link = link_new(),
                        .epoch = EPOCH,
                        .versions_count = true,
                        .counts = &mine[0]};
    char names[MANY][8];
    struct slice keys[MANY];
    enum handoff_result results[MANY];
    size_t left = MANY;

    for (size_t i = 0; i < MANY; i++)
        keys[i] = (struct slice){names[i], (size_t)snprintf(names[i], sizeof names[i], "k%zu", i)};
    while (left > 0) {
        size_t n = left < 7 ? left : 7;
        if (!link_open(h.link, world->redis.settings) ||
            handoff_keys(&h, keys + left - n, n, results) != ERR_NONE)
            return "a store has failed";
        size_t again = 0;
        for (size_t i = 0; i < n; i++)
            if (results[i] == HANDOFF_AGAIN)
                keys[left - n + again++] = keys[left - n + i];
            else if (results[i] != HANDOFF_DONE)
                return "a key can't be handed over";
        left -= n - again;
    }
    link_free(h.link);
    archive_detach(h.handle);
    return NULL;
}

static void test_two_at_once(void **state)
{
    pthread_t threads[2];
    void *why[2];
    char key[8];

    two_stores_need();
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "k%d", i);
        make_fork(key);
        sync_redis_ask(&world->redis, "HDEL cvp:sess s1");
        sync_redis_ask(&world->redis, "HSET cvp:sess s1 3");
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hand_all, NULL), 0);
    for (int i = 0; i < 2; i++) {
        pthread_join(threads[i], &why[i]);
        if (why[i] != NULL)
            fail_msg("%s", (const char *)why[i]);
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(key, sizeof key, "k%d", i);
        expect_both(key, "a b x y", EPOCH);
    }
}

/* ---- whose Redis it is ---- */

static void test_redis_was_emptied(void **state)
{
    static const char *const keys[] = {"k", "absent"};
    enum handoff_result result;

    two_stores_need();
    make_fork("k");
    two_stores_put(world,
                   &(struct two_doc){.key = "absent", .elements = "a", .version = V9, .record.redis = true});
    for (int i = 0; i < 4; i++) {
        sync_redis_ask(&world->redis, i < 2 ? "DEL cvp:ep" : "SET cvp:ep 301");
        assert_int_equal(hand_in_epoch(keys[i % 2], EPOCH, true, &result), ERR_REDISDOWN);
        assert_non_null(strstr(link_why(world->link), i < 2 ? "emptied" : "later epoch"));
        two_stores_link(world);
    }
    assert_non_null(strstr(two_stores_line(world, "k"), "[a x y] archive dirty"));
    assert_string_equal(two_stores_line(world, "absent"), "[a] redis clean");
    sync_redis_expect(&world->redis, "[a, b, x]", "LRANGE k 0 -1");
    sync_redis_expect(&world->redis, "0", "EXISTS absent");
}

static enum err claim_anew(struct two_stores *t, int commit, bool after)
{
    if (commit == 1 && after)
        sync_redis_ask(&t->redis, "SET cvp:ep 302");
    return ERR_NONE;
}

/* A restore that was sent long ago finds the key as it was: absent. */
static void test_claimed_anew_before_the_restore(void **state)
{
    two_stores_need();
    enum handoff_result result;

    two_stores_put(world,
                   &(struct two_doc){.key = "k", .elements = "a", .version = V9, .record.redis = true});
    two_stores_set_hook(world, claim_anew);
    assert_int_equal(hand("k"), HANDOFF_AGAIN);
    two_stores_set_hook(world, NULL);
    sync_redis_expect(&world->redis, "0", "EXISTS k");
    assert_int_equal(hand_in_epoch("k", 302, true, &result), ERR_NONE);
    expect_both("k", "a", 302);
}

/* ---- pace ---- */

#define PACE 10000

static void test_pace(void **state)
{
    two_stores_need();
    struct handoff h = {.handle = world->handle,
                        .link = world->link,
                        .epoch = EPOCH,
                        .versions_count = true,
                        .counts = &counts};
    static char names[PACE][16];
    static struct slice keys[PACE];
    static enum handoff_result results[PACE];

    for (size_t i = 0; i < PACE; i++) {
        keys[i] = (struct slice){names[i], (size_t)snprintf(names[i], sizeof names[i], "conv:%zu", i)};
        two_stores_put(world, &(struct two_doc){.key = names[i],
                                                .elements = "first-message second-message third-message",
                                                .version = V0,
                                                .record.redis = true});
    }
    int64_t begun = clock_mono_us();
    for (size_t i = 0; i < PACE; i += 256)
        assert_int_equal(handoff_keys(&h, keys + i, PACE - i < 256 ? PACE - i : 256, results + i), ERR_NONE);
    double s = (double)(clock_mono_us() - begun) / 1e6;
    for (size_t i = 0; i < PACE; i++)
        assert_int_equal(results[i], HANDOFF_DONE);
    print_message("%d keys handed over in %.2f s: %.0f/s\n", PACE, s, PACE / s);
    expect_both("conv:77", "first-message second-message third-message", EPOCH);
    begun = clock_mono_us();
    assert_int_equal(handoff_keys(&h, keys, PACE, results), ERR_NONE);
    s = (double)(clock_mono_us() - begun) / 1e6;
    print_message("and looked at again: %.0f/s\n", PACE / s);
    assert_int_equal(counts.equal, PACE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_redis_empty, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_nothing_to_do, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_equal_only_changes_owner, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_redis_at_base, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_tail_of_its_own, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_tail_is_in_the_journal, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_overflow_and_a_tail, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_without_versions, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_deleted_by_the_archive, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_expired_in_the_archive, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_epoch_is_over, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_document, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_too_large_together, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_stopped_after_each_step, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_stopped_without_a_journal, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_redis_lost_in_the_middle, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_written_between_read_and_restore, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_written_in_between_without_a_journal, setup,
                                        two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_another_mover_in_between, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_another_mover_dies_in_between, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_one_of_a_page_races, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_two_at_once, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_redis_was_emptied, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_claimed_anew_before_the_restore, setup, two_stores_tear_down),
        cmocka_unit_test_setup_teardown(test_pace, setup, two_stores_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
