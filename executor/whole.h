/* executor/whole — commands about all keys: SCAN, KEYS, DBSIZE, RANDOMKEY, FLUSHDB, FLUSHALL, and those that need no key
 * (PING, ECHO, TIME, UNWATCH) inside a transaction.
 * Source:  redis.io/commands/scan and its kin.
 * Threads: [worker]. */
#ifndef EXECUTOR_WHOLE_H
#define EXECUTOR_WHOLE_H

#include "backends/archive/archive.h"
#include "engine/call.h"
#include "router/command.h"

#include <stdatomic.h>

struct whole_call {
    struct call *call;
    struct archive_handle *handle;
    _Atomic bool *no_tombstones; /* see run.h */
    /* Keys of which it says no are left out. NULL: none is. */
    bool (*may_tell)(void *ctx, struct slice key);
    void *may_tell_ctx;
    enum err error; /* the archive's, when it failed: nothing was answered then */
};
typedef void (*whole_fn)(struct whole_call *w);

/* NULL: not one of them. */
whole_fn whole_find(const struct command *cmd);

#endif
