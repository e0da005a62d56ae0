/* proxy/block — a MULTI … EXEC in flight: which of its replies are the client's, and what the others mean.
 *
 *     MULTI | plans of the client's commands | what the write leaves beside itself (router/marking) | EXEC
 *
 * Owns:       copies of the keys, since the request's bytes are gone when the reply comes.
 * Invariants: entries stand in the order of the commands between MULTI and EXEC. A tracked block has one id, and marks each key that it
 *             may write once.
 * Threads:    [loop] only.          Used by: proxy/managed (one command), proxy/transaction (the client's own). */
#ifndef PROXY_BLOCK_H
#define PROXY_BLOCK_H

#include "base/write_id.h"
#include "proxy/slot.h"
#include "proxy/touched.h"
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
/* Plans the requests of a client's transaction anew, one by one, and adds them to slot->block; what they leave beside themselves, too. */
void block_add_all(struct slot *slot, struct slice requests, struct chain *out);
/* The commands that were added, as bytes, are whole and a plan of them is tracked: gives the block its id, keeps slot->copy, and appends
 * the commands and what they leave beside themselves to out. */
void block_track(struct slot *slot, struct chain *own_commands, struct chain *out);
/* The same when the plan is PLAN_MARKED_SCRIPT: appends the script instead. */
void block_track_script(struct slot *slot, const struct plan *plan, enum resp resp, struct chain *own_commands,
                        struct chain *out);
/* Tells the archive's op, made of the bytes that were added, which steps depend on others. */
void block_mark(const struct block *b, struct op *op);
/* The slot's transaction failed with e as a whole: each of its writes to managed keys counts as not stored. */
void block_failed(const struct slot *slot, enum err e);
/* Commands between MULTI and EXEC. */
size_t block_commands(const struct block *b);
/* The archive's op, made of the bytes that were added, is asked instead of Redis: its reply has no marks in it. */
void block_turn_to_archive(struct block *b);

/* ---- what is known when the reply is there ---- */

/* Redis was emptied before or while this was sent: what came back counts for nothing. */
bool block_is_strange(const struct block *b);
/* Redis has written, and marked the keys of block_touched. slot->copy, when there is one, knows their versions. */
bool block_has_marked(const struct block *b);
/* Its name among all writes, once it is tracked. */
const struct write_id *block_id(const struct block *b);
/* As far as the connection knows that it was sent on. */
bool block_redis_is_there(const struct block *b);
/* The one of its loop when it was sent. */
int64_t block_epoch(const struct block *b);
/* The distinct keys that get marks. */
const struct touched *block_touched(const struct block *b);
/* The client is to be answered when the archive has it, too. */
bool block_acks_both(const struct block *b);
/* Some key is in no policy that keeps ids, so that the archive could not do the same. */
bool block_is_mixed(const struct block *b);

/* slot->finish for one managed command: EXEC's array becomes the one reply. */
void block_finish_one(struct slot *slot);
/* slot->finish for one rewritten command without a block around it. */
void block_finish_single(struct slot *slot);
/* slot->finish for the script of block_track_script. */
void block_finish_script(struct slot *slot);
/* slot->finish for a transaction: EXEC's array keeps the client's replies. */
void block_finish_all(struct slot *slot);

#endif
