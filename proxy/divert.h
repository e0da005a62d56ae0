/* proxy/divert — CLIENT TRACKING with REDIRECT: another client of the proxy hears what has changed, in RESP2 as a message of
 * __redis__:invalidate.
 *
 *   RESP3   who tracks ─▶ its pinned connection ─▶ Redis ─▶ push there ─────────────────┬─▶ the other client, on its own loop
 *   RESP2   who tracks ─▶ TRACKING … REDIRECT <ear> ─▶ Redis ─▶ push on the ear (RESP3) ─┘
 *
 * Owns:       session.divert: whom to tell, and the ear, a second connection that the pool lends, since pushes need RESP3;
 *             loop.heard: the clients of the loop that others have named.
 * Invariants: the ids that clients see are those of the proxy. A client that is gone is not told: who tracks hears so when there is
 *             something to tell, as from Redis.
 * Threads:    [loop] only; what is told goes to the other client's loop.          Used by: proxy/tracking, session. */
#ifndef PROXY_DIVERT_H
#define PROXY_DIVERT_H

#include "proxy/managed.h"

struct divert;
struct heard;

enum found { FOUND_HERE, FOUND_NOBODY, FOUND_LATER };

/* Looks for the client with this id. LATER: the session is paused, and asks again. */
enum found divert_find(struct session *s, int64_t id);
/* s, which has its pinned connection, is about to track for that client, which was found. False: no connection is left for the ear. */
bool divert_use(struct session *s);
/* The ear is there: its number is known. Else it is asked for; when it is known, or cannot be, the session goes on. */
bool divert_is_ready(struct session *s);
/* Redis can't be asked for the ear now. */
bool divert_is_down(struct session *s, const char **ret_detail);
/* Appends the words that CLIENT TRACKING needs at Redis; how many. */
size_t divert_words(const struct session *s);
void divert_put(const struct session *s, struct chain *out);
/* Redis has been asked with that ear; and: it is still the one. True where none is needed. */
void divert_was_put(struct session *s);
bool divert_holds(const struct session *s);
/* u is the ear of s. */
bool divert_is_ear(const struct session *s, const struct upstream *u);
/* Nobody else is told any more. */
void divert_drop(struct session *s);

/* The other client hears it; what: an array of keys, or null. */
void divert_send(struct session *s, struct slice what);
/* As CLIENT GETREDIR tells it: 0: there is none. */
int64_t divert_target(const struct session *s);
/* The other client is gone, and that was found out. */
bool divert_is_broken(const struct session *s);
/* For proxy/session: a client that others have named is gone. Only when s->is_heard. */
void divert_gone(struct session *s);
void divert_free(struct loop *l);

#endif
