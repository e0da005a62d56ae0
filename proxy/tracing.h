/* proxy/tracing — scripts that do not name the keys they change (EVAL … 0, and FCALL … 0; setting script.trace), while Redis acts: what
 * they have changed of managed keys gets versions, marks and copies before their client is answered.
 *
 *   request ─▶ tracing_waits ─▶ sync/tracer: begin ─▶ the request again ─▶ tracing_attach ─▶ Redis ─▶ tracing_take ─▶ sync/tracer: end ─▶ reply
 *
 * Owns:       s->tracing, between the beginning and the sending; slot->traced from then on.
 * Invariants: each beginning has its end, whatever becomes of client, connection or request.
 * Threads:    [loop] only.          Used by: proxy/dispatch, transaction, managed, slot. */
#ifndef PROXY_TRACING_H
#define PROXY_TRACING_H

#include "proxy/managed.h"

/* While keys may have left Redis, a script that names none can't be run: those that it uses could not be handed to it. */
bool tracing_refuses(const struct loop *l, const struct job *job, int db);
#define TRACING_REFUSAL                                                                                       \
    "ERR a script must name its keys while a policy has tiers: what is not in Redis is handed over by name"
/* Whether this command's changes would have to be found. Cheap for all that is no script. */
bool tracing_wants(const struct session *s, const struct job *job);
/* What is to be sent has such a script in it. True: it can't be sent now: dispatch returns *ret_taken. */
bool tracing_waits(struct session *s, bool *ret_taken);
/* s->tracing is there: this slot is what it is for. */
void tracing_attach(struct slot *slot);
/* The request was answered in another way, or the session ends. */
void tracing_drop(struct session *s);

/* slot->traced: its reply is whole. The slot is over later. */
void tracing_take(struct slot *slot);
/* slot->traced: it is over, and it is not known whether the script has run. */
void tracing_over(struct slot *slot);

#endif
