/* router/keys — which arguments of a command are keys.
 * Source: Redis key specifications (redis.io/docs/reference/key-specs), with handlers for what they leave
 *         "unknown" or incomplete: SORT … STORE, MIGRATE … KEYS, GEORADIUS … STORE, EVAL, XREAD … STREAMS.
 * Threads: any; no allocation. */
#ifndef ROUTER_KEYS_H
#define ROUTER_KEYS_H

#include "router/command.h"

struct key_ref {
    uint32_t arg; /* argument number; 0 is the verb */
    bool write;   /* the command may change this key */
};

/* Calls each(ctx, ref) for every key, in argument order per specification; stops when each returns false.
 * Returns the number of keys visited, or -1 when the arguments are malformed (a bad numkeys, too few arguments): the
 * caller then forwards the command and lets Redis word the error. */
int keys_each(const struct command *cmd, const struct slice *argv, size_t argc,
              bool (*each)(void *ctx, struct key_ref ref), void *ctx);

#endif
