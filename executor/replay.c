#include "executor/replay.h"

#include "engine/call.h"
#include "resp/request.h"
#include "router/command.h"
#include "router/keys.h"

/* The keys of one command, looked at one by one. */
struct naming {
    const struct slice *argv;
    struct slice key;
    bool others; /* it names another key */
};

static bool look(void *ctx, struct key_ref ref)
{
    struct naming *n = ctx;
    n->others |= !slice_equal(n->argv[ref.arg], n->key);
    return !n->others;
}

/* A handler may ask for whatever keys its command names, and has only this one. */
static bool names_only(const struct command *cmd, const struct slice *argv, size_t argc, struct slice key)
{
    struct naming n = {.argv = argv, .key = key};
    return keys_each(cmd, argv, argc, look, &n) > 0 && !n.others;
}

/* Whatever is drawn may differ from what was drawn before: who writes journals leaves such commands out. */
static uint64_t draw(void *ctx)
{
    uint64_t *state = ctx;
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 11;
}

static bool run(const struct request *r, struct object *o, struct arena *a, int64_t now_ms, struct chain *out)
{
    const struct command *cmd = command_of(r->argv, r->argc);
    call_fn fn = cmd != NULL && command_arity_ok(cmd, r->argc) ? engine_find(cmd->name) : NULL;
    uint64_t random = (uint64_t)now_ms;
    struct keyspace keys = {.objects = o, .count = 1};
    struct call c = {.argv = r->argv,
                     .argc = r->argc,
                     .resp = RESP2,
                     .now_ms = now_ms,
                     .out = out,
                     .arena = a,
                     .keys = &keys,
                     .random = draw,
                     .random_ctx = &random};

    if (fn == NULL || !names_only(cmd, r->argv, r->argc, o->key))
        return false;
    fn(&c);
    chain_clear(out);
    return true;
}

bool replay_write(struct object *o, struct arena *a, const struct record_write *write)
{
    struct slice all = arena_copy(a, write->requests); /* what the commands set lives as long as the object */
    struct chunk_pool pool;
    struct chain out;
    struct request r;
    bool ok = all.len > 0;

    chunk_pool_init(&pool);
    chain_init(&out, &pool);
    request_init(&r);
    for (size_t at = 0; ok && at < all.len; at += r.used) {
        struct request_progress progress = {0};
        ok = request_parse(&r, &progress, all.p + at, all.len - at, all.len) == REQUEST_DONE && r.argc > 0 &&
             !r.was_inline && run(&r, o, a, write->now_ms, &out);
    }
    request_done(&r);
    chunk_pool_done(&pool);
    return ok;
}
