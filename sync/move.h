/* sync/move — one move at work: what the kinds of moves have in common, and the table of the kinds.
 * Owns:       a page of keys, what the move remembers from step to step, and what there is to tell of it.
 * Invariants: a step that has failed has moved no cursor, so that it is done again; doing one twice does no harm.
 * Threads:    sync's worker.          Used by: sync/moves and the kinds. */
#ifndef SYNC_MOVE_H
#define SYNC_MOVE_H

#include "router/policy.h"
#include "sync/moves.h"
#include "sync/page.h"
#include "sync/tiers.h"
#include "sync/uses.h"

#include <limits.h>

#define MOVE_PAGE 512 /* keys of a step */

struct suspects; /* sync/suspects.h */

/* What a move remembers, also while a store is away. */
struct move_place {
    int stage;       /* of the kind's own; 0 at first */
    uint64_t cursor; /* SCAN */
    char run_id[48]; /* of the server that it is of: another one has its keys in another order */
    int64_t hash;    /* archive_scan */
    int64_t owed;    /* marks that there were when a drain began */
    int64_t before;  /* keys done when this stage began */
    size_t pace;     /* keys of a page whose values are loaded */
    uint64_t ranges[MOVE_RANGES / 64]; /* bits: something was found there */
    struct tiers_seen seen;            /* by a sweep */
    struct suspects *suspects;         /* NULL: none yet */
};

/* A move as another process could go on with it. */
struct move_saved {
    struct move_report report;
    struct move_place place; /* without suspects */
};

struct move_tally {
    int64_t done, total, found, repaired;
    char why[160];
    char examples[256];
};

struct move_at {
    const struct moves_stores *stores;
    const struct move_order *order;
    struct policy_set *policies;
    const struct policy_conf *policy; /* the order's */
    char *glob;                       /* of its keys */
    size_t limit;                     /* keys of this step at most: what the rate allows */
    size_t looked;                    /* by this step: what the rate counts */
    struct page page;
    struct move_place place;
    struct move_tally tally;
};

enum move_step {
    STEP_MORE,
    STEP_WAIT, /* nothing can be done for some milliseconds */
    STEP_OVER,
    STEP_BAD /* it can't be done at all: tally.why */
};

#define NO_SCAN INT_MAX

struct move_row {
    const char *name;
    int scans; /* the stage that scans Redis; NO_SCAN: none does */
    /* Some milliseconds' work. *ret is STEP_MORE at first. */
    enum err (*step)(struct move_at *at, enum move_step *ret);
};

enum err backfill_step(struct move_at *at, enum move_step *ret);
enum err drain_step(struct move_at *at, enum move_step *ret);
enum err verify_step(struct move_at *at, enum move_step *ret);
enum err audit_step(struct move_at *at, enum move_step *ret);
enum err tier_step(struct move_at *at, enum move_step *ret);

/* Whether the key is the policy's; a page_want. */
bool move_wants(void *at, struct slice key);
/* Counts a key that is not as it should be, and keeps its name as an example. */
void move_found(struct move_at *at, struct slice key);
/* More keys are done; part: how much of this stage that makes (0 to 1), from which the total is estimated. */
void move_done(struct move_at *at, size_t keys, double part);
/* The next page of the policy's keys in Redis. *ret_next: what move_paged gets when the page is done. */
MUST_USE enum err move_page(struct move_at *at, uint64_t *ret_next);
/* It is: its keys count as done. False: it was the last one. */
MUST_USE bool move_paged(struct move_at *at, uint64_t next);

/* Keys that get a higher version and a mark, all in one step, so that the copier carries what Redis has. */
struct marking {
    struct slice key;
    int64_t fresh;     /* its version before the raise when it has none */
    int64_t raise;     /* by how much it grows; 1 or more */
    int64_t expire_in; /* ms: it gets this expiry if it has none; 0: leave it */
    bool expires;      /* out: it got it */
};
MUST_USE enum err marking_do(struct link *l, struct marking *m, size_t n);

#endif
