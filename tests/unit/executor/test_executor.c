/* The executor as a whole, with ops that repeat what Redis has done: how they wait, and what is counted of them. */
#include "executor/executor.h"

#include "backends/trace/trace.h"
#include "base/version.h"
#include "config/config.h"
#include "tests/unit/executor/run_world.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define V(n) version_make(WORLD_EPOCH, 1000 + (n))

/* The world's archive is the executor's; its own run is not used. */
struct house {
    struct world *w;
    struct executor *executor;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t done;
    bool up;
};

static void on_done(void *ctx, struct op *own_list)
{
    struct house *h = ctx;

    pthread_mutex_lock(&h->lock);
    for (; own_list != NULL; own_list = own_list->next)
        h->done++;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void on_health(void *ctx, bool up, const char *why)
{
    struct house *h = ctx;

    pthread_mutex_lock(&h->lock);
    h->up = up;
    pthread_cond_broadcast(&h->changed);
    pthread_mutex_unlock(&h->lock);
}

static void wait_done(struct house *h, size_t n)
{
    pthread_mutex_lock(&h->lock);
    while (h->done < n)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static void wait_health(struct house *h, bool up)
{
    pthread_mutex_lock(&h->lock);
    while (h->up != up)
        pthread_cond_wait(&h->changed, &h->lock);
    pthread_mutex_unlock(&h->lock);
}

static int house_setup(void **state)
{
    const char *const sets[] = {"archive.queue=100", "archive.timeout=60s"};
    struct config *config = config_new();
    struct config_error error;
    struct house *h = calloc(1, sizeof *h);
    struct executor_ops ops = {.done = on_done, .health = on_health, .ctx = h};

    if (config_load(config, &(struct config_start){.sets = sets, .set_count = 2}, &error) != ERR_NONE ||
        world_setup((void **)&h->w) != 0)
        return -1;
    const struct settings *settings = config_current(config);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->changed, NULL);
    h->up = true;
    h->executor = executor_new(h->w->archive, settings, &ops);
    settings_unref(settings);
    config_free(config);
    *state = h;
    return 0;
}

static int house_teardown(void **state)
{
    struct house *h = *state;

    trace_release(h->w->archive);
    world_detach(h->w);
    executor_free(h->executor);
    h->w->archive = NULL;
    int e = world_teardown((void **)&h->w);
    pthread_cond_destroy(&h->changed);
    pthread_mutex_destroy(&h->lock);
    free(h);
    return e;
}

static struct executor_report report(struct house *h)
{
    struct executor_report r;
    executor_report(h->executor, &r);
    return r;
}

static struct op *copy_of(struct house *h, int64_t seq, int64_t copied, bool fresh, const char *lines)
{
    struct op *op = world_copy(h->w, "redis", seq, copied, lines);
    op->keys[0].fresh = fresh;
    return op;
}

static void test_counts(void **state)
{
    struct house *h = *state;

    assert_int_equal(executor_copies(h->executor), 0);
    executor_submit(h->executor, copy_of(h, 1, V(1), true, "RPUSH k a"));
    executor_submit(h->executor, copy_of(h, 2, V(2), false, "RPUSH k b"));
    struct op *refused = copy_of(h, 4, V(4), false, "RPUSH k d");
    executor_submit(h->executor, refused);
    executor_submit(h->executor, world_op(h->w, "RPUSH other a"));
    wait_done(h, 4);
    assert_int_equal(executor_copies(h->executor), 0);
    assert_int_equal(refused->error, ERR_RACE);
    struct executor_report r = report(h);
    assert_int_equal(r.copied, 2);
    assert_int_equal(r.copies_refused, 1);
    assert_int_equal(r.copies_failed, 0);
    assert_int_equal(r.failed, 0);
    assert_int_equal(world_stored(h->w, "k").version, V(2));
}

/* A queue that is full refuses clients, but not what Redis has done already. */
static void test_no_queue_is_too_long(void **state)
{
    enum { N = 110 };
    struct house *h = *state;

    world_plan(h->w, "op=load hang");
    for (int i = 0; i < N; i++)
        executor_submit(h->executor, copy_of(h, i + 1, V(i + 1), i == 0, "RPUSH k a"));
    struct op *late = world_op(h->w, "RPUSH other a");
    executor_submit(h->executor, late);
    wait_done(h, 1);
    assert_int_equal(late->error, ERR_ARCHIVEBUSY);
    assert_int_equal(executor_copies(h->executor), N);
    assert_int_equal(report(h).copying, N);
    world_plan(h->w, "");
    wait_done(h, N + 1);
    assert_int_equal(executor_copies(h->executor), 0);
    assert_int_equal(report(h).copied, N);
    assert_int_equal(world_stored(h->w, "k").version, V(N));
}

/* At once, and without asking it. */
static void test_an_archive_that_is_down(void **state)
{
    struct house *h = *state;

    world_plan(h->w, "op=ping fail=100% error=down; op=load fail=100% error=down");
    struct op *first = copy_of(h, 1, V(1), true, "RPUSH k a");
    executor_submit(h->executor, first);
    wait_done(h, 1);
    assert_int_equal(first->error, ERR_ARCHIVEDOWN);
    wait_health(h, false);
    world_plan(h->w, "op=ping fail=100% error=down; op=load hang");
    struct op *second = copy_of(h, 1, V(1), true, "RPUSH k a");
    executor_submit(h->executor, second);
    assert_int_equal(h->done, 2);
    assert_int_equal(second->error, ERR_ARCHIVEDOWN);
    assert_int_equal(report(h).copies_failed, 2);
    assert_int_equal(executor_copies(h->executor), 0);
    world_plan(h->w, "");
    wait_health(h, true);
    executor_submit(h->executor, copy_of(h, 1, V(1), true, "RPUSH k a"));
    wait_done(h, 3);
    assert_int_equal(world_stored(h->w, "k").version, V(1));
}

/* Who waits for a key is served by what Redis has put there. */
static void test_a_copy_wakes(void **state)
{
    struct house *h = *state;
    struct op *waits = world_op(h->w, "BLPOP k 0");

    executor_submit(h->executor, waits);
    while (report(h).parked == 0)
        ;
    executor_submit(h->executor, copy_of(h, 1, V(1), true, "RPUSH k a"));
    wait_done(h, 2);
    assert_memory_equal(waits->reply, "*2\r\n$1\r\nk\r\n$1\r\na\r\n", 18);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, house_setup, house_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_counts),
        TEST(test_no_queue_is_too_long),
        TEST(test_an_archive_that_is_down),
        TEST(test_a_copy_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
