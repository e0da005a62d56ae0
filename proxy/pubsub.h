/* proxy/pubsub — the commands about messages: SUBSCRIBE and its kin, PUBLISH, PUBSUB.
 * Invariants: a SUBSCRIBE comes behind all that the client has in flight, and what it asks next behind the confirmations: so a message
 *             never comes before the confirmation of its channel, nor behind that of the UNSUBSCRIBE.
 * Threads:    [loop] only.          Used by: proxy/dispatch, local. */
#ifndef PROXY_PUBSUB_H
#define PROXY_PUBSUB_H

#include "proxy/managed.h"

/* A row of route PUBSUB. False: it must wait; the session is paused. */
bool pubsub_command(struct session *s, const struct job *job);
bool pubsub_in_multi(struct session *s, const struct job *job);
/* There is a handler for this row; a test asks for every row of route PUBSUB. */
bool pubsub_handles(const struct command *cmd);
/* s->subs is not NULL: whether RESP2 does not allow the command now. True: the client was told. */
bool pubsub_refuses(struct session *s, const struct job *job);
/* PING of such a client of RESP2 is answered by an array. False: as always. */
bool pubsub_answers_ping(struct session *s, const struct job *job);

#endif
