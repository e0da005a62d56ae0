/* proxy/pause — CLIENT PAUSE and UNPAUSE: the clients of all loops wait, all commands or those that may write.
 * A loop's own traffic to the stores (probes, copies, moves) goes on: it belongs to no client.
 * Owns:       loop.pausing, which is NULL where nothing is paused.
 * Invariants: CLIENT PAUSE is answered when every loop knows of it. A request that must wait stays input of its client, and
 *             is parsed again when the pause is over; replies that are owed already leave.
 * Source:     redis.io/commands/client-pause; redis-server 7.0.15: a second pause makes the first one no shorter and no
 *             milder, and what may replicate counts as a write.
 * Threads:    [loop]. */
#ifndef PROXY_PAUSE_H
#define PROXY_PAUSE_H

#include "proxy/managed.h"

struct pausing;

/* CLIENT PAUSE milliseconds [WRITE|ALL], and CLIENT UNPAUSE. */
bool pause_command(struct session *s, const struct job *job);
bool pause_unpause(struct session *s, const struct job *job);
/* loop.pausing is not NULL: true when the request must wait; the session is paused then. */
bool pause_holds(struct session *s, const struct job *job);
/* It may write, as far as its row tells; NULL: no row. */
bool pause_may_write(const struct command *cmd);
/* What waited goes on; also for a loop that drains or closes. */
void pause_end(struct loop *l);

#endif
