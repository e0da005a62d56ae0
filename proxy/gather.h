/* proxy/gather — one request of a client that several nodes of a Redis Cluster answer: a part for each, one reply made of theirs.
 *
 *   client's queue:   [MGET a b c]                 its slot waits until all parts are over
 *   node 1:           [MGET a c]                   parts are slots that are in no client's queue
 *   node 2:           [MGET b]
 *
 * Owns:       the parts' replies, and which part each key is in.
 * Invariants: it begins when nothing else of the client is in flight, and nothing else begins before it is over. A part that
 *             fails makes the whole fail with its error, the first one's first; what others have done stays done. When the
 *             client is gone, the parts end unheard.
 * Threads:    [loop] only.          Used by: proxy/cluster. */
#ifndef PROXY_GATHER_H
#define PROXY_GATHER_H

#include "proxy/managed.h"
#include "proxy/slot.h"

struct gather;

typedef void gather_fn(struct gather *g, struct chain *out);

struct gather {
    struct slot *slot; /* the client's */
    enum resp resp;
    _Atomic unsigned left; /* parts that are not over */
    size_t n;
    bool archive; /* the last part is the archive's */
    struct slice *replies; /* of each part */
    gather_fn *finish;     /* appends the client's reply, when no part is an error */
    size_t nkeys;
    uint32_t *part_of;      /* of each key, in the client's order; NULL when it is not about keys */
    size_t master, masters; /* for SCAN: the one that was asked, and how many there are */
};

/* n parts, of which each is sent by gather_send before the turn ends. The slot counts as in flight. */
struct gather *gather_new(struct session *s, const struct job *job, size_t n, gather_fn *finish);
/* Part i, to the node that the pool aims at; its plan is made here. */
void gather_send(struct gather *g, struct session *s, size_t i, const struct job *part);
/* Part i, to the archive; the request's bytes are copied. */
void gather_send_archive(struct gather *g, struct session *s, size_t i, struct slice request);
/* For proxy/slot: a part is over; its slot holds the reply. */
void gather_part_over(struct slot *part);
/* The same, and its loop is gone. */
void gather_part_orphan(struct slot *part);

/* What becomes of the replies: */
gather_fn gather_first;    /* the first */
gather_fn gather_sum;      /* integers: their sum */
gather_fn gather_elements; /* arrays with an element for each key: one in the order of the keys */
gather_fn gather_all;      /* arrays: one behind the other */
gather_fn gather_least;    /* arrays of integers: for each place the least */
gather_fn gather_some;     /* one that is not nil, by chance; nil when there is none */

#endif
