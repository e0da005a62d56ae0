/* proxy/hide — keeps the proxy's own keys in Redis ("cvp:…", router/marks) out of clients' sight and reach, while Redis acts.
 *
 *   SCAN, KEYS, RANDOMKEY   their names are left out             DBSIZE              they are not counted
 *   FLUSHDB, FLUSHALL       what is the proxy's stays: proxy/flush
 *   SWAPDB, MOVE, MIGRATE   refused where they would take managed keys away without one
 *
 * Invariants: only where acting.guarded; otherwise nothing is looked at. When some policies are the archive's, proxy/keyspace
 *             answers, with what it borrows from here. Commands that name such a key are refused by router/plan.
 * Threads:    [loop] only. */
#ifndef PROXY_HIDE_H
#define PROXY_HIDE_H

#include "proxy/managed.h"

bool hide_is_internal(struct slice key);
/* acting.guarded: a command that must not reach Redis as it came was taken, and *ret_taken is what dispatch returns. */
bool hide_takes(struct session *s, const struct job *job, bool *ret_taken);
/* The same inside MULTI: an error line; NULL: it may be queued. */
const char *hide_refusal_in_multi(const struct session *s, const struct job *job);

/* Appends the reply that a client's MULTI gets of this command: lists of keys without own ones. DBSIZE stays as it is. */
void hide_tell(uint16_t command, enum resp resp, struct slice reply, struct chain *out);
/* Appends a question of how many own keys there are; the reply is an integer. What another proxy is copying at this very moment
 * (its cvp:busy set) is not known here, and counted as a client's. */
void hide_put_count(struct chain *out, const struct loop *l);

#endif
