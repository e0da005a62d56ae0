/* proxy/fence — tells when no request that was sent to Redis before is under way any more, at any loop: whoever is told so has, with a mark
 * that new requests look at first (sync/warm), a key to himself.
 *
 *   worker ─▶ a message to each loop ─▶ hold's count of what is out: the older half ─▶ 0 at all loops ─▶ worker
 *
 * Owns:       what loops have to tell, until they have.
 * Threads:    fence_wait: any but a loop; the rest: [loop]. */
#ifndef PROXY_FENCE_H
#define PROXY_FENCE_H

#include <stdbool.h>

struct loop;
struct server;

/* Returns true when all is over; false when it takes longer than a second, or go_on has said no. */
bool fence_wait(struct server *s, bool (*go_on)(void *arg), void *arg);
/* hold's counts have changed. */
void fence_look(struct loop *l);
/* The loop ends: nobody hears of it any more. */
void fence_drop(struct loop *l);

#endif
