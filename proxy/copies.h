/* proxy/copies — what Redis was sent is kept, as an op for the archive, until it is known what became of it.
 *
 *   sent ─▶ slot->copy ─┬─ EXEC answered ─▶ a delta: the op, on the exact predecessor ─┬─▶ done
 *                       │                   or a snapshot: sync reads the key ─────────┘
 *                       └─ Redis lost    ─▶ copies_retry: the same write on the archive, with the same id
 *
 * Owns:       slot->copy.
 * Invariants: a delta repeats only what is the same on equal values (router/copyable). With ack "both" the slot is answered when the
 *             archive has the write or can't be asked; else at once. What is not copied keeps its mark in Redis.
 * Threads:    [loop] only. */
#ifndef PROXY_COPIES_H
#define PROXY_COPIES_H

#include "proxy/block.h"

/* Keeps the commands of slot->block, which has its id, as slot->copy: not when the archive could not do the same. */
void copies_keep(struct slot *slot, struct slice commands);
/* The reply of Redis is there, and slot->reply tells it. True: the slot is not over yet; slot_complete or slot_fail comes later. */
bool copies_take(struct slot *slot);

#endif
