/* proxy/placement — which store answers for each policy now: drives router/place with what is so, and does what a change of place asks
 * for.
 *
 *   loops ── in doubt, quiet ──▶ ┌───────────┐ ──▶ acting (posted to every loop)
 *   probe, looks at Redis ─────▶ │ facts     │ ──▶ control document (proxy/ledger), saved before it is acted upon
 *   executor, sync ────────────▶ │ place.def │ ──▶ claim of Redis, mode of sync
 *                                └───────────┘
 *
 * Owns:       the ledger, a handle on the archive, a link to Redis; sync's mode.
 * Invariants: every change of who acts goes through HOLD, which ends when each loop has said that it is quiet. What must survive is saved
 *             first. A look at Redis that fails, a stranger, or a write in doubt is a loss.
 * Threads:    start, stop, redis: [main]; settings, doubt, suspect, quiet, report, choose, is_archive, copy: any. Stores are asked on
 *             libuv's pool. Loops get copies by loop_post. */
#ifndef PROXY_PLACEMENT_H
#define PROXY_PLACEMENT_H

#include "config/settings.h"
#include "executor/executor.h"
#include "proxy/acting.h"
#include "router/place.h"

#include <uv.h>

struct server;
struct sync;
struct placement;
struct owed;

struct placement_policy {
    char name[64];
    enum place place;
    int64_t since_us;             /* wall */
    uint64_t failovers;           /* takings-over by the archive because Redis was lost */
    int64_t held_us, held_max_us; /* how long requests were held at the last change, and at the longest one */
    char why[96];                 /* what the last change was for */
};

struct placement_report {
    int64_t epoch;
    bool redis_ours;
    char proxy[16];
    size_t nmembers; /* proxies that share the archive, this one too; 0: it is alone */
    size_t npolicies;
    struct placement_policy policies[STATS_POLICIES];
};

struct placement *placement_start(struct server *s, uv_loop_t *main_loop, struct executor *e,
                                  struct sync *sync, struct owed *owed, const char *proxy);
void placement_stop(
    struct placement *own_p); /* before the executor and sync end; its pool work is waited for */
void placement_settings(struct placement *p, const struct settings *now);
/* The operator's word on the policy's store: its return to Redis is not put off. */
void placement_choose(struct placement *p, const char *policy, bool archive);
/* What the probe has found, also for the first time. there: something has answered at its address, perhaps with a refusal. */
void placement_redis(struct placement *p, bool up, bool there);
/* A write on Redis is in doubt, and kept until it can be made sure of. */
void placement_doubt(struct placement *p);
/* A connection was lost or refused, or is a stranger's: look at once. */
void placement_suspect(struct placement *p);
/* The loop has seen acting.serial, and of the policies on HOLD nothing is under way any more. */
void placement_quiet(struct placement *p, unsigned loop, uint64_t serial);
/* sync: every key is Redis' in this epoch. */
void placement_caught_up(struct placement *p, int64_t epoch);
/* What this process was told last may still be relied upon: otherwise nothing is acknowledged (I6). */
bool placement_is_leased(const struct placement *p);
/* And it was told in this epoch. */
bool placement_is_now(const struct placement *p, int64_t epoch);
/* Whether the archive answers for the policy at this position. */
bool placement_is_archive(struct placement *p, size_t policy);
/* What loops are told, for policies in the order of settings; p NULL: there is no archive. */
void placement_copy(struct placement *p, const struct settings *settings, struct acting *ret);
/* Why the archive does not say who acts, or does not take it; "": it does. */
void placement_trouble(struct placement *p, char *text, size_t cap);
void placement_report(struct placement *p, struct placement_report *ret);

#endif
