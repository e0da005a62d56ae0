/* proxy/primary — the operator's switch: which store answers for a policy from now on, and what that hides.
 * In this version a switch changes where commands go and copies nothing, so each one says what will not be seen.
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
    const char *before, *after; /* who has answered, and who does: "redis" or "archive" */
    size_t nwarnings;
    char warnings[PRIMARY_WARNINGS][240];
};

/* store: redis, mongo or archive. policy: "" means conv, or the only one there is. by: who orders it, for the log. False: nothing
 * has changed, and why says what is wrong. */
MUST_USE bool primary_set(struct server *s, const char *policy, const char *store, const char *by,
                          struct primary_change *ret, char *why, size_t why_cap);
/* For whoever sets settings himself, after each: if name is a policy's primary, its value is an order. False: it is none. */
bool primary_ordered(struct server *s, const char *name, struct primary_change *ret);

#endif
