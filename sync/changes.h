/* sync/changes — which keys of dual-write policies Redis changes, whoever does it: a connection of our own that Redis tells so.
 *
 *   CLIENT TRACKING ON REDIRECT self BCAST PREFIX conv: … | SUBSCRIBE __redis__:invalidate | messages … | PING ─▶ all before it is known
 *
 * Redis tells of a change before it answers the command that has made it: when that answer is here, the messages stand before the
 * answer to a PING that is sent now. Nothing in the server's settings is touched.
 * Owns:       a link, the keys that were told.
 * Invariants: after a loss (changes_are_whole is false) keys may be missing until it is begun anew.
 * Threads:    one at a time; changes_interrupt: any. */
#ifndef SYNC_CHANGES_H
#define SYNC_CHANGES_H

#include "base/err.h"
#include "router/policy.h"
#include "sync/link.h"

struct changes;

struct changes *changes_new(void);
void changes_free(struct changes *own_c);
/* From now on, unless it was so before with the same settings. ERR_REDISDOWN: see changes_why; refused: Redis can't or won't tell. */
MUST_USE enum err changes_begin(struct changes *c, const struct settings *settings, bool *ret_refused);
bool changes_are_whole(const struct changes *c);
const char *changes_why(const struct changes *c);
/* All that has been changed until now is known, and forgotten here. The keys, each once, live until the next call. */
MUST_USE enum err changes_collect(struct changes *c, const struct policy_set *policies, struct slice **ret_keys,
                                  size_t *ret_n);
void changes_end(struct changes *c);
void changes_interrupt(struct changes *c);

#endif
