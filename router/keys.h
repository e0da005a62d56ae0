/* router/keys — which arguments of a command are keys.
 * Owns:       nothing; no allocation.
 * Invariants: works from the row's key specifications alone, so also for rows that no table holds; handlers
 *             only where Redis's say "unknown", "incomplete" or "variable flags": SORT … STORE, MIGRATE …
 *             KEYS, BITFIELD. Keys that follow from stored values (SORT BY, GET) and channels (SPUBLISH)
 *             are not reported.
 * Source:     redis.io/docs/reference/key-specs
 * Threads:    any.          Used by: router/plan, proxy/dispatch. */
#ifndef ROUTER_KEYS_H
#define ROUTER_KEYS_H

#include "router/command.h"

struct key_ref {
    uint32_t arg; /* argument number; 0 is the verb */
    bool write;   /* the command may change this key */
    uint8_t needs; /* enum key_right, as bits */
};

/* Calls each(ctx, ref) for every key, in argument order per specification; stops when each returns false.
 * cmd is the subcommand's row where there is one; argv begins with the (container's) verb all the same.
 * Returns the number of keys visited, or -1 when the arguments are malformed (wrong arity, a bad numkeys, too
 * few arguments; some keys may have been visited by then): the caller then forwards the command and lets
 * Redis word the error. */
int keys_each(const struct command *cmd, const struct slice *argv, size_t argc,
              bool (*each)(void *ctx, struct key_ref ref), void *ctx);

#endif
