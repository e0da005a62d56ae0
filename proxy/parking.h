/* proxy/parking — who waits for which managed key: the waiting clients of all loops, in the order in which they came.
 *
 *   key conv:q   [client 7, loop 0]  [client 9, loop 1]  [client 3, loop 0]      somebody has written: the first one is woken (of each kind)
 *   key conv:s   [client 5, loop 1]* [client 6, loop 0]*                         *: takes nothing away (XREAD): all of them are
 *
 * Owns:       the places of the waiters, by key, and what has woken them.
 * Invariants: a wake is never lost: a waiter that leaves with one it has not followed passes it on to the next. It is told once, by a
 *             message to its loop, until it has looked (parking_next).
 * Threads:    any; a lock inside, held for a few steps.          Used by: proxy/parked. */
#ifndef PROXY_PARKING_H
#define PROXY_PARKING_H

#include "base/err.h"
#include "base/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct parking_lane;
struct loop;
struct parking;

struct parking_place {
    struct parking_place *next, **back;
    struct parking_lane *lane;
    struct waiter *waiter;
    uint64_t woken;  /* when, in the order of all wakes; 0: not */
    size_t arg;      /* which of the keys it is for */
};

struct waiter {
    struct loop *loop;
    void *owner;
    uint64_t kind;       /* what it can use; those of different kinds don't wait for each other */
    bool takes;          /* what it finds is gone for the others of its kind */
    bool posted, leaves; /* a message is on its way; nobody is at its end any more */
    struct parking_place *places; /* one for each distinct key, in the client's order */
    size_t n;             /* of places */
};

/* on_woken: runs on the waiter's loop, with the waiter as arg; it calls parking_next, or parking_told when the waiter has left. */
struct parking *parking_new(void (*on_woken)(struct loop *l, void *waiter));
void parking_free(struct parking *own_p);
/* Somebody waits. Without a lock: who writes asks each time. */
bool parking_any(const struct parking *p);

/* Somebody waits for this key. */
bool parking_awaits(struct parking *p, int db, struct slice key);
/* A waiter at the end of each key's queue; a key that is named again has one place, its first. */
struct waiter *parking_enter(struct parking *p, struct loop *l, void *owner, uint64_t kind, bool takes, int db,
                             const struct slice *keys, size_t n);
/* The key of its place i. */
struct slice parking_key(const struct waiter *w, size_t i);
/* Its place i is before all others of its kind that take. */
bool parking_is_first(struct parking *p, const struct waiter *w, size_t i);
/* Something may have come for the key. */
void parking_wake(struct parking *p, int db, struct slice key);
/* The same for the waiter's own place i. It is not posted: its loop knows. */
void parking_wake_own(struct parking *p, struct waiter *w, size_t i);
/* There may be more at its place i: the next of its kind is woken. */
void parking_pass(struct parking *p, struct waiter *w, size_t i);
/* The place that was woken first, which is followed now; w->n: none. */
size_t parking_next(struct parking *p, struct waiter *w);
/* on_woken has come. False: the waiter has left meanwhile, and is freed. */
MUST_USE bool parking_told(struct parking *p, struct waiter *w);
/* Out of all queues; frees it, now or when its message has come. */
void parking_leave(struct parking *p, struct waiter *own_w);

#endif
