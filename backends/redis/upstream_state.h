/* backends/redis/upstream_state — the life of one connection to Redis as a pure table.
 * Used by: backends/redis/upstream, and its test, which walks every pair. */
#ifndef BACKENDS_REDIS_UPSTREAM_STATE_H
#define BACKENDS_REDIS_UPSTREAM_STATE_H

enum upstream_state {
    UP_IDLE,     /* nothing wanted, nothing open */
    UP_DIALING,  /* resolving and connecting */
    UP_GREETING, /* HELLO, AUTH, SELECT are on their way */
    UP_READY,
    UP_DRAINING, /* retired (the settings changed): what was sent is waited for, what is new waits */
    UP_CLOSING,  /* the socket's handle is going away */
    UP_WAITING,  /* for the time of the next attempt, which may be now */
    UP_STATES
};

enum upstream_event {
    UEV_WANTED,  /* a request came */
    UEV_DIALED,  /* a socket is connected */
    UEV_GREETED, /* Redis has accepted the greeting */
    UEV_RETIRED, /* the settings changed: connect anew */
    UEV_BROKEN,  /* refused, lost, timed out, malformed, or drained */
    UEV_CLOSED,  /* the socket's handle is gone */
    UEV_RETRY,   /* it is time for an attempt */
    UEV_UNUSED,  /* not wanted for a while */
    UPSTREAM_EVENTS
};

enum upstream_state upstream_next(enum upstream_state state, enum upstream_event event);

#endif
