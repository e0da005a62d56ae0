/* proxy/managed — sends a request to Redis as its plan says: raw, rewritten, as a script, or as a MULTI block.
 * Threads: [loop] only.          Used by: proxy/dispatch, proxy/transaction. */
#ifndef PROXY_MANAGED_H
#define PROXY_MANAGED_H

#include "proxy/block.h"

/* What is known of the request being dispatched. */
struct job {
    const struct command *cmd; /* NULL: not in the table */
    const struct slice *argv;
    size_t argc;
    struct slice raw;  /* the bytes as they came; not RESP when inline_ */
    bool inline_;
    bool slow;         /* counts against redis.slow_timeout */
    bool urgent;       /* goes on a connection that no other request holds up */
};

/* Plans job into l->plan. Nothing is left beside a write: for the archive, and for a look. */
const struct plan *managed_plan(struct loop *l, const struct job *job, enum resp resp, bool in_multi);
/* The same for Redis: writes leave what l->acting says. */
const struct plan *managed_plan_redis(struct session *s, const struct job *job, bool in_multi);
/* job is a COPY to another database than the client's: not for managed keys. */
bool managed_leaves_database(const struct session *s, const struct job *job);
/* Counts what the plan, which is being sent, has found of JSON histories. */
void managed_count_json(struct loop *l, const struct plan *plan);
/* Sends job as l->plan (just made) says, on u. */
void managed_send(struct session *s, struct upstream *u, const struct job *job);
/* The same for what blocks and is tried without waiting (l->plan.tries was set): the slot is that of the command `as`, and the whole
 * reply is there when `then` decides. */
void managed_try(struct session *s, struct upstream *u, const struct job *job, const struct command *as, bool (*then)(struct slot *slot));
/* The same for a part of a request (slot_new_part), whose job was built and so counts as inline. */
void managed_send_part(struct slot *part, struct upstream *u, enum resp resp, const struct job *job);
/* Appends the request's bytes: as they came, or built anew for inline commands. */
void managed_put_raw(struct chain *out, const struct job *job);

#endif
