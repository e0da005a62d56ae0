/* sync/sync — the threads between the stores: one hands keys over and copies keys that somebody waits for, one does the long work
 * (the copier's rounds, CATCHUP's pass, moves).
 *
 *   proxy ─▶ sync_handoff, sync_copy ─▶ [urgent]  ─┬─▶ handoff, copier ─▶ link ─▶ Redis
 *            sync_enter(phase)       ─▶ [worker]  ─┘        └──────────▶ archive
 *
 * Owns:       two links, two archive handles, the queue of keys that somebody waits for, the list of moves.
 * Invariants: what was asked for under an epoch that is over is answered with ERR_MOVED and not done; what is asked for under one that
 *             has not begun waits for it. done() is called exactly once.
 * Threads:    any for the functions; the callbacks come on sync's own threads and may call all functions but sync_stop. */
#ifndef SYNC_SYNC_H
#define SYNC_SYNC_H

#include "backends/archive/archive.h"
#include "config/settings.h"
#include "sync/copier.h"
#include "sync/handoff.h"
#include "sync/moves.h"
#include "sync/tiers.h"
#include "sync/uses.h"
#include "sync/warm.h"

#define SYNC_URGENT "u" /* what follows the proxy's id in the claims of the urgent thread */

struct sync;

enum sync_mode {
    SYNC_IDLE,    /* HOLD, or ARCHIVE: nothing is carried */
    SYNC_COPY,    /* REDIS: marks are carried to the archive */
    SYNC_CATCHUP, /* keys are handed to Redis; marks too once their keys are Redis' */
};

struct sync_ops {
    /* The pass of CATCHUP under this epoch has found nothing left twice: all keys are Redis'. */
    void (*caught_up)(void *ctx, int64_t epoch);
    /* Whether Redis is to have the keys of this policy; pass and moves leave all others alone. NULL: when its primary is redis. Must not
     * wait for somebody who is in sync_enter. */
    bool (*is_redis)(void *ctx, const struct policy_conf *policy);
    /* Returns when no request that was sent before is under way any more at any loop; false: it takes too long, or go_on has said no. NULL:
     * nobody sends any. */
    bool (*fence)(void *ctx, bool (*go_on)(void *arg), void *arg);
    /* Somebody is parked until something comes for the key. NULL: nobody is. */
    bool (*is_awaited)(void *ctx, struct slice key);
    void *ctx;
};

struct sync_report {
    struct copier_counts copier;   /* a copy */
    struct handoff_counts handoff; /* a copy */
    int64_t waiting;               /* keys that somebody waits for, those in work counted */
    int64_t pass_done, pass_total; /* CATCHUP's pass, documents; total -1: not known */
    char why[160];                 /* the last trouble; "": none since it went well */
};

struct sync *sync_start(struct archive *a, const struct settings *settings, const char *proxy,
                        const struct sync_ops *ops);
/* What is asked for still is answered with ERR_CANCELLED. NULL is fine. */
void sync_stop(struct sync *own_s);
void sync_settings(struct sync *s, const struct settings *now);
/* From now on. Returns when nothing of what was entered before runs any more, so that an epoch's work is over: at most a batch's time; a
 * Redis that does not answer is not waited for, an archive that does not, for its time-outs. */
void sync_enter(struct sync *s, enum sync_mode mode, int64_t epoch);

typedef void (*sync_done)(void *ctx, enum err e);
/* Hands keys to Redis, or copies them to the archive, now. The keys' bytes are copied. done's error: ERR_RACE: other writers were
 * faster, many times; ERR_ARCHIVEBAD: one of the keys can't be carried; ERR_MOVED, ERR_CANCELLED; or a store's, after some attempts. */
void sync_handoff(struct sync *s, int64_t epoch, const struct slice *keys, size_t n, sync_done done,
                  void *ctx);
void sync_copy(struct sync *s, int64_t epoch, const struct slice *keys, size_t n, sync_done done, void *ctx);

/* Another proxy is gone: what it had claimed is given back, so that this one carries it. */
void sync_reclaim(struct sync *s);

void sync_report(struct sync *s, struct sync_report *ret);
struct moves *sync_moves(struct sync *s);
struct warm *sync_warm(struct sync *s);
struct tiers *sync_tiers(struct sync *s);
struct uses *sync_uses(struct sync *s);

/* The key shall leave Redis, whatever its age; done as sync_copy. ERR_RACE: it is in use, or the copy of it in the archive is not complete;
 * ERR_ARCHIVEBAD: it is none that could. */
void sync_demote(struct sync *s, int64_t epoch, struct slice key, sync_done done, void *ctx);

#endif
