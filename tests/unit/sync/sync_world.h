/* tests/unit/sync/sync_world — both stores, for tests of what goes on between them: a redis-server and a SQLite archive.
 * Owns:    all of it, from start to stop. Policies: conv (conv:*), arch (arch:*, primary mongo), bare (bare:*, without ttl and dual writes).
 * Threads: one. */
#ifndef TESTS_UNIT_SYNC_SYNC_WORLD_H
#define TESTS_UNIT_SYNC_SYNC_WORLD_H

#include "backends/archive/archive.h"
#include "sync/link.h"
#include "sync/moves.h"
#include "tests/unit/sync/sync_redis.h"

#define WORLD_EPOCH 256

struct config;

struct world {
    struct sync_redis redis; /* pid 0: there is none; skip */
    char path[64];           /* of the archive */
    struct config *config;
    const struct settings *settings;
    struct archive *archive;
    struct archive_handle *h;
    struct link *link;
    struct arena arena;
};

void world_start(struct world *w);
void world_stop(struct world *w);
/* Both stores are empty. */
void world_clear(struct world *w);
/* A plan of backends/trace/faults.h; "": none. */
void world_faults(struct world *w, const char *plan);
/* Changes a setting; w->settings is the new snapshot. */
void world_set(struct world *w, const char *name, const char *value);

/* What a document is to be like. */
struct world_doc {
    const char *key, *value; /* a string; NULL: a tombstone */
    int64_t version, expire_ms;
    bool redis; /* a copy of Redis' state */
    bool dirty;
};
void world_put(struct world *w, const struct world_doc *docs, size_t n);
/* 0: there is none. */
int64_t world_version(struct world *w, const char *key);
/* conv:0 … conv:n-1 in Redis, with versions when version is not 0, and in the archive: as copies, or, if Redis has none, as its own. */
void world_fill(struct world *w, size_t n, int64_t version, bool redis, bool archive);
double world_now(void); /* s, for rates */

#endif
