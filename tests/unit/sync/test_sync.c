/* The threads between the stores: who waits is served, marks are carried, CATCHUP ends, and sync_enter ends what was before. */
#include "sync/sync.h"

#include "base/version.h"
#include "tests/unit/sync/sync_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERSION  (version_make(WORLD_EPOCH, 1000))
#define F        (WORLD_EPOCH + 1) /* the epoch of most tests */
#define PATIENCE 30.0              /* s */

static struct world w;
static struct sync *s;
static _Atomic int64_t caught_up_in; /* epoch; 0: not yet */
static _Atomic int caught_up_calls;

static void caught_up(void *ctx, int64_t epoch)
{
    caught_up_in = epoch;
    caught_up_calls++;
}

static int start(void **state)
{
    world_start(&w);
    return 0;
}

static int stop(void **state)
{
    world_stop(&w);
    return 0;
}

static int set_up(void **state)
{
    struct sync_ops ops = {.caught_up = caught_up};

    if (w.redis.pid == 0)
        skip();
    world_clear(&w);
    caught_up_in = 0;
    caught_up_calls = 0;
    s = sync_start(w.archive, w.settings, "px", &ops);
    return 0;
}

static int tear_down(void **state)
{
    sync_stop(s);
    return 0;
}

static void nap(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Waits until it is true. */
#define UNTIL(condition)                                                                                     \
    do {                                                                                                     \
        double end_ = world_now() + PATIENCE;                                                                \
        while (!(condition)) {                                                                               \
            if (world_now() > end_)                                                                          \
                fail_msg("never came: %s (%s)", #condition, report().why);                                   \
            nap();                                                                                           \
        }                                                                                                    \
    } while (0)

static struct sync_report report(void)
{
    struct sync_report r;

    sync_report(s, &r);
    return r;
}

/* ---- asking ---- */

struct answer {
    _Atomic int calls;
    _Atomic int error;
};

static void answered(void *ctx, enum err e)
{
    struct answer *a = ctx;

    a->error = (int)e;
    a->calls++;
}

static void ask(struct answer *a, bool copy, int64_t epoch, const char *key)
{
    struct slice k = {key, strlen(key)};

    *a = (struct answer){0};
    if (copy)
        sync_copy(s, epoch, &k, 1, answered, a);
    else
        sync_handoff(s, epoch, &k, 1, answered, a);
}

static enum err answer_to(bool copy, int64_t epoch, const char *key)
{
    struct answer a;

    ask(&a, copy, epoch, key);
    UNTIL(a.calls > 0);
    assert_int_equal(a.calls, 1);
    return (enum err)a.error;
}

static void expect_error(enum err got, enum err wanted)
{
    assert_string_equal(err_name(got), err_name(wanted));
}

static void test_handoff(void **state)
{
    world_put(&w, (struct world_doc[]){{"conv:1", "hello", VERSION, 0, false, true}}, 1);
    world_put(&w, (struct world_doc[]){{"bare:1", "x", VERSION, 0, false, true}}, 1);
    sync_enter(s, SYNC_CATCHUP, F);
    expect_error(answer_to(false, F, "conv:1"), ERR_NONE);
    expect_error(answer_to(false, F, "conv:nothing"), ERR_NONE);
    expect_error(answer_to(false, F, "bare:1"), ERR_NONE);
    sync_redis_expect(&w.redis, "hello", "GET conv:1");
    sync_redis_expect(&w.redis, "x", "GET bare:1");
    assert_int_equal(version_epoch(strtoll(sync_redis_ask(&w.redis, "HGET cvp:ver conv:1")->str, NULL, 10)),
                     F);
    assert_int_equal(report().waiting, 0);
}

/* One request with more keys than a batch, some of them twice. */
static void test_handoff_of_many_keys(void **state)
{
    char names[1000][32];
    struct slice keys[1000];
    struct answer a = {0};

    world_fill(&w, 700, VERSION, false, true);
    for (int i = 0; i < 1000; i++)
        keys[i] = (struct slice){names[i], (size_t)snprintf(names[i], sizeof names[i], "conv:%d", i % 700)};
    sync_enter(s, SYNC_COPY, F); /* no pass helps */
    sync_handoff(s, F, keys, 1000, answered, &a);
    memset(names, '?', sizeof names); /* the bytes were copied */
    UNTIL(a.calls > 0);
    expect_error((enum err)a.error, ERR_NONE);
    assert_int_equal(report().handoff.looked, 700);
    assert_int_equal(sync_redis_ask(&w.redis, "DBSIZE")->integer, 700 + 2); /* cvp:ver, cvp:ep */
    a = (struct answer){0};
    sync_handoff(s, F, NULL, 0, answered, &a);
    UNTIL(a.calls > 0);
    expect_error((enum err)a.error, ERR_NONE);
}

static void test_epochs(void **state)
{
    struct answer early;

    world_put(&w, (struct world_doc[]){{"conv:1", "hello", VERSION, 0, false, true}}, 1);
    sync_enter(s, SYNC_IDLE, F);
    expect_error(answer_to(false, F, "conv:1"), ERR_MOVED);
    expect_error(answer_to(true, F - 1, "conv:1"), ERR_MOVED);
    ask(&early, false, F + 1, "conv:1");
    expect_error(answer_to(false, F, "conv:1"), ERR_MOVED);
    assert_int_equal(early.calls, 0);
    sync_redis_expect(&w.redis, "0", "EXISTS conv:1");
    sync_enter(s, SYNC_CATCHUP, F + 1);
    UNTIL(early.calls > 0);
    expect_error((enum err)early.error, ERR_NONE);
    sync_redis_expect(&w.redis, "hello", "GET conv:1");
    ask(&early, false, F + 2, "conv:1");
    sync_stop(s);
    s = NULL;
    assert_int_equal(early.calls, 1);
    expect_error((enum err)early.error, ERR_CANCELLED);
}

static void test_copy(void **state)
{
    sync_enter(s, SYNC_COPY, F);
    sync_redis_ask(&w.redis, "SET conv:1 x");
    sync_redis_ask(&w.redis, "HSET cvp:ver conv:1 %lld", (long long)VERSION);
    expect_error(answer_to(true, F, "conv:1"), ERR_NONE);
    assert_int_equal(world_version(&w, "conv:1"), VERSION);
}

/* What one key suffers from is not told of another that came at the same time. */
static void test_a_bad_key_spoils_no_other(void **state)
{
    struct answer bad, good;

    sync_redis_ask(&w.redis, "SETRANGE conv:huge 16000000 x");
    sync_redis_ask(&w.redis, "SET conv:good x");
    ask(&bad, true, F, "conv:huge");
    ask(&good, true, F, "conv:good");
    sync_enter(s, SYNC_COPY, F);
    UNTIL(bad.calls > 0 && good.calls > 0);
    expect_error((enum err)bad.error, ERR_TOO_LARGE);
    expect_error((enum err)good.error, ERR_NONE);
    assert_int_not_equal(world_version(&w, "conv:good"), 0);
}

/* ---- the worker ---- */

static void mark(const char *key)
{
    sync_redis_ask(&w.redis, "HSETNX cvp:ver %s %lld", key, (long long)VERSION);
    sync_redis_ask(&w.redis, "HINCRBY cvp:ver %s 1", key);
    sync_redis_ask(&w.redis, "SADD cvp:dirty %s", key);
}

static size_t marks(void)
{
    return (size_t)sync_redis_ask(&w.redis, "SCARD cvp:dirty")->integer;
}

/* The archive has what Redis has, and nothing is owed. */
static bool is_copied(const char *key)
{
    int64_t version = strtoll(sync_redis_ask(&w.redis, "HGET cvp:ver %s", key)->str, NULL, 10);

    return marks() == 0 && world_version(&w, key) == version;
}

static void test_marks_are_carried(void **state)
{
    char key[32];

    for (int i = 0; i < 600; i++) {
        snprintf(key, sizeof key, "conv:%d", i);
        sync_redis_ask(&w.redis, "RPUSH %s a b", key);
        mark(key);
    }
    sync_redis_ask(&w.redis, "SMOVE cvp:dirty cvp:busy:px conv:3"); /* claimed in an earlier life */
    sync_enter(s, SYNC_COPY, F);
    UNTIL(report().copier.copied == 600 && report().copier.dirty == 0);
    assert_int_equal(world_version(&w, "conv:3"), VERSION + 1);
    assert_int_equal(marks(), 0);
    sync_redis_ask(&w.redis, "DEL conv:5");
    mark("conv:5");
    UNTIL(report().copier.tombstones == 1);
    assert_string_equal(report().why, "");
}

/* A key that is written all the time is not copied all the time. */
static void test_a_hot_key(void **state)
{
    sync_enter(s, SYNC_COPY, F);
    double end = world_now() + 1;
    while (world_now() < end) {
        sync_redis_ask(&w.redis, "SET conv:hot x");
        mark("conv:hot");
    }
    assert_in_range(report().copier.claimed, 2, 8);
    UNTIL(marks() == 0);
}

static void test_catch_up(void **state)
{
    world_fill(&w, 3000, VERSION, false, true);
    world_put(&w,
              (struct world_doc[]){{"conv:copy", "c", VERSION, 0, true, false},
                                   {"conv:dirty", "d", VERSION, 0, false, true},
                                   {"conv:gone", NULL, VERSION, 0, false, true},
                                   {"arch:1", "a", VERSION, 0, false, true},
                                   {"raw:1", "r", VERSION, 0, false, false}},
              5);
    sync_redis_ask(&w.redis, "SET conv:gone x");
    double began = world_now();
    sync_enter(s, SYNC_CATCHUP, F);
    UNTIL(caught_up_in != 0);
    print_message("catch-up: %.0f keys/s\n", 3000 / (world_now() - began));
    assert_int_equal(caught_up_in, F);
    sync_redis_expect(&w.redis, "value-2999", "GET conv:2999");
    sync_redis_expect(&w.redis, "d", "GET conv:dirty");
    sync_redis_expect(&w.redis, "0", "EXISTS conv:gone");
    sync_redis_expect(&w.redis, "0", "EXISTS arch:1 raw:1"); /* the archive's, and nobody's */
    assert_int_equal(report().pass_done, 3005);
    assert_int_equal(report().pass_total, 3005);
    mark("conv:1"); /* from now on Redis acts */
    UNTIL(is_copied("conv:1"));
    assert_int_equal(caught_up_calls, 1);
    sync_enter(s, SYNC_COPY, F);
    mark("conv:2");
    UNTIL(is_copied("conv:2"));
}

static bool nobodys(void *ctx, const struct policy_conf *policy)
{
    return strcmp(policy->name, "bare") == 0;
}

static void test_catch_up_of_the_policies_that_are_meant(void **state)
{
    struct sync_ops ops = {.caught_up = caught_up, .is_redis = nobodys};

    sync_stop(s);
    s = sync_start(w.archive, w.settings, "px", &ops);
    world_put(&w,
              (struct world_doc[]){{"conv:1", "a", VERSION, 0, false, true},
                                   {"bare:1", "b", VERSION, 0, false, true}},
              2);
    sync_enter(s, SYNC_CATCHUP, F);
    UNTIL(caught_up_in != 0);
    sync_redis_expect(&w.redis, "b", "GET bare:1");
    sync_redis_expect(&w.redis, "0", "EXISTS conv:1");
}

static void test_moves_run_where_redis_acts(void **state)
{
    struct move_order o = {.kind = MOVE_BACKFILL, .policy = "conv"};
    struct move_report r;
    char why[160];

    world_fill(&w, 300, 0, true, false);
    sync_enter(s, SYNC_IDLE, F);
    assert_int_equal(moves_order(sync_moves(s), &o, why, sizeof why), 1);
    UNTIL(moves_report(sync_moves(s), &r, 1) == 1 && strcmp(r.why, "waits until Redis acts") == 0);
    assert_int_equal(r.state, MOVE_WAITING);
    sync_enter(s, SYNC_COPY, F);
    UNTIL(moves_report(sync_moves(s), &r, 1) == 1 && r.state == MOVE_DONE);
    assert_int_equal(r.done, 300);
    assert_int_not_equal(world_version(&w, "conv:299"), 0);
}

/* ---- trouble ---- */

static void test_redis_is_down(void **state)
{
    sync_redis_ask(&w.redis, "SET conv:1 x");
    mark("conv:1");
    sync_redis_kill(&w.redis);
    sync_enter(s, SYNC_COPY, F);
    double began = world_now();
    expect_error(answer_to(true, F, "conv:1"), ERR_REDISDOWN);
    assert_true(world_now() - began < 3);
    UNTIL(report().why[0] != '\0');
    sync_redis_again(&w.redis);
    UNTIL(report().copier.claimed > 0 && marks() == 0);
    UNTIL(report().why[0] == '\0');
    expect_error(answer_to(true, F, "conv:1"), ERR_NONE);
    assert_int_equal(world_version(&w, "conv:1"), VERSION + 1);
}

static void test_the_archive_is_down(void **state)
{
    sync_redis_ask(&w.redis, "SET conv:1 x");
    mark("conv:1");
    world_faults(&w, "op=all fail=100% error=down");
    sync_enter(s, SYNC_COPY, F);
    expect_error(answer_to(true, F, "conv:1"), ERR_ARCHIVEDOWN);
    UNTIL(report().why[0] != '\0');
    world_faults(&w, "");
    UNTIL(report().copier.copied + report().copier.unmarked > 0 && marks() == 0);
    assert_int_equal(world_version(&w, "conv:1"), VERSION + 1);
    sync_redis_expect(&w.redis, "[]", "KEYS cvp:busy:*");
}

/* The pass is interrupted by both stores, and comes to its end. */
static void test_catch_up_through_trouble(void **state)
{
    world_fill(&w, 2000, VERSION, false, true);
    world_faults(&w, "op=scan fail=20% error=down; op=commit fail=20% error=lost-after; op=load fail=20% "
                     "error=down; seed=7");
    sync_enter(s, SYNC_CATCHUP, F);
    for (int i = 0; i < 5; i++) {
        uint64_t looked = report().handoff.looked;
        UNTIL(caught_up_in != 0 || report().handoff.looked > looked);
        sync_redis_ask(&w.redis, "CLIENT KILL TYPE normal SKIPME yes");
    }
    world_faults(&w, "");
    UNTIL(caught_up_in != 0);
    for (int i = 0; i < 2000; i++) {
        char value[32];
        snprintf(value, sizeof value, "value-%d", i);
        sync_redis_expect(&w.redis, value, "GET conv:%d", i);
    }
}

/* A Redis that does not answer holds nobody up who takes its work away. */
static void test_a_frozen_redis(void **state)
{
    struct answer a;

    sync_enter(s, SYNC_COPY, F);
    mark("conv:1");
    UNTIL(marks() == 0);
    kill(w.redis.pid, SIGSTOP);
    ask(&a, true, F, "conv:1");
    UNTIL(report().waiting > 0);
    double began = world_now();
    sync_enter(s, SYNC_IDLE, F + 1);
    double took = world_now() - began;
    kill(w.redis.pid, SIGCONT);
    assert_true(took < 1.5);
    UNTIL(a.calls > 0);
    expect_error((enum err)a.error, ERR_MOVED);
}

/* ---- sync_enter under load ---- */

#define ASKERS 3

struct asker {
    pthread_t thread;
    _Atomic bool ends;
    _Atomic int64_t epoch;
    unsigned seed;
    _Atomic uint64_t asked, answered, done;
};

static void count(void *ctx, enum err e)
{
    struct asker *a = ctx;

    a->answered++;
    a->done += e == ERR_NONE;
}

static void *keep_asking(void *arg)
{
    struct asker *a = arg;
    char names[4][32];
    struct slice keys[4];

    while (!a->ends) {
        size_t n = (size_t)(rand_r(&a->seed) % 4) + 1;
        for (size_t i = 0; i < n; i++)
            keys[i] = (struct slice){
                names[i], (size_t)snprintf(names[i], sizeof names[i], "conv:%d", rand_r(&a->seed) % 500)};
        int64_t epoch = a->epoch + (rand_r(&a->seed) % 8 == 0 ? -1 : 0);
        a->asked++;
        if (rand_r(&a->seed) % 2 == 0)
            sync_copy(s, epoch, keys, n, count, a);
        else
            sync_handoff(s, epoch, keys, n, count, a);
        if (a->asked - a->answered > 200)
            nap();
    }
    return NULL;
}

/* Commands that Redis has executed, this one counted, and what sync counts. */
static uint64_t work_done(void)
{
    const char *stats = sync_redis_ask(&w.redis, "INFO stats")->str, *name = "total_commands_processed:";
    struct sync_report r = report();

    assert_non_null(strstr(stats, name));
    return strtoull(strstr(stats, name) + strlen(name), NULL, 10) + r.handoff.looked + r.copier.claimed +
           (uint64_t)r.pass_done;
}

static unsigned seed_of_today(void)
{
    const char *text = getenv("CONV_SEED");
    unsigned seed = text != NULL ? (unsigned)strtoul(text, NULL, 10) : (unsigned)time(NULL);

    print_message("CONV_SEED=%u\n", seed);
    return seed;
}

static void test_enter_under_load(void **state)
{
    struct asker askers[ASKERS] = {0};
    struct move_order o = {.kind = MOVE_VERIFY, .policy = "conv"};
    unsigned seed = seed_of_today();
    uint64_t done = 0;
    char why[160];

    world_fill(&w, 500, VERSION, false, true);
    sync_enter(s, SYNC_IDLE, F);
    for (int i = 0; i < ASKERS; i++) {
        askers[i].seed = seed + (unsigned)i;
        askers[i].epoch = F;
        assert_int_equal(pthread_create(&askers[i].thread, NULL, keep_asking, &askers[i]), 0);
    }
    for (int64_t epoch = F + 1; epoch < F + 40; epoch++) {
        for (int i = 0; i < ASKERS; i++)
            askers[i].epoch = epoch;
        moves_order(sync_moves(s), &o, why, sizeof why);
        sync_enter(s, rand_r(&seed) % 2 == 0 ? SYNC_COPY : SYNC_CATCHUP, epoch);
        for (int naps = rand_r(&seed) % 20; naps > 0; naps--)
            nap();
        sync_enter(s, SYNC_IDLE, epoch);
        uint64_t before = work_done();
        for (int naps = 0; naps < 5; naps++)
            nap();
        assert_int_equal(work_done() - before, 1); /* the asking */
    }
    for (int i = 0; i < ASKERS; i++) {
        askers[i].ends = true;
        pthread_join(askers[i].thread, NULL);
        UNTIL(askers[i].answered == askers[i].asked);
        done += askers[i].done;
    }
    assert_int_equal(report().waiting, 0);
    assert_true(done > 0);
    print_message("%llu asked, %llu of them done\n",
                  (unsigned long long)(askers[0].asked + askers[1].asked + askers[2].asked),
                  (unsigned long long)done);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_handoff),
        TEST(test_handoff_of_many_keys),
        TEST(test_epochs),
        TEST(test_copy),
        TEST(test_a_bad_key_spoils_no_other),
        TEST(test_marks_are_carried),
        TEST(test_a_hot_key),
        TEST(test_catch_up),
        TEST(test_catch_up_of_the_policies_that_are_meant),
        TEST(test_moves_run_where_redis_acts),
        TEST(test_redis_is_down),
        TEST(test_the_archive_is_down),
        TEST(test_catch_up_through_trouble),
        TEST(test_a_frozen_redis),
        TEST(test_enter_under_load),
    };

    return cmocka_run_group_tests_name("sync/sync", tests, start, stop);
}
