/* sync/tracer — what scripts that name no keys have changed: each such key of a dual-write policy becomes a write like any other, with
 * version, mark and copy, before the script's client is answered (docs/protocol.md, "Scripts that name no keys").
 *
 *   tracer_begin ─▶ cvp:suspect has it; sync/changes listens ─▶ the script runs ─▶ tracer_end ─▶ versions, marks ─▶ cvp:suspect has it no more
 *
 * Whoever dies in between, or can't listen, leaves its entry in cvp:suspect: then a verify by content with repair looks at all
 * keys, and the entry goes when that is done.
 * Owns:       a thread, a link, a struct changes.
 * Invariants: done() is called exactly once, on the tracer's thread or sync's; what was begun must be ended.
 * Threads:    any for the functions. */
#ifndef SYNC_TRACER_H
#define SYNC_TRACER_H

#include "sync/sync.h"

struct tracer;

struct tracer *tracer_start(struct sync *s, const struct settings *settings, const char *proxy);
/* Before sync_stop. What is asked for still is answered with ERR_CANCELLED. NULL is fine. */
void tracer_stop(struct tracer *own_t);
void tracer_settings(struct tracer *t, const struct settings *now);

/* A script is about to be sent; *ret_id names it. done: it may be, in any case; Redis itself says what is wrong. */
void tracer_begin(struct tracer *t, uint64_t *ret_id, sync_done done, void *ctx);
/* ran: its answer is here; otherwise it may run later, or never. done may be NULL. Its error: ERR_MOVED: the keys are not
 * known to be marked; others: those with ack "both" are not known to be copied (Redis could not be asked, say, because it is out of
 * memory; or as sync_copy). What only the verify will find is no error. */
void tracer_end(struct tracer *t, uint64_t id, int64_t epoch, bool ran, sync_done done, void *ctx);

struct tracer_report {
    uint64_t scripts, keys, missed; /* ended; keys that they have changed; left to a verify */
};
void tracer_report(struct tracer *t, struct tracer_report *ret);

#endif
