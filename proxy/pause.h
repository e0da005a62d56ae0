/* proxy/pause — CLIENT PAUSE and UNPAUSE: the clients of all loops wait, all commands or those that may write.
 * A loop's own traffic to the stores (probes, copies, moves) goes on: it belongs to no client.
 * Owns:       loop.pausing, which is NULL where nothing is paused; the last order, for a successor (proxy/bequest).
 * Invariants: CLIENT PAUSE is answered when every loop knows of it. A request that must wait stays input of its client, and
 *             is parsed again when the pause is over; replies that are owed already leave.
 * Source:     redis.io/commands/client-pause; redis-server 7.0.15: a second pause makes the first one no shorter and no
 *             milder, and what may replicate counts as a write.
 * Threads:    [loop]. */
#ifndef PROXY_PAUSE_H
#define PROXY_PAUSE_H

#include "proxy/managed.h"

struct pausing;
struct server;

/* CLIENT PAUSE milliseconds [WRITE|ALL], and CLIENT UNPAUSE. */
bool pause_command(struct session *s, const struct job *job);
bool pause_unpause(struct session *s, const struct job *job);
/* loop.pausing is not NULL: true when the request must wait; the session is paused then. */
bool pause_holds(struct session *s, const struct job *job);
/* It may write, as far as its row tells; NULL: no row. */
bool pause_may_write(const struct command *cmd);
/* What is in force for the process; any thread. */
struct pause_report {
    int64_t until_us; /* mono; 0: nothing, and it may be in the past */
    bool all;
    uint64_t orders; /* how many there were */
};
void pause_report(struct pause_report *ret);
/* As the process before has ordered it; until_us 0: it has ended it. Any thread; the loops hear of it before they hear of clients that come
 * later. */
void pause_inherit(struct server *s, int64_t until_us, bool all);
/* What waited goes on; also for a loop that drains or closes. */
void pause_end(struct loop *l);

#endif
