/* proxy/slot — the place of one reply in a client's queue, and at the same time the request in an upstream's queue.
 *
 *     client's queue:    [GET a]  [PING]  [RPUSH conv:1]        replies leave from the left, when they are there
 *     upstream's queue:  [GET a]          [RPUSH conv:1]        replies arrive from the left
 *
 * Owns:       the bytes of a reply that cannot leave yet.
 * Invariants: a slot in an upstream's queue stays there until its replies came or failed, also when its client is gone
 *             (session == NULL: the reply is dropped). A raw reply at the head of the client's queue is passed on as
 *             its bytes come in, without being kept.
 * Threads:    [loop] only.          Used by: proxy/session, dispatch, managed, transaction. */
#ifndef PROXY_SLOT_H
#define PROXY_SLOT_H

#include "backends/redis/upstream.h"
#include "proxy/session.h"
#include "router/command.h"

#define SLOT_PREVIEW 88 /* bytes of the request: SLOWLOG shows them, and a short read can be asked again from them */

enum slot_kind {
    SLOT_RAW,     /* the reply is passed on as it comes */
    SLOT_COLLECT, /* the whole reply is seen first: finish makes the client's reply of it */
    SLOT_BLOCK,   /* MULTI … EXEC: finish gets the EXEC reply, or the first error before it */
};

struct block;
struct notes;
struct op;
struct gather;
struct split;

struct slot {
    struct upstream_request up; /* first: upstream callbacks get it */
    struct slot *next;
    struct session *session;
    struct loop *loop;
    struct chain reply; /* what cannot leave yet */
    /* Replaces slot->reply, which holds the whole reply of Redis, by the client's reply. */
    void (*finish)(struct slot *slot);
    struct block *block; /* finish's own; block_free'd with the slot */
    struct op *op;       /* what the archive's executor has of it; then it is in loop.asked, by */
    struct op *copy;     /* of a write on Redis: what the archive gets, then or instead (proxy/copies, proxy/hold) */
    struct slot *asked_next, **asked_back; /* or the next one kept by proxy/hold */
    /* What becomes of it when it is over, before it leaves: true: it was taken back. Mostly NULL. slot->session may be NULL. */
    bool (*then)(struct slot *slot);
    void *ctx;            /* then's own, where there is no session */
    struct notes *notes;  /* keys that it may write while somebody waits for such (proxy/parked); mostly NULL */
    struct split *whole; /* of a part: what it is a part of */
    struct gather *gather; /* of a part for a node of a cluster: what it is a part of, and which */
    uint32_t gather_part;
    uint8_t part;        /* enum split_store */
    uint8_t kind;
    bool muted;      /* its client wants no reply */
    bool local;      /* answered by the proxy: was never in an upstream's queue */
    bool done;
    bool begun;      /* the first bytes of the reply were seen */
    bool partial;    /* bytes of it have left: it can no longer be replaced by an error */
    bool failed;     /* the reply is an error */
    bool retrieval;  /* a read of a managed key: hit or miss is counted */
    bool managed_write;
    bool archived;   /* the archive answers */
    bool fast;       /* counts for redis_latency */
    bool elsewhere;  /* of another database than 0, which Redis alone has */
    uint8_t resp;    /* enum resp of its client when it was sent */
    bool preview_whole; /* the preview is the whole request */
    bool counted;       /* in loop.hold.out[turn] */
    uint8_t turn;
    uint8_t lost_as;    /* enum err: how it failed at Redis, while it is kept */
    uint8_t policy;  /* stats id, for the two above */
    uint16_t command; /* row in the command table, STATS_UNKNOWN when it has none */
    uint16_t preview_len;
    uint32_t argc;
    uint64_t traced; /* by sync/tracer; 0: it is not. See proxy/tracing */
    int64_t missing; /* of a PUBLISH: see proxy/pubsub */
    char lost_detail[40];
    char preview[SLOT_PREVIEW]; /* first bytes of the arguments, each behind its length byte */
};

/* Where a reply that the proxy makes itself goes, in its place of the order: append it, then call slot_answered. */
struct chain *slot_answer(struct session *s);
void slot_answered(struct session *s);

/* The client is owed so much already that its next request must wait (PAUSE_PIPELINE). */
bool slot_must_wait(const struct session *s);

/* A new slot at the end of the client's queue; the caller appends the request's bytes to upstream_out(u) and calls
 * slot_send. */
struct slot *slot_new(struct session *s, enum slot_kind kind, const struct command *cmd, const struct slice *argv,
                      size_t argc);
void slot_send(struct slot *slot, struct upstream *u, uint32_t replies, bool slow);
/* A part of a request: in no client's queue. Whoever it is sent to ends it as any other slot, and it goes to split_part_over. */
struct slot *slot_new_part(struct loop *l, struct split *whole, uint8_t part);
/* A request of the proxy's own whose reply nobody gets (UNWATCH, undo). */
void slot_send_unheard(struct loop *l, struct upstream *u);

/* A question of the proxy's own, of n requests: append them first. then gets the replies one behind the other; ctx is slot->ctx. */
struct slot *slot_send_own(struct loop *l, struct upstream *u, uint32_t n, bool guarded, bool (*then)(struct slot *slot), void *ctx);

/* A reply that other threads will make: the slot counts as in flight on target until slot_complete, slot_take_reply or
 * slot_fail, one of which the caller owes it also when slot->session is gone. */
void slot_defer(struct slot *slot, const void *target);
void slot_complete(struct slot *own_slot); /* slot->reply is filled */
void slot_take_reply(struct slot *own_slot, const char *p, size_t n);
/* What it has written can't be repeated at the archive: it gets a snapshot, and nothing when Redis is lost. */
void slot_forget_copy(struct slot *slot);
/* The request has failed. It may be kept, to be tried at another store (proxy/hold). */
void slot_fail(struct slot *own_slot, enum err e, const char *detail);
/* The client is told. */
void slot_fail_now(struct slot *own_slot, enum err e, const char *detail);
/* Its request was not begun, and is not owed any more: it leaves the client's queue. */
void slot_take_back(struct slot *own_slot);
/* A deferred slot whose loop has ended. Any thread. */
void slot_free_orphan(struct slot *own_slot);

/* The client is gone: its slots lose their session; those that are in no upstream's queue are freed. */
void slot_abandon_all(struct session *s);

extern const struct upstream_ops slot_upstream_ops;
void slot_free_pool(struct loop *l);

#endif
