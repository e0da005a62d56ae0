/* proxy/handover — gives this process's listeners and clients to a successor that was started with
 * --takeover. Owns:       the unix socket proxy.handover (mode 0600, this user and root only), the connection
 * of one successor at a time, and the parcels of clients that have left their loop and are not the
 * successor's yet. Invariants: handover_state.h: the states, and why nothing is lost or served twice whoever
 * dies when. Threads:    [main], never blocking; handover_give and handover_loop_gives from any. */
#ifndef PROXY_HANDOVER_H
#define PROXY_HANDOVER_H

#include "base/err.h"
#include "proxy/parcel.h"

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

struct server;
struct handover;

/* Listens on path. replace: a predecessor still has it, who is leaving: its place is taken. NULL when that is
 * not possible, with the reason in one line. */
MUST_USE struct handover *handover_open(struct server *server, uv_loop_t *uv, const char *path, bool replace,
                                        char *why, size_t why_cap);
/* This process ends for another reason: what is under way is called off. NULL is fine. */
void handover_stop(struct handover *h);
/* Closes the handles; the uv loop must run until they are closed, before handover_free. NULL is fine. */
void handover_close(struct handover *h);
void handover_free(struct handover *own_h);

/* A loop begins to send its clients: it has stopped accepting where it was told to. */
void handover_loop_gives(struct handover *h);
void handover_give(struct handover *h, struct parcel *own_p);

#endif
