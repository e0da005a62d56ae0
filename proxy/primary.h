/* proxy/primary — the operator's switch: which store answers for a policy from now on, and what that hides.
 * A switch is an order: proxy/placement carries it out, in steps that clients do not notice. What stands in its way is told.
 * Owns:       nothing.
 * Invariants: an order to use a store counts also when the setting has that value already (the other store may act all the same:
 *             proxy/placement).
 * Threads:    any.          Used by: proxy/admin, proxy/local_conv, proxy/local_server. */
#ifndef PROXY_PRIMARY_H
#define PROXY_PRIMARY_H

#include "proxy/server.h"

#define PRIMARY_WARNINGS 2

struct primary_change {
    char policy[64];
    const char *before, *after; /* who has answered, and who is to: "redis" or "archive" */
    size_t nwarnings;
    char warnings[PRIMARY_WARNINGS][240];
};

/* The policy of this name; "" means conv, or the only one there is. NULL: there is none, and why says so. */
const struct policy_conf *primary_policy(const struct settings *now, const char *policy, char *why,
                                         size_t why_cap);
/* store: redis, mongo or archive. policy: as above. by: who orders it, for the log. False: nothing
 * has changed, and why says what is wrong. */
MUST_USE bool primary_set(struct server *s, const char *policy, const char *store, const char *by,
                          struct primary_change *ret, char *why, size_t why_cap);
/* For whoever sets settings himself, after each: if name is a policy's primary, its value is an order. False: it is none. */
bool primary_ordered(struct server *s, const char *name, const char *by, struct primary_change *ret);

#endif
