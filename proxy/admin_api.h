/* proxy/admin_api — the calls of the admin server that the console and convctl stand on: events, series, keys, conversations. docs/admin-api.md has them.
 * Owns:       nothing.
 * Invariants: whatever a request says, it is answered in JSON; a wrong one with 400 and what was expected.
 * Threads:    the HTTP server's.          Used by: proxy/admin. */
#ifndef PROXY_ADMIN_API_H
#define PROXY_ADMIN_API_H

#include "proxy/clerk.h"
#include "proxy/http.h"
#include "proxy/viewed.h"

#include <stdint.h>

/* The parameter `name` of the query, *fallback* when it is missing. False: the reply says what was expected. */
MUST_USE bool admin_number(const struct http_request *r, const char *name, int64_t least, int64_t most, int64_t fallback,
                           int64_t *ret, struct http_reply *reply);

/* from, count and cut: which items of a value. False: the reply says what is wrong. */
MUST_USE bool admin_page(const struct http_request *r, struct viewed_page *page, struct http_reply *reply);
/* The server that a handler's ctx stands for. */
struct server *admin_server(const void *ctx);
/* The answer is made by the clerk: work gets arg, which is freed after it. */
void admin_later(void *ctx, const struct http_request *r, void (*work)(const struct clerk_tools *t, void *arg, struct http_reply *reply),
                 void *own_arg);

/* Handlers. */
void admin_get_events(void *ctx, const struct http_request *r, struct http_reply *reply);
void admin_get_series(void *ctx, const struct http_request *r, struct http_reply *reply);
void admin_get_keys(void *ctx, const struct http_request *r, struct http_reply *reply);
void admin_get_conversation(void *ctx, const struct http_request *r, struct http_reply *reply);

#endif
