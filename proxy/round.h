/* proxy/round — a message that goes from loop to loop, and back to the one that began.
 *
 *     asker ─▶ loop 0 ─▶ loop 1 ─▶ … ─▶ asker        each sees to its own clients, the last one answers
 *
 * Owns:       nothing; the round is embedded in what its visits need.
 * Invariants: every loop that is open is visited once, the asker's last. A loop that has closed is passed over; when the
 *             asker's has, nobody waits for the answer.
 * Threads:    [loop]. */
#ifndef PROXY_ROUND_H
#define PROXY_ROUND_H

#include "proxy/loop.h"

struct round {
    struct loop *asker;
    unsigned next; /* the loop to go to next */
    void (*visit)(struct loop *l, struct round *r); /* on l's thread; frees the round when l is the asker */
    void (*drop)(struct round *own_r);              /* the asker's loop has closed */
};

/* Goes off from the asker's thread; asker, visit and drop are set. */
void round_start(struct round *own_r);

#endif
