/* proxy/spread — how the requests of one client may be in flight at several nodes of a Redis Cluster, and each key's still run in
 * their order.
 *
 *   while nothing moves, a key has one node, and one connection of the client's to it: its requests follow each other there
 *   something has moved (a redirection, another topology) ─▶ the client's next request waits until nothing of it is in flight
 *
 * Owns:       struct spreading in each session.
 * Invariants: what is in flight at several nodes was sent while nothing moved, by connections of one lane; replies keep the
 *             client's order by their slots, as always.
 * Threads:    [loop] only.          Used by: proxy/dispatch. */
#ifndef PROXY_SPREAD_H
#define PROXY_SPREAD_H

#include <stdbool.h>
#include <stdint.h>

struct session;
struct upstream;

struct spreading {
    uint32_t era;  /* in which the first of what is in flight was sent */
    uint8_t lane;
    bool alone;    /* nothing may be in flight beside it */
    bool several;  /* connections have something in flight */
};

/* Whether the next request may go on u beside what is in flight; if nothing is, that begins anew. */
bool spread_may_send(struct session *s, const struct upstream *u);

#endif
