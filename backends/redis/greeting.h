/* backends/redis/greeting — what a new connection to Redis says first, and whether Redis agrees.
 * RESP3: HELLO 3 [AUTH user password]; RESP2: [AUTH]; then CLIENT SETNAME, and SELECT when the database is not 0.
 * Invariants: no client's command is sent before every answer has come (pitfall 6).
 * Threads:    any. */
#ifndef BACKENDS_REDIS_GREETING_H
#define BACKENDS_REDIS_GREETING_H

#include "base/chain.h"
#include "config/settings.h"
#include "resp/build.h"

struct greeting {
    unsigned owed;     /* replies still to come */
    unsigned optional; /* bit i: the i-th reply from the end may be an error (CLIENT SETNAME) */
};

enum greeting_status { GREETING_MORE, GREETING_OK, GREETING_REFUSED };

void greeting_start(struct greeting *g, struct chain *out, const struct settings *settings, int db, enum resp resp);
/* Takes whole replies from p[0, n); *used bytes are settled. On GREETING_REFUSED why holds Redis's error. */
enum greeting_status greeting_take(struct greeting *g, const char *p, size_t n, size_t *used, char *why, size_t why_cap);

#endif
