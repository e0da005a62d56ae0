/* The archive that wraps another: what each fault does, counts, and the contract, which holds around SQLite too. */
#include "backends/trace/trace.h"

#include "base/clock.h"
#include "base/log.h"
#include "tests/unit/backends/archive_suite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[64];

static struct archive *open_named(const char *name)
{
    char url[128], why[200] = "";

    snprintf(url, sizeof url, "sqlite:%s/%s.db", dir, name);
    struct archive *a = trace_wrap(
        archive_open(&(struct archive_options){.url = url, .workers = 9, .timeout = 20000}, why, sizeof why));
    if (a == NULL)
        print_error("%s\n", why);
    assert_non_null(a);
    return a;
}

/* ---- faults on an archive ---- */

static int world_begin(void **state)
{
    static struct archive_world w;

    w.archive = open_named("faults");
    w.h = archive_attach(w.archive);
    arena_init(&w.arena);
    assert_int_equal(archive_clear(w.h), ERR_NONE);
    *state = &w;
    return 0;
}

static int world_end(void **state)
{
    struct archive_world *w = *state;

    archive_detach(w->h);
    archive_close(w->archive);
    arena_done(&w->arena);
    return 0;
}

static void plan(struct archive_world *w, const char *text)
{
    char why[200] = "";

    if (!trace_set_plan(w->archive, text, why, sizeof why))
        fail_msg("'%s': %s", text, why);
}

static void expect_plan(struct archive_world *w, const char *text)
{
    char buf[256];

    trace_plan(w->archive, buf, sizeof buf);
    assert_string_equal(buf, text);
}

static void ignore_entry(void *ctx, const struct archive_entry *e)
{
    ++*(size_t *)ctx;
}

static enum err control_set(struct archive_handle *h)
{
    bson_t doc = BSON_INITIALIZER;
    enum err e = archive_control_set(h, "lease", 0, 1, &doc);

    bson_destroy(&doc);
    return e;
}

/* Each operation once. */
static enum err call(struct archive_world *w, enum trace_op op)
{
    struct slice key = archive_text("none");
    struct archive_found found;
    struct archive_stats stats;
    size_t n = 0;

    switch (op) {
    case TRACE_LOAD:
        return archive_load(w->h, &key, 1, &w->arena, &found);
    case TRACE_COMMIT:
        return archive_put(w, archive_text("k"), 0, 1, "v");
    case TRACE_SCAN:
        return archive_scan(w->h, ARCHIVE_ALL, 0, 10, ignore_entry, &n);
    case TRACE_SWEEP:
        return archive_sweep(w->h, 1, 10, &n);
    case TRACE_CONTROL_GET:
        return archive_control_get(w->h, "lease", &w->arena, &found);
    case TRACE_CONTROL_SET:
        return control_set(w->h);
    case TRACE_CLEAR:
        return archive_clear(w->h);
    case TRACE_STATS:
        return archive_stats(w->h, &stats);
    case TRACE_PING:
        return archive_ping(w->h);
    case TRACE_OPS:
        break;
    }
    fail();
    return ERR_NONE;
}

/* Of each operation, when it alone is to fail and when all are; others go on. */
static void test_down_and_bad(void **state)
{
    struct archive_world *w = *state;

    for (int op = 0; op < TRACE_OPS; op++) {
        char text[80];
        snprintf(text, sizeof text, "op=%s fail=1 error=down; op=all fail=1 error=bad", trace_op_name(op));
        plan(w, text);
        assert_int_equal(call(w, op), ERR_ARCHIVEDOWN);
        assert_string_equal(archive_why(w->h), "by the plan of faults: down");
        assert_int_equal(call(w, op == TRACE_PING ? TRACE_LOAD : TRACE_PING), ERR_ARCHIVEBAD);
        assert_string_equal(archive_why(w->h), "by the plan of faults: bad");
        snprintf(text, sizeof text, "op=%s fail=0 error=down; op=all fail=0 error=bad", trace_op_name(op));
        expect_plan(w, text);
        assert_int_equal(archive_ping(w->h), ERR_NONE);
    }
}

static void test_lost_before(void **state)
{
    struct archive_world *w = *state;

    plan(w, "op=commit fail=1 error=lost-before");
    assert_int_equal(archive_put(w, archive_text("k"), 0, 1, "v"), ERR_ARCHIVELOST);
    archive_expect(w, archive_text("k"), 0, NULL);
    assert_int_equal(archive_put(w, archive_text("k"), 0, 1, "v"), ERR_NONE);
    archive_expect(w, archive_text("k"), 1, "v");
}

static void test_lost_after(void **state)
{
    struct archive_world *w = *state;
    size_t swept = 99;

    plan(w, "op=commit fail=1 error=lost-after; op=sweep fail=1 error=lost-after; op=clear fail=1 "
            "error=lost-after");
    assert_int_equal(archive_put(w, archive_text("k"), 0, 1, "v"), ERR_ARCHIVELOST);
    assert_string_equal(archive_why(w->h), "by the plan of faults: lost-after");
    archive_expect(w, archive_text("k"), 1, "v");
    struct archive_entry e = archive_entry_of(archive_text("old"), 1);
    e.expire_ms = 5;
    assert_int_equal(archive_put_entry(w->h, &e, 0, "v"), ERR_NONE);
    assert_int_equal(archive_sweep(w->h, 10, 10, &swept), ERR_ARCHIVELOST);
    assert_int_equal(swept, 99);
    archive_expect(w, archive_text("old"), 0, NULL);
    assert_int_equal(archive_clear(w->h), ERR_ARCHIVELOST);
    archive_expect(w, archive_text("k"), 0, NULL);
}

static void test_race(void **state)
{
    struct archive_world *w = *state;

    plan(w, "op=commit fail=2 error=race");
    for (int i = 0; i < 2; i++)
        assert_int_equal(archive_put(w, archive_text("k"), 0, 1, "v"), ERR_RACE);
    archive_expect(w, archive_text("k"), 0, NULL);
    plan(w, "");
    assert_int_equal(archive_put(w, archive_text("k"), 0, 1, "v"), ERR_NONE);
    /* A real one keeps what the archive says about it. */
    assert_int_equal(archive_put(w, archive_text("k"), 0, 2, "w"), ERR_RACE);
    assert_null(strstr(archive_why(w->h), "plan of faults"));
    assert_true(archive_why(w->h)[0] != '\0');
}

static void test_delay(void **state)
{
    struct archive_world *w = *state;

    plan(w, "op=ping delay=60ms");
    int64_t from = clock_mono_us();
    assert_int_equal(archive_ping(w->h), ERR_NONE);
    int64_t us = clock_mono_us() - from;
    assert_in_range(us, 60000, 2000000);
    plan(w, "op=ping delay=60ms; op=all delay=20..30ms fail=1 error=down");
    from = clock_mono_us();
    assert_int_equal(archive_ping(w->h), ERR_ARCHIVEDOWN);
    us = clock_mono_us() - from;
    assert_in_range(us, 80000, 2000000);
}

static void *ping(void *arg)
{
    struct archive_handle *h = archive_attach(arg);
    enum err e = archive_ping(h);

    archive_detach(h);
    return (void *)(uintptr_t)e;
}

static uint64_t calls(struct archive *a, enum trace_op op)
{
    static struct trace_stat stat;

    memset(&stat, 0, sizeof stat);
    trace_stats(a, op, &stat);
    return stat.us.count;
}

/* Neither a hang nor a long delay outlives the plan; a new plan does not touch a call twice. */
static void expect_released(struct archive_world *w, const char *text,
                            void (*release)(struct archive_world *w))
{
    uint64_t before = calls(w->archive, TRACE_PING);
    pthread_t thread;
    void *e;

    plan(w, text);
    int64_t from = clock_mono_us();
    assert_int_equal(pthread_create(&thread, NULL, ping, w->archive), 0);
    usleep(50000);
    assert_int_equal(calls(w->archive, TRACE_PING), before);
    release(w);
    pthread_join(thread, &e);
    assert_int_equal((uintptr_t)e, ERR_NONE);
    assert_true(clock_mono_us() - from < 10000000);
    assert_int_equal(calls(w->archive, TRACE_PING), before + 1);
}

static void by_plan(struct archive_world *w)
{
    plan(w, "op=load log");
}

static void by_release(struct archive_world *w)
{
    trace_release(w->archive);
}

static void test_hang(void **state)
{
    expect_released(*state, "op=ping hang", by_plan);
}

static void test_delay_is_released(void **state)
{
    expect_released(*state, "op=ping delay=600000ms", by_plan);
}

static void test_release(void **state)
{
    struct archive_world *w = *state;
    char why[100] = "";

    expect_released(w, "op=ping hang; op=load hang", by_release);
    assert_false(trace_set_plan(w->archive, "op=ping hang", why, sizeof why));
    assert_string_equal(why, "the archive is being closed");
    expect_plan(w, "");
    assert_int_equal(call(w, TRACE_LOAD), ERR_NONE);
}

static void test_bad_plan_changes_nothing(void **state)
{
    struct archive_world *w = *state;
    char why[100] = "";

    plan(w, "op=ping fail=2 error=down");
    assert_false(trace_set_plan(w->archive, "op=ping", why, sizeof why));
    assert_int_equal(archive_ping(w->h), ERR_ARCHIVEDOWN);
    expect_plan(w, "op=ping fail=1 error=down");
}

static void test_counts(void **state)
{
    struct archive_world *w = *state;
    static struct trace_stat stat;

    assert_string_equal(archive_kind(w->archive), "sqlite");
    plan(w, "op=commit delay=5ms fail=1 error=lost-after; op=commit fail=1 error=down");
    assert_int_equal(call(w, TRACE_COMMIT), ERR_ARCHIVELOST);
    assert_int_equal(call(w, TRACE_COMMIT), ERR_ARCHIVEDOWN);
    assert_int_equal(call(w, TRACE_COMMIT), ERR_RACE);
    assert_int_equal(archive_put(w, archive_text("k"), 1, 2, "w"), ERR_NONE);
    for (int again = 0; again < 2; again++) {
        memset(&stat, 0, sizeof stat);
        trace_stats(w->archive, TRACE_COMMIT, &stat);
        assert_int_equal(stat.us.count, 4);
        assert_in_range(stat.us.sum, 20000, 4000000);
        assert_true(hist_quantile(&stat.us, 0) >= 4500);
        assert_int_equal(stat.errors[ERR_NONE], 1);
        assert_int_equal(stat.errors[ERR_ARCHIVELOST], 1);
        assert_int_equal(stat.errors[ERR_ARCHIVEDOWN], 1);
        assert_int_equal(stat.errors[ERR_RACE], 1);
        /* What a handle counted stays when it goes. */
        archive_detach(w->h);
        w->h = archive_attach(w->archive);
    }
    assert_int_equal(calls(w->archive, TRACE_SWEEP), 0);
}

static void test_log(void **state)
{
    struct archive_world *w = *state;
    char text[4096] = "";
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    log_setup(LOG_INFO, LOG_LOGFMT, fds[1]);
    plan(w, "op=all log; op=control_set fail=1 error=bad");
    assert_int_equal(archive_put(w, archive_text("conv:1"), 0, 1, "v"), ERR_NONE);
    assert_int_equal(call(w, TRACE_CONTROL_SET), ERR_ARCHIVEBAD);
    plan(w, "");
    assert_int_equal(archive_ping(w->h), ERR_NONE);
    log_setup(LOG_INFO, LOG_LOGFMT, STDERR_FILENO);
    close(fds[1]);
    assert_true(read(fds[0], text, sizeof text - 1) > 0);
    close(fds[0]);
    assert_non_null(strstr(text, "event=archive_call op=commit keys=conv:1 us="));
    assert_non_null(strstr(text, " error=none"));
    assert_non_null(strstr(text, "event=archive_call op=control_set name=lease us="));
    assert_non_null(strstr(text, "error=archivebad"));
    assert_null(strstr(text, "op=ping"));
}

/* ---- threads ---- */

#define WORKERS 4
#define CALLS   150

struct worker {
    struct archive *archive;
    unsigned at;
    uint64_t told[ERR_COUNT];
};

static _Atomic bool workers_run;

static void *work(void *arg)
{
    struct worker *worker = arg;
    struct archive_handle *h = archive_attach(worker->archive);
    char name[16];

    snprintf(name, sizeof name, "w%u", worker->at);
    struct archive_entry e = archive_entry_of(archive_text(name), 1);
    int64_t expected = 0;
    for (int i = 0; i < CALLS; i++) {
        e.version = expected + 1;
        enum err told = archive_put_entry(h, &e, expected, "v");
        worker->told[told]++;
        /* Lost by lost-before and lost-after alike: the next race says which. */
        if (told == ERR_NONE || told == ERR_ARCHIVELOST)
            expected = e.version;
        if (told == ERR_RACE)
            expected = expected > 0 ? expected - 1 : 0;
    }
    archive_detach(h);
    return NULL;
}

static void *change_plans(void *arg)
{
    static const char *const plans[] = {"op=commit fail=20% error=lost-before delay=0..1ms; seed=3",
                                        "op=commit fail=20% error=lost-after", "op=commit hang",
                                        "op=all fail=5 error=down", ""};
    struct archive *a = arg;
    char buf[256];

    for (size_t i = 0; atomic_load(&workers_run); i = (i + 1) % (sizeof plans / sizeof *plans)) {
        if (!trace_set_plan(a, plans[i], buf, sizeof buf))
            return buf[0] != '\0' ? (void *)1 : NULL;
        trace_plan(a, buf, sizeof buf);
        calls(a, TRACE_COMMIT);
        usleep(2000);
    }
    return trace_set_plan(a, "", buf, sizeof buf) ? NULL : (void *)1;
}

/* Plans change, counts are read and handles come and go while workers run; at the end every answer was counted. */
static void test_threads(void **state)
{
    struct archive_world *w = *state;
    struct worker workers[WORKERS] = {0};
    pthread_t threads[WORKERS], changer;
    struct trace_stat *stat = calloc(1, sizeof *stat);
    uint64_t told[ERR_COUNT] = {0};
    void *bad;

    atomic_store(&workers_run, true);
    assert_int_equal(pthread_create(&changer, NULL, change_plans, w->archive), 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.archive = w->archive, .at = i};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        for (int e = 0; e < ERR_COUNT; e++)
            told[e] += workers[i].told[e];
    }
    atomic_store(&workers_run, false);
    pthread_join(changer, &bad);
    assert_null(bad);
    trace_stats(w->archive, TRACE_COMMIT, stat);
    assert_int_equal(stat->us.count, WORKERS * CALLS);
    assert_memory_equal(stat->errors, told, sizeof told);
    assert_true(told[ERR_NONE] > 0 && told[ERR_ARCHIVELOST] > 0 && told[ERR_ARCHIVEDOWN] > 0);
    free(stat);
}

/* ---- all of it ---- */

static struct archive *open_suite(void)
{
    return open_named("suite");
}

static const struct archive_suite suite = {
    .name = "trace around sqlite",
    .open = open_suite,
    .documents = 100,
    .large_bytes = 1u << 20,
    .key_bytes = 60000,
    .threads = 4,
    .increments = 50,
    .consistent_loads = true,
};

#define IN_WORLD(test) cmocka_unit_test_setup_teardown(test, world_begin, world_end)

static int run_own_tests(void)
{
    const struct CMUnitTest tests[] = {
        IN_WORLD(test_down_and_bad),
        IN_WORLD(test_lost_before),
        IN_WORLD(test_lost_after),
        IN_WORLD(test_race),
        IN_WORLD(test_delay),
        IN_WORLD(test_hang),
        IN_WORLD(test_delay_is_released),
        IN_WORLD(test_release),
        IN_WORLD(test_bad_plan_changes_nothing),
        IN_WORLD(test_counts),
        IN_WORLD(test_log),
        IN_WORLD(test_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(void)
{
    char command[128];

    snprintf(dir, sizeof dir, "/tmp/test_archive_trace.XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    int failed = run_own_tests() + archive_suite_run(&suite);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command) != 0 ? 1 : failed;
}
