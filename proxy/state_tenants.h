/* proxy/state_tenants — what there is to tell of tenants: their keys by the last count, and what their limits have let through.
 * Owns:       nothing.
 * Invariants: names of tenants are told in printable ASCII; any other byte, and the backslash, as \xNN.
 * Threads:    any.          Used by: proxy/admin, proxy/local_tenants, proxy/metrics_tenants. */
#ifndef PROXY_STATE_TENANTS_H
#define PROXY_STATE_TENANTS_H

#include "proxy/http.h"
#include "proxy/server.h"
#include "proxy/tenants.h"

#define TENANT_SHOWN (4 * TENANCY_NAME + 1)

/* "acme"; returns buf, which has room for four times len, and a NUL. */
const char *tenant_shown(const char *name, size_t len, char *buf);
/* Handler of GET /api/v1/tenants: all policies with tenants, ?policy= one of them, ?tenant= one tenant, ?limit= that many each. */
void state_tenants(void *ctx, const struct http_request *r, struct http_reply *reply);

#endif
