/* proxy/aside — inside MULTI, commands that the proxy answers itself (CLIENT, CONFIG, INFO, AUTH, SUBSCRIBE …): like all others they wait
 * for EXEC.
 *
 *     MULTI | SET k 1 | CLIENT GETNAME | EXEC   ─▶   MULTI | SET k 1 | PING | EXEC   ─▶   [OK, PONG]   ─▶   [OK, "name"]
 *
 * Owns:       session.aside: what waits, until EXEC is answered or the transaction is dropped; the answers so far, when one of them has to
 *             be waited for.
 * Invariants: a PING holds the place of each, so that its answer stands where it belongs, and nothing has happened when EXEC runs
 *             nothing. They are done in their order when all others are done. What follows such an EXEC waits for its reply.
 *             A transaction goes to one database, in one protocol: SELECT and HELLO with another one come before all commands that use it,
 *             and without WATCH. What is queued behind AUTH must be allowed to the user that was and to the one that comes.
 * Threads:    [loop] only. */
#ifndef PROXY_ASIDE_H
#define PROXY_ASIDE_H

#include "proxy/managed.h"

/* MULTI is open: job, whose route is LOCAL or PUBSUB, waits for EXEC, or was answered with an error. */
void aside_takes(struct session *s, const struct job *job);
/* session.aside is there: the user that AUTH will have made of the client may not do this. EXEC will say so; it was queued. */
bool aside_denies(struct session *s, const struct job *job);
/* What stands at this place between MULTI and EXEC, when it is one of these; valid until EXEC. For proxy/monitor. */
bool aside_at(const struct session *s, size_t at, struct job *ret_job);
/* session.aside is there, and slot is EXEC's, which is being sent. */
void aside_sent(struct slot *slot);
/* The transaction is dropped before it was sent. */
void aside_drop(struct session *s);
/* The client is gone. */
void aside_forget(struct session *s);

#endif
