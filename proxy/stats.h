/* proxy/stats — what a loop counts, and the sums over all loops that operators see.
 * Owns:       one struct stats per loop, registered for the life of the process.
 * Invariants: one thread writes a struct stats, any thread reads it: relaxed atomics, no locks, no torn counts.
 * Threads:    writing [loop]; stats_sum from any.          Used by: the proxy folder and its admin server. */
#ifndef PROXY_STATS_H
#define PROXY_STATS_H

#include "base/hist.h"

#include <stdatomic.h>
#include <stdint.h>

#define STATS_COMMANDS    512                  /* rows of the command table, and */
#define STATS_UNKNOWN     (STATS_COMMANDS - 1) /* one for commands that it does not have */
#define STATS_POLICIES    64
#define STATS_MSG_BUCKETS 12 /* upper bounds of msg_count_before: 0 1 2 5 10 20 50 100 200 500 1000 +Inf */

extern const int64_t stats_msg_bounds[STATS_MSG_BUCKETS - 1];

/* Why a managed write was not stored, and by which store: the labels of history_persist_errors_total. */
enum persist_reason {
    PERSIST_REDISDOWN, /* no connection, or it was lost */
    PERSIST_TIMEOUT,
    PERSIST_OOM,
    PERSIST_LOADING,
    PERSIST_READONLY,
    PERSIST_MISCONF,
    PERSIST_NOPERM,
    PERSIST_CLUSTERDOWN,
    PERSIST_TOO_LARGE,
    PERSIST_OTHER,
    PERSIST_ARCHIVE_DOWN,
    PERSIST_ARCHIVE_LOST,    /* no answer: it may or may not be stored */
    PERSIST_ARCHIVE_BUSY,    /* too many commands waited */
    PERSIST_ARCHIVE_REFUSED, /* full, read-only, damaged */
    PERSIST_ARCHIVE_RACE,    /* other writers were always faster */
    PERSIST_ARCHIVE_TOO_LARGE,
    PERSIST_REASONS
};
const char *persist_reason_name(enum persist_reason r);
const char *persist_reason_store(enum persist_reason r); /* "redis", "archive" */

/* What users were denied: the labels of convproxy_acl_denied_total. */
enum acl_reason { ACL_REASON_AUTH, ACL_REASON_COMMAND, ACL_REASON_KEY, ACL_REASON_CHANNEL, ACL_REASONS };
const char *acl_reason_name(enum acl_reason r);

typedef _Atomic uint64_t counter;
static inline void counter_add(counter *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline uint64_t counter_get(const counter *c)
{
    return atomic_load_explicit((counter *)c, memory_order_relaxed);
}

/* What a command counts under where tenants have limits (router/rate_class). */
#define STATS_CLASSES 3

struct policy_stats {
    counter reads_hit, reads_miss, reads_error; /* context_retrievals_total */
    counter writes;
    counter trimmed_json, json_not_array, json_invalid;
    counter ttl_restored; /* a refused write had moved the TTL; it was put back (protocol H22) */
    counter unarchived;   /* writes acknowledged without their copy: the archive could not take it; the mark stays */
    counter malformed;              /* values written that should be JSON, and are not */
    counter limited[STATS_CLASSES]; /* commands refused by limit_default and its kin, by enum rate_class */
    counter persist_errors[PERSIST_REASONS];
    counter msg_buckets[STATS_MSG_BUCKETS]; /* messages in the conversation before each append */
    counter msg_count, msg_sum;
};

struct command_stats {
    counter calls, errors, usec;
};

struct stats {
    counter clients_accepted, clients_closed, clients_refused; /* connected = accepted - closed */
    counter clients_blocked; /* gauge: they wait for something to come, or for the end of CLIENT PAUSE */
    counter clients_output_closed;                             /* closed for unread output */
    counter acl_denied[ACL_REASONS];
    counter bytes_in, bytes_out;                               /* from and to clients */
    counter requests, replies, protocol_errors;
    counter tls_accepted, tls_resumed, tls_failed; /* handshakes of clients; once a second */
    counter upstream_connects, upstream_connect_failures, upstream_lost, upstream_timeouts;
    counter upstream_open;   /* gauge: connections to Redis that are ready, pinned ones included */
    counter upstream_pinned; /* gauge */
    counter backpressure_pauses;
    counter pubsub_subscriptions; /* gauge */
    counter pubsub_messages;      /* sent to clients */
    counter held; /* gauge, once a second: clients whose requests wait while the stores change places */
    counter memory;            /* gauge: bytes buffered for clients and for Redis */
    struct hist redis_latency; /* µs from queueing to the reply's end, commands on the fast lane */
    struct hist_window redis_latency_window; /* the same, last 60 s: redis_latency_p95_ms */
    struct command_stats commands[STATS_COMMANDS];
    struct policy_stats policies[STATS_POLICIES]; /* by stats_policy_id */
};

/* Registers one more loop's stats; call before the loop runs. */
void stats_register(struct stats *own_s);
unsigned stats_loops(void);
const struct stats *stats_of_loop(unsigned i);

/* A small stable number for a policy's name; the same name always gets the same. At most STATS_POLICIES - 1 names, the
 * rest share the last. Threads: any. */
unsigned stats_policy_id(const char *name);
const char *stats_policy_name(unsigned id); /* NULL when the id is not in use */

/* The sum over all loops of a counter, given by its place in the first loop's struct. */
uint64_t stats_sum(const counter *in_first);
#define STATS_SUM(field) stats_sum(&stats_of_loop(0)->field)

#endif
