/* backends/redis/greeting — what a new connection to Redis says first, and whether Redis agrees.
 * RESP3: HELLO 3 [AUTH user password]; RESP2: [AUTH]; then CLIENT SETNAME, SELECT when the database is not 0, and READONLY for a replica.
 * Guarded (docs/protocol.md, the fence), it also asks who Redis is, and registers its session in cvp:sess in the same step when Redis
 * is the expected one. That is a script, which a Redis that is out of memory runs as well. Database 0 only: nothing else is guarded.
 * Invariants: no client's command is sent before every answer has come (pitfall 6).
 * Threads:    any. */
#ifndef BACKENDS_REDIS_GREETING_H
#define BACKENDS_REDIS_GREETING_H

#include "backends/redis/guard.h"
#include "base/chain.h"
#include "config/settings.h"
#include "resp/build.h"

struct greeting_ask {
    const struct settings *settings;
    const char *url; /* the login */
    const struct upstream_guard *guard;
    const char *session; /* of the connection that begins */
    const char *spent;   /* the session of the one before, which has nothing in flight: its field goes; "": none */
    int db;
    enum resp resp;
    bool read_only; /* a replica of a cluster's node, which is to answer reads */
};

/* Whom the greeting has met. */
struct greeting_met {
    bool ours;                 /* the expected Redis, which knows the session */
    bool known;                /* it has told who it is: run_id and epoch count */
    char run_id[GUARD_RUN_ID];
    int64_t epoch;             /* 0: cvp:ep is not there */
    char why[96];              /* it is not ours, in words */
};

struct greeting {
    unsigned owed;     /* replies still to come */
    unsigned optional; /* bit i: the i-th reply from the end may be an error (CLIENT SETNAME) */
    unsigned identity; /* the same: that reply tells who Redis is */
    struct upstream_guard guard; /* not on when nothing is looked at */
    struct greeting_met met;     /* with GREETING_OK */
};

enum greeting_status { GREETING_MORE, GREETING_OK, GREETING_REFUSED };

void greeting_start(struct greeting *g, struct chain *out, const struct greeting_ask *ask);
/* Takes whole replies from p[0, n); *used bytes are settled. On GREETING_REFUSED why holds Redis's error. */
enum greeting_status greeting_take(struct greeting *g, const char *p, size_t n, size_t *used, char *why, size_t why_cap);

#endif
