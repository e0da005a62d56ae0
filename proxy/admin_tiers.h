/* proxy/admin_tiers — the admin server's calls for tiers.
 * Owns:       nothing.
 * Invariants: a move waits for the stores, so the clerk does it; the server goes on answering others.
 * Threads:    the admin server's.          Used by: proxy/admin. */
#ifndef PROXY_ADMIN_TIERS_H
#define PROXY_ADMIN_TIERS_H

#include "proxy/http.h"

/* Handlers. */
/* All policies, or with ?key= where that key is. */
void admin_tiers(void *ctx, const struct http_request *r, struct http_reply *reply);
/* {key, to: "warm" or "working"}; answers when it is done, with where the key is. */
void admin_tiers_move(void *ctx, const struct http_request *r, struct http_reply *reply);

#endif
