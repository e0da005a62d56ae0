#include "sync/value.h"

#include "base/clock.h"
#include "engine/list.h"
#include "engine/stream.h"
#include "tests/unit/sync/sync_redis.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <hiredis/hiredis.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SLICE(text) ((struct slice){text, sizeof(text) - 1})
#define KEY         SLICE("k")
#define GROUP       64 /* keys of one transaction */

static struct redis_state read_key(struct slice key)
{
    struct redis_state s;

    if (value_read(sync_link, &key, 1, &sync_arena, &s) != ERR_NONE)
        fail_msg("%s", link_why(sync_link));
    return s;
}

static void restore(struct value_restore *r, size_t n)
{
    if (value_restore(sync_link, r, n) != ERR_NONE)
        fail_msg("%s", link_why(sync_link));
}

static struct object text_object(struct slice key, const char *value)
{
    return (struct object){.key = key,
                           .type = OBJECT_STRING,
                           .encoding = ENC_EMBSTR,
                           .expire_ms = -1,
                           .v.string = {value, strlen(value)}};
}

/* The key "k<i>", which lives as long as the arena. */
static struct slice key_of(size_t i)
{
    char text[24];

    return arena_copy(&sync_arena, (struct slice){text, (size_t)snprintf(text, sizeof text, "k%zu", i)});
}

/* ---- conditions ---- */

static void test_versions_must_fit(void **state)
{
    enum { N = 150 };
    struct object *objects = arena_get(&sync_arena, N * sizeof *objects);
    struct value_restore r[N];

    for (size_t i = 0; i < N;
         i++) { /* every third has another version, every fifth none and none is expected */
        objects[i] = text_object(key_of(i), "new");
        r[i] = (struct value_restore){.object = &objects[i], .expected = i % 5 == 0 ? 0 : 10, .version = 20};
        sync_redis_ask(&sync_redis, "SET k%d old", (int)i);
        if (i % 5 != 0 || i % 3 == 0)
            sync_redis_ask(&sync_redis, "HSET cvp:ver k%d %d", (int)i, i % 3 == 0 ? 11 : 10);
        sync_redis_ask(&sync_redis, "SADD cvp:dirty k%d", (int)i);
    }
    restore(r, N);
    for (size_t i = 0; i < N; i++) {
        struct redis_state s = read_key(objects[i].key);
        bool fits = i % 3 != 0;
        assert_int_equal(r[i].done, fits);
        assert_int_equal(s.version, fits ? 20 : 11);
        assert_memory_equal(s.object.v.string.p, fits ? "new" : "old", 3);
    }
    sync_redis_expect(&sync_redis, "50", "SCARD cvp:dirty");
}

static void test_written_between(void **state)
{
    sync_redis_ask(&sync_redis, "RPUSH k a");
    sync_redis_ask(&sync_redis, "HSET cvp:ver k 5");
    struct redis_state s = read_key(KEY);
    sync_redis_ask(&sync_redis, "RPUSH k b");
    sync_redis_ask(&sync_redis, "HINCRBY cvp:ver k 1");
    struct value_restore r = {.object = &s.object, .expected = s.version, .version = 50};
    restore(&r, 1);
    assert_false(r.done);
    sync_redis_expect(&sync_redis, "[a, b]", "LRANGE k 0 -1");
    sync_redis_expect(&sync_redis, "6", "HGET cvp:ver k");
}

static void test_a_deletion_keeps_its_version(void **state)
{
    struct object o = {.key = KEY, .expire_ms = -1};
    struct value_restore r = {.object = &o, .expected = 5, .version = 9};

    sync_redis_ask(&sync_redis, "SET k v");
    sync_redis_ask(&sync_redis, "HSET cvp:ver k 5");
    sync_redis_ask(&sync_redis, "SADD cvp:dirty k");
    restore(&r, 1);
    assert_true(r.done);
    sync_redis_expect(&sync_redis, "0", "EXISTS k");
    sync_redis_expect(&sync_redis, "9", "HGET cvp:ver k");
    sync_redis_expect(&sync_redis, "0", "EXISTS cvp:dirty");
}

static void test_expired_is_absent(void **state)
{
    struct object o = text_object(KEY, "v");
    struct value_restore r = {.object = &o, .expected = 0, .version = 9};

    o.expire_ms = clock_wall_us() / 1000 - 1000;
    restore(&r, 1);
    assert_true(r.done);
    sync_redis_expect(&sync_redis, "0", "EXISTS k");
    sync_redis_expect(&sync_redis, "9", "HGET cvp:ver k");
}

/* ---- what Redis refuses ---- */

static void test_out_of_memory(void **state)
{
    struct object o = text_object(KEY, "new");
    struct value_restore r = {.object = &o, .expected = 5, .version = 9};

    sync_redis_ask(&sync_redis, "SET k old");
    sync_redis_ask(&sync_redis, "HSET cvp:ver k 5");
    sync_redis_ask(&sync_redis, "CONFIG SET maxmemory 1");
    enum err e = value_restore(sync_link, &r, 1);
    sync_redis_ask(&sync_redis, "CONFIG SET maxmemory 0");
    assert_int_equal(e, ERR_REDISDOWN);
    assert_non_null(strstr(link_why(sync_link), "OOM"));
    assert_false(r.done);
    sync_redis_expect(&sync_redis, "old", "GET k");
    sync_redis_expect(&sync_redis, "5", "HGET cvp:ver k");
}

/* More entries than were ever added: XSETID refuses that in the middle of the block. */
static void test_damaged(void **state)
{
    struct stream *stream = stream_new(&sync_arena);
    struct slice pairs[] = {SLICE("f"), SLICE("v")};
    struct object o[3] = {
        text_object(SLICE("before"), "v"),
        {.key = KEY, .type = OBJECT_STREAM, .encoding = ENC_STREAM, .expire_ms = -1, .v.stream = stream},
        text_object(SLICE("behind"), "v")};
    struct value_restore r[3];

    stream_append(stream, (struct stream_entry){.id = {1, 1}, .pairs = pairs, .npairs = 2});
    stream->last_id = (struct stream_id){1, 1};
    for (int i = 0; i < 3; i++)
        r[i] = (struct value_restore){.object = &o[i], .version = 9};
    restore(r, 3);
    assert_true(r[0].done && !r[0].damaged);
    assert_true(!r[1].done && r[1].damaged);
    assert_true(r[2].done && !r[2].damaged);
    sync_redis_expect(&sync_redis, "0", "EXISTS k");
    sync_redis_expect(&sync_redis, "[9, nil, 9]", "HMGET cvp:ver before k behind");
    stream->entries_added = 1;
    restore(&r[1], 1);
    assert_true(r[1].done && !r[1].damaged);
}

/* ---- other writers at the same time ---- */

struct writer {
    pthread_t thread;
    redisContext *client;
    void (*step)(struct writer *w, int64_t i);
    bool paced; /* one step for each post */
    sem_t posts;
    _Atomic bool over;
    int64_t steps;
};

static void *write_on(void *arg)
{
    struct writer *w = arg;

    for (;;) {
        if (w->paced)
            sem_wait(&w->posts);
        if (w->over)
            return NULL;
        w->step(w, ++w->steps);
    }
}

static void writer_start(struct writer *w)
{
    w->client = sync_redis_connect(&sync_redis);
    assert_non_null(w->client);
    assert_int_equal(sem_init(&w->posts, 0, 0), 0);
    assert_int_equal(pthread_create(&w->thread, NULL, write_on, w), 0);
}

static void writer_stop(struct writer *w)
{
    w->over = true;
    sem_post(&w->posts);
    pthread_join(w->thread, NULL);
    sem_destroy(&w->posts);
    assert_int_equal(w->client->err, 0);
    redisFree(w->client);
}

/* The last of the replies to n commands. */
static void take(struct writer *w, int n)
{
    void *reply;

    while (n-- > 0 && redisGetReply(w->client, &reply) == REDIS_OK)
        freeReplyObject(reply);
}

/* A list and a text by turns, both telling the number that version and session tell, too. */
static void change_type(struct writer *w, int64_t i)
{
    redisAppendCommand(w->client, "MULTI");
    redisAppendCommand(w->client, "DEL k");
    redisAppendCommand(w->client, i % 2 == 0 ? "RPUSH k %lld" : "SET k %lld", (long long)i);
    redisAppendCommand(w->client, "HSET cvp:ver k %lld", (long long)i);
    redisAppendCommand(w->client, "HSET cvp:sess w-1 %lld", (long long)i);
    redisAppendCommand(w->client, "EXEC");
    take(w, 6);
}

static void check_state(const struct redis_state *s)
{
    char want[24];
    int n = snprintf(want, sizeof want, "%lld", (long long)s->version);

    assert_null(s->bad);
    assert_int_equal(s->nsessions, 1);
    if (s->torn) {
        assert_int_equal(s->version, -1);
        return;
    }
    assert_int_equal(s->sessions[0].seq, s->version);
    assert_int_equal(s->object.type, s->version % 2 == 0 ? OBJECT_LIST : OBJECT_STRING);
    struct slice value = s->version % 2 == 0 ? *list_at(s->object.v.list, 0) : s->object.v.string;
    assert_int_equal(value.len, n);
    assert_memory_equal(value.p, want, (size_t)n);
}

static void test_states_are_of_one_moment(void **state)
{
    enum { N = 100, ENOUGH = 200, ROUNDS = 20000 };
    struct writer w = {.step = change_type};
    struct slice keys[N];
    struct redis_state s[N];
    int torn = 0, whole = 0;

    change_type(&(struct writer){.client = sync_redis.client}, 1);
    for (int i = 0; i < N; i++)
        keys[i] = KEY; /* the same one, so that there is time between its TYPE and the rest */
    w.steps = 1;
    writer_start(&w);
    for (int round = 0; round < ROUNDS && (torn < ENOUGH || whole < ENOUGH); round++) {
        assert_int_equal(value_read(sync_link, keys, N, &sync_arena, s), ERR_NONE);
        for (int i = 0; i < N; i++) {
            check_state(&s[i]);
            torn += s[i].torn;
            whole += !s[i].torn;
        }
        arena_reset(&sync_arena);
    }
    writer_stop(&w);
    print_message("%d whole, %d torn\n", whole, torn);
    assert_true(torn >= ENOUGH && whole >= ENOUGH);
}

static void append(struct writer *w, int64_t i)
{
    redisAppendCommand(w->client, "MULTI");
    redisAppendCommand(w->client, "RPUSH k0 %lld", (long long)i);
    redisAppendCommand(w->client, "HINCRBY cvp:ver k0 1");
    redisAppendCommand(w->client, "EXEC");
    take(w, 4);
}

/* All of the writer's elements, and those that a restore has added, each once and in order. */
static void check_list(int64_t written, int64_t restored)
{
    const redisReply *r = sync_redis_ask(&sync_redis, "LRANGE k0 0 -1");
    int64_t next_written = 1, next_restored = -1;

    for (size_t i = 0; i < r->elements; i++) {
        int64_t value = strtoll(r->element[i]->str, NULL, 10);
        int64_t *next = value > 0 ? &next_written : &next_restored;
        assert_int_equal(value, *next);
        *next += value > 0 ? 1 : -1;
    }
    assert_int_equal(next_written, written + 1);
    assert_int_equal(next_restored, -restored - 1);
}

/* A group of 64: k0, to which the writer appends meanwhile, and others, which nobody writes. */
static void round_of_restores(struct writer *w, int round, int64_t number, bool *ret_done)
{
    struct object texts[GROUP];
    struct value_restore r[GROUP];
    struct slice keys[GROUP];
    int64_t versions[GROUP];
    char element[24];

    for (size_t i = 0; i < GROUP; i++) {
        keys[i] = key_of(i);
        texts[i] = text_object(keys[i], "v");
    }
    assert_int_equal(value_versions(sync_link, keys, GROUP, versions), ERR_NONE);
    if (round % 4 == 1)
        sem_post(&w->posts);
    struct redis_state hot = read_key(keys[0]);
    struct slice next = {element, (size_t)snprintf(element, sizeof element, "%lld", -(long long)number)};
    list_push(list_make(&sync_arena, &hot.object), next, false);
    for (size_t i = 0; i < GROUP; i++)
        r[i] =
            (struct value_restore){.object = &texts[i], .expected = versions[i], .version = versions[i] + 1};
    r[0] = (struct value_restore){.object = &hot.object, .expected = hot.version, .version = hot.version + 1};
    if (round % 4 == 2)
        sem_post(&w->posts);
    restore(r, GROUP);
    for (size_t i = 1; i < GROUP; i++)
        assert_true(r[i].done);
    *ret_done = r[0].done;
}

static void test_no_write_is_lost(void **state)
{
    enum { ENOUGH = 100, ROUNDS = 20000 };
    struct writer w = {.step = append, .paced = true};
    int64_t restored = 0, refused = 0;

    writer_start(&w);
    for (int i = 0; i < ROUNDS && (restored < ENOUGH || refused < ENOUGH); i++) {
        bool done;
        round_of_restores(&w, i, restored + 1, &done);
        restored += done;
        refused += !done;
        arena_reset(&sync_arena);
    }
    writer_stop(&w);
    print_message("%lld written, %lld restored, %lld refused\n", (long long)w.steps, (long long)restored,
                  (long long)refused);
    assert_true(restored >= ENOUGH && refused >= ENOUGH);
    check_list(w.steps, restored);
}

/* ---- how fast ---- */

static double seconds_since(int64_t us)
{
    return (double)(clock_mono_us() - us) / 1e6;
}

static void test_rate(void **state)
{
    enum { N = 10000, MESSAGES = 6, SIZE = 120 };
    struct object *objects = arena_get(&sync_arena, N * sizeof *objects);
    struct value_restore *r = arena_get(&sync_arena, N * sizeof *r);
    struct slice *keys = arena_get(&sync_arena, N * sizeof *keys);
    struct redis_state *states = arena_get(&sync_arena, N * sizeof *states);
    char message[SIZE];

    memset(message, 'm', sizeof message);
    for (size_t i = 0; i < N; i++) {
        struct list *list = list_new(&sync_arena, MESSAGES);
        for (int m = 0; m < MESSAGES; m++)
            list_push(list, (struct slice){message, sizeof message}, false);
        keys[i] = key_of(i);
        objects[i] =
            (struct object){.key = keys[i], .type = OBJECT_LIST, .encoding = ENC_QUICKLIST, .v.list = list};
        objects[i].expire_ms = clock_wall_us() / 1000 + 3600000;
        r[i] = (struct value_restore){.object = &objects[i], .version = 9};
    }
    int64_t begun = clock_mono_us();
    restore(r, N);
    double restoring = seconds_since(begun);
    begun = clock_mono_us();
    assert_int_equal(value_read(sync_link, keys, N, &sync_arena, states), ERR_NONE);
    double reading = seconds_since(begun);
    print_message("%.0f conversations restored a second, %.0f read\n", N / restoring, N / reading);
    for (size_t i = 0; i < N; i++) {
        assert_true(r[i].done);
        assert_int_equal(states[i].version, 9);
        assert_int_equal(states[i].object.expire_ms, objects[i].expire_ms);
        assert_int_equal(states[i].object.v.list->count, MESSAGES);
    }
}

/* Groups end at 4 MB, and a larger value is a group of its own. */
static void test_large_values(void **state)
{
    enum { N = 5, SIZE = 3 << 20 };
    char *bytes = arena_get(&sync_arena, 2 * SIZE);
    struct object o[N];
    struct value_restore r[N];

    memset(bytes, 'x', 2 * SIZE);
    for (size_t i = 0; i < N; i++) {
        o[i] = text_object(key_of(i), "");
        o[i].v.string = (struct slice){bytes, i == 2 ? 2 * SIZE : SIZE};
        r[i] = (struct value_restore){.object = &o[i], .version = 9};
    }
    restore(r, N);
    for (size_t i = 0; i < N; i++) {
        assert_true(r[i].done);
        const redisReply *length = sync_redis_ask(&sync_redis, "STRLEN k%d", (int)i);
        assert_int_equal(length->integer, o[i].v.string.len);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_versions_must_fit, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_written_between, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_a_deletion_keeps_its_version, sync_redis_set_up,
                                        sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_expired_is_absent, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_out_of_memory, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_states_are_of_one_moment, sync_redis_set_up,
                                        sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_no_write_is_lost, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_rate, sync_redis_set_up, sync_redis_tear_down),
        cmocka_unit_test_setup_teardown(test_large_values, sync_redis_set_up, sync_redis_tear_down),
    };
    if (sync_redis_missing())
        return SYNC_REDIS_SKIPPED;
    return cmocka_run_group_tests(tests, sync_redis_up, sync_redis_down);
}
