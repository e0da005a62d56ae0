/* proxy/tracking — CLIENT TRACKING, CACHING, TRACKINGINFO and GETREDIR: a client that caches what it reads hears when that changes.
 *
 *   client ─▶ all its requests ─▶ pinned connection, which tracks ─▶ Redis ─▶ ">invalidate [k]" ─▶ client, without the proxy's own keys
 *
 * Owns:       the client's CLIENT TRACKING request (session.tracking): a new connection must track as the one before did.
 *             Whom to tell where that is another client is with proxy/divert.
 * Invariants: when the connection is lost, and when the stores change places, the client is told once to forget all it has (a push of null);
 *             what it reads through a new connection is tracked, since the request goes in front of all others there.
 *             A connection is given back without tracking.
 * Threads:    [loop] only.          Used by: proxy/local, dispatch, hold, slot. */
#ifndef PROXY_TRACKING_H
#define PROXY_TRACKING_H

#include "proxy/managed.h"

struct tracking;

/* One of the four. False: it must wait; the session is paused. */
bool tracking_command(struct session *s, const struct job *job);
/* It is one of those that Redis answers while the client tracks. */
bool tracking_is_about(const struct command *cmd);
/* The same inside MULTI, where tracking cannot be turned on or off. False: it is not possible. */
bool tracking_in_multi(struct session *s, const struct job *job);
/* Only when s->tracking, before each request: the connection tracks, or will before it does anything else. */
void tracking_ensure(struct session *s);
/* Only when s->tracking, once a second: the same. While the archive acts for some policy the client shall forget what it has cached. */
void tracking_second(struct session *s);
/* l->acting has changed: where another store answers now, the same. */
void tracking_acting(struct loop *l, const struct acting *before);
/* RESET, or the client is gone: nothing is tracked any more. */
void tracking_drop(struct session *s);
/* As CLIENT GETREDIR tells it: who is told instead; 0: nobody; -1: it does not track. */
int64_t tracking_redirection(const struct session *s);
/* As CLIENT LIST shows it: the flag B. */
bool tracking_broadcasts(const struct session *s);

/* A push has come on a pinned connection of the loop. */
void tracking_push(struct upstream *u, struct slice push);
/* The connection has changed its state. */
void tracking_changed(struct upstream *u);

#endif
