/* proxy/local — the commands that the proxy answers itself: its own CONV, the connection's (HELLO, PING, SELECT, CLIENT …), and its
 * part of CONFIG, INFO and SLOWLOG. One row a command in the table of local.c.
 * Threads: [loop] only.          Source: the command pages of redis.io; texts are those of redis-server 7.0. */
#ifndef PROXY_LOCAL_H
#define PROXY_LOCAL_H

#include "proxy/managed.h"

/* False: it must wait (the part that asks Redis); the session is paused. */
bool local_command(struct session *s, const struct job *job);
/* A request was taken: what CLIENT REPLY SKIP has said is about the next one now, or over. */
void local_replied(struct session *s);
/* There is a handler for this row; a test asks for every row of route LOCAL. */
bool local_handles(const struct command *cmd);
/* The same inside an open MULTI: all but a few wait for EXEC. */
bool local_in_multi(struct session *s, const struct job *job);

#endif
