/* proxy/travel — the clients of a loop leave for another process, one by one, each between two of its
 * requests. Owns:       a timer, while they leave. Invariants: a client that has been told to leave takes no
 * further requests here; it goes as soon as it is owed nothing. One inside MULTI or WATCH goes on until that
 * is over. A few leave at a time, the others are served meanwhile, so that nobody waits for the whole crowd.
 * When the time is up the rest is ended as in a drain. Threads:    [loop], but for travel_deliver (any). Used
 * by: proxy/handover, takeover. */
#ifndef PROXY_TRAVEL_H
#define PROXY_TRAVEL_H

#include "proxy/loop.h"
#include "proxy/parcel.h"

/* Post it; arg: the time in ms, as an integer. Parcels go to handover_give. */
void travel_start(struct loop *l, void *ms);
/* Post it: who has not left yet stays, and is served again. */
void travel_stop(struct loop *l, void *unused);
/* Gives a parcel to the loop with the fewest clients. */
void travel_deliver(struct server *s, struct parcel *own_p);

#endif
