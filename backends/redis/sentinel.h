/* backends/redis/sentinel — finds the master by asking the sentinels, and hears of it when they switch.
 * Owns:       for each sentinel a connection for questions and one that listens to +switch-master; one to the master.
 * Invariants: what is found has said itself, by ROLE, that it is a master. Of several answers the one of the highest
 *             config-epoch counts, and no lower one than that of what was found last: a sentinel that was cut off
 *             together with an old master does not lead back to it (unless all sentinels say so).
 * Threads:    [scout] only.          Used by: backends/redis/scout.
 * Source:     redis.io, "Guidelines for Redis clients with support for Redis Sentinel". */
#ifndef BACKENDS_REDIS_SENTINEL_H
#define BACKENDS_REDIS_SENTINEL_H

#include "backends/redis/scout.h"
#include "backends/redis/sentinel_reply.h"
#include "config/seeds.h"

#include <poll.h>

struct sentinel;

struct sentinel *sentinel_new(struct redis_seeds *own_seeds);
void sentinel_free(struct sentinel *own_x);

/* Asks all sentinels. False: nobody that they name is a master now; report->error says more. *ret stays. */
bool sentinel_look(struct sentinel *x, const struct settings *s, struct sentinel_address *ret,
                   struct scout_report *report);
/* The URL of what was found; the caller frees it. */
char *sentinel_url(const struct sentinel *x, const struct sentinel_address *at);
/* What to poll for reading between two looks; at most cap. */
size_t sentinel_fds(const struct sentinel *x, struct pollfd *fds, size_t cap);
/* Reads what has come on those connections. True: the master has changed, so it is time to look. */
bool sentinel_heard(struct sentinel *x);

#endif
