/* proxy/block — a MULTI … EXEC in flight: which of its replies are the client's, and what the others mean.
 * Owns:       copies of the keys, since the request's bytes are gone when the reply comes.
 * Invariants: entries stand in the order of the commands between MULTI and EXEC.
 * Threads:    [loop] only.          Used by: proxy/managed (one command), proxy/transaction (the client's own). */
#ifndef PROXY_BLOCK_H
#define PROXY_BLOCK_H

#include "proxy/slot.h"
#include "router/plan.h"

struct block;

/* u NULL: it goes to the archive, where nothing has to be put back. */
struct block *block_new(struct upstream *u, int64_t redis_now_ms);
void block_free(struct block *own_b); /* NULL is fine */

/* Append MULTI and EXEC, which go around the steps. */
void block_open(struct chain *out);
void block_close(struct chain *out);
/* Appends the steps of a plan to out, and remembers them. Raw plans are one step: the request as it came. */
void block_add(struct block *b, struct loop *l, const struct plan *plan, struct slice raw, struct chain *out);
/* Plans the requests of a client's transaction anew, one by one, and adds them. */
void block_add_all(struct block *b, struct session *s, struct slice requests, struct chain *out);
/* Tells the archive's op, made of the bytes that were added, which steps depend on others. */
void block_mark(const struct block *b, struct op *op);
/* The slot's transaction failed with e as a whole: each of its writes to managed keys counts as not stored. */
void block_failed(const struct slot *slot, enum err e);
/* Commands between MULTI and EXEC. */
size_t block_commands(const struct block *b);

/* slot->finish for one managed command: EXEC's array becomes the one reply. */
void block_finish_one(struct slot *slot);
/* slot->finish for one rewritten command without a block around it. */
void block_finish_single(struct slot *slot);
/* slot->finish for a transaction: EXEC's array keeps the client's replies. */
void block_finish_all(struct slot *slot);

#endif
