/* engine/call — one command being applied: what a handler gets, and the few things all handlers do.
 * Invariants: a handler appends exactly one reply to out. It changes an object only when the command succeeds, and then sets
 *             changed. It reads no clock and does no I/O. Arity was checked before (router/command).
 * Source:     the command pages of redis.io; replies and error texts are those of redis-server 7.0.15, byte for byte.
 * Threads:    one. */
#ifndef ENGINE_CALL_H
#define ENGINE_CALL_H

#include "base/chain.h"
#include "engine/arena.h"
#include "engine/object.h"
#include "resp/build.h"

/* The keys that the command may touch, loaded before it runs. Executors fill it; a key that was not loaded is a bug. */
struct keyspace {
    struct object *objects;
    size_t count;
    size_t hint; /* call.c's: where the last key was found; 0 to begin with */
    /* Where a key's object is, count when nowhere. NULL: one after the other is looked at, which suits few. */
    size_t (*find)(const void *ctx, struct slice key);
    const void *find_ctx;
};

struct call {
    const struct slice *argv;
    size_t argc;
    enum resp resp;
    int64_t now_ms;          /* Redis's clock when the command began; the same for a whole transaction */
    struct chain *out;
    struct arena *arena;
    struct keyspace *keys;
    /* A key that the command's arguments do not name (SORT BY, GET), to be read only: fills *o, with type NONE when there is none.
     * NULL: there are no others. */
    void (*fetch)(void *ctx, struct slice key, struct object *o);
    void *fetch_ctx;
    uint64_t (*random)(void *ctx);
    void *random_ctx;
    bool failed;             /* the reply is an error: set by call_error */
};

typedef void (*call_fn)(struct call *c);

/* The handler of a command ("rpush", "xgroup|create"), or NULL: the archive does not have it. engine/engine.def. */
call_fn engine_find(const char *name);

/* Whether the key was loaded: for arguments of which only the handler knows for sure that they are keys. */
bool call_loaded(struct call *c, struct slice key);
/* The key's object when it exists and has not expired, else NULL. */
struct object *call_lookup(struct call *c, struct slice key);
/* The same for a key that need not have been loaded. */
const struct object *call_fetch(struct call *c, struct slice key);
/* The same when it is of this type. NULL and *wrong: a WRONGTYPE error was answered. NULL and not *wrong: no such key. */
struct object *call_lookup_typed(struct call *c, struct slice key, enum object_type type, bool *wrong);
/* The place of the key, whether it exists or not: for commands that make or replace it. An expired one is emptied. */
struct object *call_place(struct call *c, struct slice key);
/* The key goes: type NONE, no expiry, changed. */
void call_remove(struct call *c, struct object *o);
void call_changed(struct call *c, struct object *o);

/* Replies beyond resp/build. All return void and may be the handler's last act. */
/* "ERR …" without '-'. CR and LF at the end are left out, others become blanks. */
void call_error(struct call *c, const char *line);
void call_errorf(struct call *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
void call_ok(struct call *c);
void call_int(struct call *c, int64_t value);
void call_bulk(struct call *c, struct slice s);
void call_null(struct call *c);                             /* nil bulk; _ in RESP3 */
void call_null_array(struct call *c);
void call_double(struct call *c, double value);             /* a bulk in RESP2, ',' in RESP3; as Redis prints doubles */
void call_syntax_error(struct call *c);                     /* ERR syntax error */

/* Arguments. On failure they answer Redis's error and return false. */
bool call_int_arg(struct call *c, size_t arg, int64_t *ret);                    /* ERR value is not an integer or out of range */
bool call_double_arg(struct call *c, size_t arg, double *ret, const char *error); /* error NULL: ERR value is not a valid float */
/* Of a blocking command, which must be a number of seconds that isn't negative; the waiting is the executor's. */
bool call_timeout_arg(struct call *c, size_t arg);
/* Case-insensitive comparison of an argument, which ends at a NUL as for Redis, with a word. */
bool call_is(const struct call *c, size_t arg, const char *word);
bool slice_equal(struct slice a, struct slice b);
int slice_compare(struct slice a, struct slice b); /* memcmp order, shorter first */

#endif
