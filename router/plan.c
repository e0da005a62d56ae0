#include "router/plan.h"

#include "base/limits.h"
#include "router/keys.h"
#include "router/marks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lua's unpack cannot put more than 8,000 values on its stack; far below that it is sure to work. */
#define SCRIPT_MAX_ARGS 4000

/* KEYS: whose expiry is set; ARGV: an expiry for each, then the command. An error reply is returned, not
 * raised, so that it reads as if the command had come by itself. */
/* clang-format off */
#define SCRIPT(types, unless_written)                                 \
    "#!lua flags=allow-oom\n" types                                   \
    "local n = #KEYS\n"                                               \
    "local reply = redis.pcall(unpack(ARGV, n + 1))\n"                \
    "if type(reply) == 'table' and reply.err then return reply end\n" \
    unless_written                                                    \
    "for i = 1, n do redis.call('PEXPIREAT', KEYS[i], ARGV[i]) end\n" \
    "return reply\n"
#define SCRIPT_RESP3  "redis.setresp(3)\n" /* keeps doubles and sets; a nil is Lua's nil, false in RESP2 */
#define SCRIPT_UNLESS "if not reply or reply == 0 or reply == -1 then return reply end\n"
#define SLICE(text) {text, sizeof(text) - 1}
#define WORD(text) ((struct slice)SLICE(text))
/* clang-format on */

/* [RESP3][conditional] */
static const char *const scripts[2][2] = {
    {SCRIPT("", ""), SCRIPT("", SCRIPT_UNLESS)},
    {SCRIPT(SCRIPT_RESP3, ""), SCRIPT(SCRIPT_RESP3, SCRIPT_UNLESS)},
};

/* ARGV: the expiry that the refused write set, and the one before it. */
#define UNDO_UNLESS_CHANGED "if redis.call('PEXPIRETIME', KEYS[1]) ~= tonumber(ARGV[1]) then return 0 end\n"
#define UNDO                                                                       \
    "if ARGV[2] == '-1' then return redis.call('PERSIST', KEYS[1]) end\n"          \
    "return redis.call('PEXPIREAT', KEYS[1], ARGV[2])\n"
static const char undo_script[] = UNDO_UNLESS_CHANGED UNDO;
/* The same as a write: KEYS goes on with versions and marks. */
static const char marked_undo_script[] = "#!lua flags=allow-oom\n" UNDO_UNLESS_CHANGED
                                         "redis.call('HINCRBY', KEYS[2], KEYS[1], 1)\n"
                                         "redis.call('SADD', KEYS[3], KEYS[1])\n" UNDO;

struct ask {
    enum resp resp;
    bool in_multi;
    int64_t now_ms;
};

/* ---- the vectors ---- */

void plan_init(struct plan *p, struct chunk_pool *pool)
{
    *p = (struct plan){.kind = PLAN_RAW};
    rewrite_init(&p->rewrite, pool);
}

void plan_done(struct plan *p)
{
    struct chunk_pool *pool = p->rewrite.pieces.pool;
    free(p->keys);
    free(p->steps);
    rewrite_done(&p->rewrite);
    plan_init(p, pool);
}

void plan_clear(struct plan *p)
{
    rewrite_start(&p->rewrite, NULL, 0);
}

static void start(struct plan *p, const struct command *cmd, const struct slice *argv, size_t argc)
{
    p->kind = PLAN_RAW;
    p->reply = REPLY_AS_IS;
    p->conditional = false;
    p->error = ERR_NONE;
    p->nkeys = p->nsteps = 0;
    p->policy = NULL;
    p->json = (struct rewrite_json){0};
    p->cmd = cmd;
    p->argv = argv;
    p->argc = argc;
    p->script = NULL;
    p->guarded = p->tracked = p->mixed = false;
    rewrite_start(&p->rewrite, argv, argc);
}

static void *more(void *p, size_t *cap, size_t n, size_t size)
{
    if (n < *cap)
        return p;
    size_t want = *cap == 0 ? 8 : 2 * *cap;
    p = realloc(p, want * size);
    if (p != NULL)
        *cap = want;
    return p;
}

MUST_USE static bool add_step(struct plan *p, enum step_role role, size_t key)
{
    struct plan_step *steps = more(p->steps, &p->steps_cap, p->nsteps, sizeof *steps);
    if (steps == NULL)
        return false;
    p->steps = steps;
    steps[p->nsteps++] = (struct plan_step){.role = (uint8_t)role, .key = (uint32_t)key};
    return true;
}

struct walk {
    struct plan *plan;
    const struct policy_set *policies;
    bool no_memory;
    bool internal; /* a key of the proxy's own */
};

static bool note_key(void *ctx, struct key_ref ref)
{
    struct walk *w = ctx;
    struct plan *p = w->plan;
    struct slice key = p->argv[ref.arg];
    const struct policy_conf *policy = policy_find(w->policies, key);
    bool known = p->marks != NULL && policy != NULL && policy->index < p->marks->count;
    bool keeps_id = known && p->marks->keeps_id[policy->index];

    w->internal |= key.len >= 4 && memcmp(key.p, MARKS_PREFIX, 4) == 0;
    p->guarded |= keeps_id;
    p->mixed |= !keeps_id;
    if (policy == NULL)
        return true;
    if (p->policy == NULL)
        p->policy = policy;
    if (!ref.write)
        return true;
    struct plan_key *keys = more(p->keys, &p->keys_cap, p->nkeys, sizeof *keys);
    w->no_memory = keys == NULL;
    if (keys == NULL)
        return false;
    p->keys = keys;
    bool marked = keeps_id && p->marks->marked[policy->index];
    keys[p->nkeys++] = (struct plan_key){.key = key, .arg = ref.arg, .policy = policy, .marked = marked};
    p->tracked |= keeps_id;
    return true;
}

/* ---- how it goes: true unless there is no memory ---- */

static bool as_one(struct plan *p)
{
    p->kind = rewrite_changed(&p->rewrite) ? PLAN_SINGLE : PLAN_RAW;
    return add_step(p, STEP_CLIENT, 0);
}

static bool as_script(struct plan *p, enum resp resp)
{
    p->kind = PLAN_SCRIPT;
    p->script = scripts[resp == RESP3][p->conditional];
    /* Of the commands that can say nil, those with a count or with numkeys say the null array. */
    if (resp == RESP2 && p->argc > 2)
        p->reply = REPLY_NULL_ARRAY;
    return add_step(p, STEP_CLIENT, 0);
}

static bool add_expiries(struct plan *p, enum step_role role)
{
    for (size_t i = 0; i < p->nkeys; i++) {
        if (p->keys[i].policy->ttl > 0 && !add_step(p, role, i))
            return false;
    }
    return true;
}

static bool add_trims(struct plan *p)
{
    for (size_t i = 0; i < p->nkeys; i++) {
        if (p->keys[i].policy->max_messages > 0 && !add_step(p, STEP_TRIM, i))
            return false;
    }
    return true;
}

/* False for what fails only before anything ran. */
static bool may_be_refused(const struct command *cmd)
{
    return cmd->ttl != TTL_PERSIST && strcmp(cmd->name, "mset") != 0;
}

static bool trims_afterwards(const struct command *cmd)
{
    return cmd->trim != TRIM_NONE && cmd->trim != TRIM_JSON;
}

static bool as_block(struct plan *p)
{
    p->kind = PLAN_BLOCK;
    if (p->cmd->trim == TRIM_HEAD || p->cmd->trim == TRIM_TAIL)
        p->reply = REPLY_PUSH;
    if (may_be_refused(p->cmd) && !add_expiries(p, STEP_OLD_EXPIRY))
        return false;
    if (!add_step(p, STEP_CLIENT, 0))
        return false;
    if (trims_afterwards(p->cmd) && !add_trims(p))
        return false;
    return add_expiries(p, STEP_EXPIRE);
}

static bool trim_histories(struct plan *p)
{
    if (p->cmd->trim != TRIM_JSON)
        return true;
    for (size_t i = 0; i < p->nkeys; i++) {
        size_t arg = p->keys[i].arg + (p->cmd->ttl == TTL_OWN ? 2 : 1); /* SETEX: the TTL stands between */
        if (!rewrite_history(&p->rewrite, arg, p->keys[i].policy, &p->json))
            return false;
    }
    return true;
}

/* ---- the classes: true unless there is no memory ---- */

static bool decide_none(struct plan *p, const struct ask *ask)
{
    return as_one(p);
}

static bool decide_own(struct plan *p, const struct ask *ask)
{
    return trim_histories(p) && as_one(p);
}

/* Absolute where the other store repeats it. */
static bool append_ttl(struct plan *p, const struct ask *ask)
{
    const struct policy_conf *policy = p->keys[0].policy;
    int64_t ms = p->tracked ? plan_expiry(policy, ask->now_ms) : policy->ttl;

    return rewrite_append(&p->rewrite, p->tracked ? WORD("PXAT") : WORD("PX")) &&
           rewrite_append(&p->rewrite, rewrite_number(&p->rewrite, ms));
}

/* SETNX key value, GETSET key value: SET says the same. */
static bool decide_old_set(struct plan *p, const struct ask *ask)
{
    if (p->keys[0].policy->ttl == 0)
        return as_one(p);
    bool nx = strcmp(p->cmd->name, "setnx") == 0;
    if (nx)
        p->reply = REPLY_SETNX;
    return rewrite_replace(&p->rewrite, 0, WORD("SET")) &&
           rewrite_append(&p->rewrite, nx ? WORD("NX") : WORD("GET")) && append_ttl(p, ask) && as_one(p);
}

static bool decide_set(struct plan *p, const struct ask *ask)
{
    struct expiry_options options = rewrite_parse_options(p->argv, p->argc, true);

    if (!options.valid)
        return as_one(p);
    if (!trim_histories(p))
        return false;
    if (p->cmd->arity == 3)
        return decide_old_set(p, ask);
    if (options.own || p->keys[0].policy->ttl == 0)
        return as_one(p);
    if (!options.keepttl)
        return append_ttl(p, ask) && as_one(p);
    p->kind = PLAN_BLOCK;
    if (!add_step(p, STEP_CLIENT, 0) || !add_step(p, STEP_EXPIRE, 0))
        return false;
    p->steps[1].nx = true; /* and so there is nothing to undo */
    return true;
}

static bool decide_getex(struct plan *p, const struct ask *ask)
{
    struct expiry_options options = rewrite_parse_options(p->argv, p->argc, false);

    if (!options.valid || !options.persist || p->keys[0].policy->ttl == 0)
        return as_one(p);
    rewrite_cut(&p->rewrite, 2);
    return append_ttl(p, ask) && as_one(p);
}

/* RESTORE key ttl payload [REPLACE] [ABSTTL] … */
static bool decide_restore(struct plan *p, const struct ask *ask)
{
    const struct policy_conf *policy = p->keys[0].policy;
    bool absolute = false;

    if (policy->ttl == 0 || p->argv[2].len != 1 || p->argv[2].p[0] != '0')
        return as_one(p);
    for (size_t i = 4; i < p->argc; i++)
        absolute |= slice_is(p->argv[i], "absttl");
    int64_t ttl = absolute ? plan_expiry(policy, ask->now_ms) : policy->ttl;
    return rewrite_replace(&p->rewrite, 2, rewrite_number(&p->rewrite, ttl)) && as_one(p);
}

/* ZADD … INCR says nil when its condition kept it from writing; without INCR its 0 says nothing of the kind.
 */
static bool is_zadd_incr(const struct plan *p)
{
    static const char *const flags[] = {"nx", "xx", "gt", "lt", "ch", NULL};

    for (size_t i = 2; p->cmd->trim == TRIM_ZSET && i < p->argc; i++) {
        size_t f = 0;
        if (slice_is(p->argv[i], "incr"))
            return true;
        while (flags[f] != NULL && !slice_is(p->argv[i], flags[f]))
            f++;
        if (flags[f] == NULL)
            return false;
    }
    return false;
}

static bool fits_script(const struct plan *p, const struct ask *ask)
{
    const uint32_t unfit = CMD_NOSCRIPT | CMD_BLOCKING | (p->tries ? 0 : CMD_DENYOOM);
    return !ask->in_multi && !(p->cmd->flags & unfit) && p->argc <= SCRIPT_MAX_ARGS &&
           p->nkeys <= SCRIPT_MAX_ARGS;
}

static bool decide_write(struct plan *p, const struct ask *ask)
{
    bool expires = false, trims = false;

    if (!trim_histories(p))
        return false;
    for (size_t i = 0; i < p->nkeys; i++) {
        expires |= p->keys[i].policy->ttl > 0;
        trims |= trims_afterwards(p->cmd) && p->keys[i].policy->max_messages > 0;
    }
    if (!expires && !trims)
        return as_one(p);
    p->conditional = p->tries || p->cmd->ttl == TTL_COND || is_zadd_incr(p);
    return fits_script(p, ask) ? as_script(p, ask->resp) : as_block(p);
}

bool plan_script_has_flag(struct slice script, const char *flag)
{
    size_t n = strlen(flag);

    if (script.len < 2 || memcmp(script.p, "#!", 2) != 0)
        return false;
    const char *newline = memchr(script.p, '\n', script.len);
    const char *end = newline != NULL ? newline : script.p + script.len;
    for (const char *p = script.p; p < end; p++) {
        size_t word = 0;
        while (p + word < end && strchr(" ,=\r", p[word]) == NULL)
            word++;
        if (word == n && memcmp(p, flag, n) == 0)
            return true;
        p += word;
    }
    return false;
}

/* EVAL script numkeys key …: what it writes is not known, so the TTL is only given to keys that have none. */
static bool decide_script(struct plan *p, const struct ask *ask)
{
    if (plan_script_has_flag(p->argv[1], "no-writes")) {
        p->nkeys = 0;
        p->tracked = false;
    }
    if (plan_script_has_flag(p->argv[1], "allow-oom"))
        return as_one(p);
    if (!add_step(p, STEP_CLIENT, 0) || !add_expiries(p, STEP_EXPIRE))
        return false;
    if (p->nsteps > 1)
        p->kind = PLAN_BLOCK;
    for (size_t i = 1; i < p->nsteps; i++)
        p->steps[i].nx = true;
    return true;
}

static bool (*const deciders[])(struct plan *p, const struct ask *ask) = {
    [TTL_NONE] = decide_none,    [TTL_SLIDE] = decide_write,   [TTL_COND] = decide_write,
    [TTL_SHRINK] = decide_write, [TTL_OWN] = decide_own,       [TTL_SET] = decide_set,
    [TTL_GETEX] = decide_getex,  [TTL_PERSIST] = decide_write, [TTL_RESTORE] = decide_restore,
    [TTL_SCRIPT] = decide_script,
};

/* ---- the whole ---- */

static void refuse(struct plan *p, enum err e)
{
    p->kind = PLAN_REFUSED;
    p->error = e;
    p->nsteps = 0;
}

static bool is_too_large(const struct plan *p)
{
    for (size_t i = 1; i < p->argc; i++) {
        if (p->argv[i].len > LIMIT_MANAGED_VALUE)
            return true;
    }
    return false;
}

/* A script can tell the reply of XREADGROUP only when it has no null inside (a history names deleted entries), and is no map of several
 * streams, whose order would be lost. */
static bool reads_only_new(const struct plan *p, const struct ask *ask)
{
    size_t at = 1;

    if (strcmp(p->cmd->name, "xreadgroup") != 0 || ask->in_multi || p->argc > SCRIPT_MAX_ARGS)
        return false;
    while (at < p->argc && !slice_is(p->argv[at], "streams"))
        at++;
    size_t streams = (p->argc - at) / 2;
    for (size_t i = p->argc - streams; i < p->argc; i++)
        if (!slice_is(p->argv[i], ">"))
            return false;
    return streams == 1 || ask->resp == RESP2;
}

/* What was planned as if nothing had to be marked becomes a block, or a script where Redis may be out of memory. */
static bool leave_marks(struct plan *p, const struct ask *ask)
{
    bool expires = p->kind == PLAN_SCRIPT;

    if (!p->tracked || ask->in_multi || p->kind == PLAN_BLOCK)
        return true;
    p->conditional |= p->tries || p->cmd->ttl == TTL_COND;
    if (!expires && !fits_script(p, ask) && !reads_only_new(p, ask)) {
        p->kind = PLAN_BLOCK;
        return true;
    }
    p->kind = PLAN_MARKED_SCRIPT;
    if (ask->resp == RESP2 && p->argc > 2 && p->cmd->ttl != TTL_GETEX)
        p->reply = REPLY_NULL_ARRAY;
    return !expires || add_expiries(p, STEP_EXPIRE);
}

void plan_make(struct plan *p, const struct policy_set *policies, const struct command *cmd,
               const struct slice *argv, size_t argc, enum resp resp, bool in_multi, int64_t redis_now_ms)
{
    struct walk w = {.plan = p, .policies = policies};
    struct ask ask = {.resp = resp, .in_multi = in_multi, .now_ms = redis_now_ms};

    start(p, cmd, argv, argc);
    if (cmd != NULL && !policy_set_empty(policies) && keys_each(cmd, argv, argc, note_key, &w) < 0) {
        p->policy = NULL;
        p->nkeys = 0;
        p->guarded = p->tracked = false;
    }
    if (w.no_memory || w.internal) {
        refuse(p, w.internal ? ERR_INTERNAL_KEY : ERR_NOMEM);
        return;
    }
    if (p->nkeys > 0 && is_too_large(p)) {
        refuse(p, ERR_TOO_LARGE);
        return;
    }
    if (!deciders[p->nkeys > 0 ? cmd->ttl : TTL_NONE](p, &ask) || !leave_marks(p, &ask))
        refuse(p, ERR_NOMEM);
}

int64_t plan_expiry(const struct policy_conf *policy, int64_t redis_now_ms)
{
    return redis_now_ms + policy->ttl;
}

/* ---- emitting ---- */

static void put_slice(struct chain *out, struct slice s)
{
    build_bulk(out, s.p, s.len);
}

/* VERB key … of `args` arguments in all. */
static void put_start(struct chain *out, size_t args, const char *verb, struct slice key)
{
    build_array(out, args);
    build_text(out, verb);
    put_slice(out, key);
}

static void put_trim(struct chain *out, enum cmd_trim trim, struct slice key, int64_t keep)
{
    switch (trim) {
    case TRIM_HEAD:
        put_start(out, 4, "LTRIM", key);
        build_number(out, -keep);
        build_text(out, "-1");
        return;
    case TRIM_TAIL:
        put_start(out, 4, "LTRIM", key);
        build_text(out, "0");
        build_number(out, keep - 1);
        return;
    case TRIM_STREAM:
        put_start(out, 4, "XTRIM", key);
        build_text(out, "MAXLEN");
        build_number(out, keep);
        return;
    case TRIM_ZSET:
        put_start(out, 4, "ZREMRANGEBYRANK", key);
        build_text(out, "0");
        build_number(out, -keep - 1);
        return;
    case TRIM_NONE:
    case TRIM_JSON:
        return; /* no step is made for these */
    }
}

static void put_expire(struct chain *out, struct slice key, int64_t at_ms, bool nx)
{
    put_start(out, nx ? 4 : 3, "PEXPIREAT", key);
    build_number(out, at_ms);
    if (nx)
        build_text(out, "NX");
}

static void put_script(const struct plan *p, struct chain *out, int64_t redis_now_ms)
{
    size_t n = 0;

    for (size_t i = 0; i < p->nkeys; i++)
        n += p->keys[i].policy->ttl > 0;
    build_array(out, 3 + 2 * n + p->rewrite.argc);
    build_text(out, "EVAL");
    build_text(out, p->script);
    build_number(out, (int64_t)n);
    for (size_t i = 0; i < p->nkeys; i++) {
        if (p->keys[i].policy->ttl > 0)
            put_slice(out, p->keys[i].key);
    }
    for (size_t i = 0; i < p->nkeys; i++) {
        if (p->keys[i].policy->ttl > 0)
            build_number(out, plan_expiry(p->keys[i].policy, redis_now_ms));
    }
    for (size_t i = 0; i < p->rewrite.argc; i++)
        put_slice(out, p->rewrite.argv[i]);
}

void plan_emit(const struct plan *p, size_t i, struct chain *out, int64_t redis_now_ms)
{
    const struct plan_step *step = &p->steps[i];
    const struct plan_key *key = p->nkeys > 0 ? &p->keys[step->key] : NULL;

    switch ((enum step_role)step->role) {
    case STEP_OLD_EXPIRY:
        put_start(out, 2, "PEXPIRETIME", key->key);
        return;
    case STEP_CLIENT:
        if (p->kind == PLAN_SCRIPT)
            put_script(p, out, redis_now_ms);
        else
            build_request(out, p->rewrite.argv, p->rewrite.argc);
        return;
    case STEP_TRIM:
        put_trim(out, p->cmd->trim, key->key, key->policy->max_messages);
        return;
    case STEP_EXPIRE:
        put_expire(out, key->key, plan_expiry(key->policy, redis_now_ms), step->nx);
        return;
    }
}

/* ---- afterwards ---- */

bool plan_nothing_written(bool conditional, const char *reply, size_t n)
{
    static const struct slice nothing[] = {SLICE(":0\r"), SLICE(":-1\r"), SLICE("$-1"), SLICE("*-1"),
                                           SLICE("_")};

    if (n > 0 && reply[0] == '-')
        return true;
    for (size_t i = 0; conditional && i < sizeof nothing / sizeof nothing[0]; i++) {
        if (n >= nothing[i].len && memcmp(reply, nothing[i].p, nothing[i].len) == 0)
            return true;
    }
    return false;
}

void plan_undo(struct chain *out, struct slice key, int64_t set_ms, int64_t old_ms, bool marked)
{
    build_array(out, marked ? 8 : 6);
    build_text(out, "EVAL");
    build_text(out, marked ? marked_undo_script : undo_script);
    build_text(out, marked ? "3" : "1");
    put_slice(out, key);
    if (marked) {
        build_text(out, MARKS_VERSION);
        build_text(out, MARKS_DIRTY);
    }
    build_number(out, set_ms);
    build_number(out, old_ms);
}
