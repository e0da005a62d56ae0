/* proxy/admin_backups — the admin server's calls about backups: who makes them tells here that one has succeeded.
 * Owns:       nothing.
 * Threads:    the admin server's.          Used by: proxy/admin. */
#ifndef PROXY_ADMIN_BACKUPS_H
#define PROXY_ADMIN_BACKUPS_H

#include "proxy/http.h"

/* Handlers. */
/* {"backups": [{kind, lastSuccess: ms since 1970 or null}]} */
void admin_list_backups(void *ctx, const struct http_request *r, struct http_reply *reply);
/* {kind, path, bytes, keys}: it has succeeded now; all but the kind are for the log. Answers with the list. */
void admin_backup_done(void *ctx, const struct http_request *r, struct http_reply *reply);

#endif
