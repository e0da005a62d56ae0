/* proxy/transaction — MULTI, EXEC, DISCARD, WATCH, UNWATCH of one client.
 *
 * MULTI … EXEC without WATCH: the commands wait here and go as one block on the shared connection (pitfall 4).
 * WATCH: the client gets a pinned connection until EXEC, DISCARD or UNWATCH; everything it sends meanwhile goes there.
 * Owns:       the queued requests; the loan of the pinned connection.
 * Invariants: when the pinned connection was lost since WATCH, EXEC answers nil: as if a watched key had been touched.
 * Threads:    [loop] only. */
#ifndef PROXY_TRANSACTION_H
#define PROXY_TRANSACTION_H

#include "proxy/managed.h"

/* MULTI, EXEC, DISCARD, WATCH or UNWATCH. False: it must wait; the session is paused. */
bool transaction_command(struct session *s, const struct job *job);
/* The connection that WATCH needs, or NULL. A refused WATCH needs none. */
struct upstream *transaction_upstream(struct session *s);
/* There is a handler for this row; a test asks for every row of route MULTI. */
bool transaction_handles(const struct command *cmd);
/* MULTI is open: job waits for EXEC. */
bool transaction_is_open(const struct session *s);
/* For proxy/cluster, in an open MULTI: the slot that its keys are in, -1 as long as it has none; otherwise NULL. */
int *transaction_slot(struct session *s);
size_t transaction_length(const struct session *s);
/* The requests that wait for EXEC, as RESP; none when it will abort. MULTI must be open. */
struct slice transaction_queued(struct session *s);
void transaction_queue(struct session *s, const struct job *job);
/* A command of the open MULTI may write. */
bool transaction_may_write(const struct session *s);
/* A command inside MULTI was refused: EXEC will abort. Without MULTI: nothing. */
void transaction_spoil(struct session *s);
/* Forgets everything, gives the pinned connection back: RESET, or the client is gone. */
void transaction_drop(struct session *s);

#endif
