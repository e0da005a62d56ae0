/* proxy/admin — the HTTP server for operators and machines: metrics, health, state, settings.
 * Owns:       proxy/http's server; the routes are one table in admin.c.
 * Invariants: whatever changes state needs Authorization: Bearer <admin.token> as soon as that setting is not
 * empty, or admin.listen is not loopback. A loopback listener answers only to loopback names and addresses in
 * Host, so that a foreign web page cannot reach it through a name of its own that points here. Threads:
 * admin_check, admin_start, admin_stop from the main thread; requests on a thread of their own. */
#ifndef PROXY_ADMIN_H
#define PROXY_ADMIN_H

#include "proxy/server.h"

struct admin;

/* False, with the reason in one line, when admin.listen is open to other machines and there is no
 * admin.token. */
MUST_USE bool admin_check(const struct settings *settings, char *why, size_t why_cap);

/* Serves on admin.listen, which is not empty. NULL when that is not possible, with the reason. server
 * outlives it. */
MUST_USE struct admin *admin_start(struct server *server, char *why, size_t why_cap);
void admin_stop(struct admin *own_admin);

#endif
