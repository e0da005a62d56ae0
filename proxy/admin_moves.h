/* proxy/admin_moves — the admin server's calls for what is ordered between the stores.
 * Owns:       nothing.
 * Threads:    the admin server's.          Used by: proxy/admin. */
#ifndef PROXY_ADMIN_MOVES_H
#define PROXY_ADMIN_MOVES_H

#include "proxy/http.h"

/* Handlers. */
void admin_list_moves(void *ctx, const struct http_request *r, struct http_reply *reply);
/* {kind, policy, repair, deep, rate}; answers with the move. */
void admin_order_move(void *ctx, const struct http_request *r, struct http_reply *reply);
/* The id comes in the path, or as {id}. */
void admin_abort_move(void *ctx, const struct http_request *r, struct http_reply *reply);
/* {id}; 409: it can't go on. */
void admin_resume_move(void *ctx, const struct http_request *r, struct http_reply *reply);
/* {policy, on}; answers with {policy, on, was, backfill, warnings}. */
void admin_dual_write(void *ctx, const struct http_request *r, struct http_reply *reply);

#endif
