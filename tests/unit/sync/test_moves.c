/* Moves on a real redis-server and a SQLite archive: what they find and mend, how fast, and what interrupts them. */
#include "sync/moves.h"

#include "base/version.h"
#include "sync/page.h"
#include "tests/unit/sync/sync_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define VERSION   (version_make(WORLD_EPOCH, 1000))
#define SLICE_MS  20
#define PATIENCE  60.0 /* s, for anything */
#define MARKS_CAP 10000
#define MANY      20000

static struct world w;
static struct moves *m;
static struct copier_counts counts;
static struct copier copier;
static int go_on_for; /* calls of go_on that say yes; -1: all */

/* Rates are told where nothing slows the program down. */
static bool is_slow(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return true;
#else
    return false;
#endif
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
    if (w.redis.pid == 0)
        skip();
    m = moves_new();
    memset(&counts, 0, sizeof counts);
    copier =
        (struct copier){.handle = w.h, .link = w.link, .proxy = "p", .epoch = WORLD_EPOCH, .counts = &counts};
    go_on_for = -1;
    world_clear(&w);
    return 0;
}

static int tear_down(void **state)
{
    moves_free(m);
    return 0;
}

static bool go_on(void *ctx)
{
    return go_on_for < 0 || go_on_for-- > 0;
}

static bool is_redis(void *ctx, const struct policy_conf *policy)
{
    return policy->primary == STORE_REDIS;
}

static enum err run_for(int64_t ms)
{
    struct moves_stores stores = {.handle = w.h,
                                  .link = w.link,
                                  .copier = &copier,
                                  .settings = w.settings,
                                  .epoch = WORLD_EPOCH,
                                  .is_redis = is_redis,
                                  .go_on = go_on};

    return link_open(w.link, w.settings) ? moves_run(m, &stores, ms) : ERR_REDISDOWN;
}

static struct move_report report(void)
{
    struct move_report r;

    assert_int_equal(moves_report(m, &r, 1), 1);
    return r;
}

static uint64_t order(struct move_order o)
{
    char why[160] = "";
    uint64_t id;

    if (o.policy[0] == '\0')
        strcpy(o.policy, "conv");
    id = moves_order(m, &o, why, sizeof why);
    if (id == 0)
        fail_msg("%s", why);
    return id;
}

/* Until it is over. */
static struct move_report finish(void)
{
    double end = world_now() + PATIENCE;

    while (moves_any(m)) {
        if (run_for(SLICE_MS) != ERR_NONE)
            fail_msg("%s", report().why);
        assert_true(world_now() < end);
    }
    return report();
}

static struct move_report do_move(struct move_order o)
{
    order(o);
    return finish();
}

static size_t marks(void)
{
    return (size_t)sync_redis_ask(&w.redis, "SCARD cvp:dirty")->integer;
}

static void expect_done(const struct move_report *r, int64_t done, int64_t found, int64_t repaired)
{
    assert_string_equal(r->why, "");
    assert_int_equal(r->state, MOVE_DONE);
    assert_int_equal(r->done, done);
    assert_int_equal(r->total, done);
    assert_int_equal(r->found, found);
    assert_int_equal(r->repaired, repaired);
    assert_true(r->ended_us >= r->started_us && r->started_us > 0);
}

/* ---- orders ---- */

static void test_names(void **state)
{
    static const char *const kinds[] = {"backfill", "drain", "verify", "ttl-audit", "tier"};
    enum move_kind kind;

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        assert_string_equal(move_kind_name((enum move_kind)i), kinds[i]);
        assert_true(move_kind_parse(kinds[i], &kind));
        assert_int_equal(kind, i);
    }
    assert_true(move_kind_parse("VERIFY", &kind));
    assert_false(move_kind_parse("verif", &kind));
    assert_string_equal(move_state_name(MOVE_WAITING), "waiting");
    assert_string_equal(move_state_name(MOVE_FAILED), "failed");
}

static void test_refused_orders(void **state)
{
    static const struct {
        struct move_order order;
        const char *why;
    } cases[] = {
        {{.kind = MOVE_VERIFY}, "it needs the name of a policy"},
        {{.kind = MOVE_VERIFY, .policy = "conv", .rate = -1}, "the rate can't be negative"},
        {{.kind = MOVE_BACKFILL, .policy = "conv", .repair = true}, "only verify and ttl-audit can repair"},
        {{.kind = MOVE_TTL_AUDIT, .policy = "conv", .deep = true}, "only verify can be deep"},
        {{.kind = (enum move_kind)99, .policy = "conv"}, "no such kind of move"},
    };
    char why[160];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(moves_order(m, &cases[i].order, why, sizeof why), 0);
        assert_string_equal(why, cases[i].why);
    }
    assert_false(moves_any(m));
}

static void test_the_same_twice_is_refused(void **state)
{
    struct move_order o = {.kind = MOVE_VERIFY, .policy = "conv"};
    char why[160];
    uint64_t id = order(o);

    assert_int_equal(moves_order(m, &o, why, sizeof why), 0);
    assert_string_equal(why, "move 1 does that already");
    assert_true(moves_abort(m, id));
    assert_int_equal(order(o), 2);
}

static void test_what_can_be_resumed(void **state)
{
    struct move_order o = {.kind = MOVE_VERIFY, .policy = "conv"};
    struct move_report r[2];
    char why[160];
    uint64_t id = order(o);

    assert_false(moves_resume(m, 99, why, sizeof why));
    assert_string_equal(why, "move 99 can't go on: there is no such move");
    assert_false(moves_resume(m, id, why, sizeof why));
    assert_string_equal(why, "move 1 can't go on: it is not over");
    assert_true(moves_abort(m, id));
    assert_true(moves_resume(m, id, why, sizeof why));
    assert_int_equal(moves_report(m, r, 2), 1);
    assert_int_equal(r[0].state, MOVE_WAITING);
    assert_int_equal(r[0].ended_us, 0);
    assert_true(moves_abort(m, id));
    order(o);
    assert_false(moves_resume(m, id, why, sizeof why));
    assert_string_equal(why, "move 1 can't go on: there is a newer one of the kind");
}

static void test_the_newest_32_are_kept(void **state)
{
    struct move_order o = {.kind = MOVE_VERIFY};
    struct move_report r[40];
    char why[160];

    for (int i = 0; i < 32; i++) {
        snprintf(o.policy, sizeof o.policy, "p%d", i);
        order(o);
    }
    strcpy(o.policy, "one-more");
    assert_int_equal(moves_order(m, &o, why, sizeof why), 0);
    assert_string_equal(why, "32 moves are waiting already");
    assert_true(moves_abort(m, 3));
    assert_false(moves_abort(m, 3));
    assert_false(moves_abort(m, 99));
    assert_int_equal(order(o), 33);
    assert_int_equal(moves_report(m, r, 40), 32);
    assert_string_equal(r[0].order.policy, "one-more");
    assert_string_equal(r[31].order.policy, "p0");
    for (int i = 0; i < 32; i++)
        assert_string_not_equal(r[i].order.policy, "p2"); /* it was the only one that was over */
}

static void test_an_unknown_policy_fails(void **state)
{
    struct move_report r = do_move((struct move_order){.kind = MOVE_BACKFILL, .policy = "nobody"});

    assert_int_equal(r.state, MOVE_FAILED);
    assert_string_equal(r.why, "there is no policy 'nobody'");
}

/* Carrying what Redis has would undo what the archive has done. */
static void test_not_where_the_archive_acts(void **state)
{
    struct move_report r = do_move((struct move_order){.kind = MOVE_BACKFILL, .policy = "arch"});

    assert_int_equal(r.state, MOVE_FAILED);
    assert_string_equal(r.why, "the archive acts for 'arch'");
}

static void test_held(void **state)
{
    order((struct move_order){.kind = MOVE_VERIFY});
    moves_hold(m, "waits until Redis acts");
    assert_string_equal(report().why, "waits until Redis acts");
    assert_int_equal(report().state, MOVE_WAITING);
    struct move_report r = finish();
    expect_done(&r, 0, 0, 0);
}

/* ---- pages ---- */

static void test_progress_grows_to_one(void **state)
{
    struct page p;
    uint64_t cursor = 0;
    double last = 0;
    size_t seen = 0;

    world_fill(&w, 1000, VERSION, true, false);
    page_init(&p);
    do {
        assert_int_equal(page_of_redis(&p, w.link, NULL, &cursor, 50, NULL, NULL), ERR_NONE);
        seen += p.n;
        assert_true(cursor == 0 || (page_progress(cursor) > last && page_progress(cursor) < 1));
        last = page_progress(cursor);
    } while (cursor != 0);
    assert_int_equal(seen, 1000); /* cvp:ver is not shown */
    page_done(&p);
}

/* ---- backfill and drain ---- */

static void test_backfill(void **state)
{
    size_t most = 0;

    world_fill(&w, MANY, 0, true, false);
    sync_redis_ask(&w.redis, "SET other:1 x");
    double began = world_now();
    order((struct move_order){.kind = MOVE_BACKFILL});
    while (moves_any(m)) {
        assert_int_equal(run_for(SLICE_MS), ERR_NONE);
        most = marks() > most ? marks() : most;
    }
    double took = world_now() - began;
    struct move_report r = report();
    expect_done(&r, MANY, 0, 0);
    assert_in_range(most, 1, MARKS_CAP);
    assert_int_equal(marks(), 0);
    assert_int_equal(sync_redis_ask(&w.redis, "HLEN cvp:ver")->integer, MANY);
    assert_int_equal(world_version(&w, "other:1"), 0);
    assert_int_not_equal(world_version(&w, "conv:0"), 0);
    assert_int_equal(version_epoch(world_version(&w, "conv:19999")), WORLD_EPOCH);
    print_message("backfill: %.0f keys/s, at most %zu marks\n", MANY / took, most);
    r = do_move((struct move_order){.kind = MOVE_VERIFY, .deep = true});
    expect_done(&r, 2 * MANY, 0, 0);
}

/* Writes without a mark (no dual writes) have left the version as it was, and the value is another one. */
static void test_backfill_trusts_no_version(void **state)
{
    world_fill(&w, 3, VERSION, true, true);
    sync_redis_ask(&w.redis, "SET conv:1 changed");
    struct move_report r = do_move((struct move_order){.kind = MOVE_BACKFILL});
    expect_done(&r, 3, 0, 0);
    assert_true(world_version(&w, "conv:1") > VERSION);
    r = do_move((struct move_order){.kind = MOVE_VERIFY, .deep = true});
    expect_done(&r, 6, 0, 0);
}

/* Runs until so many keys are done. */
static void run_until(int64_t done)
{
    while (report().done < done) {
        assert_true(moves_any(m));
        assert_int_equal(run_for(1), ERR_NONE);
    }
}

static void test_backfill_goes_on_after_a_lost_connection(void **state)
{
    world_fill(&w, 5000, 0, true, false);
    order((struct move_order){.kind = MOVE_BACKFILL});
    run_until(1000);
    int64_t before = report().done;
    sync_redis_ask(&w.redis, "CLIENT KILL TYPE normal SKIPME yes");
    assert_int_not_equal(run_for(SLICE_MS), ERR_NONE);
    assert_int_equal(report().state, MOVE_RUNNING);
    assert_string_not_equal(report().why, "");
    assert_int_equal(report().done, before);
    struct move_report r = finish();
    expect_done(&r, 5000, 0, 0); /* none is done twice: it went on at its cursor */
    assert_int_equal(sync_redis_ask(&w.redis, "HLEN cvp:ver")->integer, 5000);
}

/* The new server has its keys in another order, so that the cursor of the old one would leave some out. */
static void test_backfill_goes_on_after_a_restart(void **state)
{
    world_fill(&w, 5000, 0, true, false);
    order((struct move_order){.kind = MOVE_BACKFILL});
    run_until(1000);
    sync_redis_kill(&w.redis);
    assert_int_not_equal(run_for(SLICE_MS), ERR_NONE);
    assert_int_not_equal(run_for(SLICE_MS), ERR_NONE);
    assert_int_equal(report().state, MOVE_RUNNING);
    sync_redis_again(&w.redis);
    struct move_report r = finish();
    expect_done(&r, 5000, 0, 0);
    assert_int_equal(marks(), 0);
    for (int i = 0; i < 5000; i++) {
        char key[32];
        snprintf(key, sizeof key, "conv:%d", i);
        assert_int_not_equal(world_version(&w, key), 0);
    }
}

static void test_drain(void **state)
{
    world_fill(&w, 2000, VERSION, true, true);
    for (int i = 0; i < 1500; i++)
        sync_redis_ask(&w.redis, "SADD cvp:dirty conv:%d", i);
    sync_redis_ask(&w.redis, "SET conv:7 new");
    sync_redis_ask(&w.redis, "HINCRBY cvp:ver conv:7 1");
    struct move_report r = do_move((struct move_order){.kind = MOVE_DRAIN});
    expect_done(&r, 1500, 0, 0);
    assert_int_equal(marks(), 0);
    assert_int_equal(world_version(&w, "conv:7"), VERSION + 1);
}

/* All others are carried; and it does not go on for ever with the one that can't be. */
static void test_what_cannot_be_carried(void **state)
{
    static const enum move_kind kinds[] = {MOVE_BACKFILL, MOVE_DRAIN};

    world_fill(&w, 100, 0, true, false);
    sync_redis_ask(&w.redis, "SETRANGE conv:huge 16000000 x");
    for (size_t i = 0; i < 2; i++) {
        struct move_report r = do_move((struct move_order){.kind = kinds[i]});
        assert_int_equal(r.state, MOVE_FAILED);
        assert_string_equal(r.why, "1 of the marks left can't be carried; the log says why");
        assert_int_equal(marks(), 1);
    }
    assert_int_not_equal(world_version(&w, "conv:99"), 0);
    assert_int_equal(world_version(&w, "conv:huge"), 0);
}

static void test_abort(void **state)
{
    world_fill(&w, 5000, 0, true, false);
    uint64_t id = order((struct move_order){.kind = MOVE_BACKFILL});
    run_until(1000);
    assert_true(moves_abort(m, id));
    int64_t done = report().done;
    assert_int_equal(report().state, MOVE_ABORTED);
    assert_int_equal(run_for(SLICE_MS), ERR_NONE);
    assert_int_equal(report().done, done);
    assert_false(moves_any(m));
}

static void test_resume(void **state)
{
    char why[160];

    world_fill(&w, 5000, 0, true, false);
    uint64_t id = order((struct move_order){.kind = MOVE_BACKFILL});
    run_until(1000);
    assert_true(moves_abort(m, id));
    int64_t done = report().done;
    assert_true(moves_resume(m, id, why, sizeof why));
    assert_int_equal(run_for(1), ERR_NONE);
    assert_true(report().done >= done);
    while (moves_any(m))
        assert_int_equal(run_for(SLICE_MS), ERR_NONE);
    struct move_report r = report();
    expect_done(&r, 5000, 0, 0);
    assert_int_equal(marks(), 0);
    assert_false(moves_resume(m, id, why, sizeof why));
    assert_string_equal(why, "move 1 can't go on: it is done");
}

/* What looked different before it was aborted is looked at again. */
static void test_resume_with_suspects(void **state)
{
    char why[160];

    world_fill(&w, 3000, VERSION, true, true);
    for (int i = 0; i < 3000; i++)
        sync_redis_ask(&w.redis, "HINCRBY cvp:ver conv:%d 1", i);
    uint64_t id = order((struct move_order){.kind = MOVE_VERIFY});
    run_until(600);
    assert_true(moves_abort(m, id));
    assert_true(moves_resume(m, id, why, sizeof why));
    while (moves_any(m))
        assert_int_equal(run_for(SLICE_MS), ERR_NONE);
    assert_int_equal(report().state, MOVE_DONE);
    assert_int_equal(report().found, 3000);
}

/* The phase is over in the middle: it comes back at once, and goes on later. */
static void test_interrupted(void **state)
{
    world_fill(&w, 5000, 0, true, false);
    order((struct move_order){.kind = MOVE_BACKFILL});
    go_on_for = 3;
    assert_int_equal(run_for(60000), ERR_NONE);
    assert_int_equal(report().state, MOVE_RUNNING);
    assert_in_range(report().done, 1, 2000);
    go_on_for = -1;
    struct move_report r = finish();
    expect_done(&r, 5000, 0, 0);
}

static void expect_rate(struct move_order o)
{
    double began = world_now();

    order(o);
    while (report().done < 700) {
        assert_int_equal(run_for(SLICE_MS), ERR_NONE);
        if (report().rate > 0) { /* it was measured */
            assert_in_range((int)report().rate, 1, 1100);
            assert_in_range((int)report().total, report().done, 5000);
            assert_in_range(report().eta_s, 0, 5);
        }
    }
    assert_true(report().rate > 0);
    struct move_report r = finish();
    double took = world_now() - began;
    expect_done(&r, 1000, 0, 0);
    assert_true(took > 0.9 && r.rate < 1100);
    assert_int_equal(r.eta_s, 0);
}

static void test_rate(void **state)
{
    world_fill(&w, 500, VERSION, true, true);
    expect_rate((struct move_order){.kind = MOVE_VERIFY, .rate = 1000});
    world_set(&w, "sync.rate", "1000");
    expect_rate((struct move_order){.kind = MOVE_VERIFY});
    world_set(&w, "sync.rate", "0");
}

/* ---- verify ---- */

/* Processor time of this process and of Redis, in s. */
static double cpu_now(void)
{
    const char *info = sync_redis_ask(&w.redis, "INFO cpu")->str;
    const char *sys = strstr(info, "used_cpu_sys:"), *user = strstr(info, "used_cpu_user:");
    struct timespec t;

    assert_true(sys != NULL && user != NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9 + atof(strchr(sys, ':') + 1) +
           atof(strchr(user, ':') + 1);
}

/* By processor time: others may be busy on the machine, too. */
static void test_verify_rate(void **state)
{
    size_t n = is_slow() ? 5000 : 50000;

    world_fill(&w, n, VERSION, true, true);
    double began = world_now(), began_cpu = cpu_now();
    struct move_report r = do_move((struct move_order){.kind = MOVE_VERIFY});
    double took = world_now() - began, took_cpu = cpu_now() - began_cpu;
    expect_done(&r, 2 * (int64_t)n, 0, 0);
    print_message("verify: %zu keys in %.2f s: %.0f keys/s; %.0f for a second of processor time\n", n, took,
                  (double)n / took, (double)n / took_cpu);
    if (!is_slow())
        assert_true((double)n / took_cpu > 50000);
}

static void spoil(void)
{
    sync_redis_ask(&w.redis, "DEL conv:1");               /* behind the proxy's back */
    sync_redis_ask(&w.redis, "HINCRBY cvp:ver conv:2 1"); /* newer, and its mark is lost */
    sync_redis_ask(&w.redis, "SET conv:new x");           /* never seen by the proxy */
    world_put(&w, (struct world_doc[]){{"conv:3", "y", VERSION + 5, 0, true, false}},
              1); /* newer in the archive */
    world_put(&w, (struct world_doc[]){{"conv:gone", NULL, VERSION, 0, true, false}},
              1);                             /* a deletion that Redis forgot */
    sync_redis_ask(&w.redis, "SET arch:1 x"); /* another policy's */
    sync_redis_ask(&w.redis, "SET conv:owed x");
    sync_redis_ask(&w.redis, "SADD cvp:dirty conv:owed"); /* the copy is on its way */
}

static void test_verify_finds(void **state)
{
    world_fill(&w, 100, VERSION, true, true);
    spoil();
    struct move_report r = do_move((struct move_order){.kind = MOVE_VERIFY});
    expect_done(&r, 101 + 101, 4, 0);
    assert_int_equal(r.ranges, 4);
    for (int i = 0; i < 4; i++)
        assert_non_null(strstr(r.examples, ((const char *[]){"conv:1", "conv:2", "conv:3", "conv:new"})[i]));
    assert_int_equal(marks(), 1);
}

static void test_verify_repairs(void **state)
{
    world_fill(&w, 100, VERSION, true, true);
    spoil();
    struct move_report r = do_move((struct move_order){.kind = MOVE_VERIFY, .repair = true});
    expect_done(&r, 202, 4, 4);
    assert_int_equal(marks(), 5);
    r = do_move((struct move_order){.kind = MOVE_DRAIN});
    assert_int_equal(r.state, MOVE_DONE);
    r = do_move((struct move_order){.kind = MOVE_VERIFY, .deep = true});
    assert_int_equal(r.found, 0);
    assert_int_equal(world_version(&w, "conv:new"),
                     strtoll(sync_redis_ask(&w.redis, "HGET cvp:ver conv:new")->str, NULL, 10));
    sync_redis_expect(&w.redis, "value-3", "GET conv:3"); /* Redis' state is the one that counts */
    assert_true(world_version(&w, "conv:3") > VERSION + 5);
}

/* A difference that is gone at a later look was a write on its way. */
static void test_verify_looks_again(void **state)
{
    world_fill(&w, 100, VERSION, true, true);
    sync_redis_ask(&w.redis, "HINCRBY cvp:ver conv:5 1");
    order((struct move_order){.kind = MOVE_VERIFY});
    assert_int_equal(run_for(SLICE_MS), ERR_NONE);
    assert_int_equal(report().done, 200);
    assert_int_equal(report().state, MOVE_RUNNING);
    assert_non_null(strstr(report().why, "looks again at 1 keys"));
    world_put(&w, (struct world_doc[]){{"conv:5", "value-5", VERSION + 1, 0, true, false}}, 1);
    struct move_report r = finish();
    expect_done(&r, 200, 0, 0);
}

/* More differences than can be remembered at a time. */
static void test_verify_finds_many(void **state)
{
    world_fill(&w, 6000, VERSION, true, false);
    struct move_report r = do_move((struct move_order){.kind = MOVE_VERIFY});
    expect_done(&r, 6000, 6000, 0);
    assert_true(r.ranges > 900);
}

static void put_object(const char *key, const char *command)
{
    sync_redis_ask(&w.redis, command);
    sync_redis_ask(&w.redis, "HSET cvp:ver %s %lld", key, (long long)VERSION);
    sync_redis_ask(&w.redis, "SADD cvp:dirty %s", key);
}

static void test_verify_deep(void **state)
{
    static const char *const commands[][2] = {
        {"conv:list", "RPUSH conv:list a b c"},      {"conv:hash", "HSET conv:hash f 1 g 2"},
        {"conv:set", "SADD conv:set 3 2 1"},         {"conv:zset", "ZADD conv:zset 0.1 a -0 b inf c"},
        {"conv:stream", "XADD conv:stream 1-1 f v"}, {"conv:string", "SET conv:string x PX 1000000"},
    };
    size_t n = sizeof commands / sizeof *commands;

    for (size_t i = 0; i < n; i++)
        put_object(commands[i][0], commands[i][1]);
    struct move_report r = do_move((struct move_order){.kind = MOVE_DRAIN});
    assert_int_equal(r.state, MOVE_DONE);
    sync_redis_ask(&w.redis, "SADD conv:set zz");
    sync_redis_ask(&w.redis, "SREM conv:set zz"); /* another encoding, another order */
    r = do_move((struct move_order){.kind = MOVE_VERIFY, .deep = true});
    expect_done(&r, 2 * (int64_t)n, 0, 0);
    sync_redis_ask(&w.redis, "LSET conv:list 1 B");
    sync_redis_ask(&w.redis, "HSET conv:hash f 2 g 1");
    sync_redis_ask(&w.redis, "SADD conv:set 4");
    sync_redis_ask(&w.redis, "ZADD conv:zset 0.10000000000000001 a 0.2 b");
    sync_redis_ask(&w.redis, "XDEL conv:stream 1-1");
    sync_redis_ask(&w.redis, "PERSIST conv:string");
    r = do_move((struct move_order){.kind = MOVE_VERIFY});
    expect_done(&r, 2 * (int64_t)n, 0, 0);
    r = do_move((struct move_order){.kind = MOVE_VERIFY, .deep = true});
    expect_done(&r, 2 * (int64_t)n, (int64_t)n, 0);
}

/* Time over on one side, and gone on the other, is the same. */
static void test_verify_expired(void **state)
{
    world_put(&w, (struct world_doc[]){{"conv:late", "x", VERSION, 1000, true, false}}, 1);
    sync_redis_ask(&w.redis, "HSET cvp:ver conv:late 7");
    struct move_report r = do_move((struct move_order){.kind = MOVE_VERIFY});
    expect_done(&r, 1, 0, 0);
}

/* ---- ttl-audit ---- */

static void test_audit(void **state)
{
    world_fill(&w, 10, VERSION, true, true);
    sync_redis_ask(&w.redis, "PEXPIRE conv:3 1000000");
    struct move_report r = do_move((struct move_order){.kind = MOVE_TTL_AUDIT});
    expect_done(&r, 10, 9, 0);
    assert_int_equal(marks(), 0);
    r = do_move((struct move_order){.kind = MOVE_TTL_AUDIT, .repair = true});
    expect_done(&r, 10, 9, 9);
    assert_int_equal(marks(), 9);
    sync_redis_expect(&w.redis, "0", "SISMEMBER cvp:dirty conv:3");
    assert_true(sync_redis_ask(&w.redis, "PTTL conv:4")->integer > 2591000000);
    assert_true(sync_redis_ask(&w.redis, "PTTL conv:3")->integer <= 1000000);
    r = do_move((struct move_order){.kind = MOVE_DRAIN});
    assert_int_equal(world_version(&w, "conv:4"), VERSION + 1);
    r = do_move((struct move_order){.kind = MOVE_VERIFY, .deep = true});
    expect_done(&r, 20, 1, 0); /* whose expiry was set behind the proxy's back */
    assert_string_equal(r.examples, "conv:3");
    r = do_move((struct move_order){.kind = MOVE_TTL_AUDIT});
    expect_done(&r, 10, 0, 0);
}

static void test_audit_needs_a_ttl(void **state)
{
    struct move_report r = do_move((struct move_order){.kind = MOVE_TTL_AUDIT, .policy = "bare"});

    assert_int_equal(r.state, MOVE_FAILED);
    assert_string_equal(r.why, "the policy has no ttl");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_names),
        TEST(test_refused_orders),
        TEST(test_the_same_twice_is_refused),
        TEST(test_what_can_be_resumed),
        TEST(test_the_newest_32_are_kept),
        TEST(test_an_unknown_policy_fails),
        TEST(test_not_where_the_archive_acts),
        TEST(test_held),
        TEST(test_progress_grows_to_one),
        TEST(test_backfill),
        TEST(test_backfill_trusts_no_version),
        TEST(test_backfill_goes_on_after_a_lost_connection),
        TEST(test_backfill_goes_on_after_a_restart),
        TEST(test_drain),
        TEST(test_what_cannot_be_carried),
        TEST(test_abort),
        TEST(test_resume),
        TEST(test_resume_with_suspects),
        TEST(test_interrupted),
        TEST(test_rate),
        TEST(test_verify_rate),
        TEST(test_verify_finds),
        TEST(test_verify_repairs),
        TEST(test_verify_looks_again),
        TEST(test_verify_finds_many),
        TEST(test_verify_deep),
        TEST(test_verify_expired),
        TEST(test_audit),
        TEST(test_audit_needs_a_ttl),
    };

    return cmocka_run_group_tests_name("sync/moves", tests, start, stop);
}
