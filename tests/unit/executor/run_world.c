#include "tests/unit/executor/run_world.h"

#include "backends/trace/trace.h"
#include "base/clock.h"
#include "engine/document.h"
#include "resp/build.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS 5000

int world_setup(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    char url[96], why[200] = "";

    snprintf(w->dir, sizeof w->dir, "/tmp/test_executor.XXXXXX");
    if (mkdtemp(w->dir) == NULL)
        return -1;
    snprintf(url, sizeof url, "sqlite:%s/a.db", w->dir);
    w->archive = trace_wrap(
        archive_open(&(struct archive_options){.url = url, .workers = 2, .timeout = 2000}, why, sizeof why));
    if (w->archive == NULL) {
        print_error("%s\n", why);
        return -1;
    }
    w->handle = archive_attach(w->archive);
    w->run = run_new(archive_attach(w->archive), &w->counts);
    arena_init(&w->arena);
    op_list_init(&w->batch);
    *state = w;
    return 0;
}

void world_detach(struct world *w)
{
    if (w->run == NULL)
        return;
    run_free(w->run);
    archive_detach(w->handle);
    w->run = NULL;
}

void world_forget(struct world *w)
{
    while (w->nops > 0)
        op_free(w->ops[--w->nops]);
}

int world_teardown(void **state)
{
    struct world *w = *state;
    char command[96];

    world_forget(w);
    arena_done(&w->arena);
    world_detach(w);
    archive_close(w->archive);
    snprintf(command, sizeof command, "rm -rf %s", w->dir);
    free(w);
    return system(command);
}

static size_t build_lines(struct chain *chain, const char *lines)
{
    static struct slice argv[WORDS];
    size_t requests = 0;

    for (const char *p = lines; *p != '\0'; p += *p == '\n', requests++) {
        size_t n = 0;
        for (; *p != '\0' && *p != '\n'; p += strcspn(p, " \n"), p += *p == ' ')
            argv[n++] = (struct slice){p, strcspn(p, " \n")};
        build_request(chain, argv, n);
    }
    return requests;
}

struct op *world_op(struct world *w, const char *lines)
{
    struct chunk_pool pool;
    struct chain chain;

    chunk_pool_init(&pool);
    chain_init(&chain, &pool);
    size_t requests = build_lines(&chain, lines);
    struct op *op = op_new(requests > 1 ? OP_EXEC : OP_ONE, RESP2, chain_flat(&chain));
    op_may_block(op);
    chain_clear(&chain);
    chunk_pool_done(&pool);
    assert_true(w->nops < WORLD_OPS);
    w->ops[w->nops++] = op;
    return op;
}

struct op *world_write(struct world *w, enum op_role role, const char *session, int64_t seq,
                       const char *lines)
{
    struct op *op = world_op(w, lines);

    op->role = role;
    op->epoch = WORLD_EPOCH;
    op->id.seq = seq;
    snprintf(op->id.session, sizeof op->id.session, "%s", session);
    return op;
}

struct op *world_copy(struct world *w, const char *session, int64_t seq, int64_t copied, const char *lines)
{
    struct op *op = world_write(w, OP_COPY, session, seq, lines);

    op->now_ms = world_now();
    for (size_t i = 0; i < op->nkeys; i++)
        op->keys[i].copied = copied;
    return op;
}

void world_add(struct world *w, struct op *op)
{
    op->state = OP_RUNNING;
    op_list_push(&w->batch, op);
}

void world_run(struct world *w)
{
    if (w->batch.count > 0)
        (void)!run_batch(w->run, &w->batch);
    while (op_list_pop(&w->batch) != NULL)
        ;
}

void world_expect(struct world *w, struct op *op, const char *reply)
{
    world_add(w, op);
    world_run(w);
    if (op->error != ERR_NONE)
        print_error("%s: %s\n", err_name(op->error), op->detail);
    assert_int_equal(op->error, ERR_NONE);
    op_reply_add(op, "", 1);
    if (reply != NULL)
        assert_string_equal(op->reply, reply);
}

void world_expect_error(struct world *w, struct op *op, enum err e)
{
    world_add(w, op);
    world_run(w);
    assert_string_equal(err_name(op->error), err_name(e));
}

void world_ask(struct world *w, const char *lines, const char *reply)
{
    world_expect(w, world_op(w, lines), reply);
}

/* The entry of one key, from a scan, which alone tells the expiry that the sweeper sees. */
struct finding {
    struct slice key;
    struct stored *to;
};

static void find(void *ctx, const struct archive_entry *e)
{
    struct finding *f = ctx;

    if (e->key.len != f->key.len || memcmp(e->key.p, f->key.p, e->key.len) != 0)
        return;
    f->to->expire_ms = e->expire_ms;
    f->to->type = e->type;
    assert_int_equal(e->version, f->to->version);
    assert_int_equal(e->dirty, f->to->dirty);
}

struct stored world_stored(struct world *w, const char *key)
{
    struct slice k = {key, strlen(key)};
    struct archive_found found;
    struct stored s = {.expire_ms = -2};
    struct finding f = {k, &s};
    struct object o;
    const char *why;
    bson_t doc;

    assert_int_equal(archive_load(w->handle, &k, 1, &w->arena, &found), ERR_NONE);
    s.version = found.version;
    s.dirty = found.dirty;
    if (found.version == 0)
        return s;
    assert_int_equal(archive_scan(w->handle, ARCHIVE_ALL, 0, 1000, find, &f), ERR_NONE);
    assert_true(bson_init_static(&doc, (const uint8_t *)found.doc.p, found.doc.len));
    assert_int_equal(document_decode(&doc, &w->arena, &o, &why), ERR_NONE);
    assert_int_equal(o.type, s.type);
    assert_int_equal(o.expire_ms, s.expire_ms);
    record_decode(&doc, &w->arena, &s.record);
    return s;
}

int64_t world_now(void)
{
    return clock_wall_us() / 1000;
}

void world_plan(struct world *w, const char *faults)
{
    char why[200];
    assert_true(trace_set_plan(w->archive, faults, why, sizeof why));
}
