/* proxy/message — what a push of Redis says.
 * Threads: any. */
#ifndef PROXY_MESSAGE_H
#define PROXY_MESSAGE_H

#include "proxy/headcount.h"

struct message {
    enum topic_kind kind;
    struct slice name;    /* of the subscription: a pattern, or the channel */
    struct slice channel; /* these lie in the push */
    struct slice payload;
};

/* push: whole. False: it is no message. */
bool message_read(struct slice push, struct message *ret);
/* It is the answer to SUBSCRIBE, UNSUBSCRIBE or their kin. */
bool message_is_answer(struct slice push);
/* A notification about a key of the proxy's own: "__keyspace@0__:cvp:ver", or the same key told by "__keyevent@0__:set". */
bool message_is_internal(const struct message *m);

#endif
