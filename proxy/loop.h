/* proxy/loop — one event loop on one thread: its clients, its connections to Redis, its share of everything.
 * Owns:       the uv loop, the sessions, the pool, the parser's and planner's scratch, the statistics.
 * Invariants: nothing here is touched by another thread, but for the inbox (locked), the number of clients (atomic)
 *             and the statistics (atomic counters).
 * Threads:    loop_start, loop_post, loop_join from any; the rest [loop]. */
#ifndef PROXY_LOOP_H
#define PROXY_LOOP_H

#include "backends/redis/pool.h"
#include "backends/redis/topology.h"
#include "base/turn.h"
#include "config/settings.h"
#include "proxy/acting.h"
#include "proxy/hold.h"
#include "proxy/stats.h"
#include "resp/request.h"
#include "router/learned.h"
#include "router/plan.h"
#include "router/policy.h"

#include <stdatomic.h>
#include <stdbool.h>

struct server;
struct session;
struct slot;
struct looks;
struct loop;
struct copy_wait;
struct op;
struct executor;
struct user_set;
struct heard;
struct monitors;
struct scripting;
struct pausing;
struct policing;
struct subscriber;

#define BLOCK_SPREAD_MS 100

typedef void (*loop_fn)(struct loop *l, void *arg);

struct loop {
    unsigned index;
    struct server *server;
    uv_thread_t thread;
    uv_loop_t uv;
    struct turn turn;
    struct pool pool;
    const struct settings *settings; /* counted; replaced by loop_apply */
    struct policy_set *policies;
    struct policing *policing;       /* what policies demand of commands; NULL: nothing */
    struct user_set *users;          /* counted; see proxy/login */
    struct topology *topology;       /* counted; NULL: Redis is no cluster */
    struct learned *learned;         /* counted; NULL until Redis has told its commands */
    uint8_t policy_ids[STATS_POLICIES]; /* stats id of settings->policies[i] */
    struct request request;
    struct plan plan;
    struct stats *stats;
    struct session *sessions;        /* all, doubly linked */
    struct session *resumable;       /* may go on reading: looked at once before the turn ends */
    struct session *waiting;         /* for room in an upstream's output */
    struct executor *executor;       /* the server's; NULL: there is no archive */
    struct acting acting;            /* who acts for which policy */
    struct hold hold;                /* what waits while that changes */
    struct pausing *pausing;         /* CLIENT PAUSE is in force; NULL: it is not */
    struct op *ops, **ops_tail;      /* made in this turn: submitted at its end */
    struct slot *asked, **asked_tail; /* whose ops the archive has, oldest first */
    const _Atomic unsigned *monitors_all; /* clients that monitor, in all loops */
    _Atomic unsigned monitors_here;       /* those of this one; the others look */
    struct monitors *monitors;       /* NULL until there is something to tell */
    struct subscriber *subscriber;   /* NULL until some client subscribes */
    struct heard *heard;             /* its clients that others' CLIENT TRACKING has named (proxy/divert); NULL: there was none */
    struct scripting *scripting;     /* what proxy/scripting keeps; NULL: no script was seen */
    struct copy_wait *copies;        /* slots that wait for sync (proxy/copies) */
    struct looks *parked;            /* clients that wait for managed keys; NULL: there was none yet */
    struct slot *free_slots;
    size_t nfree_slots;
    int64_t block_ms;                /* what loop_block_now_ms told last */
    int64_t wall_minus_mono_us;      /* looked at once a second: the turn's clock then tells the wall's */
    size_t in_bytes;                 /* input buffers and subscriptions of all sessions */
    struct chain unheard;            /* where replies go that a client has turned off; emptied at once */
    struct listener *listeners;
    struct tls_context *tls;         /* counted: for clients of tls.listen; NULL: there are none */
    struct travel *travel;           /* its clients leave for another process; NULL: they stay */
    uv_timer_t second;
    uv_async_t inbox_wake;
    uv_mutex_t inbox_lock;
    struct message *inbox, **inbox_tail;
    _Atomic unsigned clients;
    bool draining;
    bool closed;
};

/* Starts the thread; settings is counted by the loop itself. */
struct loop *loop_start(struct server *server, unsigned index, const struct settings *settings);
/* Runs fn(l, arg) on the loop's thread, in the order of the calls. Any thread. */
void loop_post(struct loop *l, loop_fn fn, void *arg);
/* The same, but false when the loop closes or has closed: fn will not run. */
MUST_USE bool loop_try_post(struct loop *l, loop_fn fn, void *arg);
/* Closes everything on the loop (post it); then its thread ends. */
void loop_close(struct loop *l, void *unused);
void loop_join_free(struct loop *own_l);

/* A new snapshot (post it; arg is a counted const struct settings, which the loop takes). */
void loop_apply(struct loop *l, void *own_settings);
/* The server's commands (post it; own_learned is a counted struct learned, which the loop takes). */
void loop_learn(struct loop *l, void *own_learned);

/* Where the slots of the cluster are (post it; arg is a counted struct topology, which the loop takes; NULL: it is no cluster). */
void loop_topology(struct loop *l, void *own_topology);

/* Redis's wall clock in ms: ours plus the offset that the probe has measured. */
int64_t loop_redis_now_ms(const struct loop *l);
/* The same for a block, but no two blocks that follow each other closely get the same: undoing what one has done must
 * not undo what the next one did (router/plan). Up to BLOCK_SPREAD_MS early, never late. */
int64_t loop_block_now_ms(struct loop *l);
/* proxy.max_memory is used up. */
bool loop_over_memory(const struct loop *l);
uint8_t loop_policy_id(const struct loop *l, const struct policy_conf *policy);

#endif
