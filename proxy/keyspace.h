/* proxy/keyspace — commands about all keys while some keys live in Redis and others in the archive.
 *
 *   SCAN       Redis's cursors first, then the archive's, which are KEYSPACE_ARCHIVE + a hash
 *   KEYS       both; like SCAN only the archive when all keys that the pattern can name are its own (MATCH conv:*)
 *   DBSIZE     the sum: a key that both stores hold counts twice
 *   RANDOMKEY  some keys of each store are drawn; which store is told from follows their sizes
 *   FLUSHDB, FLUSHALL  both
 *
 * Invariants: a key is told by the store that acts for it only, whatever the other one holds; while keys are given back to Redis, by
 *             both (SCAN may tell one twice then, KEYS does not). Nothing is asked while nobody acts. Keys that start with "cvp:" are
 *             not told. When Redis can't be asked the answer is an error: nothing is missing silently.
 * Threads:    [loop] only. */
#ifndef PROXY_KEYSPACE_H
#define PROXY_KEYSPACE_H

#include "proxy/managed.h"
#include "proxy/split.h"

/* The archive's hashes have 52 bits, so its cursors stay exact in a double; Redis's cursors do not reach this far. */
#define KEYSPACE_ARCHIVE (INT64_C(1) << 52)

/* Whether the archive answers for the key. */
bool keyspace_is_archive(const struct loop *l, struct slice key);
/* Whether this store may tell the key that it has. */
bool keyspace_may_tell(const struct loop *l, enum split_store store, struct slice key);
/* A command about all keys, and the client's database has some in either store. */
bool keyspace_handles(const struct session *s, const struct command *cmd);
/* False: it must wait; the session is paused. */
bool keyspace_command(struct session *s, const struct job *job);
/* FLUSHDB or FLUSHALL, well-formed, of both stores. False as above. */
bool keyspace_flush(struct session *s, const struct job *job);
/* Why a command that Redis would take must not go there, for it would miss keys of the archive that its row does not name
 * (SORT BY and GET, DEBUG, SWAPDB): an error line. NULL: it may. home is where the named keys live; SORT of a key of the
 * archive may name keys of the archive only. */
const char *keyspace_refusal(const struct loop *l, const struct job *job, enum home home);

#endif
