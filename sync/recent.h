/* sync/recent — which sessions of cvp:sess have written lately: only these may have a write without a reply, whose id a copy must tell.
 * Owns:       what it has seen of each session.
 * Invariants: a session that was not seen before counts as one that has just written. When there is no room for all, those that were idle
 *             longest are forgotten, and count as new again.
 * Threads:    one per object.          Used by: sync/copier. */
#ifndef SYNC_RECENT_H
#define SYNC_RECENT_H

#include "base/write_id.h"

#include <stddef.h>
#include <stdint.h>

#define RECENT_SESSIONS 256
#define RECENT_US       (300 * 1000000LL) /* far longer than anybody waits for a reply */

/* Zero to begin with. */
struct recent {
    struct recent_session {
        struct write_id last;
        int64_t since_us; /* mono: when it was first seen to be so far */
    } sessions[RECENT_SESSIONS];
    size_t n;
};

/* Of the n ids, as Redis tells them now, those of sessions that have written lately come to stand first, the longest idle first; returns how
 * many these are. What stands behind them counts for nothing. */
size_t recent_sort(struct recent *r, struct write_id *ids, size_t n, int64_t now_us);

#endif
