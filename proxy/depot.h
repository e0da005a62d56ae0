/* proxy/depot — the archive of this process with all that belongs to it: executor, placement, census, and the plan of faults for
 * game days.
 *
 *   depot ─▶ executor ─▶ trace ─▶ sqlite | mongo
 *      └──▶ placement, census (libuv's pool), clerk
 *
 * Owns:       all of them.
 * Invariants: without an archive (archive.url empty, or it could not be opened) there is a depot all the same, which says so.
 *             A plan of faults is in force only while the setting archive.faults is on, and is never quiet about it.
 * Threads:    open, start, tick, settings, stop, free: [main]. The rest: any. */
#ifndef PROXY_DEPOT_H
#define PROXY_DEPOT_H

#include "backends/trace/trace.h"
#include "config/settings.h"
#include "executor/executor.h"

#include <uv.h>

#define DEPOT_PLAN 1024 /* room for a plan of faults as text */

struct depot;
struct backups;
struct chaos;
struct owed;
struct placement;
struct server;
struct sync;
struct tenants;
struct tracer;

struct depot_report {
    bool present;
    struct executor_report executor; /* zeros when not present; why says why it is not */
    struct archive_stats stored;     /* at the last count; -1: not known */
    uint64_t attempts;               /* questions that it has not answered since it went down */
    double ping_ms;                  /* median time to its answer */
    char faults[DEPOT_PLAN];         /* the plan in force; "": none */
};

/* heir: a predecessor may own the archive until it leaves. */
struct depot *depot_open(struct server *s, const struct settings *now, bool heir);
/* Another process owns the archive: this one must not serve the same keys without it. See depot_why. */
bool depot_is_taken(const struct depot *d);
/* When the loops run. */
void depot_start(struct depot *d, uv_loop_t *main_loop);
void depot_tick(struct depot *d, int64_t now_us);
void depot_settings(struct depot *d, const struct settings *now);
/* The loops have ended. */
void depot_stop(struct depot *d);
/* The main loop has ended; what the loops have asked for is told them. */
void depot_free(struct depot *own_d);

/* Why there is no archive; "" when there is one. */
const char *depot_why(const struct depot *d);
struct executor *depot_executor(const struct depot *d);   /* NULL: there is no archive */
struct placement *depot_placement(const struct depot *d); /* NULL: the same, or not started yet */
struct sync *depot_sync(const struct depot *d);           /* as placement */
struct tracer *depot_tracer(const struct depot *d);       /* as placement */
struct backups *depot_backups(const struct depot *d);     /* never NULL */
struct chaos *depot_chaos(const struct depot *d);         /* never NULL */
struct tenants *depot_tenants(const struct depot *d);     /* NULL: not started yet */
struct owed *depot_owed(const struct depot *d);           /* as executor */
struct clerk *depot_clerk(const struct depot *d);         /* NULL: not started yet, or stopped */

void depot_report(const struct depot *d, struct depot_report *ret);
/* Whether the archive answers for the policy at this position of the settings though its primary is redis. Where the primary is
 * the archive it answers in any case, if only with an error. */
bool depot_acts(const struct depot *d, size_t policy);
/* The operator's word on the policy of this name; see placement_choose. Without an archive it is Redis in any case. */
void depot_choose(struct depot *d, const char *policy, bool archive);
/* What its calls of one operation were; added to *sum. False: there is no archive. */
bool depot_calls(const struct depot *d, enum trace_op op, struct trace_stat *sum);

/* A plan as backends/trace/faults.h has it, "" for none; by: who asks, for the log. False: nothing has changed, and why says in
 * one line what is wrong. */
MUST_USE bool depot_set_faults(struct depot *d, const struct settings *now, const char *plan, const char *by,
                               char *why, size_t why_cap);
/* The plan in force, "" when there is none. */
void depot_faults(const struct depot *d, char *buf, size_t cap);

#endif
