/* sync/logbook — the moves that are not done, in the archive's control document "moves": whoever comes after a process that has ended goes
 * on with them (docs/operations.md).
 *
 *   { _id: "moves", off: ["bare"], moves: [{by: "3f2a91c0", beat: 7, id: 3, kind: "backfill", policy: "conv", state: "running", cursor: …}] }
 *
 * A backfill goes on by itself, since until it has passed Redis has writes without versions and marks; so does a sweep of tiers. The others
 * are offered: `convctl resume`. off: policies that have been without dual writes; when they have them again they get a backfill.
 *
 * Owns:       what was read last.
 * Invariants: each process writes only its own moves, and takes over those of a process that has ended: on SQLite every other one; on an
 *             archive that several share, one whose beat has stood still for LOGBOOK_SILENT_US. One of them gets each: by compare-and-set.
 * Threads:    logbook_load: sync's two; the rest: sync's worker. */
#ifndef SYNC_LOGBOOK_H
#define SYNC_LOGBOOK_H

#include "backends/archive/archive.h"
#include "config/settings.h"
#include "sync/moves.h"

#define LOGBOOK_SILENT_US 15000000

struct logbook;

/* by: this process. shared: other processes may use the archive. */
struct logbook *logbook_new(struct moves *m, const char *by, bool shared);
void logbook_free(struct logbook *own_l);
/* What was interrupted is known from now on; before, nothing may be handed over. Cheap when it is. */
MUST_USE enum err logbook_load(struct logbook *l, struct archive_handle *h, const struct settings *settings);
/* Writes what has changed, when it is time to. */
MUST_USE enum err logbook_keep(struct logbook *l, struct archive_handle *h, const struct settings *settings);
/* Redis acts: backfills that are owed go on, those of policies that is_redis. */
void logbook_go_on(struct logbook *l, const struct settings *settings, bool (*is_redis)(void *ctx, const struct policy_conf *policy), void *ctx);
/* A time in which nobody wrote is over: who is silent is found out anew. */
void logbook_listen(struct logbook *l);
/* At once: the process ends. */
MUST_USE enum err logbook_end(struct logbook *l, struct archive_handle *h, const struct settings *settings);

#endif
