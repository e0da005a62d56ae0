/* proxy/drain — the orderly end of a loop: no new clients, what runs is finished, clients leave in slices.
 * Invariants: a client with requests in flight is closed only after their replies were written, unless the time is up.
 *             Idle clients are closed spread over the time, so that they don't all connect anew at once.
 * Threads:    [loop]. */
#ifndef PROXY_DRAIN_H
#define PROXY_DRAIN_H

#include "proxy/loop.h"

/* Post it; arg: the time in ms, as an integer. When the last client has left the loop closes itself. */
void drain_start(struct loop *l, void *ms);
/* The time is up, left_ms <= 0 tells since when: all clients end, at once or with the reply that they wait
 * for. Who still waits after one more deadline of Redis is closed. */
void drain_clients(struct loop *l, int64_t left_ms);

#endif
