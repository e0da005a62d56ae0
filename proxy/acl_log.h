/* proxy/acl_log — ACL LOG: what users were denied, and wrong passwords; and the log's line about the latter.
 * Owns:       the entries of the process; entries that are alike within a minute are one, with a count.
 * Invariants: a password is never in it. Wrong passwords cost one line a second at most, however many there are.
 * Threads:    any (a lock, which only denials take). */
#ifndef PROXY_ACL_LOG_H
#define PROXY_ACL_LOG_H

#include "base/chain.h"
#include "proxy/stats.h"
#include "resp/build.h"

#include <stdbool.h>
#include <stdint.h>

struct session;

/* object: the command, key, channel; of a wrong password the verb that it came with. user: who was asked for. */
void acl_log_add(const struct session *s, enum acl_reason reason, struct slice object, struct slice user);
/* The newest count entries as ACL LOG answers them. */
void acl_log_get(struct chain *out, enum resp resp, int64_t count);
void acl_log_reset(void);
/* Once a second: wrong passwords that were not told yet are. */
void acl_log_second(int64_t now_us);

#endif
