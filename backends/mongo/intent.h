/* backends/mongo/intent — a commit of several documents on servers without transactions, which any proxy can finish.
 *
 *   step      what is written                                                        a crash after it leaves
 *   RECORD    control: "part:ID:i" { doc } for each write that has one, then         nothing that anybody meets; the sweep
 *             "intent:ID" { state: "open", keys: [{ k, old, new }] }                 removes it
 *   LOCK      each document, in the order of ids: { _id, ver: old } gets             locks; whoever meets one undoes all
 *             ver: -old and in: ID; an absent one is made, with ver: 0
 *   DECIDE    "intent:ID" { state: "open" } becomes "done": the commit happens here  locks; whoever meets one does the rest
 *   APPLY     each document { _id, in: ID } is replaced by its part, or deleted      fewer locks
 *   FORGET    "intent:ID" and its parts go                                           nothing
 *
 * Undoing is: delete "intent:ID" { state: "open" }; then each { _id, in: ID } gets ver: old again and loses in, or goes when
 * it was made by the lock. Doing the rest is APPLY and FORGET.
 * Invariants: ver of a locked document is 0 or less, so no compare-and-set of others matches it.
 *             Undoing and DECIDE are updates of one document with its state: one of them wins.
 *             A record goes only after all its documents were applied or while it is open: so a lock whose record is gone
 *             came late, from a server that was frozen, and is undone.
 *             Reads meet an open commit: they get what is there without it. Writes wait GRACE for its owner, then undo it.
 *             Scans do the rest of all that are decided before they look.
 *             Each step may be repeated, by anybody, at the same time.
 *             An owner that took longer than INTENT_OWNER_MS gives up before DECIDE: the sweep takes old records away.
 * Threads:    one per object.          Used by: commit; tests stop it between steps. What others do is in record.h. */
#ifndef BACKENDS_MONGO_INTENT_H
#define BACKENDS_MONGO_INTENT_H

#include "backends/archive/archive.h"

#define INTENT_OWNER_MS 60000

enum intent_step { INTENT_RECORD, INTENT_LOCK, INTENT_DECIDE, INTENT_APPLY, INTENT_FORGET, INTENT_END };

struct mongo_handle;
struct intent;

/* Borrows writes until intent_free. */
struct intent *intent_new(struct mongo_handle *h, const struct archive_write *writes, size_t n);
void intent_free(struct intent *own_i);
enum intent_step intent_at(const struct intent *i);
/* One write to the server, and on to the next step. ERR_RACE: a version was not the expected one, or somebody has undone it. */
MUST_USE enum err intent_step(struct intent *i);
/* Undoes it; only before DECIDE. */
MUST_USE enum err intent_undo(struct intent *i);
/* All steps; undoes it when it can't be done. */
MUST_USE enum err intent_commit(struct mongo_handle *h, const struct archive_write *writes, size_t n);

#endif
