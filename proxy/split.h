/* proxy/split — one request of a client that both stores answer: a part for each, and one reply made of theirs.
 *
 *   client's queue:   [MGET a conv:1 b]            its slot waits until both parts are over
 *   Redis:            [MGET a b]                   parts are slots that are in no client's queue
 *   archive:          [MGET conv:1]
 *
 * Owns:       which part each key is in, and the parts' replies.
 * Invariants: it begins when nothing else of the client is in flight, and nothing else begins before it is over. Both parts are
 *             sent, or neither. A part that fails makes the whole fail with its error, Redis's first. When the client is gone,
 *             the parts end unheard.
 * Threads:    [loop], but split_part_orphan: any. */
#ifndef PROXY_SPLIT_H
#define PROXY_SPLIT_H

#include "executor/op.h"
#include "proxy/managed.h"
#include "proxy/slot.h"

enum split_store { SPLIT_REDIS, SPLIT_ARCHIVE, SPLIT_STORES };

struct split {
    struct slot *slot; /* the client's */
    enum resp resp;
    struct upstream *upstream;
    _Atomic unsigned left; /* parts that are not over */
    struct {
        char *p;
        size_t len;
    } replies[SPLIT_STORES]; /* as the stores gave them */
    /* Appends the client's reply, when neither part is an error. */
    void (*finish)(struct split *sp, struct chain *out);
    size_t nkeys;
    uint8_t *stores; /* of each key, in the client's order */
};

/* MGET, DEL, EXISTS, TOUCH, UNLINK. */
bool split_can(const struct command *cmd);
/* One of them, with keys in both stores. False: it must wait; the session is paused. */
bool split_command(struct session *s, const struct job *job);

/* For what is put together in other ways. False: it must wait, as above. *ret stays NULL when the client was told why it
 * can't be; otherwise both parts must be sent before the turn ends. */
bool split_start(struct session *s, const struct job *job,
                 void (*finish)(struct split *sp, struct chain *out), struct split **ret);
/* requests: n of them as RESP. Redis's replies are put one behind the other; the archive's, for OP_EXEC, in an array. */
struct slot *split_ask_redis(struct split *sp, struct chain *requests, uint32_t n, bool slow);
struct slot *split_ask_archive(struct split *sp, enum op_form form, struct slice requests);
struct slice split_reply(const struct split *sp, enum split_store store);

/* For proxy/slot: a part is over; its slot holds the reply. */
void split_part_over(struct slot *part);
/* The same when its loop has ended. */
void split_part_orphan(struct slot *part);

#endif
