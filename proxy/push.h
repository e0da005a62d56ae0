/* proxy/push — bytes that a client gets without having asked just now: messages, invalidations, lines of MONITOR.
 *
 *     out:    [reply of GET a, still coming in ……]  [push]  [reply of GET b]
 *
 * Owns:       what waits for the end of a reply that is being passed on in parts (session.pushed).
 * Invariants: a push stands between two replies, whole. It does not wait for replies that are owed but not there yet: what must
 *             come behind those is a reply, whose place slot_answer gives. Pushes keep their own order, and the limits of output
 *             count them.
 * Threads:    [loop] only.          Used by: proxy/pubsub, monitor, slot. */
#ifndef PROXY_PUSH_H
#define PROXY_PUSH_H

#include "proxy/session.h"

/* Sends whole values: a push of RESP3, an array of RESP2, a line. The session may be closed by it, when its client reads too slowly; so
 * walk a list of sessions with care. A session that is closing gets nothing. */
void push_send(struct session *s, struct slice whole);
/* The same in two pieces, so that what differs between clients can stand in front of what all of them get. */
void push_send_two(struct session *s, struct slice first, struct slice rest);

/* It gets what it has not asked for: it has subscriptions or MONITOR. It may be silent for as long as it likes, and has limits of its own. */
bool push_listens(const struct session *s);
struct output_limits {
    int64_t hard, soft, soft_ms;
    const char *hard_name, *soft_name; /* the settings */
};
struct output_limits push_limits(const struct session *s);

/* For proxy/slot: no reply is half told any more. Only when s->pushed is not NULL. */
void push_release(struct session *s);
/* For proxy/session: forgets what waits; bytes that wait. */
void push_drop(struct session *s);
size_t push_waiting(const struct session *s);

#endif
