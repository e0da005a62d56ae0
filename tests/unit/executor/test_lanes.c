/* The order of ops: by examples, and against a model in random schedules (CONV_SEED repeats one). */
#include "executor/lanes.h"

#include "base/chain.h"
#include "resp/build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define WORDS 12

/* A request of words, separated by blanks. */
static struct op *op_of(const char *text)
{
    struct chunk_pool pool;
    struct chain chain;
    struct slice argv[WORDS];
    size_t n = 0;

    chunk_pool_init(&pool);
    chain_init(&chain, &pool);
    for (const char *p = text; *p != '\0'; p += strcspn(p, " "), p += *p == ' ')
        argv[n++] = (struct slice){p, strcspn(p, " ")};
    build_request(&chain, argv, n);
    struct op *op = op_new(OP_ONE, RESP2, chain_flat(&chain));
    op_may_block(op);
    chain_clear(&chain);
    chunk_pool_done(&pool);
    return op;
}

static struct op *enter(struct lanes *l, const char *text)
{
    struct op *op = op_of(text);
    lanes_enter(l, op);
    return op;
}

static void changes(struct op *op, bool changed)
{
    op->changed = changed;
    for (size_t i = 0; i < op->nkeys; i++)
        op->keys[i].changed = changed;
}

static void leave(struct lanes *l, struct op *op, bool changed)
{
    changes(op, changed);
    lanes_leave(l, op);
    op_free(op);
}

/* Takes one batch and says that it is what is expected; NULL ends the list. */
static void take(struct lanes *l, bool only_reads, size_t max, struct op *first, ...)
{
    struct op_list batch;
    struct op *op;
    va_list rest;

    op_list_init(&batch);
    lanes_take(l, only_reads, max, &batch);
    va_start(rest, first);
    for (struct op *expected = first; expected != NULL; expected = va_arg(rest, struct op *)) {
        op = op_list_pop(&batch);
        assert_ptr_equal(op, expected);
        assert_int_equal(op->state, OP_RUNNING);
    }
    va_end(rest);
    assert_null(op_list_pop(&batch));
}

static void nothing_left(struct lanes *l)
{
    assert_int_equal(l->count, 0);
    assert_int_equal(l->waiting, 0);
    assert_int_equal(l->reads.count + l->writes.count + l->parked.count, 0);
    lanes_done(l);
}

/* ---- examples ---- */

static void test_one_after_the_other(void **state)
{
    struct lanes l;
    lanes_init(&l);
    struct op *a = enter(&l, "MSET x 1 y 1"), *b = enter(&l, "MSET y 2 z 2"), *c = enter(&l, "SET z 3"),
              *d = enter(&l, "SET w 4");

    assert_int_equal(a->state, OP_READY);
    assert_int_equal(b->state, OP_WAITING);
    assert_int_equal(c->state, OP_WAITING);
    assert_int_equal(d->state, OP_READY);
    take(&l, false, 9, a, NULL);
    leave(&l, a, true);
    assert_int_equal(b->state, OP_READY);
    take(&l, false, 9, d, NULL);
    take(&l, false, 9, b, NULL);
    assert_int_equal(c->state, OP_WAITING);
    leave(&l, b, true);
    take(&l, false, 9, c, NULL);
    leave(&l, c, true);
    leave(&l, d, true);
    nothing_left(&l);
}

static void test_a_batch_is_one_lane(void **state)
{
    struct lanes l;
    lanes_init(&l);
    struct op *a = enter(&l, "SET x 1"), *b = enter(&l, "GET x"), *c = enter(&l, "SET x 2"),
              *d = enter(&l, "MSET x 3 y 3"), *e = enter(&l, "GET x");

    take(&l, false, 2, a, b, NULL);
    leave(&l, a, true);
    leave(&l, b, false);
    take(&l, false, 9, c, NULL); /* d has two keys */
    leave(&l, c, true);
    take(&l, false, 9, d, NULL);
    leave(&l, d, true);
    take(&l, true, 9, e, NULL);
    leave(&l, e, false);
    nothing_left(&l);
}

static void test_reads_alone(void **state)
{
    struct lanes l;
    lanes_init(&l);
    struct op *w = enter(&l, "SET y 1"), *a = enter(&l, "GET x"), *b = enter(&l, "GET x"),
              *c = enter(&l, "SET x 1");

    assert_int_equal(l.reads.count, 1);
    take(&l, true, 9, a, b, NULL);
    take(&l, false, 9, w, NULL);
    leave(&l, a, false);
    leave(&l, b, false);
    take(&l, false, 9, c, NULL);
    leave(&l, c, true);
    leave(&l, w, true);
    nothing_left(&l);
}

static void test_without_keys(void **state)
{
    struct lanes l;
    lanes_init(&l);
    struct op *a = enter(&l, "DBSIZE");
    take(&l, true, 9, a, NULL);
    leave(&l, a, false);
    nothing_left(&l);
}

static void test_woken_in_order_of_arrival(void **state)
{
    struct lanes l;
    lanes_init(&l);
    struct op *a = enter(&l, "BLPOP x 0"), *b = enter(&l, "BLPOP y x 0");

    take(&l, false, 9, a, NULL);
    lanes_park(&l, a);
    take(&l, false, 9, b, NULL);
    lanes_park(&l, b);
    assert_int_equal(l.parked.count, 2);
    struct op *push = enter(&l, "RPUSH x 1 2"), *late = enter(&l, "LPOP x");
    take(&l, false, 9, push, NULL); /* late does not follow: somebody may be woken first */
    leave(&l, push, true);
    assert_int_equal(l.parked.count, 0);
    assert_int_equal(a->woken_by.len, 1);
    assert_int_equal(b->woken_by.p[0], 'x');
    take(&l, false, 9, a, NULL);
    leave(&l, a, true);
    take(&l, false, 9, b, NULL);
    leave(&l, b, true);
    take(&l, false, 9, late, NULL);
    leave(&l, late, false);
    nothing_left(&l);
}

static void test_a_key_that_did_not_change_wakes_nobody(void **state)
{
    struct lanes l;
    lanes_init(&l);
    struct op *a = enter(&l, "BLPOP x 0"), *b = enter(&l, "BLPOP y 0");

    take(&l, false, 9, a, NULL);
    lanes_park(&l, a);
    take(&l, false, 9, b, NULL);
    lanes_park(&l, b);
    struct op *move = enter(&l, "LMOVE x y LEFT LEFT");
    take(&l, false, 9, move, NULL);
    move->changed = true;
    for (size_t i = 0; i < move->nkeys; i++)
        move->keys[i].changed = move->keys[i].key.p[0] == 'y';
    lanes_leave(&l, move);
    op_free(move);
    assert_int_equal(a->state, OP_PARKED);
    assert_int_equal(b->state, OP_READY);
    lanes_withdraw(&l, a);
    lanes_withdraw(&l, b);
    op_free(a);
    op_free(b);
    nothing_left(&l);
}

static void test_withdrawn_in_every_state(void **state)
{
    struct lanes l;
    lanes_init(&l);
    struct op *parked = enter(&l, "BLPOP x 0");
    take(&l, false, 9, parked, NULL);
    lanes_park(&l, parked);
    struct op *ready = enter(&l, "SET x 1"), *waiting = enter(&l, "GET x"), *last = enter(&l, "GET x");

    lanes_withdraw(&l, waiting);
    op_free(waiting);
    lanes_withdraw(&l, ready);
    op_free(ready);
    assert_int_equal(last->state, OP_READY);
    assert_int_equal(parked->state, OP_PARKED); /* nothing has changed */
    lanes_withdraw(&l, parked);
    op_free(parked);
    take(&l, true, 9, last, NULL);
    leave(&l, last, false);
    nothing_left(&l);
}

/* ---- random schedules ---- */

#define LIVE  40
#define STEPS 20000

struct item {
    struct op *op;
    int enqueued, ready; /* when */
    int batch;           /* while it runs */
};

struct world {
    struct lanes lanes;
    struct item items[LIVE];
    int now, batches, done;
    unsigned seed;
};

static unsigned draw(struct world *w, unsigned n)
{
    w->seed = w->seed * 1103515245u + 12345u;
    return (w->seed >> 8) % n;
}

static bool shares(const struct op *a, const struct op *b)
{
    for (size_t i = 0; i < a->nkeys; i++)
        if (op_find_key(b, a->keys[i].key) < b->nkeys)
            return true;
    return false;
}

/* Notes what has become ready, and what was woken. */
static void look(struct world *w)
{
    w->now++;
    for (int i = 0; i < LIVE; i++) {
        struct item *it = &w->items[i];
        if (it->op != NULL && it->op->state == OP_READY && it->ready == 0)
            it->ready = w->now;
        if (it->op != NULL && (it->op->state == OP_WAITING || it->op->state == OP_READY) && it->enqueued == 0)
            it->enqueued = w->now;
    }
}

static void add(struct world *w, struct item *it)
{
    static const struct {
        const char *verb, *behind;
        unsigned keys;
    } forms[] = {
        {"SET", "1", 1}, {"GET", "", 1},    {"GET", "", 1},    {"RENAME", "", 2}, {"MGET", "", 3},
        {"DEL", "", 4},  {"BLPOP", "0", 1}, {"BLPOP", "0", 2}, {"DBSIZE", "", 0},
    };
    char text[64];
    size_t form = draw(w, sizeof forms / sizeof forms[0]);
    int n = snprintf(text, sizeof text, "%s", forms[form].verb);

    for (unsigned i = 0; i < forms[form].keys; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, " %c", 'a' + (int)draw(w, 6));
    if (forms[form].behind[0] != '\0')
        snprintf(text + n, sizeof text - (size_t)n, " %s", forms[form].behind);
    *it = (struct item){.op = op_of(text)};
    lanes_enter(&w->lanes, it->op);
}

static struct item *item_of(struct world *w, const struct op *op)
{
    struct item *it = w->items;
    while (it->op != op)
        it++;
    return it;
}

/* op starts now: nobody whom it should have waited for is left out. */
static void check_start(struct world *w, const struct item *it, int batch)
{
    for (int i = 0; i < LIVE; i++) {
        const struct item *o = &w->items[i];
        if (o->op == NULL || o == it || !shares(o->op, it->op))
            continue;
        if (o->op->state == OP_RUNNING)
            assert_int_equal(o->batch, batch); /* side by side only within a batch, behind each other */
        bool before_it = o->enqueued < (it->ready != 0 ? it->ready : w->now + 1);
        if (o->op->state == OP_WAITING && before_it)
            assert_true(o->op->seq > it->op->seq);
    }
}

static void take_some(struct world *w)
{
    struct lanes *l = &w->lanes;
    struct op_list batch;
    struct op *op;

    if (l->reads.count + l->writes.count == 0)
        return;
    bool only_reads = l->reads.count > 0 && (l->writes.count == 0 || draw(w, 2) == 0);
    op_list_init(&batch);
    lanes_take(l, only_reads, 1 + draw(w, 4), &batch);
    w->batches++;
    uint64_t last = 0; /* of those behind the first, which was ready before some of them were woken */
    bool first = true;
    while ((op = op_list_pop(&batch)) != NULL) {
        struct item *it = item_of(w, op);
        it->batch = w->batches;
        assert_false(only_reads && op->writes);
        assert_true(op->seq > last);
        last = first ? 0 : op->seq;
        first = false;
        for (int i = 0; i < LIVE; i++)
            if (w->items[i].op != NULL && w->items[i].op->state == OP_RUNNING && w->items[i].batch == 0)
                w->items[i].batch = w->batches;
        check_start(w, it, w->batches);
    }
}

/* The first one of a random batch that runs. */
static struct item *first_running(struct world *w)
{
    struct item *found = NULL;
    int batch = 0;

    for (int i = 0, from = (int)draw(w, LIVE); i < LIVE && batch == 0; i++)
        if (w->items[(from + i) % LIVE].op != NULL && w->items[(from + i) % LIVE].op->state == OP_RUNNING)
            batch = w->items[(from + i) % LIVE].batch;
    for (int i = 0; i < LIVE && batch != 0; i++) {
        struct item *it = &w->items[i];
        if (it->op != NULL && it->op->state == OP_RUNNING && it->batch == batch &&
            (found == NULL || it->op->seq < found->op->seq))
            found = it;
    }
    return found;
}

static void finish_one(struct world *w)
{
    struct item *it = first_running(w);

    if (it == NULL)
        return;
    if (it->op->block_until_us != 0 && draw(w, 3) != 0) {
        changes(it->op, false);
        it->enqueued = it->ready = it->batch = 0;
        lanes_park(&w->lanes, it->op);
        return;
    }
    leave(&w->lanes, it->op, it->op->writes && draw(w, 2) == 0);
    it->op = NULL;
    w->done++;
}

static void withdraw_one(struct world *w)
{
    struct item *it = &w->items[draw(w, LIVE)];

    if (it->op == NULL || it->op->state == OP_RUNNING)
        return;
    lanes_withdraw(&w->lanes, it->op);
    op_free(it->op);
    it->op = NULL;
    w->done++;
}

/* Nothing runs: then something is ready, or nothing waits. */
static void check_progress(struct world *w)
{
    size_t running = 0;

    for (int i = 0; i < LIVE; i++)
        running += w->items[i].op != NULL && w->items[i].op->state == OP_RUNNING;
    if (running == 0 && w->lanes.waiting > 0)
        assert_true(w->lanes.reads.count + w->lanes.writes.count > 0);
}

static void step(struct world *w, bool grows)
{
    struct item *it = &w->items[draw(w, LIVE)];

    switch (draw(w, 8)) {
    case 0:
    case 1:
    case 2:
        if (grows && it->op == NULL)
            add(w, it);
        break;
    case 3:
    case 4:
        take_some(w);
        break;
    case 5:
    case 6:
        finish_one(w);
        break;
    case 7:
        if (draw(w, 4) == 0)
            withdraw_one(w);
        else if (w->lanes.parked.head != NULL && draw(w, 2) == 0)
            lanes_wake(&w->lanes, w->lanes.parked.head);
        break;
    }
    look(w);
    check_progress(w);
}

static void test_random_schedules(void **state)
{
    const char *given = getenv("CONV_SEED");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)time(NULL);

    printf("CONV_SEED=%u\n", seed);
    for (unsigned round = 0; round < 10; round++) {
        struct world *w = calloc(1, sizeof *w);
        assert_non_null(w);
        w->seed = seed + round;
        lanes_init(&w->lanes);
        for (int i = 0; i < STEPS; i++)
            step(w, true);
        for (int i = 0; i < STEPS && (w->lanes.waiting > 0 || w->lanes.count > 0); i++)
            step(w, false);
        while (w->lanes.parked.head != NULL) {
            struct item *it = item_of(w, w->lanes.parked.head);
            lanes_withdraw(&w->lanes, it->op);
            op_free(it->op);
            it->op = NULL;
        }
        while (w->lanes.reads.count + w->lanes.writes.count > 0 || first_running(w) != NULL)
            step(w, false);
        assert_true(w->done > STEPS / 20);
        nothing_left(&w->lanes);
        free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_after_the_other),
        cmocka_unit_test(test_a_batch_is_one_lane),
        cmocka_unit_test(test_reads_alone),
        cmocka_unit_test(test_without_keys),
        cmocka_unit_test(test_woken_in_order_of_arrival),
        cmocka_unit_test(test_a_key_that_did_not_change_wakes_nobody),
        cmocka_unit_test(test_withdrawn_in_every_state),
        cmocka_unit_test(test_random_schedules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
