/* proxy/levels — what operators see and order of tiers: how much is where, where a key is, one key moved by hand (docs/tiers.md).
 * Owns:       nothing; the caller frees documents (cJSON_Delete).
 * Threads:    any; levels_move waits for the stores, so never on a loop. */
#ifndef PROXY_LEVELS_H
#define PROXY_LEVELS_H

#include "base/slice.h"

#include <cjson/cJSON.h>

struct server;

/* {known, policies: [{policy, on, working: {keys}, warm: {keys, bytes}, cold: {keys, bytes}, promoted, demoted, coldP99Ms, warmP99Ms, lastSweep,
 * nextSweep}]}; what is not known is missing. */
cJSON *levels_all(const struct server *s);
/* {key, policy, tier, accesses} */
cJSON *levels_key(const struct server *s, struct slice key);
/* To "warm" or to "working". False: it was not done, and why says why. */
bool levels_move(struct server *s, struct slice key, const char *to, char *why, size_t why_cap);
/* The same without waiting; whether it has been ordered. */
bool levels_order(struct server *s, struct slice key, bool out, char *why, size_t why_cap);

#endif
