/* proxy/loan — a connection to Redis of a client's own, while it needs one: it watches keys, or waits for something to take from raw
 * keys (BLPOP and its kin).
 *
 *   client ─▶ [CLIENT ID] [BLPOP q 0] ─▶ pinned connection ─▶ Redis, which knows the order of all who wait
 *
 * Owns:       the loan (session.pinned, lent by the pool), and what a waiting client's request was (session.lent_wait).
 * Invariants: a connection is given back when nobody needs it any more, and never with a request that waits. A client that is gone
 *             takes its waiting connection along: closed, so that Redis gives it nothing. One that is called back is unblocked by
 *             CLIENT UNBLOCK, so that what Redis has given it just before is told.
 * Threads:    [loop] only.          Used by: proxy/transaction, proxy/waiting. */
#ifndef PROXY_LOAN_H
#define PROXY_LOAN_H

#include "proxy/managed.h"

enum loan_use {
    LOAN_WATCH = 1 << 0,
    LOAN_WAIT = 1 << 1,
    LOAN_TRACKING = 1 << 2,
};

/* The client gets a connection, if it has none. False: none is left, and the client was told. */
bool loan_take(struct session *s, enum loan_use use);
/* The client does not need it for that any more. What resets the connection was queued. */
void loan_end(struct session *s, enum loan_use use);
/* Connections have been lent, or given back. */
void loan_count(struct loop *l);
/* The connection was lost since the loan began, or what it was lent for. */
bool loan_is_lost(const struct session *s);

/* A blocking command whose keys are all raw. False: it must wait; the session is paused. */
bool loan_wait(struct session *s, const struct job *job);
/* What waits must not take anything any more: it ends soon, unheard when there was nothing. It becomes input again, with the time
 * that is left, unless the client is ending. */
void loan_recall(struct session *s);
/* CLIENT UNBLOCK. False: it does not wait. */
bool loan_unblock(struct session *s, bool with_error);
/* It waits, and Redis knows. */
bool loan_waits(const struct session *s);
/* The client is gone; its slots have no session any more. */
void loan_drop(struct session *s);

#endif
