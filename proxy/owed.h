/* proxy/owed — writes that Redis has done, and whose clients were told so, but that the archive lacks while Redis is lost. The archive
 * does them itself, under their ids, before it acts for anybody.
 *
 *   loops ── owed_add ──▶ [waiting] ── placement: owed_send ──▶ executor ──▶ owed_take ─┬─▶ done
 *                            ▲────────────── the archive was away, or too slow ─────────┘
 *
 * Owns:       the ops, of all loops.
 * Invariants: on each key they are done in the order of Redis' versions (NO_TORN in docs/model), whichever loop has sent them. Nothing
 *             goes before what it follows on a key was done; what the archive could not do is tried again.
 * Threads:    any. */
#ifndef PROXY_OWED_H
#define PROXY_OWED_H

#include "executor/executor.h"

struct owed;

struct owed *owed_new(void);
void owed_free(struct owed *own_o);
void owed_add(struct owed *o, struct op *own_op);
/* How many the archive lacks still. Without a lock. */
size_t owed_count(const struct owed *o);
/* Sends what waits, under this epoch, as far as it does not wait for what is under way; call it until owed_count is 0. */
void owed_send(struct owed *o, struct executor *e, int64_t epoch);
/* Redis acts after all, or nothing is missing: their marks are enough. */
void owed_drop(struct owed *o);

/* Whether the executor has it from here. */
bool owed_is(const struct op *op);
/* The executor is done with these. */
void owed_take(struct op *own_list);

#endif
