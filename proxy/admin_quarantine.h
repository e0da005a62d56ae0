/* proxy/admin_quarantine — the admin server's calls about the quarantine. docs/admin-api.md has them.
 * Owns:       nothing.
 * Threads:    the HTTP server's; the work is the clerk's.          Used by: proxy/admin. */
#ifndef PROXY_ADMIN_QUARANTINE_H
#define PROXY_ADMIN_QUARANTINE_H

#include "proxy/http.h"

void admin_list_quarantine(void *ctx, const struct http_request *r, struct http_reply *reply);
void admin_show_quarantine(void *ctx, const struct http_request *r, struct http_reply *reply);
void admin_restore_quarantine(void *ctx, const struct http_request *r, struct http_reply *reply);
void admin_drop_quarantine(void *ctx, const struct http_request *r, struct http_reply *reply);

#endif
