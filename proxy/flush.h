/* proxy/flush — FLUSHDB and FLUSHALL of a Redis that is guarded: what is the proxy's stays, and every managed key becomes a write, with
 * version and mark, so that the archive forgets it too, and Redis does not become a stranger.
 *
 *   few managed keys    one script: Redis is emptied between two other commands
 *   many                page by page: a script for some keys of each SCAN, and other commands run between them. What was there when
 *                       the flush began is gone when it is answered; what is written meanwhile may stay.
 *
 * Owns:       nothing: how far it is stands in Redis's last reply.
 * Invariants: a page is not asked for while the stores change places, nor does Redis do it in another epoch: the flush ends with an
 *             error then, and what is left is whole in both stores.
 * Threads:    [loop] only.          Used by: proxy/hide, proxy/keyspace. */
#ifndef PROXY_FLUSH_H
#define PROXY_FLUSH_H

#include "proxy/managed.h"

/* Why nothing can be flushed now: an error line; NULL: it can. */
const char *flush_refusal(const struct loop *l);
/* Appends what FLUSHDB or FLUSHALL, well-formed, becomes. Whoever sends it, in a slot of one reply, calls flush_goes_on. */
void flush_put(struct chain *out, const struct job *job);
/* The slot is over only when all pages are. */
void flush_goes_on(struct slot *slot);
/* Sends what flush_put has made to Redis. False: it must wait; the session is paused. */
bool flush_ask(struct session *s, const struct job *job, struct chain *own_request);

#endif
