/* proxy/parked_state — a parked client, for the modules that share the work on it. Barred to others.
 * Threads: [loop] only.          Used by: proxy/parked, looks. */
#ifndef PROXY_PARKED_STATE_H
#define PROXY_PARKED_STATE_H

#include "proxy/loop.h"
#include "proxy/parking.h"

enum parked_state {
    PARKED_NEW,   /* not tried yet */
    PARKED_TRIES, /* something is under way for it */
    PARKED_WAITS,
};

/* How it ends if the try that is under way finds nothing. */
enum parked_ends { ENDS_NOT, ENDS_NIL, ENDS_ERROR, ENDS_RECALLED };

struct parked {
    uv_timer_t timer; /* its time */
    struct parked *next, **back; /* loop->parked->first */
    struct session *session;
    const struct command *cmd;
    struct waiter *waiter;
    int64_t until_us;
    size_t input_len; /* of the request, the first of the client's input */
    size_t place;     /* where it tries; waiter->n: at all its keys */
    enum parked_state state;
    enum parked_ends ends;
    bool tried;         /* at least once */
    bool looked;        /* a look has seen its type there: an error is the client's */
    bool sending, over; /* over: answered while it was being sent */
    struct slot *look;  /* under way */
};

/* The request is over, and its reply is in the queue: the client goes on. */
void parked_finish(struct parked *own_w);
/* It is over with nil (error NULL), or with an error. */
void parked_answer(struct parked *own_w, const char *error);
/* What was under way found nothing: what has come meanwhile decides. */
void parked_wait_on(struct parked *w);

#endif
