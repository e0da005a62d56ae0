/* proxy/headcount — how many clients of this process hear a channel, a pattern, a shard channel: what Redis cannot know.
 *
 * Redis sees one subscription for each loop, however many clients are behind it. So PUBLISH and PUBSUB NUMSUB would tell too few: the
 * numbers here are added to Redis's.
 *
 * Owns:       the names that some client of some loop hears.
 * Invariants: what is added is, for each loop that Redis has subscribed, the clients behind it but one; a loop that Redis does not have at
 *             the moment adds nothing. headcount_differs is false when that is 0 for all names, so that nothing need be looked up.
 * Threads:    any; one lock, taken when somebody subscribes, and by PUBLISH only if headcount_differs. */
#ifndef PROXY_HEADCOUNT_H
#define PROXY_HEADCOUNT_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum topic_kind { TOPIC_CHANNEL, TOPIC_PATTERN, TOPIC_SHARD, TOPIC_KINDS };

/* So many clients more; so much more is missing in what Redis tells. */
void headcount_add(enum topic_kind kind, struct slice name, int64_t clients, int64_t missing);
bool headcount_differs(void);
/* What Redis's number for this name lacks. */
int64_t headcount_missing(enum topic_kind kind, struct slice name);
/* What Redis's answer to a PUBLISH lacks: patterns that match count as well. */
int64_t headcount_missing_of(struct slice channel);
/* Names of a kind that clients of this process hear. */
uint64_t headcount_names(enum topic_kind kind);

#endif
