/* proxy/policing — what policies demand of a command before anything is sent or queued: that its tenant has not sent too many, and
 * that values are JSON where the policy's format says so.
 *
 *   dispatch ─▶ policing ─▶ limiter (shared by all loops)
 *                  └──▶ engine/json
 *
 * Owns:       the demands of each policy, read from the settings; one object for each loop, NULL where no policy demands anything.
 * Invariants: a command is charged once, however often it has to wait before it is taken. It counts for the tenant of its first
 *             key whose policy has limits; SCAN and KEYS for that of their pattern. A refused command was not begun.
 * Threads:    [loop] only; policing_new from any.          Used by: proxy/loop, proxy/dispatch. */
#ifndef PROXY_POLICING_H
#define PROXY_POLICING_H

#include "proxy/managed.h"

struct policing;

/* settings must outlive it. */
struct policing *policing_new(const struct settings *settings);
void policing_free(struct policing *own_p);
/* True: the client was told why not. */
bool policing_refuses(struct session *s, const struct job *job);
/* The policy of the first key that has one; NULL: none has. */
const struct policy_conf *policing_policy(struct loop *l, const struct job *job);

#endif
