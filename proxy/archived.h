/* proxy/archived — sends requests to the archive's executor, and gives its replies to the slots that wait for them.
 *
 *   dispatch ─▶ plan ─▶ op, whose owner is a slot ─▶ executor ─▶ done, on a worker ─▶ the slot's loop
 *
 * Invariants: what a write is trimmed to and its TTL come from the same plan as for Redis; block.c tells the reply. Ops of a
 *             turn are submitted together at its end.
 * Threads:    [loop], but archived_done: [worker]. */
#ifndef PROXY_ARCHIVED_H
#define PROXY_ARCHIVED_H

#include "executor/executor.h"
#include "proxy/managed.h"

/* Requests of s are on the archive: see session.current. */
extern const char archived_target;

/* One command whose keys are the archive's (or all keys). False: it must wait; the session is paused. */
bool archived_command(struct session *s, const struct job *job);
/* A client's transaction: the requests between MULTI and EXEC. about_all: some name no key. False as above. */
bool archived_exec(struct session *s, const struct job *exec, struct slice requests, bool about_all);
/* Why nothing can be asked of the archive for this client now. True: the client was told. */
bool archived_refuses(struct session *s);
/* Sends a part (slot_new_part), or a slot that is deferred already. */
void archived_send(struct slot *slot, struct op *own_op);
/* The same for an op that nobody waits for. */
void archived_submit(struct loop *l, struct op *own_op);
/* Before it is sent: a write that may have been done before, by Redis, becomes one of the archive, which acts now. */
void archived_again(const struct loop *l, struct op *op);
/* WATCH. False as above. */
bool archived_watch(struct session *s, const struct job *job);
/* Forgets what is watched. */
void archived_unwatch(struct session *s);
/* A reply that does not come any more is nobody's loss: ends the op of a gone client if it only waits. */
void archived_abandon(struct slot *slot);

/* The client's last request, if it waits, must not take anything any more. What was not begun leaves the client's queue: for
 * good when the client is ending, otherwise it becomes input again, with the time that is left. */
void archived_recall(struct session *s);
/* CLIENT UNBLOCK: ends it with nil, or with an error. False: it does not wait. */
bool archived_unblock(struct session *s, bool with_error);

/* Before the turn's flush: submits what it has made. */
void archived_flush(struct loop *l);
/* Once a second: whoever has waited for much too long hears so, though the archive still has the op. */
void archived_second(struct loop *l, int64_t now_us);
/* For executor_ops.done; ctx is the server. */
void archived_done(void *ctx, struct op *own_list);

#endif
