#include "proxy/scripting.h"

#include "executor/scope.h"
#include "executor/scripted.h"
#include "proxy/dispatch.h"
#include "proxy/internal.h"
#include "proxy/scripts.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "script/script.h"

#include <stdlib.h>
#include <string.h>

#define SENT 1024 /* scripts and connections that are remembered; what is forgotten is sent again */

/* A loop's own. */
struct scripting {
    struct scope *scope; /* NULL: none is asked for yet */
    uint64_t serial;     /* loop.acting.serial when it was made */
    uint64_t sent[SENT]; /* which script went to which connection; 0: none */
};

static struct scripting *of_loop(struct loop *l)
{
    if (l->scripting == NULL)
        l->scripting = calloc(1, sizeof *l->scripting);
    if (l->scripting == NULL)
        abort();
    return l->scripting;
}

void scripting_free(struct loop *l)
{
    if (l->scripting != NULL)
        scope_unref(l->scripting->scope);
    free(l->scripting);
    l->scripting = NULL;
}

static struct scripts *kept(const struct loop *l)
{
    return server_scripts(l->server);
}

static bool is_named(const struct command *cmd, const char *name)
{
    return strcmp(cmd->name, name) == 0;
}

/* ---- answered here ---- */

static bool can_ask_redis(struct session *s)
{
    return !(s->loop->acting.whole && s->db == 0) && local_redis_up(s);
}

void scripting_see(struct loop *l, const struct job *job)
{
    if (is_named(job->cmd, "eval") || is_named(job->cmd, "eval_ro"))
        scripts_see(kept(l), job->argv[1], NULL);
}

static bool do_eval(struct session *s, const struct job *job)
{
    scripting_see(s->loop, job);
    return false;
}

static bool do_load(struct session *s, const struct job *job)
{
    char sha[SHA1_HEX + 1];

    if (can_ask_redis(s)) {
        scripts_see(kept(s->loop), job->argv[2], NULL);
        return false;
    }
    struct chain *out = slot_answer(s);
    if (script_check(job->argv[2], (size_t)s->loop->settings->script_memory, out)) {
        scripts_see(kept(s->loop), job->argv[2], sha);
        build_bulk(out, sha, SHA1_HEX);
    }
    slot_answered(s);
    return true;
}

/* While the archive acts a script that Redis alone knows would be NOSCRIPT there: who is told that it is not there loads it for both. */
static bool do_exists(struct session *s, const struct job *job)
{
    if (!s->loop->acting.any && can_ask_redis(s))
        return false;
    struct chain *out = slot_answer(s);
    build_array(out, job->argc - 2);
    for (size_t i = 2; i < job->argc; i++)
        build_int(out, scripts_has(kept(s->loop), job->argv[i]));
    slot_answered(s);
    return true;
}

static bool do_flush(struct session *s, const struct job *job)
{
    bool known = job->argc == 2 ||
                 (job->argc == 3 && (slice_is(job->argv[2], "sync") || slice_is(job->argv[2], "async")));

    if (known)
        scripts_flush(kept(s->loop));
    if (can_ask_redis(s))
        return false;
    return known ? local_ok(s) : local_error(s, "ERR SCRIPT FLUSH only support SYNC|ASYNC option");
}

static bool do_kill(struct session *s, const struct job *job)
{
    return !can_ask_redis(s) && local_error(s, "NOTBUSY No scripts in execution right now.");
}

static bool do_fcall(struct session *s, const struct job *job)
{
    if ((acting_home(s->loop, job->cmd, job->argv, job->argc) & HOME_ARCHIVE) == 0)
        return false;
    return local_error(s, "ERR functions are Redis only: the archive has these keys now, and runs EVAL and EVALSHA");
}

static bool do_function(struct session *s, const struct job *job)
{
    if (!s->loop->acting.any || can_ask_redis(s))
        return false;
    return local_error(s, "ERR functions are Redis only, which can't be asked now");
}

static const struct {
    const char *name;
    bool (*fn)(struct session *s, const struct job *job);
} rows[] = {
    {"eval", do_eval},          {"eval_ro", do_eval},        {"fcall", do_fcall},        {"fcall_ro", do_fcall},
    {"script|load", do_load},   {"script|exists", do_exists}, {"script|flush", do_flush}, {"script|kill", do_kill},
};

bool scripting_takes(struct session *s, const struct job *job)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (is_named(job->cmd, rows[i].name))
            return rows[i].fn(s, job);
    return strncmp(job->cmd->name, "function", 8) == 0 && do_function(s, job);
}

bool scripting_is_keyless(const struct job *job)
{
    return scripting_is(job->cmd) && job->cmd->nspecs > 0 && job->argc > 2 && slice_is(job->argv[2], "0");
}

/* ---- to Redis ---- */

static uint64_t sent_as(const struct loop *l, const struct upstream *u, struct slice sha)
{
    uint64_t h = (uint64_t)(uintptr_t)u * 0x9e3779b97f4a7c15u ^ upstream_generation(u) << 32 ^ scripts_serial(kept(l));

    for (size_t i = 0; i < sha.len; i++)
        h = (h ^ (unsigned char)(sha.p[i] | 0x20)) * 0x100000001b3u;
    return h | 1;
}

static char *get_bytes(void *ctx, size_t n)
{
    char **to = ctx;
    *to = malloc(n);
    if (*to == NULL)
        abort();
    return *to;
}

/* A connection that is still being made may find another Redis than the last one: nothing is remembered of it. */
void scripting_prepare(struct loop *l, struct upstream *u, const struct job *job)
{
    char *bytes = NULL;

    if (!scripted_is(job->cmd) || strncmp(job->cmd->name, "evalsha", 7) != 0 || job->argv[1].len != SHA1_HEX)
        return;
    uint64_t as = sent_as(l, u, job->argv[1]), *place = &of_loop(l)->sent[as / 2 % SENT];
    if (*place == as && upstream_state(u) == UP_READY)
        return;
    struct slice body = scripts_find(kept(l), job->argv[1], get_bytes, &bytes);
    if (body.p != NULL) {
        struct slice argv[] = {{"SCRIPT", 6}, {"LOAD", 4}, body};
        build_request(upstream_out(u), argv, 3);
        slot_send_unheard(l, u);
        *place = upstream_state(u) == UP_READY ? as : 0;
    }
    free(bytes);
}

void scripting_prepare_all(struct loop *l, struct upstream *u, struct slice requests)
{
    struct request r;
    struct slice raw;

    request_init(&r);
    while (request_next(&r, &requests, &raw)) {
        struct job job = {.argv = r.argv, .argc = r.argc, .raw = raw};
        job.cmd = dispatch_row(l, &job);
        scripting_prepare(l, u, &job);
    }
    request_done(&r);
}

/* ---- to the archive ---- */

static struct scope *scope_of(struct loop *l)
{
    struct scripting *sc = of_loop(l);
    size_t n = l->settings->policy_count < STATS_POLICIES ? l->settings->policy_count : STATS_POLICIES;

    bool archive[STATS_POLICIES];

    for (size_t i = 0; i < n; i++)
        archive[i] = l->acting.phase[i] == PHASE_ARCHIVE;
    if (sc->scope == NULL || sc->serial != l->acting.serial || scope_settings(sc->scope) != l->settings) {
        scope_unref(sc->scope);
        sc->scope = scope_new(l->settings, archive, l->acting.op_role, n);
        sc->serial = l->acting.serial;
    }
    return sc->scope;
}

bool scripting_knows(const struct loop *l, const struct op *op, const struct op_step *step)
{
    return scripted_is(step->cmd) && (step->script.p != NULL || scripts_has(kept(l), op->argv[step->argv + 1]));
}

static char *get_of_op(void *ctx, size_t n)
{
    return op_get(ctx, n);
}

void scripting_attach(struct loop *l, struct op *op)
{
    if (op->scope == NULL)
        op->scope = scope_ref(scope_of(l));
    for (size_t i = 0; i < op->nsteps; i++) {
        struct op_step *step = &op->steps[i];
        if (scripted_is(step->cmd) && step->script.p == NULL)
            step->script = scripts_find(kept(l), op->argv[step->argv + 1], get_of_op, op);
    }
}
