#include "executor/lanes.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 1024

/* Parked ones stand in order of arrival too. The key's bytes are those of some op in it. */
struct key_list {
    struct op_key *head, **tail;
};

struct key_lane {
    struct key_lane *next; /* in its bucket, or spare */
    int64_t hash;
    struct slice key;
    struct key_list queue;
    struct key_list parked;
};

/* ---- lists ---- */

void op_list_init(struct op_list *list)
{
    list->head = NULL;
    list->tail = &list->head;
    list->count = 0;
}

void op_list_push(struct op_list *list, struct op *op)
{
    op->next = NULL;
    op->back = list->tail;
    *list->tail = op;
    list->tail = &op->next;
    list->count++;
}

void op_list_remove(struct op_list *list, struct op *op)
{
    *op->back = op->next;
    if (op->next != NULL)
        op->next->back = op->back;
    else
        list->tail = op->back;
    op->next = NULL;
    op->back = NULL;
    list->count--;
}

struct op *op_list_pop(struct op_list *list)
{
    struct op *op = list->head;
    if (op != NULL)
        op_list_remove(list, op);
    return op;
}

/* ---- the table of lanes ---- */

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

void lanes_init(struct lanes *l)
{
    memset(l, 0, sizeof *l);
    l->nbuckets = FIRST_BUCKETS;
    l->buckets = must(calloc(l->nbuckets, sizeof(struct key_lane *)));
    op_list_init(&l->reads);
    op_list_init(&l->writes);
    op_list_init(&l->parked);
}

void lanes_done(struct lanes *l)
{
    while (l->spare != NULL) {
        struct key_lane *lane = l->spare;
        l->spare = lane->next;
        free(lane);
    }
    free(l->buckets);
}

static struct key_lane **bucket_of(const struct lanes *l, int64_t hash)
{
    return &l->buckets[(uint64_t)hash & (l->nbuckets - 1)];
}

static void grow(struct lanes *l)
{
    struct key_lane **old = l->buckets;
    size_t n = l->nbuckets;

    l->nbuckets *= 2;
    l->buckets = must(calloc(l->nbuckets, sizeof(struct key_lane *)));
    for (size_t i = 0; i < n; i++)
        for (struct key_lane *lane = old[i], *next; lane != NULL; lane = next) {
            struct key_lane **bucket = bucket_of(l, lane->hash);
            next = lane->next;
            lane->next = *bucket;
            *bucket = lane;
        }
    free(old);
}

static struct key_lane *lane_of(struct lanes *l, const struct op_key *k)
{
    struct key_lane *lane = *bucket_of(l, k->hash);

    while (lane != NULL && (lane->hash != k->hash || !slice_equal(lane->key, k->key)))
        lane = lane->next;
    if (lane != NULL)
        return lane;
    if (l->count >= l->nbuckets)
        grow(l);
    lane = l->spare;
    if (lane != NULL)
        l->spare = lane->next;
    else
        lane = must(malloc(sizeof *lane));
    struct key_lane **bucket = bucket_of(l, k->hash);
    *lane = (struct key_lane){.next = *bucket, .hash = k->hash, .key = k->key};
    lane->queue.tail = &lane->queue.head;
    lane->parked.tail = &lane->parked.head;
    *bucket = lane;
    l->count++;
    return lane;
}

static void drop_if_empty(struct lanes *l, struct key_lane *lane)
{
    const struct op_key *left = lane->queue.head != NULL ? lane->queue.head : lane->parked.head;

    if (left != NULL) {
        lane->key = left->key; /* the op that lent the bytes may be gone soon */
        return;
    }
    struct key_lane **at = bucket_of(l, lane->hash);
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    lane->next = l->spare;
    l->spare = lane;
    l->count--;
}

/* ---- one key's place ---- */

static void link_key(struct key_list *list, struct op_key **at, struct op_key *k)
{
    k->next = *at;
    k->back = at;
    if (k->next != NULL)
        k->next->back = &k->next;
    else
        list->tail = &k->next;
    *at = k;
}

static void unlink_key(struct key_list *list, struct op_key *k)
{
    *k->back = k->next;
    if (k->next != NULL)
        k->next->back = k->back;
    else
        list->tail = k->back;
    k->next = NULL;
    k->back = NULL;
}

static bool started(const struct op *op)
{
    return op->state == OP_READY || op->state == OP_RUNNING;
}

static void set_ready(struct lanes *l, struct op *op)
{
    op->state = OP_READY;
    op_list_push(op->writes ? &l->writes : &l->reads, op);
}

static bool before(const struct op_key *a, const struct op_key *b)
{
    return started(a->op) || a->op->seq < b->op->seq;
}

/* Where k belongs: behind all that has started, and by arrival among the others. Most come last. */
static struct op_key **place_of(struct key_list *list, const struct op_key *k)
{
    struct op_key **at = list->tail;

    if (at == &list->head || before((struct op_key *)((char *)at - offsetof(struct op_key, next)), k))
        return at;
    at = &list->head;
    while (before(*at, k))
        at = &(*at)->next;
    return at;
}

static void enqueue_key(struct op_key *k)
{
    struct key_list *queue = &k->lane->queue;
    struct op_key **at = place_of(queue, k);

    link_key(queue, at, k);
    if (at != &queue->head)
        k->op->blocked++;
    else if (k->next != NULL)
        k->next->op->blocked++; /* it was the first here, but not in all its lanes */
}

static void enqueue(struct lanes *l, struct op *op)
{
    op->state = OP_WAITING;
    op->blocked = 0;
    for (size_t i = 0; i < op->nkeys; i++)
        enqueue_key(&op->keys[i]);
    if (op->blocked == 0)
        set_ready(l, op);
    else
        l->waiting++;
}

static void enter(struct lanes *l, struct op *op)
{
    for (size_t i = 0; i < op->nkeys; i++) {
        op->keys[i].op = op;
        op->keys[i].lane = lane_of(l, &op->keys[i]);
    }
    enqueue(l, op);
}

void lanes_enter(struct lanes *l, struct op *op)
{
    op->seq = ++l->seq;
    enter(l, op);
}

/* ---- running ---- */

static void start(struct lanes *l, struct op *op, struct op_list *batch)
{
    if (op->state == OP_READY)
        op_list_remove(op->writes ? &l->writes : &l->reads, op);
    else
        l->waiting--;
    op->state = OP_RUNNING;
    op_list_push(batch, op);
}

/* Who blocks, who may wake others, and who may have to run again must have left before the next one runs: those that wait longest are served first. */
static bool may_follow(const struct op *op, const struct op_key *next, bool only_reads)
{
    return op->block_until_us == 0 && !op->scripted && next->lane->parked.head == NULL && next->op->nkeys == 1 &&
           !(only_reads && next->op->writes);
}

void lanes_take(struct lanes *l, bool only_reads, size_t max, struct op_list *batch)
{
    struct op *op = only_reads || l->writes.head == NULL ? l->reads.head : l->writes.head;

    start(l, op, batch);
    if (op->nkeys != 1)
        return;
    for (struct op_key *k = op->keys[0].next; k != NULL && batch->count < max; k = k->next) {
        if (!may_follow(op, k, only_reads))
            return;
        op = k->op;
        start(l, op, batch);
    }
}

/* The first of a lane has gone. A follower that lanes_take started with it runs already. */
static void advance(struct lanes *l, struct key_lane *lane)
{
    struct op_key *first = lane->queue.head;

    if (first == NULL || started(first->op) || --first->op->blocked > 0)
        return;
    l->waiting--;
    set_ready(l, first->op);
}

static void wake(struct lanes *l, struct op *op, struct slice by)
{
    op->woken_by = by;
    op_list_remove(&l->parked, op);
    for (size_t i = 0; i < op->nkeys; i++)
        unlink_key(&op->keys[i].lane->parked, &op->keys[i]);
    enqueue(l, op);
}

/* Each is told its own copy of the key: the op that changes it may be gone sooner. */
static void wake_parked(struct lanes *l, struct key_lane *lane)
{
    while (lane->parked.head != NULL)
        wake(l, lane->parked.head->op, lane->parked.head->key);
}

/* Parked ops are woken while the op that woke them still stands before them. */
static void leave_lanes(struct lanes *l, struct op *op)
{
    for (size_t i = 0; op->changed && i < op->nkeys; i++)
        if (op->keys[i].changed)
            wake_parked(l, op->keys[i].lane);
    for (size_t i = 0; i < op->nkeys; i++) {
        struct key_lane *lane = op->keys[i].lane;
        bool was_first = lane->queue.head == &op->keys[i];
        unlink_key(&lane->queue, &op->keys[i]);
        if (was_first)
            advance(l, lane);
    }
}

void lanes_leave(struct lanes *l, struct op *op)
{
    leave_lanes(l, op);
    for (size_t i = 0; i < op->nkeys; i++)
        drop_if_empty(l, op->keys[i].lane);
    op->state = OP_DONE;
}

/* By its arrival it stands before all that has not started meanwhile. */
void lanes_again(struct lanes *l, struct op *op)
{
    op->changed = false;
    lanes_leave(l, op);
    op_take_wanted(op);
    enter(l, op);
}

void lanes_park(struct lanes *l, struct op *op)
{
    leave_lanes(l, op);
    for (size_t i = 0; i < op->nkeys; i++) {
        struct key_list *parked = &op->keys[i].lane->parked;
        link_key(parked, place_of(parked, &op->keys[i]), &op->keys[i]);
    }
    op->state = OP_PARKED;
    op->woken = true;
    op_list_push(&l->parked, op);
}

void lanes_wake(struct lanes *l, struct op *op)
{
    wake(l, op, (struct slice){NULL, 0});
}

static void withdraw_queued(struct lanes *l, struct op *op)
{
    if (op->state == OP_READY)
        op_list_remove(op->writes ? &l->writes : &l->reads, op);
    else
        l->waiting--;
    op->changed = false;
    lanes_leave(l, op);
}

void lanes_withdraw(struct lanes *l, struct op *op)
{
    if (op->state != OP_PARKED) {
        withdraw_queued(l, op);
        return;
    }
    op_list_remove(&l->parked, op);
    for (size_t i = 0; i < op->nkeys; i++) {
        unlink_key(&op->keys[i].lane->parked, &op->keys[i]);
        drop_if_empty(l, op->keys[i].lane);
    }
    op->state = OP_DONE;
}
