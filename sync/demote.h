/* sync/demote — takes keys out of Redis: the other direction of sync/handoff (docs/tiers.md).
 *
 *   announced ─▶ fence ─▶ leaving ─▶ 1 the document says "tier", durably ─▶ 2 the key goes from Redis, if its version is still the document's
 *
 * Invariants: a key goes only when the archive has exactly its version, clean, as Redis' own. Its version stays in cvp:ver, so that the stores
 *             count as equal. After a crash at any step the document that says "tier" has what Redis had, or less than Redis says itself.
 * Threads:    sync's worker: nobody else may mark keys meanwhile. */
#ifndef SYNC_DEMOTE_H
#define SYNC_DEMOTE_H

#include "executor/record.h"
#include "sync/moves.h"

/* The control document that is there once a key has left: the next process looks for such keys then. */
#define DEMOTE_NOTE "tiered"
#define DEMOTE_MOST 512 /* keys at once */

struct demotion {
    struct slice key;
    const char *policy; /* its name */
    struct record_tier tier;
    const char *why; /* out: why it stays; NULL: it has left */
};

/* Distinct keys, at most DEMOTE_MOST. An error of a store: what has not left stays, and what may have is asked for before it is used. */
MUST_USE enum err demote_keys(const struct moves_stores *s, struct arena *a, struct demotion *keys, size_t n);
/* Documents of keys that are away get this tier. */
MUST_USE enum err demote_deeper(const struct moves_stores *s, struct arena *a, struct demotion *keys, size_t n);

#endif
