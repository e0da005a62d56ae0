/* sync/cells — the table of sync/warm: a cell for each key that is away, on its way, or was away until lately, and the tallies of them.
 *
 * Owns:       40 bytes for each key, and half as many free ones at least.
 * Invariants: the tallies are what a walk over all cells would count: every change of a state, a tier, a policy or a size passes one pair of
 *             functions, which take the cell out of the tallies and put it in again.
 * Threads:    one at a time: sync/warm's lock.          Used by: sync/warm. */
#ifndef SYNC_CELLS_H
#define SYNC_CELLS_H

#include "base/keyid.h"
#include "executor/record.h"

#define CELLS_POLICIES 64
#define CELLS_HIDDEN   RECORD_LEVELS /* the tier of what is deleted */

enum cell_state { CELL_FREE, CELL_GONE, CELL_MOVING, CELL_LEAVING, CELL_AWAY, CELL_COMING, CELL_RECENT };

struct cell {
    struct keyid id;
    int64_t expire_ms; /* -1: never; of RECENT: until when it is remembered */
    uint32_t bytes, seen_s;
    uint8_t state, tier, policy, scan;
    uint8_t importance, accesses;
    bool told; /* seen_s, importance and accesses are what the document says */
};

struct cells_tally {
    int64_t keys[RECORD_LEVELS], bytes[RECORD_LEVELS]; /* of what is away and not hidden */
};

struct cells {
    struct cell *list;
    size_t size, used; /* size: a power of two; used: GONE ones, too */
    size_t hand;       /* where pruning goes on */
    int64_t away, hidden, moving; /* away: hidden ones, too */
    struct cells_tally tallies[CELLS_POLICIES];
};

void cells_init(struct cells *t);
void cells_done(struct cells *t);

/* NULL: it is not in here. Valid until the next cells_add. */
struct cell *cells_find(const struct cells *t, struct keyid id);
/* It is not in here: a FREE cell for it. */
struct cell *cells_add(struct cells *t, struct keyid id);

/* It is not in Redis, or may not be. */
bool cells_is_away(const struct cell *c);
void cells_set_state(struct cells *t, struct cell *c, enum cell_state state);
/* What is known of the key; bytes 0: as before. */
void cells_set(struct cells *t, struct cell *c, uint8_t tier, uint8_t policy, uint32_t bytes);

/* Looks at the next most cells, round and round: those whose time is over are GONE. */
void cells_prune(struct cells *t, int64_t now_ms, size_t most);

#endif
