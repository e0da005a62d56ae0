/* backends/redis/upstream — one connection to Redis that carries the requests of many clients.
 *
 *      request ─▶ held ──(greeted)──▶ sent ─▶ Redis ─▶ reply belongs to the first of sent
 *
 * Owns:       the socket and the two queues; requests are embedded in their owners' objects.
 * Invariants: a reply belongs to a request by its place in the queue, never by anything else (pitfall 1). A malformed
 *             or unexpected reply or a passed deadline closes the connection; it is never used again. Each request ends
 *             exactly once: by its last reply or by on_failed; nobody takes one out of the queue.
 *             A guarded request is never sent to a stranger: a Redis that is not the one of env->guard.
 *             A deadline counts from when its request was queued (pitfall 2), whether it was sent or is held.
 * Threads:    [loop] only.          Used by: backends/redis/pool, proxy. */
#ifndef BACKENDS_REDIS_UPSTREAM_H
#define BACKENDS_REDIS_UPSTREAM_H

#include "backends/redis/guard.h"
#include "backends/redis/redirect.h"
#include "backends/redis/upstream_state.h"
#include "base/turn.h"
#include "base/write_id.h"
#include "config/settings.h"
#include "resp/build.h"

#include <stdbool.h>
#include <stdint.h>

/* URGENT: for what Redis answers also while a script runs. It is greeted as patiently as slow requests wait, and never guarded: raw
 * requests only. */
enum lane { LANE_FAST, LANE_SLOW, LANE_PINNED, LANE_URGENT };

struct upstream;

/* One request, or a block of several that belong together (MULTI … EXEC). */
struct upstream_request {
    struct upstream_request *next;
    int64_t queued_us;
    int64_t deadline_us;
    uint32_t replies; /* still owed */
    bool guarded;     /* the owner's word before upstream_queue: it is about keys that only the Redis of env->guard may have */
    int64_t wait_us; /* the same: for so long Redis itself may let it wait (BLPOP), beyond the deadline of others; INT64_MAX: for ever */
    size_t held_bytes; /* of upstream's held output */
    struct resend *resend; /* at a node of a cluster: its bytes; otherwise NULL */
};

struct upstream_ops {
    /* n bytes of the reply to r; end: the reply ends here. When end and r->replies == 0 the request is over and r is
     * the owner's again. */
    void (*on_reply)(struct upstream_request *r, const char *p, size_t n, bool end);
    /* The request is over without (all of) its replies. detail: a word or two about why. */
    void (*on_failed)(struct upstream_request *r, enum err e, const char *detail);
    /* What was waiting for room in the output, for the connection to be usable, or for its end, may look again. */
    void (*on_change)(struct upstream *u);
    /* A whole push (">…", RESP3 only); p is valid for the call. True: it stands for a reply, and is the next one of the oldest
     * request (SUBSCRIBE is answered so); on_reply gets it. NULL: pushes are dropped. */
    bool (*on_push)(struct upstream *u, const char *p, size_t n);
    /* Nothing that r's client has sent behind it is under way, nor will be before it is over: it may be sent later. NULL: never so. */
    bool (*may_wait)(const struct upstream_request *r);
};

/* Counted by the owner of the pool; see proxy/stats. */
enum upstream_count { COUNT_CONNECTS, COUNT_CONNECT_FAILURES, COUNT_LOST, COUNT_TIMEOUTS, COUNT_OPEN };
struct upstream_env {
    struct turn *turn;
    const struct settings *settings; /* the newest snapshot; the pool replaces it */
    const struct upstream_ops *ops;
    void (*count)(void *ctx, enum upstream_count what, int by);
    /* A greeting has met another Redis than guard's, or ours was emptied (epoch 0). NULL: nobody wants to know. */
    void (*on_stranger)(void *ctx, const char *run_id, int64_t epoch);
    void *ctx;
    /* A node of a cluster says that r, whose bytes r->resend has, belongs elsewhere, or to a later time. r is in no queue: it is sent
     * again or failed; NULL: there is nothing to be sent again. */
    void (*on_redirect)(struct upstream_env *env, struct upstream *u, struct upstream_request *r, const struct redirect *to);
    struct upstream_guard guard; /* the pool replaces it */
    uint32_t sessions;           /* names given out so far */
    /* An upstream has become busy: tick it. Called often, also when it is ticked already. */
    void (*wake)(struct upstream_env *env);
};

struct upstream *upstream_new(struct upstream_env *env, enum lane lane, int db, enum resp resp);
/* To a node of a cluster: its requests are kept until they are answered, and redirected. share: for the owner's use. */
struct upstream *upstream_new_at(struct upstream_env *env, enum lane lane, enum resp resp, const char *url, unsigned share);
/* The node's URL; NULL: it is where the settings say. */
const char *upstream_url(const struct upstream *u);
unsigned upstream_share(const struct upstream *u);
/* u is at a replica, which answers reads for the node of master: what it can't answer goes there. Not while anything is in flight for
 * another kind of use; again with another master at any time. */
void upstream_read_for(struct upstream *u, struct upstream *master);
/* It connects to another node as soon as what was sent is answered; what is queued from now on goes there. */
void upstream_move(struct upstream *u, const char *url);
/* r was redirected, and is sent from here now; its deadline stays. */
void upstream_resend(struct upstream *u, struct upstream_request *r, bool asking);
/* r was redirected, and that is its end. */
void upstream_fail(struct upstream_env *env, struct upstream_request *r, enum err e, const char *detail);
/* What is in flight fails with ERR_CANCELLED. Frees later, when the handles are closed. */
void upstream_free(struct upstream *own_u);

/* ERR_NONE when requests are taken; otherwise why not, and *detail says more (valid until the next call). Who asks
 * wants the connection: attempts go on as long as somebody does. */
enum err upstream_ready(struct upstream *u, const char **detail);
/* Where the bytes of the next request go: append them, then call upstream_queue. */
struct chain *upstream_out(struct upstream *u);
/* r owns the bytes just appended, and replies replies; slow: its deadline is redis.slow_timeout from now, otherwise
 * redis.timeout. Connects when there is no connection. */
void upstream_queue(struct upstream *u, struct upstream_request *r, uint32_t replies, bool slow);

/* Closes the connection at once: what is on it waits for nobody any more, and fails with ERR_CANCELLED. For pinned ones. */
void upstream_break(struct upstream *u);

bool upstream_full(struct upstream *u);              /* too much is unsent: hold back until on_change */
size_t upstream_in_flight(const struct upstream *u); /* requests not over yet */
enum upstream_state upstream_state(const struct upstream *u);
enum lane upstream_lane(const struct upstream *u);
int upstream_db(const struct upstream *u);
enum resp upstream_resp(const struct upstream *u);
void *upstream_owner(const struct upstream *u);        /* env->ctx */
void *upstream_user(const struct upstream *u);          /* whoever upstream_set_user named: of a pinned one, who has it; or NULL */
void upstream_set_user(struct upstream *u, void *user);
uint64_t upstream_generation(const struct upstream *u); /* grows with every connection made */

/* False: the connection's greeting has met a stranger, so guarded requests must not be queued: upstream_stranger_why. Raw ones may.
 * True as long as that is not known: then what is held is sorted when the greeting is answered, and guarded requests fail with
 * ERR_STRANGER without having left. Who asks wants to know: a stranger is greeted anew after a while. */
bool upstream_is_ours(struct upstream *u);
const char *upstream_stranger_why(const struct upstream *u);
/* A reply has told that Redis was emptied: the connection is a stranger's from now on, and env hears of it. */
void upstream_emptied(struct upstream *u);
/* Whether the replies that come now are those of the expected Redis: false behind upstream_emptied. */
bool upstream_answers_count(const struct upstream *u);
/* The session of what is queued now: that of the connection, or of the one that will send what is held. Never the same again in any
 * process. A buffer of WRITE_SESSION bytes; valid until the connection ends. */
const char *upstream_session(const struct upstream *u);
/* The number of the next write in that session, from 1: queue it at once. */
int64_t upstream_next_seq(struct upstream *u);

/* Deadlines, attempts, idle ends: called by the pool every few ms while upstream_busy. */
void upstream_tick(struct upstream *u, int64_t now_us);
bool upstream_busy(const struct upstream *u);
/* Connect anew (new settings) as soon as what was sent is answered; what is held waits for the new connection. */
void upstream_retire(struct upstream *u);
/* The owner knows that this connection is dead, although nothing has told so: it ends now. Not open: nothing happens. */
void upstream_give_up(struct upstream *u, const char *why);
/* All that there is of the connection ends now, as if Redis had ended it: for faults. */
void upstream_cut(struct upstream *u);
/* env->guard was another one before: connects anew when this connection is not good under the present one. */
void upstream_guard_changed(struct upstream *u, const struct upstream_guard *before);

#endif
