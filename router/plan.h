/* router/plan — what a command on managed keys becomes on Redis, and how its reply is told.
 *
 *   RPUSH k a    MULTI | PEXPIRETIME k | RPUSH k a | LTRIM k -N -1 | PEXPIREAT k t | EXEC
 *   SET k a      SET k a PX ttl
 *   LPOP k       EVAL "... pcall, PEXPIREAT ..." 1 k t LPOP k
 *   EVAL s 1 k   MULTI | EVAL s 1 k | PEXPIREAT k t NX | EXEC
 *
 * Where writes leave marks (plan->marks, router/marking), all are blocks or scripts; the marks themselves are not the plan's.
 *
 * Rules (design §3; H18 and H22 of the protocol):
 *  - one atomic step: the write, the trim and the TTL;
 *  - a refused write must not move the TTL: a block reads the old expiry first, plan_undo puts it back;
 *  - Redis out of memory refuses everything inside MULTI, so what it allows then (LPOP, RENAME, PERSIST: no
 *    "denyoom" in the row) goes as a script, which also knows whether to move the TTL; in the client's own
 *    MULTI it goes as steps;
 *  - what Redis would refuse as malformed is passed on as it came, so that Redis words the error.
 * Owns:    three vectors and the bytes of rewritten arguments, reused from plan to plan.
 * Threads: one per object; no I/O. */
#ifndef ROUTER_PLAN_H
#define ROUTER_PLAN_H

#include "base/chain.h"
#include "base/err.h"
#include "resp/build.h"
#include "router/command.h"
#include "router/policy.h"
#include "router/rewrite.h"

enum plan_kind {
    PLAN_RAW,    /* as it came; plan_emit(p, 0) would say the same in RESP */
    PLAN_SINGLE, /* one command, rewritten: the only step */
    PLAN_SCRIPT, /* one EVAL: the only step */
    PLAN_BLOCK,  /* the steps inside MULTI … EXEC */
    PLAN_MARKED_SCRIPT, /* one script of router/marking, which does what the steps say. plan_emit tells the steps */
    PLAN_REFUSED /* see error */
};

enum step_role {
    STEP_OLD_EXPIRY, /* PEXPIRETIME key: what plan_undo needs */
    STEP_CLIENT,     /* the client's command, perhaps rewritten: its reply is the client's */
    STEP_TRIM,
    STEP_EXPIRE
};

/* How the reply of STEP_CLIENT is told. */
enum plan_reply {
    REPLY_AS_IS,
    REPLY_PUSH,       /* a length: told as it is after the trim, at most max_messages unless that is 0 */
    REPLY_SETNX,      /* SET … NX stands for SETNX: OK → 1, nil → 0 */
    REPLY_NULL_ARRAY, /* a script cannot say the null array of RESP2: nil → *-1 */
};

struct plan_key {
    struct slice key; /* points into the request */
    uint32_t arg;     /* its argument number */
    const struct policy_conf *policy;
    bool marked; /* it gets a version and a mark */
};

/* What writes leave on Redis, by struct policy_conf.index. */
struct plan_marks {
    const bool *keeps_id; /* their session and seq */
    const bool *marked;   /* and the keys' versions and marks */
    size_t count;
};

struct plan_step {
    uint8_t role; /* enum step_role */
    bool nx;      /* STEP_EXPIRE: only when the key has no expiry (SET … KEEPTTL, scripts) */
    uint32_t key; /* index into keys, for all but STEP_CLIENT */
};

struct plan {
    enum plan_kind kind;
    enum plan_reply reply;
    bool conditional;      /* a reply of 0, -1 or nil means that nothing was written */
    enum err error;        /* PLAN_REFUSED */
    struct plan_key *keys; /* the managed keys that may be written; those that are only read are not here */
    size_t nkeys, keys_cap;
    struct plan_step *steps;
    size_t nsteps, steps_cap;
    const struct policy_conf *policy; /* of the first managed key, read or written; NULL: all keys are raw */
    struct rewrite_json json;
    const struct command *cmd;
    const struct slice *argv; /* the client's */
    size_t argc;
    struct rewrite rewrite; /* what STEP_CLIENT sends */
    const char *script;     /* PLAN_SCRIPT */
    /* The caller's word before plan_make: what blocks is tried until there is something. A nil has written nothing, and memory that
     * Redis lacks does not matter, as when it serves those who wait. */
    bool tries;
    const struct plan_marks *marks; /* the caller's word before plan_make; NULL: writes leave none */
    bool guarded;                   /* some key is of a policy that keeps ids: only the expected Redis may have it */
    bool tracked;                   /* it may write such a key: what is sent has an id */
    bool mixed;                     /* some key is of no such policy */
};

void plan_init(struct plan *p, struct chunk_pool *pool);
void plan_done(struct plan *p);
/* Gives the bytes of rewritten arguments back: the plan has been emitted. */
void plan_clear(struct plan *p);

/* Decides. cmd is NULL for a command that is not in the table: raw. argv must stay until the plan was
 * emitted. in_multi: the client's own transaction, where a script would gain nothing, and where blocking
 * commands, which do not wait there, are planned too. */
void plan_make(struct plan *p, const struct policy_set *policies, const struct command *cmd,
               const struct slice *argv, size_t argc, enum resp resp, bool in_multi, int64_t redis_now_ms);
/* Appends step i as a request. redis_now_ms: Redis's clock. The absolute expiry that STEP_EXPIRE and a script
 * set for a policy is plan_expiry(policy, redis_now_ms). */
void plan_emit(const struct plan *p, size_t i, struct chain *out, int64_t redis_now_ms);
int64_t plan_expiry(const struct policy_conf *policy, int64_t redis_now_ms);

/* True when the script's first line, "#!lua flags=a,b", has the flag. */
bool plan_script_has_flag(struct slice script, const char *flag);

/* True when the reply to STEP_CLIENT (its first bytes) says that nothing was written: an error, or with
 * conditional 0, -1 or nil of either protocol. Call it before the reply is told in other words. */
bool plan_nothing_written(bool conditional, const char *reply, size_t n);
/* Appends the request that puts key's expiry back to old_ms (as PEXPIRETIME told it; -1: none; never -2, the
 * key was not there then and there is nothing to put back), unless somebody has set another one than set_ms
 * since. Only blocks need it, for the keys of their STEP_OLD_EXPIRY steps. Two blocks with the same
 * redis_now_ms cannot be told apart: give each block a time of its own (the last one + 1 ms at least), and
 * inside one block undo nothing that a later write set too. marked: that is a write which leaves a version and a mark. */
void plan_undo(struct chain *out, struct slice key, int64_t set_ms, int64_t old_ms, bool marked);

#endif
