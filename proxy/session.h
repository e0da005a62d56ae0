/* proxy/session — one client's connection: what it said so far, what it is owed, and when it may go on.
 *
 *   bytes ─▶ request ─▶ dispatch ─▶ slot in the queue ─▶ (store answers) ─▶ filled slots leave in order ─▶ out
 *
 * Owns:       the socket, the input that is not a whole request yet, the queue of slots, the open transaction.
 * Invariants: replies leave in the order of the requests, by place in the queue. All requests in flight are on one
 *             upstream: a request for another one waits until they are answered, so a pipeline runs in order.
 * Threads:    [loop] only. */
#ifndef PROXY_SESSION_H
#define PROXY_SESSION_H

#include "base/stream.h"
#include "proxy/loop.h"
#include "proxy/spread.h"
#include "resp/build.h"
#include "resp/request.h"

struct lent_wait;
struct acl_user;
struct monitor;
struct aside;
struct parcel;
struct parked;
struct slot;
struct subscriptions;
struct tracing;
struct tracking;
struct transaction;
struct watched;

/* Why no further request is taken; any bit pauses. */
enum pause {
    PAUSE_OUTPUT = 1 << 0,   /* the client does not read its replies */
    PAUSE_PIPELINE = 1 << 1, /* it is owed too many replies, or too large ones */
    PAUSE_ORDER = 1 << 2,    /* the next request needs another upstream: after those in flight */
    PAUSE_UPSTREAM = 1 << 3, /* the upstream's output is full */
    PAUSE_HOLD = 1 << 5,     /* the stores change places, or a request was lost with Redis: see proxy/hold */
    PAUSE_PARKED = 1 << 7,   /* it waits for something to come to managed keys: see proxy/parked */
    PAUSE_LEAVING = 1 << 4,  /* it goes to another process as soon as it is owed nothing */
    PAUSE_CLIENTS = 1 << 6,  /* CLIENT PAUSE: see proxy/pause */
};

/* CLIENT REPLY; bits. */
enum mute {
    MUTE_OFF = 1 << 0,  /* no replies until it is turned on */
    MUTE_THIS = 1 << 1, /* none to the present request */
    MUTE_NEXT = 1 << 2, /* none to the next one */
    MUTE_KEPT = 1 << 3, /* they are gathered: see proxy/aside */
    MUTE_NOW = MUTE_OFF | MUTE_THIS | MUTE_KEPT,
};

struct session {
    struct stream stream; /* first: callbacks get it */
    struct loop *loop;
    struct session *next, **back;           /* loop->sessions */
    struct session *resume_next, **resume_back; /* loop->resumable */
    struct session *wait_next, **wait_back; /* loop->waiting */
    uint64_t id;
    int64_t born_us, last_us, soft_since_us; /* mono; soft: since when above output_soft, 0 = not */
    struct slot *head, **tail; /* owed replies, oldest first */
    size_t owed;               /* how many */
    size_t kept;               /* bytes of those that the proxy made and that wait for others before them */
    size_t in_flight;          /* slots that wait for an upstream */
    size_t kept_slots;         /* by proxy/hold */
    struct chain *pushed;      /* by proxy/push: what waits for the end of a reply; mostly NULL */
    int64_t held_since_us;     /* mono: the next request waits since then; 0: it does not */
    const void *current;       /* the upstream they are on, or &archived_target */
    struct slot *blocked;      /* the last one, when its request may wait for long; it listens for the client's end then */
    char *in;                  /* a request that is not whole, or may not go on yet: */
    size_t in_at, in_len, in_cap; /* in_len bytes from in_at on */
    struct request_progress progress;
    unsigned pauses;
    bool ending;    /* no more requests; closes when everything owed is written */
    enum resp resp;
    int db;
    struct acl_user *user; /* of loop->users; see proxy/login */
    bool known;            /* it has logged in, or was let in without */
    bool policed;          /* its present request was looked at by proxy/policing; it waits */
    bool guarded;          /* login_lets is asked about each request: false for who may do everything */
    struct monitor *monitor;    /* NULL: it does not */
    struct subscriptions *subs; /* what it hears; NULL: nothing */
    struct tracing *tracing; /* a script that is about to be sent; mostly NULL */
    struct transaction *txn;  /* MULTI is open, or keys are watched */
    struct aside *aside;      /* commands of it that the proxy answers; NULL: none */
    struct upstream *pinned;  /* by proxy/loan */
    uint64_t pinned_generation; /* that WATCH was answered on */
    uint64_t pinned_id_on;      /* the connection's generation then: at another node of a cluster it is another client */
    int64_t pinned_id;          /* its CLIENT ID at Redis; 0: not known */
    struct lent_wait *lent_wait; /* what waits there; mostly NULL */
    uint8_t pinned_for;         /* enum loan_use */
    struct tracking *tracking;  /* its connection tracks what it reads (proxy/tracking); mostly NULL */
    struct divert *divert;      /* who is told instead (proxy/divert); mostly NULL */
    struct parked *parked;      /* its next request waits for managed keys (proxy/parked); mostly NULL */
    struct spreading spread;       /* of a cluster */
    int watch_slot;             /* of a cluster: where what it watches is */
    struct watched *watched;  /* keys on the archive, with the versions that EXEC must find */
    unsigned watching;        /* WATCHes that the archive has not answered yet */
    bool watch_refused; /* so that EXEC must not run, although the loan is over */
    char *name, *lib_name, *lib_ver;
    const char *last_command;
    bool no_evict, no_touch, is_heard; /* is_heard: some client's CLIENT TRACKING has named it */
    uint8_t mute; /* enum mute */
    char addr[64], laddr[64];
};

/* Takes a connected socket, whose client speaks TLS where it is secure; counts it as a client of l. */
struct session *session_new(struct loop *l, int own_fd, bool secure); /* NULL: it could not be */
/* Ends the connection now. reason: for the log at debug level; NULL when the client left. */
void session_close(struct session *s, const char *reason);
/* No more requests; closes once all replies are written. One that waits is called back: it is not waited for. */
void session_end(struct session *s);
/* Takes no further requests until session_resume. */
void session_pause(struct session *s, enum pause pause);
/* Its request may wait for long: slot is its last one. NULL: it does not, or no longer. */
void session_block(struct session *s, struct slot *slot);
/* Puts a request back in front of what was not taken yet. */
void session_unread(struct session *s, struct slice request);
/* The first request of the input that is kept. */
bool session_first(const struct session *s, struct request *r);
/* The first n bytes of that input are done with. */
void session_skip(struct session *s, size_t n);
/* Clears pauses and lets the session look at its input again before the turn ends. */
void session_resume(struct session *s, unsigned pauses);
/* Called before the turn's output is flushed; true: some session went on. */
bool session_resume_all(struct loop *l);
/* Waits for room in an upstream's output. */
void session_wait_upstream(struct session *s);
void session_wake_waiting(struct loop *l);
/* Something was added to the output: flush it in this turn, and look at the limits. */
void session_touch(struct session *s);
/* When raw, a large request, is all the input that is kept: appends it to a chain by giving the buffer away. False: it
 * must be copied. */
bool session_give_input(struct session *s, struct slice raw, struct chain *to);
/* Between two requests: nothing is owed, nothing is to be written, no MULTI is open, no key is watched. */
bool session_is_idle(const struct session *s);
/* An idle session ends here without its client noticing: the parcel has all that another process needs to go
 * on. */
MUST_USE struct parcel *session_leave(struct session *s);
/* Goes on with a client of another process, or of this one (post it; arg is a parcel, which the loop takes).
 * The client was counted for l before. */
void session_arrive(struct loop *l, void *own_parcel);
/* Ids that clients of this process never get, however long it goes on accepting: for its successor to start
 * with. */
uint64_t session_ids_beyond(void);
/* Clients get ids from first on; before any was accepted. */
void session_ids_start(uint64_t first);
/* Once a second: limits of output and idle time. */
void session_second(struct session *s, int64_t now_us);

#endif
