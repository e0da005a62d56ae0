#include "proxy/owed.h"

#include "base/log.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HOME UINT_MAX /* op->home of what was sent from here: no loop's */

struct owed {
    pthread_mutex_t lock; /* for what follows, but count */
    struct op *waiting;   /* once `sorted`, in an order in which they may be done */
    bool sorted;
    size_t under_way;
    struct executor *executor; /* as they were sent last */
    int64_t epoch;
    _Atomic size_t count; /* waiting or under way */
};

struct owed *owed_new(void)
{
    struct owed *o = calloc(1, sizeof *o);

    if (o == NULL)
        abort();
    pthread_mutex_init(&o->lock, NULL);
    return o;
}

static void free_all(struct op *list)
{
    for (struct op *op = list, *next; op != NULL; op = next) {
        next = op->next;
        op_free(op);
    }
}

void owed_free(struct owed *own_o)
{
    if (own_o == NULL)
        return;
    free_all(own_o->waiting);
    pthread_mutex_destroy(&own_o->lock);
    free(own_o);
}

void owed_add(struct owed *o, struct op *own_op)
{
    pthread_mutex_lock(&o->lock);
    own_op->next = o->waiting;
    o->waiting = own_op;
    o->sorted = false;
    atomic_fetch_add(&o->count, 1);
    pthread_mutex_unlock(&o->lock);
}

size_t owed_count(const struct owed *o)
{
    return atomic_load(&o->count);
}

void owed_drop(struct owed *o)
{
    size_t n = 0;

    pthread_mutex_lock(&o->lock);
    struct op *list = o->waiting;
    o->waiting = NULL;
    for (const struct op *op = list; op != NULL; op = op->next)
        n++;
    atomic_fetch_sub(&o->count, n);
    pthread_mutex_unlock(&o->lock);
    free_all(list);
}

/* ---- the order ---- */

/* A key of an op. Sorted by key and version, each op waits for the one before it. */
struct turn {
    const struct op_key *key;
    size_t op;
};

struct order {
    struct op **ops;
    size_t nops;
    struct turn *turns;
    size_t nturns;
    size_t *waits_for; /* by op: how many others have to come before it */
    struct op **tail;
};

static int by_turn(const void *a, const void *b)
{
    const struct op_key *x = ((const struct turn *)a)->key, *y = ((const struct turn *)b)->key;
    size_t n = x->key.len < y->key.len ? x->key.len : y->key.len;
    int c = n > 0 ? memcmp(x->key.p, y->key.p, n) : 0;

    if (c != 0 || x->key.len != y->key.len)
        return c != 0 ? c : x->key.len < y->key.len ? -1 : 1;
    return x->copied < y->copied ? -1 : x->copied > y->copied;
}

static void *room(size_t n, size_t size)
{
    void *p = calloc(n + 1, size);

    if (p == NULL)
        abort();
    return p;
}

static bool follows(const struct order *o, size_t turn)
{
    return turn > 0 && turn < o->nturns && slice_equal(o->turns[turn - 1].key->key, o->turns[turn].key->key);
}

static void order_init(struct order *o, struct op *list)
{
    *o = (struct order){0};
    for (const struct op *op = list; op != NULL; op = op->next) {
        o->nops++;
        o->nturns += op->nkeys;
    }
    o->ops = room(o->nops, sizeof *o->ops);
    o->turns = room(o->nturns, sizeof *o->turns);
    o->waits_for = room(o->nops, sizeof *o->waits_for);
    size_t n = 0, t = 0;
    for (struct op *op = list; op != NULL; op = op->next, n++) {
        o->ops[n] = op;
        for (size_t i = 0; i < op->nkeys; i++)
            o->turns[t++] = (struct turn){&op->keys[i], n};
    }
    qsort(o->turns, o->nturns, sizeof *o->turns, by_turn);
    for (size_t i = 1; i < o->nturns; i++)
        o->waits_for[o->turns[i].op] += follows(o, i);
}

static void order_done(struct order *o)
{
    free(o->ops);
    free(o->turns);
    free(o->waits_for);
}

/* Its successors may be ready then; they are put on the stack. */
static size_t take_turn(struct order *o, size_t op, size_t *stack, size_t depth)
{
    struct op *taken = o->ops[op];

    o->ops[op] = NULL;
    for (size_t i = 0; i < taken->nkeys; i++) {
        struct turn self = {&taken->keys[i], op};
        const struct turn *at = bsearch(&self, o->turns, o->nturns, sizeof self, by_turn);
        size_t next = (size_t)(at - o->turns) + 1;
        if (follows(o, next) && --o->waits_for[o->turns[next].op] == 0)
            stack[depth++] = o->turns[next].op;
    }
    taken->next = NULL;
    *o->tail = taken;
    o->tail = &taken->next;
    return depth;
}

/* Redis has done them one after the other, so none waits for itself in the end. */
static struct op *sorted(struct op *list)
{
    struct op *first = NULL;
    struct order o;
    size_t depth = 0;

    order_init(&o, list);
    size_t *stack = room(o.nops, sizeof *stack);
    o.tail = &first;
    for (size_t i = 0; i < o.nops; i++)
        if (o.waits_for[i] == 0)
            stack[depth++] = i;
    while (depth > 0) {
        depth--;
        depth = take_turn(&o, stack[depth], stack, depth);
    }
    for (size_t i = 0; i < o.nops; i++)
        if (o.ops[i] != NULL) /* unless versions were not Redis' */
            take_turn(&o, i, stack, 0);
    free(stack);
    order_done(&o);
    return first;
}

/* ---- to the archive, and back ---- */

bool owed_is(const struct op *op)
{
    return op->home == HOME;
}

/* Hashes of keys that an op before has; two keys of one hash only make one wait for the other. */
struct seen {
    int64_t *hashes; /* + 1; 0: free */
    size_t mask;
};

static void seen_init(struct seen *s, const struct op *list)
{
    size_t keys = 0, size = 16;

    for (const struct op *op = list; op != NULL; op = op->next)
        keys += op->nkeys;
    while (size < 2 * keys)
        size *= 2;
    s->hashes = room(size, sizeof *s->hashes);
    s->mask = size - 1;
}

/* Adds it. True: it was there. */
static bool seen_add(struct seen *s, int64_t hash)
{
    size_t at = (size_t)hash & s->mask;

    while (s->hashes[at] != 0 && s->hashes[at] != hash + 1)
        at = (at + 1) & s->mask;
    bool was = s->hashes[at] != 0;
    s->hashes[at] = hash + 1;
    return was;
}

static void prepare(struct owed *o, struct op *op)
{
    op->role = OP_JOURNAL;
    op->second = true;
    op->epoch = o->epoch;
    op->now_ms = 0;
    op->owner = o;
    op->home = HOME;
}

/* The lock is held. Those that have no other before them: one that fails must not find that a later write of its session is done, which
 * would speak for it, too. */
static struct op *next_wave(struct owed *o)
{
    struct op *wave = NULL, **tail = &wave, **at = &o->waiting;
    struct seen seen;

    seen_init(&seen, o->waiting);
    while (*at != NULL) {
        struct op *op = *at;
        bool waits = false;
        for (size_t i = 0; i < op->nkeys; i++)
            waits |= seen_add(&seen, op->keys[i].hash);
        if (waits) {
            at = &op->next;
            continue;
        }
        *at = op->next;
        op->next = NULL;
        *tail = op;
        tail = &op->next;
        prepare(o, op);
        o->under_way++;
    }
    free(seen.hashes);
    return wave;
}

static void send_wave(struct owed *o)
{
    struct op *wave = NULL;

    pthread_mutex_lock(&o->lock);
    struct executor *e = o->executor;
    if (!o->sorted)
        o->waiting = sorted(o->waiting);
    o->sorted = true;
    if (o->under_way == 0 && o->waiting != NULL)
        wave = next_wave(o);
    pthread_mutex_unlock(&o->lock);
    if (wave != NULL)
        executor_submit(e, wave);
}

void owed_send(struct owed *o, struct executor *e, int64_t epoch)
{
    if (owed_count(o) == 0)
        return;
    pthread_mutex_lock(&o->lock);
    o->executor = e;
    o->epoch = epoch;
    pthread_mutex_unlock(&o->lock);
    send_wave(o);
}

static bool is_to_be_tried_again(enum err e)
{
    switch (e) {
    case ERR_ARCHIVEDOWN:
    case ERR_ARCHIVELOST:
    case ERR_ARCHIVEBUSY:
    case ERR_RACE:
        return true;
    default:
        return false;
    }
}

/* One that comes back from the executor. */
static void settle(struct owed *o, struct op *op)
{
    bool again = is_to_be_tried_again(op->error);
    struct op *kept = again ? op_again(op) : NULL;

    if (op->error != ERR_NONE && op->error != ERR_INDOUBT && !again) /* in doubt: it was done before, and nobody asks for its reply */
        log_event(LOG_ERROR, "owed_refused", LOG_BYTES("key", op->keys[0].key.p, op->keys[0].key.len),
                  LOG_STR("error", err_name(op->error)), LOG_STR("reason", op->detail));
    op_free(op);
    pthread_mutex_lock(&o->lock);
    o->under_way--;
    if (again) {
        kept->next = o->waiting;
        o->waiting = kept;
        o->sorted = false;
    }
    pthread_mutex_unlock(&o->lock);
    atomic_fetch_sub(&o->count, again ? 0 : 1);
}

/* Behind a failure nothing is sent until somebody asks. */
void owed_take(struct op *own_list)
{
    struct owed *o = own_list->owner;
    bool well = true;

    for (struct op *op = own_list, *next; op != NULL; op = next) {
        next = op->next;
        well &= op->error == ERR_NONE || op->error == ERR_INDOUBT;
        settle(o, op);
    }
    if (well)
        send_wave(o);
}
