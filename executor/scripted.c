#include "executor/scripted.h"

#include "base/limits.h"
#include "base/log.h"
#include "engine/number.h"
#include "executor/scope.h"
#include "executor/whole.h"
#include "router/keys.h"
#include "router/marks.h"
#include "router/plan.h"
#include "script/script.h"

#include <stdio.h>
#include <string.h>

#define FIRST_OTHERS 8
#define RESTARTS_MAX 8

bool scripted_is(const struct command *cmd)
{
    return cmd != NULL && (cmd->cats & CAT_SCRIPTING) != 0 && strncmp(cmd->name, "eval", 4) == 0;
}

/* ---- keys ---- */

/* The key's place in the index of others, or the free one where it would be. */
static uint32_t *index_at(const struct scripted *s, struct slice key)
{
    size_t at = (size_t)archive_hash(key) & (s->index_size - 1);

    while (s->index[at] != 0 && !slice_equal(s->others[s->index[at] - 1].key, key))
        at = (at + 1) & (s->index_size - 1);
    return &s->index[at];
}

/* Its object's place; keys->count when it has none. */
static size_t find(const void *ctx, struct slice key)
{
    const struct scripted *s = ctx;
    size_t i = op_find_key(s->op, key);

    if (i < s->op->nkeys)
        return i;
    uint32_t other = s->nothers > 0 ? *index_at(s, key) : 0;
    return other > 0 ? i + other - 1 : s->keys->count;
}

static void make_room(struct scripted *s)
{
    struct arena *a = &s->batch->arena;
    size_t n = s->keys->count, cap = s->cap == 0 ? n + FIRST_OTHERS : 2 * s->cap;

    if (n < s->cap)
        return;
    s->keys->objects = arena_grow(a, s->keys->objects, n * sizeof *s->keys->objects, cap * sizeof *s->keys->objects);
    s->trims = arena_grow(a, s->trims, s->cap == 0 ? 0 : n, cap);
    s->others = arena_grow(a, s->others, s->nothers * sizeof *s->others, cap * sizeof *s->others);
    s->cap = cap;
    s->keys->find = find;
    s->keys->find_ctx = s;
    for (s->index_size = 1; s->index_size < 2 * cap;)
        s->index_size *= 2;
    s->index = arena_get(a, s->index_size * sizeof *s->index);
    for (size_t i = 0; i < s->nothers; i++)
        *index_at(s, s->others[i].key) = (uint32_t)i + 1;
}

static struct slice kept_copy(struct op *op, struct slice s)
{
    char *copy = op_get(op, s.len + 1);
    if (s.len > 0)
        memcpy(copy, s.p, s.len);
    return (struct slice){copy, s.len};
}

/* Nothing is there. */
static size_t add_other(struct scripted *s, struct slice key)
{
    make_room(s);
    struct slice copy = kept_copy(s->op, key);
    s->keys->objects[s->keys->count] = (struct object){.key = copy, .expire_ms = -1};
    s->others[s->nothers] = (struct scripted_key){copy, false};
    *index_at(s, copy) = (uint32_t)++s->nothers;
    return s->keys->count++;
}

static void want(struct scripted *s, size_t at)
{
    struct object *o = &s->keys->objects[at];

    s->others[at - s->op->nkeys].wanted = true;
    s->nwanted++;
    s->fetch(s->fetch_ctx, o->key, o);
    o->changed = false;
}

static const char *key_refusal(const struct scripted *s, struct slice key)
{
    static const struct slice own = {MARKS_PREFIX, sizeof MARKS_PREFIX - 1};

    if (key.len >= own.len && memcmp(key.p, own.p, own.len) == 0)
        return "ERR keys that start with 'cvp:' belong to convproxy";
    if (s->op->scope == NULL || scope_find(s->op->scope, key) == NULL)
        return "CROSSSTORE the script runs on the archive, and uses a key that Redis has";
    return NULL;
}

/* The command's key must be there when it runs. False: no further one is looked at. */
static bool need_key(void *ctx, struct key_ref ref)
{
    struct scripted *s = ctx;
    struct slice key = s->argv[ref.arg];
    size_t at = find(s, key);

    if (at < s->op->nkeys || (at < s->keys->count && s->others[at - s->op->nkeys].wanted))
        return true;
    s->refusal = key_refusal(s, key);
    if (s->refusal != NULL)
        return false;
    want(s, at < s->keys->count ? at : add_other(s, key));
    return s->op->error == ERR_NONE;
}

/* Handlers of malformed commands may look at any argument before they say so. */
static void need_keys(struct scripted *s, const struct command *cmd, size_t argc)
{
    s->refusal = NULL;
    s->malformed = keys_each(cmd, s->argv, argc, need_key, s) < 0 && s->refusal == NULL;
    for (size_t i = 1; s->malformed && i < argc; i++)
        if (find(s, s->argv[i]) == s->keys->count)
            add_other(s, s->argv[i]);
}

/* ---- one command ---- */

static bool has_block(const struct slice *argv, size_t argc)
{
    for (size_t i = 1; i < argc && !slice_is(argv[i], "streams"); i++)
        if (slice_is(argv[i], "block"))
            return true;
    return false;
}

/* In the words of Redis; NULL: it may run. */
static const char *refusal_of(const struct script_command *c, const struct command *cmd, char *line, size_t cap)
{
    if (cmd == NULL || (cmd->container && c->argc > 1))
        return "ERR Unknown Redis command called from script";
    if (!command_arity_ok(cmd, c->argc))
        return "ERR Wrong number of args calling Redis command from script";
    if ((cmd->flags & CMD_NOSCRIPT) != 0)
        return "ERR This Redis command is not allowed from script";
    if (c->read_only && (cmd->flags & CMD_WRITE) != 0)
        return "ERR Write commands are not allowed from read-only scripts.";
    if (strncmp(cmd->name, "xread", 5) != 0 || !has_block(c->argv, c->argc))
        return NULL;
    snprintf(line, cap, "ERR %.*s command is not allowed with BLOCK option from scripts", (int)c->argv[0].len,
             c->argv[0].p);
    return line;
}

static struct call make_call(struct scripted *s, const struct slice *argv, size_t argc, enum resp resp,
                             struct chain *out)
{
    return (struct call){.argv = argv,
                         .argc = argc,
                         .resp = resp,
                         .now_ms = s->now_ms,
                         .out = out,
                         .arena = &s->batch->arena,
                         .keys = s->keys,
                         .fetch = s->fetch,
                         .fetch_ctx = s->fetch_ctx,
                         .random = apply_random,
                         .random_ctx = s->batch};
}

/* Values borrow the arguments of what has written them. */
static const struct slice *keep_args(struct scripted *s, const struct slice *argv, size_t argc)
{
    struct arena *a = &s->batch->arena;
    struct slice *copy = arena_get(a, argc * sizeof *copy);

    for (size_t i = 0; i < argc; i++)
        copy[i] = arena_copy(a, argv[i]);
    return copy;
}

static void note_write(struct scripted *s, const struct command *cmd, size_t argc, struct slice reply)
{
    if (s->malformed || plan_nothing_written(cmd->ttl == TTL_COND, reply.p, reply.len))
        return;
    if (s->journal != NULL && s->nwanted == 0)
        journal_command(s->journal, cmd, s->argv, argc);
    size_t at = cmd->trim != TRIM_NONE ? find(s, s->argv[1]) : s->keys->count;
    if (at < s->keys->count)
        s->trims[at] = cmd->trim;
}

static void run_engine(struct scripted *s, const struct command *cmd, call_fn fn, size_t argc, enum resp resp,
                       struct chain *out)
{
    bool writes = (cmd->flags & CMD_WRITE) != 0;

    need_keys(s, cmd, argc);
    if (s->refusal != NULL) {
        build_error(out, s->refusal);
        return;
    }
    if (s->op->error != ERR_NONE)
        return;
    if (writes)
        s->argv = keep_args(s, s->argv, argc);
    struct call c = make_call(s, s->argv, argc, resp, out);
    fn(&c);
    if (writes)
        note_write(s, cmd, argc, chain_flat(out));
}

/* KEYS and SCAN tell of the archive's keys as they were before the script; those of which it knows better are told as they are. */
static bool may_tell(void *ctx, struct slice key)
{
    struct scripted *s = ctx;
    size_t at = find(s, key);
    const struct object *o = at < s->keys->count ? &s->keys->objects[at] : NULL;

    if (o != NULL && o->changed && (o->type == OBJECT_NONE || (o->expire_ms >= 0 && s->now_ms > o->expire_ms)))
        return false;
    return s->op->scope != NULL && scope_find(s->op->scope, key) != NULL;
}

static void run_whole(struct scripted *s, const struct command *cmd, whole_fn whole, size_t argc, enum resp resp,
                      struct chain *out)
{
    struct call c = make_call(s, s->argv, argc, resp, out);
    struct whole_call w = {.call = &c,
                           .handle = s->batch->handle,
                           .no_tombstones = &s->batch->counts->no_tombstones,
                           .may_tell = may_tell,
                           .may_tell_ctx = s};

    if ((cmd->flags & CMD_WRITE) != 0) {
        build_error(out, "ERR a script on the archive can't empty it");
        return;
    }
    whole(&w);
    if (w.error != ERR_NONE)
        op_fail(s->op, w.error, archive_why(s->batch->handle));
}

/* Who hears it is not known before Redis is told: nobody, for the script. */
static void run_publish(struct scripted *s, size_t argc, struct chain *out)
{
    struct chain request;

    chain_init(&request, out->pool);
    build_request(&request, s->argv, argc);
    op_publish(s->op, chain_flat(&request));
    chain_clear(&request);
    build_int(out, 0);
}

static void run_other(struct scripted *s, const struct command *cmd, size_t argc, enum resp resp, struct chain *out)
{
    whole_fn whole = whole_find(cmd);

    if (whole != NULL)
        run_whole(s, cmd, whole, argc, resp, out);
    else if (strcmp(cmd->name, "select") == 0 && slice_equal(s->argv[1], (struct slice){"0", 1}))
        build_status(out, "OK");
    else if (strcmp(cmd->name, "publish") == 0 || strcmp(cmd->name, "spublish") == 0)
        run_publish(s, argc, out);
    else
        build_err(out, ERR_UNSUPPORTED, cmd->name);
}

static bool over_memory(const struct scripted *s)
{
    return s->batch->arena.used - s->before > (size_t)scope_settings(s->op->scope)->script_memory;
}

static bool on_call(void *ctx, const struct script_command *c, struct chain *out)
{
    struct scripted *s = ctx;
    const struct command *cmd = command_of(c->argv, c->argc);
    char line[96];
    const char *refusal = refusal_of(c, cmd, line, sizeof line);

    if (refusal != NULL) {
        build_error(out, refusal);
        return true;
    }
    call_fn fn = engine_find(cmd->name);
    s->argv = c->argv;
    if (fn != NULL)
        run_engine(s, cmd, fn, c->argc, c->resp, out);
    else
        run_other(s, cmd, c->argc, c->resp, out);
    return s->op->error == ERR_NONE && !over_memory(s);
}

static int on_may(void *ctx, const struct slice *argv, size_t argc)
{
    const struct command *cmd = command_of(argv, argc);
    return cmd == NULL || !command_arity_ok(cmd, argc) ? -1 : 1;
}

static void on_log(void *ctx, int level, const char *text)
{
    static const enum log_level levels[] = {LOG_DEBUG, LOG_DEBUG, LOG_INFO, LOG_WARN};
    log_event(levels[level], "script_log", LOG_STR("text", text));
}

/* ---- what a policy adds ---- */

static void run_own(struct scripted *s, const char *const *words, size_t n)
{
    struct slice argv[5];
    struct chain out;

    for (size_t i = 0; i < n; i++)
        argv[i] = (struct slice){words[i], strlen(words[i])};
    argv[1] = s->argv[0];
    const struct command *cmd = command_of(argv, n);
    s->argv = argv;
    chain_init(&out, s->reply->pool);
    run_engine(s, cmd, engine_find(cmd->name), n, RESP2, &out);
    chain_clear(&out);
}

static void trim_key(struct scripted *s, const struct object *o, enum cmd_trim trim, int64_t keep)
{
    char first[24], last[24];

    snprintf(first, sizeof first, "%lld", (long long)-keep);
    snprintf(last, sizeof last, "%lld", (long long)keep - 1);
    if (trim == TRIM_HEAD && o->type == OBJECT_LIST)
        run_own(s, (const char *const[]){"LTRIM", "", first, "-1"}, 4);
    else if (trim == TRIM_TAIL && o->type == OBJECT_LIST)
        run_own(s, (const char *const[]){"LTRIM", "", "0", last}, 4);
    snprintf(last, sizeof last, "%lld", (long long)keep);
    if (trim == TRIM_STREAM && o->type == OBJECT_STREAM)
        run_own(s, (const char *const[]){"XTRIM", "", "MAXLEN", last}, 4);
    snprintf(last, sizeof last, "%lld", (long long)-keep - 1);
    if (trim == TRIM_ZSET && o->type == OBJECT_ZSET)
        run_own(s, (const char *const[]){"ZREMRANGEBYRANK", "", "0", last}, 4);
}

/* Each key that was changed is trimmed as its last write asks for, and lives no longer than its policy says. */
static void apply_policies(struct scripted *s)
{
    char at_ms[24];

    for (size_t i = 0; i < s->op->nkeys; i++) {
        struct object *o = &s->keys->objects[i];
        const struct policy_conf *policy =
            o->changed && o->type != OBJECT_NONE ? scope_find(s->op->scope, o->key) : NULL;
        if (policy == NULL)
            continue;
        struct slice key = o->key;
        s->argv = &key;
        if (policy->max_messages > 0 && s->cap > 0)
            trim_key(s, o, (enum cmd_trim)s->trims[i], policy->max_messages);
        o = &s->keys->objects[i];
        snprintf(at_ms, sizeof at_ms, "%lld", (long long)plan_expiry(policy, s->now_ms));
        s->argv = &key;
        if (policy->ttl > 0 && o->type != OBJECT_NONE && o->expire_ms < 0)
            run_own(s, (const char *const[]){"PEXPIREAT", "", at_ms}, 3);
    }
}

/* ---- the script ---- */

static void fail(struct scripted *s, const char *why)
{
    s->batch->spoiled = true;
    op_fail(s->op, ERR_SCRIPT, why);
}

static void tell_end(struct scripted *s, enum script_end end)
{
    const struct settings *settings = scope_settings(s->op->scope);
    char why[96];

    switch (end) {
    case SCRIPT_ANSWERED:
        return;
    case SCRIPT_TIME_OVER:
        snprintf(why, sizeof why, "it ran for script.timeout (%lld ms)", (long long)settings->script_timeout);
        break;
    case SCRIPT_STOPPED:
        if (s->op->error != ERR_NONE) { /* the archive's */
            s->batch->spoiled = true;
            return;
        }
        /* fallthrough */
    case SCRIPT_NO_MEMORY:
        snprintf(why, sizeof why, "it needed more than script.memory (%lld bytes)",
                 (long long)settings->script_memory);
        break;
    }
    fail(s, why);
}

/* EVAL script numkeys key … arg …: an error line when the numbers don't fit. */
static const char *take_args(const struct slice *argv, size_t argc, struct script *ret)
{
    int64_t n;

    if (!number_int(argv[2], &n))
        return "ERR value is not an integer or out of range";
    if (n > (int64_t)argc - 3)
        return "ERR Number of keys can't be greater than number of args";
    if (n < 0)
        return "ERR Number of keys can't be negative";
    ret->keys = argv + 3;
    ret->nkeys = (size_t)n;
    ret->args = argv + 3 + n;
    ret->nargs = argc - 3 - (size_t)n;
    return NULL;
}

void scripted_run(struct scripted *s, const struct op_step *step, struct chain *out)
{
    struct op *op = s->op;
    struct script script = {.body = step->script,
                            .resp = op->resp,
                            .read_only = (step->cmd->flags & CMD_READONLY) != 0,
                            .random = op->seq};
    struct script_host host = {.call = on_call, .may = on_may, .log = on_log, .ctx = s};
    char sha[SHA1_HEX + 1];

    const char *wrong = take_args(op->argv + step->argv, step->argc, &script);
    if (wrong == NULL && script.body.p == NULL)
        wrong = "NOSCRIPT No matching script. Please use EVAL.";
    if (wrong == NULL && op->scope == NULL)
        wrong = "ERR scripts are not possible here";
    if (wrong != NULL) {
        build_error(out, wrong);
        return;
    }
    sha1_hex(script.body, sha);
    script.sha = sha;
    script.timeout_us = scope_settings(op->scope)->script_timeout * 1000;
    script.memory = (size_t)scope_settings(op->scope)->script_memory;
    s->before = s->batch->arena.used;
    s->reply = out;
    make_room(s);
    tell_end(s, script_run(&script, &host, out));
    if (op->error == ERR_NONE && s->nwanted == 0)
        apply_policies(s);
}

void scripted_end(struct scripted *s)
{
    struct op *op = s->op;

    if (op->error != ERR_NONE || s->nwanted == 0)
        return;
    if (op->restarts++ == RESTARTS_MAX) {
        fail(s, "whenever it ran, it used other keys that it does not declare");
        return;
    }
    op->wanted = (struct slice *)op_get(op, s->nwanted * sizeof *op->wanted);
    for (size_t i = 0; i < s->nothers; i++)
        if (s->others[i].wanted)
            op->wanted[op->nwanted++] = s->others[i].key;
    s->batch->spoiled = true;
}
