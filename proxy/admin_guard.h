/* proxy/admin_guard — who may call the admin server, and for what.
 *
 *   everybody      /healthz, /readyz, the console's files and the list of paths; the same as the read token,
 *                  as long as admin.read_token is empty
 *   read token     whatever reads, but names and contents of keys (HTTP_CONTENTS) only with admin.read_contents
 *   admin token    everything; without one, whoever reaches a loopback listener
 *
 * Owns:       the wrong tokens of late, by address.
 * Invariants: tokens are compared in a time that does not tell how much of one is right. After GUARD_FAILURES wrong ones within a
 *             second an address is answered 429, right tokens included, until the second is over. A call that changes something
 *             never comes from another site's page: such a page can send neither JSON nor DELETE without asking first, and what
 *             browsers say of where a call comes from (Origin, Sec-Fetch-Site) must be ourselves. A page that has a name of its
 *             own point at 127.0.0.1 is found by the name in Host.
 * Threads:    the HTTP server's. */
#ifndef PROXY_ADMIN_GUARD_H
#define PROXY_ADMIN_GUARD_H

#include "config/config.h"
#include "proxy/http.h"

#define GUARD_FAILURES 10

struct admin_guard;

/* cfg outlives the guard. */
struct admin_guard *admin_guard_new(struct config *cfg, const struct net_address *listening);
void admin_guard_free(struct admin_guard *own_g); /* NULL is fine */
/* False: refused, and reply says why. */
bool admin_guard_lets(struct admin_guard *g, const struct http_route *route, const struct http_request *r, struct http_reply *reply);

#endif
