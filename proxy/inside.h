/* proxy/inside — a client of the proxy inside its own process: for what operators order and what must go the way of every request.
 *
 *     clerk ─▶ link ─▶ socketpair ─▶ a session like any other, which may do everything
 *
 * Owns:       nothing: the link has its end of the socket, the session the other.
 * Invariants: requests wait, are trimmed, marked and copied as those of any client; CLIENT LIST shows it.
 * Threads:    any, never a loop. */
#ifndef PROXY_INSIDE_H
#define PROXY_INSIDE_H

#include "proxy/server.h"
#include "sync/link.h"

/* The link speaks to this process from now on, until link_close; patience_ms is for each answer. False: link_why. */
MUST_USE bool inside_open(struct server *s, struct link *l, int64_t patience_ms);

#endif
