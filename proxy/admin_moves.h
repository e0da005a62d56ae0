/* proxy/admin_moves — the admin server's calls for what is ordered between the stores.
 * Owns:       nothing.
 * Threads:    the admin server's.          Used by: proxy/admin. */
#ifndef PROXY_ADMIN_MOVES_H
#define PROXY_ADMIN_MOVES_H

#include "proxy/http.h"
#include "proxy/server.h"

void admin_list_moves(const struct server *s, struct http_reply *reply);
/* {kind, policy, repair, deep, rate}; answers with the move. */
void admin_order_move(struct server *s, const struct http_request *r, struct http_reply *reply);
/* The id comes in the path, or as {id}. */
void admin_abort_move(struct server *s, const struct http_request *r, struct http_reply *reply);
/* {id}; 409: it can't go on. */
void admin_resume_move(struct server *s, const struct http_request *r, struct http_reply *reply);
/* {policy, on}; answers with {policy, on, was, backfill, warnings}. */
void admin_dual_write(struct server *s, const struct http_request *r, struct http_reply *reply);

#endif
