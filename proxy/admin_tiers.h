/* proxy/admin_tiers — the admin server's calls for tiers.
 * Owns:       nothing.
 * Threads:    the admin server's.          Used by: proxy/admin. */
#ifndef PROXY_ADMIN_TIERS_H
#define PROXY_ADMIN_TIERS_H

#include "proxy/http.h"
#include "proxy/server.h"

/* All policies, or with ?key= where that key is. */
void admin_tiers(struct server *s, const struct http_request *r, struct http_reply *reply);
/* {key, to: "warm" or "working"}; answers when it is done, with where the key is. */
void admin_tiers_move(struct server *s, const struct http_request *r, struct http_reply *reply);

#endif
