/* executor/lanes — the order in which ops may run: one queue for each key that is wanted.
 *
 *     conv:1   [op 3 running] [op 5] [op 9]        an op is ready when it is the first in the lanes of all its keys
 *     conv:2   [op 4 running] [op 9]               op 9 waits for 5 and 4
 *
 * Owns:       the lanes; ops are their makers'.
 * Invariants: lanes are in the order of arrival, so that two ops with two keys in common never wait for each other. What is
 *             ready or running stands before all that waits. A parked op is in no queue but known to its lanes; when it is
 *             woken it takes the place that its arrival gives it among those that wait.
 * Threads:    the caller's lock. */
#ifndef EXECUTOR_LANES_H
#define EXECUTOR_LANES_H

#include "executor/op.h"

/* A doubly linked list of ops by next and back. */
struct op_list {
    struct op *head, **tail;
    size_t count;
};

void op_list_init(struct op_list *list);
void op_list_push(struct op_list *list, struct op *op);
void op_list_remove(struct op_list *list, struct op *op);
struct op *op_list_pop(struct op_list *list); /* NULL: empty */

struct lanes {
    struct key_lane **buckets;
    size_t nbuckets, count;
    struct key_lane *spare;       /* freed ones, for the next keys */
    struct op_list reads, writes; /* what is ready: ops that only read, and others */
    struct op_list parked;        /* in order of arrival of their parking */
    size_t waiting;               /* ops in lanes that are not ready */
    uint64_t seq;
};

void lanes_init(struct lanes *l);
void lanes_done(struct lanes *l); /* nothing may be in them */

/* A new op enters the lanes of its keys; without keys it is ready at once. */
void lanes_enter(struct lanes *l, struct op *op);
/* Takes a ready op, and those single-key ops that stand directly behind it in the lane of its only key, up to max in all
 * (reads only: when only_reads). They are RUNNING then and appended to batch in the order in which they must run. */
void lanes_take(struct lanes *l, bool only_reads, size_t max, struct op_list *batch);
/* A running op leaves; those behind it may become ready. If it has changed keys, ops parked there wait again first. */
void lanes_leave(struct lanes *l, struct op *op);
/* A running op leaves but stays known to its lanes: until one of its keys is changed by another, or it is woken. */
void lanes_park(struct lanes *l, struct op *op);
/* A running op leaves, and waits again with all the keys that it wants. */
void lanes_again(struct lanes *l, struct op *op);
/* A parked op waits again, without a key having changed. */
void lanes_wake(struct lanes *l, struct op *op);
/* A parked, waiting or ready op leaves for good. */
void lanes_withdraw(struct lanes *l, struct op *op);

#endif
