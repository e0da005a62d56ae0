/* proxy/orders — what an operator orders between the stores: moves (sync/moves), and dual writes on or off.
 * Owns:       nothing.
 * Invariants: an order is refused at once, in one line, or taken and logged with who gave it.
 * Threads:    any.          Used by: proxy/admin_moves, proxy/local_moves. */
#ifndef PROXY_ORDERS_H
#define PROXY_ORDERS_H

#include "proxy/server.h"
#include "sync/moves.h"

#define ORDERS_MOVES 32 /* that are kept at most */

/* The moves that are kept; 0 without an archive. */
size_t orders_list(const struct server *s, struct move_report *ret, size_t cap);
/* order->policy "": conv, or the only one there is; it is filled in. 0: refused, why says it. by: who orders it, for the log. */
uint64_t orders_move(struct server *s, struct move_order *order, const char *by, char *why, size_t why_cap);
/* False: there is none that could be aborted; why says so. */
bool orders_abort(struct server *s, uint64_t id, const char *by, char *why, size_t why_cap);
/* One that was aborted or has failed goes on where it was. False: why says it. */
bool orders_resume(struct server *s, uint64_t id, const char *by, char *why, size_t why_cap);

/* Once a second [main]: logs which moves have ended since. */
void orders_second(const struct server *s);

struct orders_dual_write {
    char policy[64];
    bool was, now;
    uint64_t backfill; /* the move that copies what is there already; 0: none */
    char warning[160]; /* "": none */
};
/* Sets <policy>.dual_write. Turned on it orders a backfill. False: refused, nothing has changed. */
MUST_USE bool orders_dual_write(struct server *s, const char *policy, bool on, const char *by,
                                struct orders_dual_write *ret, char *why, size_t why_cap);

#endif
