/* proxy/parked — clients that wait for something to come to managed keys while Redis acts.
 *
 *   BLPOP conv:q 0 ─▶ tried: LMPOP 1 conv:q LEFT, as a managed write ─┬─▶ found: the reply, with version, mark and copy
 *                         ▲                                           └─▶ nil: it has written nothing, and the client is parked
 *                         └── woken: a write of this process to the key has been answered; or a look (TYPE) every 250 ms has seen
 *                             something there, whoever wrote it
 *
 * Owns:       the waiters of the loop (session.parked) with their times, and the timer of the looks.
 * Invariants: the request stays the first of the client's input until it is over, so that it can go where its keys go: to the archive,
 *             or to another process, with the time that is left. First come, first served for each key, among the clients of this
 *             process: who is not the first in the queue of a key does not try there. One try of a client is under way at a time; while it is,
 *             nothing else ends the wait.
 * Threads:    [loop] only.          Used by: proxy/waiting, hold, slot. */
#ifndef PROXY_PARKED_H
#define PROXY_PARKED_H

#include "proxy/managed.h"

struct parked;
struct parked_loop;
struct parking;

/* A blocking command that is well-formed, with keys that Redis has, some of them managed. False: it must wait; the session is paused. */
bool parked_command(struct session *s, const struct job *job);
/* The stores change places: who is parked already stays so until they have. True: the session is paused. */
bool parked_stays(struct session *s);
/* Its request was answered in another way. */
void parked_forget(struct session *s);
/* It is input again, with the time that is left; or forgotten, when the client is ending. */
void parked_recall(struct session *s);
/* CLIENT UNBLOCK. False: it does not wait. */
bool parked_unblock(struct session *s, bool with_error);
/* It was tried, and waits. */
bool parked_waits(const struct session *s);
/* Bytes of its input that the request takes. */
size_t parked_input(const struct session *s);

/* l->acting has changed: those whose keys are the archive's now go there; those whose keys are served again try. */
void parked_acting(struct loop *l);

/* The slot's request may write keys that somebody waits for: remembers them. Only when parking_any. */
void parked_note(struct slot *slot, const struct plan *plan, int db);
/* It has been answered: wakes those who wait. */
void parked_tell(struct slot *slot);
void parked_free_notes(struct slot *slot);

/* Somebody waits for managed keys, on any loop. */
bool parked_any(const struct loop *l);
/* For the server: what the loops have in common. */
struct parking *parked_parking_new(void);
/* The loop ends; its sessions are closed. */
void parked_close(struct loop *l);

#endif
