/* sync/moves — long work on a policy's keys that an operator has ordered: watched, throttled, and ended at will.
 *
 *   backfill  every key of Redis, and every one that only the archive has, gets a mark, then all marks are carried
 *   verify    both stores are compared, by versions or by content
 *   drain     all marks are carried
 *   ttl-audit keys without an expiry; repaired when asked
 *   tier      keys that were not used for long leave Redis; found: those that have, or have changed their tier
 *
 * Owns:       the list of moves, the newest 32; each one's cursor, so that one that was interrupted (a store was away, it was aborted, the
 *             process has ended: sync/logbook) goes on.
 * Invariants: one runs at a time; the next waits. Progress is true at every moment: done, total (-1: not known yet), rate, ETA.
 * Threads:    moves_run: sync's worker. The rest: any. */
#ifndef SYNC_MOVES_H
#define SYNC_MOVES_H

#include "backends/archive/archive.h"
#include "config/settings.h"
#include "sync/copier.h"
#include "sync/handoff.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define MOVE_RANGES 1024 /* that the keys' hashes fall into */

enum move_kind { MOVE_BACKFILL, MOVE_DRAIN, MOVE_VERIFY, MOVE_TTL_AUDIT, MOVE_TIER };
enum move_state { MOVE_WAITING, MOVE_RUNNING, MOVE_DONE, MOVE_ABORTED, MOVE_FAILED, MOVE_INTERRUPTED };

struct move_order {
    enum move_kind kind;
    char policy[64]; /* its name */
    bool repair;     /* verify, ttl-audit */
    bool deep;       /* verify: compare contents, not only versions */
    int64_t rate;    /* keys a second at most; 0: the setting sync.rate */
};

struct move_report {
    uint64_t id;
    struct move_order order;
    enum move_state state;
    int64_t done,
        total; /* keys looked at, by verify in either store; total: an estimate until the end, -1: none yet */
    int64_t found, repaired; /* mismatches, keys without TTL */
    int ranges;    /* of MOVE_RANGES: those with something found; few of many found: it was one event */
    double rate;   /* keys a second, lately */
    int64_t eta_s; /* -1: not known */
    int64_t started_us, ended_us; /* wall; 0: not yet */
    char why[160];                /* of MOVE_FAILED, or what it waits for */
    char examples[256];           /* some keys found, separated by spaces */
};

struct moves;

struct moves *moves_new(void);
void moves_free(struct moves *own_m);
/* 0: refused, why says it in one line. */
uint64_t moves_order(struct moves *m, const struct move_order *order, char *why, size_t why_cap);
/* False: there is no such move that could be aborted. */
bool moves_abort(struct moves *m, uint64_t id);
/* One that was aborted, was interrupted, or has failed goes on where it was, as the same move. False: why says it in one line. */
bool moves_resume(struct moves *m, uint64_t id, char *why, size_t why_cap);
/* The newest first, up to cap; how many. */
size_t moves_report(struct moves *m, struct move_report *ret, size_t cap);
bool moves_any(struct moves *m); /* one is waiting or running */
/* False: the policy's last backfill has not come to its end, so Redis may have writes that have left neither mark nor version; or it is not
 * known yet. */
bool moves_filled(struct moves *m, const char *policy);
/* The policy's last move of this kind, if the end of a process has interrupted it; 0: it has not. */
uint64_t moves_interrupted(struct moves *m, enum move_kind kind, const char *policy);

struct sync_ops; /* sync/sync.h */
struct tiers;    /* sync/tiers.h */
struct uses;     /* sync/uses.h */
struct warm;     /* sync/warm.h */

struct moves_stores {
    struct archive_handle *handle;
    struct link *link;
    struct copier *copier;
    const struct settings *settings;
    int64_t epoch;
    bool (*is_redis)(void *ctx,
                     const struct policy_conf *policy); /* the others have no moves; NULL: there are none */
    /* Hands keys over to Redis. */
    enum err (*hand_over)(void *ctx, const struct slice *keys, size_t n, enum handoff_result *ret);
    struct warm *warm;
    struct tiers *tiers;
    struct uses *uses;
    const struct sync_ops *ops;
    bool (*go_on)(void *ctx); /* false: the phase is over, or the process ends: come back soon */
    void *ctx;
};
/* Works on the running (or first waiting) move for about `slice_ms`; an error of a store leaves it where it is. */
MUST_USE enum err moves_run(struct moves *m, const struct moves_stores *stores, int64_t slice_ms);

/* Nothing can be done at present: the move that would be next tells why, until moves_run. "": something can. */
void moves_hold(struct moves *m, const char *why);

const char *move_kind_name(enum move_kind k);
const char *move_state_name(enum move_state s);
bool move_state_parse(const char *text, enum move_state *ret);
/* False: no such kind. */
bool move_kind_parse(const char *text, enum move_kind *ret);

#endif
