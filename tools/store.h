/* tools/store — the stores as clients of the proxy see them: whole values of keys, read and written through its RESP port, whichever
 * store acts.
 * Owns:       a blocking connection to the proxy; what /api/v1/state said when it was opened.
 * Invariants: a value that was read is of one moment. A connection that breaks is made anew by the next call, and what was under way is
 *             told as failed: whoever called may repeat it.
 * Threads:    one per object.          Used by: tools/export, tools/import, tools/verify_export. */
#ifndef TOOLS_STORE_H
#define TOOLS_STORE_H

#include "engine/arena.h"
#include "engine/object.h"
#include "sync/link.h"
#include "tools/ctl.h"

#include <stdbool.h>

#define STORE_PIECE 32 /* keys that are read at once */

struct store {
    const struct options *options;
    struct config *config;
    const struct settings *settings; /* how to connect: to the proxy, not to Redis */
    struct link *link;
    cJSON *state; /* /api/v1/state */
    char why[256];
};

/* url: redis://…, NULL: CONVCTL_PROXY, or what the proxy's admin server tells. EXIT_OK, or another after a message. */
int store_open(struct store *s, const struct options *o, const char *url);
void store_done(struct store *s);
/* Connects where that is not done. False: why. */
bool store_ready(struct store *s);

/* A page of SCAN; each(ctx, key). *cursor: 0 at first and at last. False: why. */
bool store_scan(struct store *s, uint64_t *cursor, const char *pattern, void (*each)(void *ctx, struct slice key),
                void *ctx);
/* Up to STORE_PIECE values into the arena; type NONE: no such key. bad[i]: why a key can't be carried (a module's type), or NULL.
 * watch: they are watched from before they are read (and read one by one, not in a step: store_write says whether they have
 * changed). False: why. */
bool store_read(struct store *s, const struct slice *keys, size_t n, bool watch, struct arena *a, struct object *ret,
                const char **bad);
/* Puts these values (type NONE: the key goes) in place of what is there, in one step. lengths[i] becomes what a list or string has
 * then. STORE_CHANGED: one of the watched keys was written meanwhile, and nothing was done. */
enum store_result { STORE_DONE, STORE_CHANGED, STORE_FAILED };
enum store_result store_write(struct store *s, const struct object *objects, size_t n, int64_t *lengths);
/* False, always, with `why`: the link's, or text. For whoever speaks over s->link directly and was not understood. */
bool store_failed(struct store *s, const char *text);
/* What went wrong last may pass by itself: a connection that was lost, a store that is away. */
bool store_may_pass(const struct store *s);
/* Forgets what is watched. */
void store_unwatch(struct store *s);
/* Keys of all kinds; -1: not known. */
int64_t store_count(struct store *s);

/* The policies of the state, and the one that a key is of: the first that matches. NULL: none. */
const cJSON *store_policies(const struct store *s);
const cJSON *store_policy_of(const struct store *s, struct slice key);
/* A page of SCAN in which all keys of this policy are, and perhaps others; as store_scan. */
bool store_scan_policy(struct store *s, uint64_t *cursor, const cJSON *policy, void (*each)(void *ctx, struct slice key), void *ctx);

#endif
