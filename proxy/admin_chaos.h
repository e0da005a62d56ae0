/* proxy/admin_chaos — /api/v1/chaos: a store that is cut off, paused or slow for some seconds (proxy/chaos).
 * Owns:       nothing.
 * Threads:    the admin server's.          Used by: proxy/admin. */
#ifndef PROXY_ADMIN_CHAOS_H
#define PROXY_ADMIN_CHAOS_H

#include "proxy/http.h"

/* Handlers. */
void admin_show_chaos(void *ctx, const struct http_request *r, struct http_reply *reply);
/* {"store": "redis", "fault": "delay", "delayMs": 50, "jitterMs": 10, "seconds": 10} */
void admin_begin_chaos(void *ctx, const struct http_request *r, struct http_reply *reply);
/* Both stores'. */
void admin_end_chaos(void *ctx, const struct http_request *r, struct http_reply *reply);

#endif
