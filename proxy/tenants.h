/* proxy/tenants — counts the keys of tenants now and then, at a pace that no store feels, and keeps the last count of each policy.
 *
 *   every tenants.interval, for each policy with tenant_segment or format: the store that acts for it, a page at a time
 *
 * Owns:       a thread, a connection to Redis, a handle on the archive, and the counts (sync/tenancy).
 * Invariants: tenants.rate keys a second at most. A pass that fails leaves the last count. Where no policy wants it, nothing is opened.
 * Threads:    start, stop, free: [main]; tenants_last: any.          Used by: proxy/depot, proxy/state_tenants, proxy/metrics_tenants. */
#ifndef PROXY_TENANTS_H
#define PROXY_TENANTS_H

#include "sync/tenancy.h"

struct depot;
struct server;
struct tenants;

/* a: NULL when there is no archive. */
struct tenants *tenants_start(struct server *server, struct depot *depot, struct archive *a);
/* Before the archive is closed. */
void tenants_stop(struct tenants *t);
void tenants_free(struct tenants *own_t);
/* Counted; the caller gives it back. NULL: the policy was not counted yet. */
struct tenancy *tenants_last(struct tenants *t, const char *policy);
/* Why the last pass has failed; "": it has not. */
void tenants_why(struct tenants *t, char *buf, size_t cap);
/* Some policy is to be counted. */
bool tenants_wanted(const struct policy_conf *p);

#endif
