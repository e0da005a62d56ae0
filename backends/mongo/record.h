/* backends/mongo/record — what a commit of several documents (intent.h) leaves in the server for others: its record and parts in
 * control, its locks in keys; and how others end it.
 * Owns:       nothing.
 * Invariants: each of these may be repeated, by anybody, at the same time.
 * Threads:    any handle's.          Used by: intent; commit, load, transaction, scan, sweep. */
#ifndef BACKENDS_MONGO_RECORD_H
#define BACKENDS_MONGO_RECORD_H

#include "backends/archive/archive.h"

#define RECORD_NAME_CAP 64
#define RECORD_OLD_MS   600000 /* more than any owner takes (INTENT_OWNER_MS), also when clocks differ */

enum record_state { RECORD_GONE, RECORD_OPEN, RECORD_DONE };

struct mongo_handle;

void record_name(const bson_oid_t *in, char buf[RECORD_NAME_CAP]);
void record_part_name(const bson_oid_t *in, size_t i, char buf[RECORD_NAME_CAP]);
/* What became of the commit that holds a lock. */
MUST_USE enum err record_look(struct mongo_handle *h, const bson_oid_t *in, enum record_state *ret);
/* Deletes the record if it is open. ret_was false: it was not. */
MUST_USE enum err record_call_off(struct mongo_handle *h, const bson_oid_t *in, bool *ret_was);
/* Ends one lock by what was to be written; doc NULL: the document goes. No lock: somebody has done it already. */
MUST_USE enum err record_apply(struct mongo_handle *h, const bson_oid_t *in, const char *id,
                               const bson_t *doc);
/* Ends one lock, and the document is as before; old 0: it was made by the lock. */
MUST_USE enum err record_unlock(struct mongo_handle *h, const bson_oid_t *in, const char *id, int64_t old);
/* The record and its parts go; no lock may be left. */
MUST_USE enum err record_forget(struct mongo_handle *h, const bson_oid_t *in);

/* The document under id is locked by this commit: does the rest of it or undoes it, after waiting for its owner. */
MUST_USE enum err record_settle(struct mongo_handle *h, const bson_oid_t *in, const char *id);
/* Does the rest of every commit that is decided by now. */
MUST_USE enum err record_finish_decided(struct mongo_handle *h);
/* Settles what was left behind before now_ms - RECORD_OLD_MS, some at a time. */
MUST_USE enum err record_tidy(struct mongo_handle *h, int64_t now_ms);

#endif
