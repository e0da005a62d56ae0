/* tests/fuzz/fuzz_op — requests become an op, and the op is applied to keys that are not there.
 * Input: a byte (bits 0-1 the form, bit 2 RESP3), then a stream of RESP. What resp/request takes, and whose
 * number of arguments the command table allows, makes the op, as the proxy sees to it. Properties: the op has
 * the requests' own arguments and each key once; every handler finds the keys that it asks for, answers one
 * whole value, and changes nothing when that is an error; a blocking command that finds nothing can be pinned,
 * narrowed to each of its keys, sent on as a request, and ended. */
#include "backends/archive/archive.h"
#include "base/clock.h"
#include "executor/blocking.h"
#include "resp/frame.h"
#include "resp/request.h"
#include "tests/fuzz/check.h"

#include <string.h>
#include <strings.h>

#define NOW_MS 1700000000000

struct world {
    struct op *op;
    struct arena arena;
    struct chunk_pool pool;
    struct chain out;
    struct keyspace keys;
    uint64_t random;
};

/* ---- requests ---- */

static bool is_name(struct slice s, const char *name)
{
    return s.len == strlen(name) && strncasecmp(s.p, name, s.len) == 0;
}

/* Numbers in these say how much memory a reply or a value takes; here time is for other things. */
static bool too_costly(const struct request *r)
{
    static const char *const names[] = {"setbit",     "setrange",    "bitfield",   "bitfield_ro",
                                        "hrandfield", "srandmember", "zrandmember"};
    bool named = false, long_number = false;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        named |= is_name(r->argv[0], names[i]);
    for (size_t i = 2; i < r->argc; i++)
        long_number |= r->argv[i].len > 5;
    return named && long_number;
}

static bool may_be_sent(const struct request *r, enum op_form form)
{
    const struct command *cmd = command_of(r->argv, r->argc);

    if (form == OP_WATCH)
        return r->argc > 1;
    return (cmd == NULL || command_arity_ok(cmd, r->argc)) && !too_costly(r);
}

/* The requests that an op of this form may have, in a block of just their size; how many, and their arguments. */
struct taken {
    char *bytes;
    size_t len, requests, args;
};

static struct taken take(const char *p, size_t n, enum op_form form)
{
    struct taken t = {.bytes = malloc(n + 1)};
    size_t most = form == OP_WATCH ? 1 : SIZE_MAX;
    struct request r;

    CHECK(t.bytes != NULL);
    request_init(&r);
    for (size_t at = 0; at < n && t.requests < most; at += r.used) {
        struct request_progress progress = {0};
        if (request_parse(&r, &progress, p + at, n - at, n) != REQUEST_DONE)
            break;
        if (r.was_inline || r.argc == 0 || !may_be_sent(&r, form))
            continue;
        memcpy(t.bytes + t.len, p + at, r.used);
        t.len += r.used;
        t.requests++;
        t.args += r.argc;
    }
    request_done(&r);
    t.bytes = realloc(t.bytes, t.len > 0 ? t.len : 1);
    CHECK(t.bytes != NULL);
    return t;
}

/* ---- the op ---- */

static void check_op(const struct op *op, const struct taken *t)
{
    bool writes = false;

    CHECK(op->nsteps == t->requests && op->nargv == t->args);
    for (size_t i = 0; i < op->nargv; i++)
        CHECK(op->argv[i].p >= op->bytes && op->argv[i].p + op->argv[i].len <= op->bytes + t->len);
    for (size_t i = 0; i < op->nsteps; i++)
        writes |= op->steps[i].cmd != NULL && (op->steps[i].cmd->flags & CMD_WRITE) != 0;
    CHECK(op->writes == writes);
    for (size_t i = 0; i < op->nkeys; i++) {
        CHECK(op_find_key(op, op->keys[i].key) == i);
        CHECK(op->keys[i].hash == archive_hash(op->keys[i].key) && op->keys[i].watched == -1);
    }
}

static uint64_t draw(void *ctx)
{
    struct world *w = ctx;

    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return w->random >> 11;
}

static size_t find_object(const void *ctx, struct slice key)
{
    return op_find_key(ctx, key);
}

static void world_init(struct world *w, struct op *op)
{
    *w = (struct world){.op = op};
    arena_init(&w->arena);
    chunk_pool_init(&w->pool);
    chain_init(&w->out, &w->pool);
    w->keys = (struct keyspace){.objects = arena_get(&w->arena, op->nkeys * sizeof *w->keys.objects),
                                .count = op->nkeys,
                                .find = find_object,
                                .find_ctx = op};
    for (size_t i = 0; i < op->nkeys; i++)
        w->keys.objects[i] = (struct object){.key = op->keys[i].key, .expire_ms = -1};
}

static void world_done(struct world *w)
{
    chain_clear(&w->out);
    chunk_pool_done(&w->pool);
    arena_done(&w->arena);
}

/* The reply, which lives until the next one. */
static struct slice apply(struct world *w, const struct op_step *step, const struct slice *argv, size_t argc)
{
    struct call c = {.argv = argv,
                     .argc = argc,
                     .resp = w->op->resp,
                     .now_ms = NOW_MS,
                     .out = &w->out,
                     .arena = &w->arena,
                     .keys = &w->keys,
                     .random = draw,
                     .random_ctx = w};

    for (size_t i = 0; i < w->keys.count; i++)
        w->keys.objects[i].changed = false;
    chain_clear(&w->out);
    step->fn(&c);
    struct slice reply = chain_flat(&w->out);
    CHECK(reply.len > 0 && frame_length(reply.p, reply.len) == reply.len);
    for (size_t i = 0; i < w->keys.count; i++)
        CHECK(!w->keys.objects[i].changed || (!c.failed && (step->cmd->flags & CMD_WRITE) != 0));
    return reply;
}

/* ---- blocking ---- */

/* What it becomes on its way to a server waits as well, for no longer. */
static void check_request(struct world *w)
{
    struct op *op = w->op;
    int64_t begun = clock_mono_us();

    chain_clear(&w->out);
    blocking_request(op, begun, &w->out);
    struct op *again = op_new(OP_ONE, op->resp, chain_flat(&w->out));
    CHECK(again->nsteps == 1 && again->nargv == op->steps[op->blocking].argc);
    CHECK(again->nkeys <= op->nkeys);
    op_may_block(again);
    if (op->block_until_us == INT64_MAX)
        CHECK(again->block_until_us == INT64_MAX);
    else if (op->block_until_us > begun)
        CHECK(again->block_until_us <= op->block_until_us + clock_mono_us() - begun + 2000);
    op_free(again);
}

/* Nothing came for any of its keys, and so not for one alone. */
static void check_narrow(struct world *w)
{
    struct op *op = w->op;
    const struct op_step *step = &op->steps[op->blocking];

    for (size_t i = 0; i < op->nkeys; i++) {
        size_t argc;
        op->woken_by = op->keys[i].key;
        const struct slice *argv = blocking_narrow(op, &argc);
        CHECK(argv == NULL || argc <= step->argc);
        if (argv != NULL)
            CHECK(blocking_found_nothing(op, apply(w, step, argv, argc), w->keys.objects));
    }
    op->woken_by = (struct slice){NULL, 0};
}

static void check_parked(struct world *w)
{
    struct op *op = w->op;

    blocking_pin(op, w->keys.objects);
    check_request(w);
    check_narrow(w);
    op->woken = true;
    blocking_time_over(op);
    CHECK(op->error == ERR_NONE && frame_length(op->reply, op->reply_len) == op->reply_len);
}

static void run(struct world *w)
{
    struct op *op = w->op;

    op_may_block(op);
    CHECK(op->block_until_us >= 0 && (op->block_until_us == 0 || op->blocking < op->nsteps));
    for (size_t i = 0; i < op->nsteps; i++) {
        const struct op_step *step = &op->steps[i];
        if (step->fn == NULL)
            continue;
        struct slice reply = apply(w, step, op->argv + step->argv, step->argc);
        if (op->block_until_us == 0 || i != op->blocking ||
            !blocking_found_nothing(op, reply, w->keys.objects))
            continue;
        check_parked(w);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum op_form forms[] = {OP_ONE, OP_ONE, OP_EXEC, OP_WATCH};
    struct world w;

    if (size < 2 || size > 4096)
        return 0;
    enum op_form form = forms[data[0] & 3];
    struct taken t = take((const char *)data + 1, size - 1, form);
    struct op *op = op_new(form, data[0] & 4 ? RESP3 : RESP2, (struct slice){t.bytes, t.len});

    free(t.bytes); /* the op has its own */
    check_op(op, &t);
    world_init(&w, op);
    if (form != OP_WATCH)
        run(&w);
    world_done(&w);
    op_free(op);
    return 0;
}
