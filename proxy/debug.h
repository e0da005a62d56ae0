/* proxy/debug — DEBUG commands that must not reach a Redis that others use through the same connections.
 * Source:  DEBUG HELP of redis-server 7.0.15.
 * Threads: [loop] only. */
#ifndef PROXY_DEBUG_H
#define PROXY_DEBUG_H

#include "proxy/managed.h"

/* job is DEBUG, and was answered with an error that says why it does not go on. False: it is something else, or may go on. */
bool debug_refuses(struct session *s, const struct job *job);
/* All that are refused, for docs: fn(ctx, "SEGFAULT", why). */
void debug_each_refused(void (*fn)(void *ctx, const char *name, const char *why), void *ctx);

#endif
