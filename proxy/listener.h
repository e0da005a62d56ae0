/* proxy/listener — listening sockets, and spreading new clients evenly over the loops.
 * Owns:       the sockets. Each loop listens on sockets of its own (SO_REUSEPORT); the kernel picks one by a hash, so
 *             whoever accepts hands the client to the loop that has the fewest.
 * Invariants: a client is counted for its loop from the moment it was accepted.
 * Threads:    listener_open from the main thread; the rest [loop]. */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include "base/err.h"
#include "proxy/loop.h"

struct listener;

/* Opens address ("host:port", "[v6]:port", "unix:/path"); *ret_fd listens but nobody accepts yet. check_free: fail when
 * another process listens there. why: filled on failure. */
MUST_USE int listener_open(const char *address, bool check_free, char *why, size_t why_cap);
/* Accepts on fd from now on (post it; arg is the descriptor as an integer, which the loop takes). */
void listener_add(struct loop *l, void *own_fd);
/* The same for clients that speak TLS. */
void listener_add_secure(struct loop *l, void *own_fd);
/* Stops accepting on fd (post it; arg is the descriptor as an integer); clients wait in the kernel's queue.
 */
void listener_pause(struct loop *l, void *fd);
/* Accepts again on what was paused (post it). */
void listener_resume_all(struct loop *l, void *unused);
void listener_close_all(struct loop *l);
/* Once a second: tries again where there were no descriptors left. */
void listener_second(struct loop *l);

#endif
