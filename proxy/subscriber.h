/* proxy/subscriber — a loop's one connection to Redis for pub/sub: each topic that some client hears is subscribed once on it, and
 * its messages are passed on to all who hear it.
 *
 *      SUBSCRIBE of a client ─▶ join ─▶ ask ─▶ Redis ─▶ its answer ─▶ links, and the client's confirmations
 *      message ─▶ topic ─▶ links ─▶ push_send
 *
 * Owns:       the pool with that connection (RESP3, so that what nobody asked for can be told from answers), the topics, the questions
 *             under way, the SUBSCRIBEs that wait for them.
 * Invariants: a client's SUBSCRIBE is confirmed when Redis has confirmed it, and every message published after that reaches it. While
 *             Redis is away it is confirmed at once, and made when Redis is back: nothing can be published meanwhile.
 *             After each new connection all topics are subscribed again.
 * Threads:    [loop] only.          Used by: proxy/pubsub, loop. */
#ifndef PROXY_SUBSCRIBER_H
#define PROXY_SUBSCRIBER_H

#include "proxy/managed.h"
#include "proxy/topics.h"

struct subscriber;

struct subscriber *subscriber_of(struct loop *l); /* made when it is wanted for the first time */

/* SUBSCRIBE and its kin. The session has nothing in flight; it is paused when the answer has to wait. */
void subscriber_join(struct session *s, enum topic_kind kind, const struct job *job);
/* The client hears the topic no more. False: it did not. */
bool subscriber_leave(struct session *s, enum topic_kind kind, struct slice name);
/* Answers an UNSUBSCRIBE: when Redis has confirmed it, so that whoever then asks Redis how many hear a channel is told right. */
void subscriber_answer(struct session *s, const struct job *job, struct chain *own_reply);
/* The one that it has heard for longest, or NULL; valid until it leaves. */
const struct topic *subscriber_first(const struct session *s, enum topic_kind kind);
/* Leaves all. */
void subscriber_drop(struct session *s);
/* Appends a confirmation; name: NULL for none. */
void subscriber_confirm(const struct session *s, struct chain *out, const char *verb, enum topic_kind kind,
                        const struct slice *name);

/* For proxy/loop. The subscriber may be NULL. */
void subscriber_second(struct subscriber *sub);
void subscriber_settings(struct subscriber *sub, const struct settings *settings);
void subscriber_cut(struct subscriber *sub); /* pool_cut */
void subscriber_close(struct subscriber *sub); /* clients are gone; run the loop until the handles are closed */
void subscriber_free(struct subscriber *own_sub);

#endif
