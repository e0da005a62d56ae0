/* proxy/chaos — a store that is cut off, paused or slow for some seconds, for game days: the same order for Redis and for the archive.
 * Redis is cut at backends/redis/faults, the archive by a plan of backends/trace/faults.
 *
 *   convctl chaos, CONV CHAOS, /api/v1/chaos ─▶ order ─▶ valve | plan ─▶ deadline, off, or the setting that forbids it ─▶ over
 *
 * Owns:       the orders in force, one a store at most.
 * Invariants: none lasts longer than CHAOS_SECONDS_MAX, whatever becomes of who ordered it. Its beginning and its end are logged. It
 *             needs the setting redis.faults or archive.faults.
 * Threads:    chaos_tick [main]; the rest any.          Used by: proxy/depot, overview, admin_chaos, local_chaos. */
#ifndef PROXY_CHAOS_H
#define PROXY_CHAOS_H

#include "base/err.h"
#include "base/valve.h"
#include "config/settings.h"

#include <stddef.h>

#define CHAOS_SECONDS_MAX 300
#define CHAOS_DELAY_MAX   60000 /* ms */

enum chaos_store { CHAOS_REDIS, CHAOS_ARCHIVE, CHAOS_STORES };

struct chaos;
struct depot;
struct server;

struct chaos_order {
    enum chaos_store store;
    enum valve_kind kind;
    int64_t delay_ms, jitter_ms; /* of VALVE_DELAY */
    double seconds;
};

struct chaos_report {
    struct chaos_order orders[CHAOS_STORES]; /* kind VALVE_OPEN: there is none; seconds: those that are left */
};

const char *chaos_store_name(enum chaos_store store);
/* By its name; "mongo" is the archive. */
bool chaos_store_find(const char *name, enum chaos_store *ret);

struct chaos *chaos_new(struct server *server, struct depot *depot);
void chaos_free(struct chaos *own_c);

/* Begins, in place of the one before on this store. by: who asks, for the log. False: nothing has changed, and why says why. */
MUST_USE bool chaos_begin(struct chaos *c, const struct settings *now, const struct chaos_order *order, const char *by,
                          char *why, size_t why_cap);
/* Ends it, if there is one. */
void chaos_end(struct chaos *c, enum chaos_store store, const char *by);
void chaos_report(struct chaos *c, struct chaos_report *ret);
/* Ends what is over, or not allowed any more. */
void chaos_tick(struct chaos *c);
/* "cut", or "delay 50 ms +- 10 ms"; "" for none. */
void chaos_text(const struct chaos_order *order, char *buf, size_t cap);

#endif
