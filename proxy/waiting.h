/* proxy/waiting — commands that may wait for something to come (BLPOP and its kin, XREAD BLOCK): who lets a client wait, and what ends it.
 *
 *   keys of the archive                 executor/blocking parks the op                      proxy/archived
 *   keys of Redis, all of them raw      Redis itself, on a connection of the client's own   proxy/loan
 *   keys of Redis, some of them managed the proxy, which tries again when somebody writes   proxy/parked
 *
 * Invariants: one request of a client waits at most, and what follows it waits too; the client is read meanwhile, so that its end is seen.
 *             When the stores change places a request that waits goes on where its keys are then, with the time that is left.
 * Threads:    [loop] only. */
#ifndef PROXY_WAITING_H
#define PROXY_WAITING_H

#include "proxy/managed.h"

/* A command that may wait, outside MULTI. False: it must; the session is paused. */
bool waiting_command(struct session *s, const struct job *job);
/* It has the option that lets XREAD and XREADGROUP wait; other commands need none. */
bool waiting_is_asked(const struct job *job);

/* The client's last request, if it waits, must not take anything any more: it becomes input again, or is forgotten when the client is
 * ending. */
void waiting_recall(struct session *s);
/* CLIENT UNBLOCK: ends it with nil, or with an error. False: it does not wait. */
bool waiting_unblock(struct session *s, bool with_error);
/* As CLIENT LIST tells it. */
bool waiting_is(const struct session *s);

/* The client is gone; its slots have no session any more. */
void waiting_drop(struct session *s);

#endif
