/* proxy/dispatch — from a parsed request to whoever answers it.
 * Invariants: a request is answered exactly once, or refused to be taken yet (false) with a pause bit set.
 * Threads:    [loop] only. */
#ifndef PROXY_DISPATCH_H
#define PROXY_DISPATCH_H

#include "proxy/managed.h"

/* raw: the bytes r was parsed from. False: it must wait; s->pauses says for what, and it will be parsed again. */
bool dispatch(struct session *s, const struct request *r, struct slice raw);

/* What becomes of a request for a connection. */
enum admission {
    ADMIT_NOW,   /* it may be sent */
    ADMIT_LATER, /* the session was paused; it will be parsed again */
    ADMIT_NEVER, /* the client was told why not */
};
enum admission dispatch_admit(struct session *s, struct upstream *u, const struct job *job);
/* The same for what l->plan (just made) says: managed keys go to the Redis that has them, and to no other. */
enum admission dispatch_admit_planned(struct session *s, struct upstream *u, const struct job *job);
/* The row of a command: that of the subcommand where there is one; NULL when neither the table nor what was learned of
 * Redis has one. A row that was learned holds until the loop's next turn. */
const struct command *dispatch_row(const struct loop *l, const struct job *job);
/* Where its keys live; commands about all keys go where all keys are. */
enum home dispatch_home(const struct loop *l, const struct job *job);
/* The connection to Redis for the client's next request: the one lent to it, or a shared one. */
struct upstream *dispatch_upstream(struct session *s, const struct job *job);
/* Sends job to Redis, as its plan says. False as above. */
bool dispatch_forward(struct session *s, const struct job *job);
/* The same with the whole reply shown to finish, which may change it. */
bool dispatch_forward_collect(struct session *s, const struct job *job, void (*finish)(struct slot *slot));
/* The same with own_requests, n of them, in place of job's: finish sees as many replies. */
bool dispatch_ask(struct session *s, const struct job *job, struct chain *own_requests, uint32_t n,
                  void (*finish)(struct slot *slot));
/* Answers with an error that names the command. */
bool dispatch_unsupported(struct session *s, const struct job *job);
/* Redis can be asked now. */
bool dispatch_redis_up(struct session *s);
/* Redis can be asked on this connection, and is the one that managed keys belong to. */
bool dispatch_may_send(struct upstream *u);

#endif
