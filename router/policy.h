/* router/policy — finds the policy of a key.
 * Owns:       a compiled, immutable list of patterns in the order of the settings; the first match wins.
 * Patterns:   a literal prefix, then optional "*": a "*" at the end matches anything (also nothing); a "*"
 *             elsewhere matches one or more bytes without ':' (tenant:*:wm:* matches tenant:a:wm:x, not
 *             tenant:a:b:wm:x). A pattern without "*" matches that key only.
 * Threads:    any, once compiled.          Used by: router/plan. */
#ifndef ROUTER_POLICY_H
#define ROUTER_POLICY_H

#include "base/slice.h"
#include "config/settings.h"

#include <stdbool.h>

struct policy_set;

/* conf must outlive the set. NULL when out of memory. */
struct policy_set *policy_set_new(const struct settings *conf);
void policy_set_free(struct policy_set *set);
/* The settings of the first policy whose pattern matches, or NULL: the key is raw. */
const struct policy_conf *policy_find(const struct policy_set *set, struct slice key);
/* The same for who asks seldom and keeps no set. */
const struct policy_conf *policy_of_key(const struct settings *conf, struct slice key);
/* True when all keys that begin with prefix have the same policy: *ret, NULL when they have none. False: they may differ. */
bool policy_of_prefix(const struct policy_set *set, struct slice prefix, const struct policy_conf **ret);
/* True when no key can match: lets the hot path skip the look-up. */
bool policy_set_empty(const struct policy_set *set);

/* Which tenant a key is of: its part of that number between ':', counted from 1. False: it has no such part. */
bool policy_tenant(struct slice key, int64_t segment, struct slice *ret);
/* One pattern against one key. */
bool policy_match(const char *pattern, struct slice key);
/* A glob for SCAN that all keys of a pattern match, and perhaps others: there a "*" does not stop at ':'. malloc'ed. */
char *policy_glob(const char *pattern);

#endif
