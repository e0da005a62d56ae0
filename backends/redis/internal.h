/* backends/redis/internal — what upstream and upstream_reply share: one connection, and its queues of requests.
 * Threads: [loop] only. */
#ifndef BACKENDS_REDIS_INTERNAL_H
#define BACKENDS_REDIS_INTERNAL_H

#include "backends/redis/backoff.h"
#include "backends/redis/greeting.h"
#include "backends/redis/upstream.h"
#include "base/stream.h"
#include "resp/frame.h"

#include <sys/types.h>

struct request_queue {
    struct upstream_request *head, **tail;
    size_t count;
};

struct upstream {
    struct stream stream; /* first: callbacks get it */
    struct upstream_env *env;
    enum upstream_state state;
    enum lane lane;
    void *user; /* see upstream_user */
    int db;
    enum resp resp;
    char *url; /* of a node of a cluster, or NULL */
    unsigned share;
    struct upstream *master; /* of a replica that answers reads; otherwise NULL */
    struct chain draft; /* at a node: what is appended, until it is queued */
    bool has_stream;    /* stream is open or closing */
    bool down; /* the last attempt failed and none has succeeded since: requests are refused at once */
    bool full; /* on_change is owed when the output has drained */
    bool freeing;
    struct dial *dial;
    struct tls *tls; /* of the connection being dialed; NULL: plain */
    struct greeting greeting;
    struct request_queue sent, held;
    struct chain held_out;
    size_t held_len; /* bytes in held_out that belong to queued requests */
    struct frame frame;
    bool in_reply;     /* inside a frame */
    bool in_push;      /* that frame is a push: nobody asked */
    struct chain push; /* what is there of it */
    char *rest;        /* start of a line that was cut by the end of a read */
    size_t rest_len, rest_cap;
    struct backoff backoff;
    unsigned flaps; /* connections in a row that were greeted, took requests and answered none */
    bool answered;  /* this connection has answered a request */
    int64_t retry_us, started_us, wanted_us;
    uint64_t generation;
    char why[128];
    struct greeting_met met; /* by this connection */
    int64_t met_us;
    int64_t seq;
    char session[WRITE_SESSION],
        before[WRITE_SESSION]; /* of what is queued now, and of the connection before */
    bool spent;                /* before had nothing in flight when it ended */
};

static inline void queue_init(struct request_queue *q)
{
    q->head = NULL;
    q->tail = &q->head;
    q->count = 0;
}

static inline void queue_push(struct request_queue *q, struct upstream_request *r)
{
    r->next = NULL;
    *q->tail = r;
    q->tail = &r->next;
    q->count++;
}

static inline struct upstream_request *queue_pop(struct request_queue *q)
{
    struct upstream_request *r = q->head;
    q->head = r->next;
    if (q->head == NULL)
        q->tail = &q->head;
    q->count--;
    return r;
}

static inline void queue_append(struct request_queue *to, struct request_queue *from)
{
    if (from->head == NULL)
        return;
    *to->tail = from->head;
    to->tail = from->tail;
    to->count += from->count;
    queue_init(from);
}

/* Replies that are there, whole or not. Returns the bytes that are settled, -1 when the connection was closed. */
ssize_t upstream_take_replies(struct upstream *u, const char *p, size_t n);
/* An open connection has ended: what was sent is in doubt. */
void upstream_lose(struct upstream *u, enum err e, const char *detail);

#endif
