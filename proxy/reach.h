/* proxy/reach — CLIENT KILL and CLIENT UNBLOCK: finds clients on all loops and ends them, or what they wait for.
 * Source:  redis.io/commands/client-kill, client-unblock; redis-server 7.0.15.
 * Threads: [loop]; a message goes from loop to loop and back. */
#ifndef PROXY_REACH_H
#define PROXY_REACH_H

#include "proxy/managed.h"

bool reach_kill(struct session *s, const struct job *job);
bool reach_unblock(struct session *s, const struct job *job);

#endif
