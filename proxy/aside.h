/* proxy/aside — commands about the connection itself inside MULTI (CLIENT SETNAME, SELECT): like all others they wait for EXEC, but the
 * proxy answers them.
 *
 *     MULTI | SET k 1 | CLIENT GETNAME | EXEC   ─▶   MULTI | SET k 1 | PING | EXEC   ─▶   [OK, PONG]   ─▶   [OK, "name"]
 *
 * Owns:       session.aside: what waits, until EXEC is answered or the transaction is dropped.
 * Invariants: a PING holds the place of each, so that its answer stands where it belongs, and nothing has happened when EXEC runs
 *             nothing. What follows such an EXEC waits for its reply. A transaction goes to one database: SELECT of another one comes
 *             before all commands that use it, and without WATCH.
 * Threads:    [loop] only. */
#ifndef PROXY_ASIDE_H
#define PROXY_ASIDE_H

#include "proxy/managed.h"

/* MULTI is open: job waits for EXEC, or was answered with an error. False: it is not one of these commands. */
bool aside_takes(struct session *s, const struct job *job);
/* session.aside is there, and slot is EXEC's, which is being sent. */
void aside_sent(struct slot *slot);
/* The transaction is dropped before it was sent. */
void aside_drop(struct session *s);
/* The client is gone. */
void aside_forget(struct session *s);

#endif
