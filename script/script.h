/* script/script — runs one Lua script as EVAL does: in Redis' sandbox, with its libraries, conversions and error texts, and with limits
 * of memory and time that Redis does not have.
 *
 *   body, KEYS, ARGV ─▶ script_run ─▶ reply          redis.call ─▶ host.call ─▶ reply of the command, as RESP
 *
 * Owns:       nothing that outlives script_run: each script has a Lua state of its own, so that none can leave anything behind.
 * Invariants: a script reaches nothing but what the host's functions give it. It ends in time, with one exception: a single call of
 *             a string function with a pattern made for it may take longer (as in Redis). Whatever the bytes are, they end as a
 *             reply, or as one of the other ends below.
 * Source:     redis.io/docs/manual/programmability; where that is silent, redis-server 7.0.15.
 * Uses:       Lua 5.1 as Debian has it.
 * Threads:    any; one script at a time in each. */
#ifndef SCRIPT_SCRIPT_H
#define SCRIPT_SCRIPT_H

#include "base/chain.h"
#include "base/sha1.h"
#include "resp/build.h"

struct script {
    struct slice body;
    const char *sha;
    const struct slice *keys, *args; /* KEYS and ARGV */
    size_t nkeys, nargs;
    enum resp resp;     /* its client's */
    bool read_only;     /* EVAL_RO and its kin */
    int64_t timeout_us;
    size_t memory;      /* bytes of Lua's, and of the reply */
    uint64_t random;    /* where math.random begins */
};

/* One command of a script. */
struct script_command {
    const struct slice *argv; /* borrowed for the call */
    size_t argc;              /* at least 1 */
    enum resp resp;           /* redis.setresp */
    bool read_only;           /* the script has said so, or EVAL_RO has */
};

struct script_host {
    /* Runs it, and appends exactly one reply to out. False: the script must end, whatever it catches. */
    bool (*call)(void *ctx, const struct script_command *c, struct chain *out);
    /* redis.acl_check_cmd: 1 it may, 0 it may not, -1 there is no such command. */
    int (*may)(void *ctx, const struct slice *argv, size_t argc);
    /* redis.log, level 0 to 3. */
    void (*log)(void *ctx, int level, const char *text);
    void *ctx;
};

enum script_end {
    SCRIPT_ANSWERED,  /* out has the reply, which may be an error */
    SCRIPT_TIME_OVER, /* the rest: out is empty */
    SCRIPT_NO_MEMORY,
    SCRIPT_STOPPED, /* by host.call */
};

/* out: empty. */
enum script_end script_run(const struct script *script, const struct script_host *host, struct chain *out);

/* Whether it can be compiled; else out has the error. memory: what that may take. */
bool script_check(struct slice body, size_t memory, struct chain *out);

#endif
