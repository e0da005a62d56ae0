/* sync/warm — the keys that have left Redis on purpose: they are in the archive alone until somebody asks for them (docs/tiers.md).
 *
 *        announce           leave              settle(true)            take              came(true)
 *   home ────────▶ MOVING ────────▶ LEAVING ────────────────▶ AWAY ────────▶ COMING ────────────────▶ home
 *          ◀─ ask (cancels)    ◀─ settle(false)                  ◀─ came(false)
 *
 * Owns:       what is known of each key (sync/cells): its id, its expiry, its size, what the rules need to know of it.
 * Invariants: a key that Redis does not have and the archive has in a tier is in here before it leaves Redis, and until it is back. One that
 *             is in here without need costs its next reader a look at the archive, nothing else.
 * Threads:    any; locks inside, held for a few steps. */
#ifndef SYNC_WARM_H
#define SYNC_WARM_H

#include "base/slice.h"
#include "executor/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct warm;

struct warm *warm_new(void);
void warm_free(struct warm *own_w);

/* ---- what is known ---- */

/* Some policy has tiers, or some key is away: requests have to ask. Cheap. */
bool warm_active(const struct warm *w);
void warm_want(struct warm *w, bool tiers);
/* The archive was looked through: a key that is not in here is at home. */
bool warm_known(const struct warm *w);
/* A look through the whole archive begins; what is away and was not seen by its end is not away. */
void warm_scan_begin(struct warm *w);
void warm_scan_end(struct warm *w);
/* The archive has it in this tier (RECORD_WARM, RECORD_COLD). bytes 0: not known, or as before. facts: what its document says of its use;
 * NULL: not known, or as before. */
struct warm_key {
    struct slice key;
    const char *policy;
    uint8_t tier;
    int64_t expire_ms; /* -1: never */
    size_t bytes;
    const struct record_tier *facts;
};
void warm_add(struct warm *w, const struct warm_key *k);

/* ---- who asks ---- */

/* Somebody is about to use the key in Redis. False: it must be handed over first. A demotion that has not begun is called off. */
bool warm_is_home(struct warm *w, struct slice key);
/* A list of all keys must show it: it is away, or was until a while ago, when the part of the list that comes from Redis was made. */
bool warm_shows(struct warm *w, struct slice key);

/* Redis was flushed through the proxy: what is away is deleted, though the archive has not heard of it yet. It is not shown or counted. */
void warm_hide(struct warm *w);

/* ---- who moves ---- */

/* It is to leave. False: it is on some way already. */
bool warm_announce(struct warm *w, struct slice key);
/* Nobody has asked for it since, and from now on who does waits. False: somebody has; it stays. */
bool warm_leave(struct warm *w, struct slice key);
/* It has left, or may have; away false: it has not, for sure. */
void warm_settle(struct warm *w, const struct warm_key *k, bool away);
/* Called off before warm_leave. */
void warm_call_off(struct warm *w, struct slice key);
/* The mover has it in hand now and must tell warm_came. False: it was not away; nothing is to be told. Waits, up to a tenth of a second,
 * while it is leaving: *ret_leaving says that it still is. */
bool warm_take(struct warm *w, struct slice key, bool *ret_leaving);
/* home: Redis has it, or nobody. */
void warm_came(struct warm *w, struct slice key, bool home);

/* The archive has a newer state of it than the one that is away: Redis', or that it was deleted. */
void warm_forget(struct warm *w, struct slice key);

/* The document of the key, if it is away still, says this of its use. */
void warm_learn(struct warm *w, struct slice key, const struct record_tier *facts);
/* What the document of a key that is away says of its use, as it was told here. False: it was not, or the key is not away. */
bool warm_facts(struct warm *w, struct slice key, struct record_tier *ret);

/* ---- figures ---- */

struct warm_count {
    char policy[64];
    int64_t keys[RECORD_LEVELS], bytes[RECORD_LEVELS]; /* by tier */
};
/* Up to cap policies; how many. What has expired is counted until warm_prune has come by. */
size_t warm_counts(struct warm *w, struct warm_count *ret, size_t cap);
/* Looks at some thousand keys, at others each time, and drops those that have expired. */
void warm_prune(struct warm *w, int64_t now_ms);
/* Keys that are away. */
int64_t warm_away(struct warm *w);
/* RECORD_WORKING, unless it is away. */
uint8_t warm_tier(struct warm *w, struct slice key);

#endif
