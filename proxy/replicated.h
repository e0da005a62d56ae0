/* proxy/replicated — WAIT while Redis is a cluster: every master is asked how many of its replicas have what it has done, and the
 * least counts.
 *
 *   WAIT 1 5000 ─▶ all masters: [PING] [WAIT 1 500] on connections lent for it ─┬─▶ enough, or the time is over: the reply
 *                                                                              └─▶ the request is input again, with the time that is left
 *
 * Invariants: a connection is lent for ROUND_MS at most, so that a client that is gone keeps none. PING before it makes Redis count all
 *             that the master had done until then, so at least this client's writes.
 * Threads:    [loop] only.          Used by: proxy/cluster.
 * Source:     redis.io/commands/wait. */
#ifndef PROXY_REPLICATED_H
#define PROXY_REPLICATED_H

#include "proxy/managed.h"

/* A WAIT outside MULTI. True: it was dealt with, *ret_taken says whether it was taken (false: it must wait). False: its arguments
 * are for Redis to refuse. */
bool replicated_takes(struct session *s, const struct job *job, bool *ret_taken);

#endif
