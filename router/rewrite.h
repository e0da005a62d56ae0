/* router/rewrite — a client's command with some arguments changed, added or left out.
 * Owns:       the changed argument vector and the bytes that rewriting made, reused from command to command.
 * Invariants: argv is the client's own vector until the first change, which copies it; arguments that did not
 *             change still point into the request.
 * Errors:     false from a MUST_USE function: no memory; the rewrite must not be used further.
 * Threads:    one per object; no I/O.          Used by: router/plan. */
#ifndef ROUTER_REWRITE_H
#define ROUTER_REWRITE_H

#include "base/chain.h"
#include "base/err.h"
#include "config/settings.h"

struct rewrite {
    const struct slice *argv; /* what to send */
    size_t argc;
    struct slice *own; /* the copy, once there is one */
    size_t own_cap;
    struct chain pieces;
};

void rewrite_init(struct rewrite *r, struct chunk_pool *pool);
void rewrite_done(struct rewrite *r);
/* Begins a command; argv must stay as long as the rewrite is used. */
void rewrite_start(struct rewrite *r, const struct slice *argv, size_t argc);
bool rewrite_changed(const struct rewrite *r);

MUST_USE bool rewrite_replace(struct rewrite *r, size_t arg, struct slice with);
MUST_USE bool rewrite_append(struct rewrite *r, struct slice arg);
/* The command becomes its first argc arguments. */
void rewrite_cut(struct rewrite *r, size_t argc);
/* value in decimal; holds until the next rewrite_start. */
struct slice rewrite_number(struct rewrite *r, int64_t value);
/* What was found when a value was a JSON history. */
struct rewrite_json {
    unsigned trimmed, not_array, invalid;
};
/* Shortens a JSON array to the policy's limits and counts what it found (engine/jsontrim). */
MUST_USE bool rewrite_history(struct rewrite *r, size_t arg, const struct policy_conf *policy,
                              struct rewrite_json *counts);

/* The options of SET (from argument 3) and GETEX (from 2). */
struct expiry_options {
    bool valid;   /* false: unknown words, a missing value, a contradiction: Redis words the error */
    bool own;     /* EX, PX, EXAT or PXAT */
    bool keepttl; /* SET only */
    bool persist; /* GETEX only */
};
/* set: SET's words are meant, else GETEX's. Source: redis.io/commands/set and getex. */
struct expiry_options rewrite_parse_options(const struct slice *argv, size_t argc, bool set);

#endif
