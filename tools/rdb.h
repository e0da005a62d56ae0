/* tools/rdb — Redis's own file of all its keys: getting one, and seeing whether it is whole.
 * Owns:       nothing between calls.
 * Invariants: a file counts only when its magic, its end and its checksum are right. Redis is only asked for a save (BGSAVE) or for
 *             what any replica gets (SYNC); nothing of it is changed.
 * Source:     the trailer and the CRC of RDB files as redis-server 7.0 writes them; redis.io/docs/management/replication.
 * Threads:    one.          Used by: tools/backup, tools/manifest. */
#ifndef TOOLS_RDB_H
#define TOOLS_RDB_H

#include "tools/ctl.h"

#include <stdint.h>

#define RDB_WHY 512

/* False: why. Where redis-check-rdb is installed it is asked, too. */
bool rdb_check(const char *path, char *why);

struct rdb_wish {
    const char *url;  /* redis://… of Redis itself */
    const char *path; /* where it goes */
    double patience_s; /* for the save */
};

struct rdb_result {
    const char *how; /* "copied": BGSAVE and its file; "replicated": SYNC */
};

/* False: why. */
bool rdb_fetch(const struct options *o, const struct rdb_wish *w, struct rdb_result *ret, char *why);

#endif
