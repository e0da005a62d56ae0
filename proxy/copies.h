/* proxy/copies — what Redis was sent is kept, as an op for the archive, until it is known what became of it.
 *
 *   sent ─▶ slot->copy ─┬─ EXEC answered ─▶ a delta: the op, on the exact predecessor ─┬─▶ the slot is over
 *                       │                   or a snapshot: sync reads the keys ────────┘
 *                       └─ Redis lost    ─▶ proxy/hold: the same write on the archive, under the same id
 *
 * Owns:       slot->copy; what sync was asked for.
 * Invariants: a delta repeats only what is the same on equal values (router/copyable), and on keys whose versions are all known. With ack
 *             "both" the slot is over when the archive has the write, or can't have it now; otherwise at once. What was not copied keeps
 *             its mark in Redis. A slot that fails after all has its copy again.
 * Threads:    [loop] only. */
#ifndef PROXY_COPIES_H
#define PROXY_COPIES_H

#include "proxy/block.h"

/* Keeps the commands of slot->block, which has its id, as slot->copy: not when the archive could not do the same. */
void copies_keep(struct slot *slot, struct slice commands);
/* The reply of Redis is there, and slot->reply tells it. True: the slot is not over yet; slot_complete or slot_fail comes later. */
bool copies_take(struct slot *slot);

/* ---- for proxy/archived: ops of role OP_COPY ---- */

/* slot NULL: nobody waits for it. */
void copies_done(struct loop *l, struct slot *slot, struct op *own_op);
/* The archive has taken too long, and has the op still. */
void copies_late(struct slot *slot);
/* A write that its client was told of, and whose predecessor the archive lacks: sync reads its keys. */
void copies_ask(struct loop *l, struct op *own_op);
/* l->acting has changed: what waited to hear whether Redis is lost knows now. */
void copies_recall(struct loop *l);
/* The loop ends: what sync has it gives back itself. */
void copies_end(struct loop *l);
/* Once a second: what sync takes too long for, or is to be asked again. */
void copies_second(struct loop *l, int64_t now_us);

#endif
