/* proxy/overview — one look at the whole process: what metrics, INFO and the admin documents are written from.
 * Owns:       a reference to the settings, copies of everything else.
 * Invariants: all numbers of one overview are of about the same moment; none is NaN.
 * Threads:    any.          Used by: proxy/metrics, proxy/info, proxy/state, proxy/primary, proxy/series. */
#ifndef PROXY_OVERVIEW_H
#define PROXY_OVERVIEW_H

#include "proxy/chaos.h"
#include "proxy/depot.h"
#include "proxy/guarantee.h"
#include "proxy/placement.h"
#include "proxy/server.h"
#include "proxy/stats.h"
#include "sync/sync.h"
#include "sync/tracer.h"

#define OVERVIEW_MOVES 32 /* ORDERS_MOVES */

struct overview {
    const struct server *server;
    const struct settings *settings;
    struct probe_report redis;
    struct scout_report scout;
    struct depot_report archive;
    struct chaos_report chaos;
    bool placed; /* there is an archive, so the next four are known */
    struct placement_report places;
    struct sync_report sync;
    struct tracer_report scripts; /* those that name no keys */
    size_t nmoves; /* the newest first */
    struct move_report moves[OVERVIEW_MOVES];
    double p50_ms, p95_ms, p99_ms; /* of the last 60 s; of the probe's PINGs when clients sent nothing */
    bool latency_of_probe;         /* it is of the PINGs */
    struct hist_sum latency;       /* of clients' commands since the start, µs */
    int64_t now_us;                /* clock_wall_us */
    double uptime_s;
    bool draining;
    int64_t tls_expires; /* of the certificate of tls.listen, s since 1970; 0: none */
    double resident_bytes, mapped_bytes, cpu_s;
};

void overview_take(struct overview *o, const struct server *server);
void overview_done(struct overview *o);

/* What keeps managed keys from being served, one call for each store that answers for some policy and can't. */
void overview_troubles(const struct overview *o, void (*say)(void *ctx, const char *sentence), void *ctx);
bool overview_healthy(const struct overview *o);
/* Whether the archive, and not Redis, answers for the policy now. */
bool overview_archive_acts(const struct overview *o, const struct policy_conf *policy);
/* "redis" or "archive": the same in a word, and the word of the setting primary. */
const char *overview_acting(const struct overview *o, const struct policy_conf *policy);
const char *overview_primary(const struct policy_conf *policy);
/* Whether writes of the policy are copied to the other store now, whatever the setting says. */
bool overview_dual_write(const struct overview *o, const struct policy_conf *policy);
/* Where the policy is; NULL: there is no placement, or it has not heard of the policy yet. */
const struct placement_policy *overview_place(const struct overview *o, const struct policy_conf *policy);
/* What is promised for the policy's acknowledged writes. */
void overview_guarantee(const struct overview *o, const struct policy_conf *policy, struct guarantee *ret);
/* Logs what has changed of them since the last call. */
void overview_tell_guarantees(const struct overview *o, struct guarantee_log *log);
/* For how long, in s, the archive has been owed copies without a break; 0: it is owed none. */
double overview_copy_lag_s(const struct overview *o);
/* What the last verify of each policy has found and not repaired. */
int64_t overview_mismatches(const struct overview *o, const char *policy);
/* What the last ttl-audit of the policy has found and not repaired; -1: there was none among the newest moves. */
int64_t overview_without_ttl(const struct overview *o, const char *policy);
uint64_t overview_clients(void);
/* They list folders of /proc/self: not for a loop's thread. */
double overview_open_fds(void);
double overview_threads(void);
double overview_max_fds(void);
/* Sums over all reasons and policies. */
uint64_t overview_persist_errors(void);

#endif
