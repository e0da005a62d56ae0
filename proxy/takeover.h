/* proxy/takeover — gets the listeners and the clients of the process that runs, for a process started with
 * --takeover.
 *
 *   takeover_connect      HELLO …  every listener is here; the other one still accepts and serves
 *   takeover_start        waits until Redis was probed, then accepts, says READY, and gets clients until DONE
 *
 * When the other end is gone before DONE it has died or was told to end: this process goes on with what it
 * has. When it says CANCEL it goes on and this process must not: it ends, with its clients if it had any.
 * Owns:       the connection; descriptors that nobody has claimed; parcels until TAKEN was sent.
 * Invariants: a client is served only after TAKEN for it was sent (handover_state.h says why).
 * Threads:    [main]; takeover_connect blocks, the rest does not. */
#ifndef PROXY_TAKEOVER_H
#define PROXY_TAKEOVER_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct server;
struct takeover;

/* NULL when it did not work, with the reason; *ret_nobody: because no process listens on path. */
MUST_USE struct takeover *takeover_connect(const char *path, bool *ret_nobody, char *why, size_t why_cap);
/* A listener for address that was not claimed yet, which is the caller's from now on; -1: there is none (any
 * more). */
MUST_USE int takeover_claim(struct takeover *t, const char *address);
/* Begins once the loops run, the sockets are open and the admin server listens. */
void takeover_start(struct takeover *t, struct server *server, uv_loop_t *uv);
/* This process ends: what is under way is called off. NULL is fine; so is calling it again. */
void takeover_stop(struct takeover *t);
/* The uv loop must run after takeover_stop until the handles are closed. NULL is fine. */
void takeover_free(struct takeover *own_t);

#endif
