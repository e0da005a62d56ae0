#include "executor/run.h"

#include "base/clock.h"
#include "base/version.h"
#include "executor/again.h"
#include "executor/blocking.h"
#include "executor/cell.h"
#include "executor/copy.h"
#include "executor/journal.h"
#include "executor/whole.h"
#include "router/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RACES_MAX 16 /* lost in a row before an op gives up */

struct run {
    struct archive_handle *handle;
    struct run_counts *counts;
    struct arena arena;
    struct chunk_pool pool;
    struct chain out; /* of the command that runs */
    struct cell *cells;
    size_t ncells;
    uint32_t *index; /* open addressing: cell number + 1 by hash */
    size_t mask;
    int64_t now_us; /* wall */
    uint64_t random;
    enum err error; /* of the archive's last call */
};

struct run *run_new(struct archive_handle *own_h, struct run_counts *counts)
{
    struct run *r = calloc(1, sizeof *r);

    if (r == NULL)
        abort();
    r->handle = own_h;
    r->counts = counts;
    r->random = (uint64_t)clock_wall_us() * 2654435769u ^ (uint64_t)(uintptr_t)r;
    arena_init(&r->arena);
    chunk_pool_init(&r->pool);
    chain_init(&r->out, &r->pool);
    return r;
}

void run_free(struct run *own_r)
{
    archive_detach(own_r->handle);
    chain_clear(&own_r->out);
    chunk_pool_done(&own_r->pool);
    arena_done(&own_r->arena);
    free(own_r);
}

struct archive_handle *run_handle(struct run *r)
{
    return r->handle;
}

static uint64_t draw(void *ctx)
{
    struct run *r = ctx;
    r->random ^= r->random << 13;
    r->random ^= r->random >> 7;
    r->random ^= r->random << 17;
    return r->random;
}

/* ---- cells: what the batch's keys are now ---- */

static struct cell *cell_of(struct run *r, struct slice key, int64_t hash)
{
    size_t at = (size_t)hash & r->mask;

    for (; r->index[at] != 0; at = (at + 1) & r->mask) {
        struct cell *cell = &r->cells[r->index[at] - 1];
        if (cell->hash == hash && slice_equal(cell->key, key))
            return cell;
    }
    r->cells[r->ncells] = (struct cell){.key = key, .hash = hash};
    r->index[at] = (uint32_t)++r->ncells;
    return &r->cells[r->ncells - 1];
}

static void make_cells(struct run *r, struct op *const *ops, size_t n)
{
    size_t keys = 0, size = 8;

    for (size_t i = 0; i < n; i++)
        keys += ops[i]->nkeys;
    while (size < 2 * keys)
        size *= 2;
    r->cells = arena_get(&r->arena, (keys + 1) * sizeof *r->cells);
    r->index = arena_get(&r->arena, size * sizeof *r->index);
    r->mask = size - 1;
    r->ncells = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < ops[i]->nkeys; k++)
            cell_of(r, ops[i]->keys[k].key, ops[i]->keys[k].hash);
}

static enum err load(struct run *r)
{
    if (r->ncells == 0)
        return ERR_NONE;
    struct slice *keys = arena_get(&r->arena, r->ncells * sizeof *keys);
    struct archive_found *found = arena_get(&r->arena, r->ncells * sizeof *found);

    for (size_t i = 0; i < r->ncells; i++)
        keys[i] = r->cells[i].key;
    enum err e = archive_load(r->handle, keys, r->ncells, &r->arena, found);
    for (size_t i = 0; e == ERR_NONE && i < r->ncells; i++)
        cell_decode(&r->cells[i], &found[i], &r->arena);
    return e;
}

static bool is_there(const struct run *r, const struct cell *cell)
{
    return cell_is_there(cell, r->now_us / 1000);
}

/* What WATCH keeps of a key: its version, or for one that is not there how often keys of its kind have come so far, so that
 * one that came and went is noticed, when this process has seen it. */
static int64_t seen_version(const struct run *r, const struct cell *cell)
{
    return is_there(r, cell) ? cell->version : -2 - (int64_t)r->counts->come[cell->hash % RUN_COME];
}

/* ---- one op ---- */

struct applying {
    struct run *run;
    struct op *op;
    struct cell **cells; /* by op key */
    struct keyspace keys;
    int64_t now_ms;          /* the clock that it runs by */
    struct journal *journal; /* NULL: none of its keys keeps one */
    bool written;            /* the last step that is not if_written has written something */
};

/* What a key that is not the op's holds in the archive now; its lane is not asked. */
static void fetch(void *ctx, struct slice key, struct object *o)
{
    struct applying *a = ctx;
    struct archive_found found;
    struct cell cell = {.key = key};

    *o = (struct object){.key = key, .expire_ms = -1};
    enum err e = a->op->error == ERR_NONE ? archive_load(a->run->handle, &key, 1, &a->run->arena, &found)
                                          : a->op->error;
    if (e == ERR_NONE)
        cell_decode(&cell, &found, &a->run->arena);
    if (e != ERR_NONE && a->op->error == ERR_NONE)
        op_fail(a->op, e, archive_why(a->run->handle));
    else if (cell.damaged != NULL)
        op_fail(a->op, ERR_ARCHIVEBAD, cell.damaged);
    else if (e == ERR_NONE)
        *o = cell.object;
}

static bool is_owed(const struct op *op)
{
    return op->role == OP_OWED || op->role == OP_JOURNAL;
}

static void run_engine(struct applying *a, const struct op_step *step, const struct slice *argv, size_t argc)
{
    struct run *r = a->run;
    struct call c = {.argv = argv,
                     .argc = argc,
                     .resp = a->op->resp,
                     .now_ms = a->now_ms,
                     .out = &r->out,
                     .arena = &r->arena,
                     .keys = &a->keys,
                     .fetch = fetch,
                     .fetch_ctx = a,
                     .random = draw,
                     .random_ctx = r};
    struct whole_call w = {.call = &c, .handle = r->handle};
    whole_fn whole = step->fn == NULL ? whole_find(step->cmd) : NULL;

    if (step->fn != NULL)
        step->fn(&c);
    else if (whole != NULL && is_owed(a->op) && (step->cmd->flags & CMD_WRITE) != 0)
        build_err(&r->out, ERR_UNSUPPORTED,
                  "Emptying the archive while Redis has yet to hear of its changes");
    else if (whole != NULL)
        whole(&w);
    else
        build_err(&r->out, ERR_UNSUPPORTED,
                  step->cmd != NULL ? step->cmd->name : "an unknown command on archived keys");
    if (w.error != ERR_NONE)
        op_fail(a->op, w.error, archive_why(r->handle));
}

/* Nothing to take: it waits. What it has changed meanwhile (a consumer was seen) wakes nobody, and is kept only once; not at all
 * where a journal would have to tell of it. */
static void park(struct applying *a)
{
    struct op *op = a->op;

    blocking_pin(op, a->keys.objects);
    op_reply_clear(op);
    op->parks = true;
    for (size_t i = 0; (op->woken || a->journal != NULL) && i < op->nkeys; i++)
        a->keys.objects[i].changed = false;
}

static bool found_nothing(const struct applying *a, const struct op_step *step, struct slice reply)
{
    const struct op *op = a->op;
    return op->block_until_us != 0 && step == &op->steps[op->blocking] &&
           blocking_found_nothing(op, reply, a->keys.objects);
}

/* The key that has woken an op is asked first. */
static struct slice run_command(struct applying *a, const struct op_step *step)
{
    struct run *r = a->run;
    struct op *op = a->op;
    bool waits = op->block_until_us != 0 && step == &op->steps[op->blocking];
    size_t argc;
    const struct slice *narrow = waits && op->woken_by.p != NULL ? blocking_narrow(op, &argc) : NULL;

    if (narrow != NULL)
        run_engine(a, step, narrow, argc);
    if (narrow == NULL || found_nothing(a, step, chain_flat(&r->out))) {
        chain_clear(&r->out);
        run_engine(a, step, op->argv + step->argv, step->argc);
    }
    struct slice reply = chain_flat(&r->out);
    if (found_nothing(a, step, reply) && blocking_came_and_went(op, a->keys.objects, &r->out))
        return chain_flat(&r->out);
    const char *lost = waits ? blocking_lost(op, reply.p, reply.len, a->keys.objects) : NULL;
    return lost != NULL ? (struct slice){lost, strlen(lost)} : reply;
}

/* Adds its reply to the op's. False: the op has failed, or waits. */
static bool run_step(struct applying *a, const struct op_step *step)
{
    struct run *r = a->run;
    struct op *op = a->op;

    if (step->if_written && !a->written) {
        op_reply_add(op, ":0\r\n", 4);
        return true;
    }
    struct slice reply = run_command(a, step);
    if (!step->if_written && reply.len > 0)
        a->written = !plan_nothing_written(step->conditional, reply.p, reply.len);
    if (found_nothing(a, step, reply))
        park(a);
    else if (op->error == ERR_NONE)
        op_reply_add(op, reply.p, reply.len);
    if (a->journal != NULL && !op->parks)
        journal_step(a->journal, step, reply);
    chain_clear(&r->out);
    return op->error == ERR_NONE && !op->parks;
}

static void run_steps(struct applying *a)
{
    struct op *op = a->op;
    char header[32];

    if (op->form == OP_EXEC)
        op_reply_add(op, header, (size_t)snprintf(header, sizeof header, "*%zu\r\n", op->nsteps));
    for (size_t i = 0; i < op->nsteps && run_step(a, &op->steps[i]); i++)
        ;
}

/* Above all that the key has ever had, as far as this process knows. */
static int64_t next_version(const struct run *r, const struct cell *cell, const struct op *op)
{
    int64_t epoch = op->epoch > VERSION_FIRST_EPOCH ? op->epoch : VERSION_FIRST_EPOCH;
    int64_t last = cell->version != 0 ? cell->version : r->counts->gone[cell->hash % RUN_COME];

    return version_next(last, epoch, r->now_us / 1000);
}

static void note_gone(struct run *r, const struct cell *cell)
{
    _Atomic int64_t *gone = &r->counts->gone[cell->hash % RUN_COME];
    int64_t seen = *gone;

    while (seen < cell->version && !atomic_compare_exchange_weak(gone, &seen, cell->version))
        ;
}

/* What the op has done to its keys is what the next one finds. */
static void keep_changes(struct applying *a)
{
    struct op *op = a->op;

    for (size_t i = 0; i < op->nkeys; i++) {
        struct cell *cell = a->cells[i];
        op->keys[i].changed = a->keys.objects[i].changed;
        if (!op->keys[i].changed) {
            cell->object = a->keys.objects[i]; /* an expired one may have been emptied */
            continue;
        }
        struct cell_write w = {.op = op, .object = &a->keys.objects[i], .now_ms = a->now_ms};
        w.version = next_version(a->run, cell, op);
        w.journal = a->journal != NULL ? journal_write(a->journal, i, a->now_ms) : NULL;
        op->changed = true;
        a->run->counts->come[cell->hash % RUN_COME] += !is_there(a->run, cell);
        cell_wrote(cell, &w, &a->run->arena);
        if (cell->object.type == OBJECT_NONE && !cell->tombstone)
            note_gone(a->run, cell);
    }
}

/* The archive has this version then, whether the commands have changed anything or not: Redis has counted it, too. */
static void keep_copies(struct applying *a)
{
    struct op *op = a->op;

    for (size_t i = 0; i < op->nkeys; i++) {
        struct cell *cell = a->cells[i];
        struct cell_write w = {
            .op = op, .object = &a->keys.objects[i], .version = op->keys[i].copied, .now_ms = a->now_ms};
        if (op->keys[i].copied == 0)
            continue;
        op->keys[i].changed = a->keys.objects[i].changed;
        op->changed |= op->keys[i].changed;
        a->run->counts->come[cell->hash % RUN_COME] += op->keys[i].changed && !is_there(a->run, cell);
        cell_copied(cell, &w, &a->run->arena);
    }
}

static bool watches_hold(const struct applying *a)
{
    for (size_t i = 0; i < a->op->nkeys; i++)
        if (a->op->keys[i].watched != -1 && a->op->keys[i].watched != seen_version(a->run, a->cells[i]))
            return false;
    return true;
}

static void answer_watch(struct applying *a)
{
    for (size_t i = 0; i < a->op->nkeys; i++)
        a->op->keys[i].watched = seen_version(a->run, a->cells[i]);
    op_reply_add(a->op, "+OK\r\n", 5);
}

static size_t find_object(const void *ctx, struct slice key)
{
    return op_find_key(ctx, key);
}

static bool find_cells(struct applying *a)
{
    struct op *op = a->op;

    a->cells = arena_get(&a->run->arena, op->nkeys * sizeof *a->cells);
    a->keys.objects = arena_get(&a->run->arena, op->nkeys * sizeof *a->keys.objects);
    a->keys.count = op->nkeys;
    a->keys.find = find_object;
    a->keys.find_ctx = op;
    a->now_ms = op->role == OP_COPY && op->now_ms > 0 ? op->now_ms : a->run->now_us / 1000;
    for (size_t i = 0; i < op->nkeys; i++) {
        a->cells[i] = cell_of(a->run, op->keys[i].key, op->keys[i].hash);
        a->keys.objects[i] = a->cells[i]->object;
        a->keys.objects[i].changed = false;
        if (a->cells[i]->damaged != NULL) {
            op_fail(op, ERR_ARCHIVEBAD, a->cells[i]->damaged);
            return false;
        }
    }
    return true;
}

/* Each of them was looked at: none fails now but in Redis' own words. */
static void run_copies(struct applying *a)
{
    struct op *op = a->op;

    for (size_t i = 0; i < op->nsteps; i++) {
        const struct op_step *step = &op->steps[i];
        if ((step->cmd->flags & CMD_WRITE) == 0 || (step->if_written && !a->written))
            continue;
        run_engine(a, step, op->argv + step->argv, step->argc);
        struct slice reply = chain_flat(&a->run->out);
        if (!step->if_written)
            a->written = !plan_nothing_written(step->conditional, reply.p, reply.len);
        chain_clear(&a->run->out);
    }
}

static void apply_copy(struct applying *a)
{
    const char *why = "";

    switch (copy_look(a->op, a->cells, a->now_ms, &why)) {
    case COPY_RUN:
        run_copies(a);
        keep_copies(a);
        return;
    case COPY_DONE:
        return;
    case COPY_REFUSED:
        op_fail(a->op, ERR_RACE, why);
        return;
    }
}

/* Redis has one of its keys since a later epoch than the op's. */
static bool has_moved(const struct applying *a)
{
    const struct op *op = a->op;

    for (size_t i = 0; op->writes && op->epoch > 0 && i < op->nkeys; i++)
        if (cell_record(a->cells[i])->redis && version_epoch(a->cells[i]->version) > op->epoch)
            return true;
    return false;
}

static void start_journal(struct applying *a)
{
    bool any = false;

    for (size_t i = 0; a->op->writes && i < a->op->nkeys; i++)
        any |= cell_journals(a->cells[i], a->op);
    if (!any)
        return;
    a->journal = arena_get(&a->run->arena, sizeof *a->journal);
    journal_init(a->journal, a->op, &a->run->arena);
}

static void apply_commands(struct applying *a)
{
    struct op *op = a->op;

    if (op->second && again_is(op, a->cells)) {
        again_answer(op, a->cells, a->now_ms);
    } else if (has_moved(a)) {
        op_fail(op, ERR_MOVED, "");
    } else if (!watches_hold(a)) {
        blocking_time_over(op); /* EXEC's nil is the same */
    } else {
        start_journal(a);
        run_steps(a);
        keep_changes(a);
        op->changed &= !op->parks;
    }
}

static void apply(struct run *r, struct op *op)
{
    struct applying a = {.run = r, .op = op};

    op_reply_clear(op);
    op->changed = op->parks = false;
    if (op->cancelled || !find_cells(&a))
        return;
    if (op->form == OP_WATCH)
        answer_watch(&a);
    else if (op->role == OP_COPY)
        apply_copy(&a);
    else
        apply_commands(&a);
}

/* ---- commit ---- */

static enum err commit(struct run *r)
{
    struct archive_write *writes = arena_get(&r->arena, r->ncells * sizeof *writes);
    size_t n = 0;
    enum err e = ERR_NONE;

    for (size_t i = 0; i < r->ncells && e == ERR_NONE; i++) {
        struct cell *cell = &r->cells[i];
        bool remains = cell->object.type != OBJECT_NONE || cell->tombstone;
        if (cell->written && (remains || cell->stored != 0))
            e = cell_encode(cell, r->now_us / 1000, &writes[n++]);
    }
    if (e == ERR_NONE && n > 0)
        e = archive_commit(r->handle, writes, n);
    for (size_t i = 0; i < n; i++)
        bson_destroy((bson_t *)writes[i].doc);
    if (e == ERR_NONE && n > 0) {
        r->counts->commits++;
        r->counts->documents += n;
    }
    return e;
}

/* ---- batches ---- */

static void fail_all(struct run *r, struct op *const *ops, size_t n, enum err e, const char *why)
{
    for (size_t i = 0; i < n; i++) {
        ops[i]->parks = ops[i]->changed = false;
        op_fail(ops[i], e, why);
    }
}

static enum err run_once(struct run *r, struct op *const *ops, size_t n)
{
    arena_reset(&r->arena);
    r->now_us = clock_wall_us();
    make_cells(r, ops, n);
    enum err e = load(r);
    if (e != ERR_NONE)
        return e;
    for (size_t i = 0; i < n; i++)
        apply(r, ops[i]);
    return commit(r);
}

static void run_alone(struct run *r, struct op *op)
{
    enum err e = ERR_RACE;

    for (int i = 0; i < RACES_MAX && e == ERR_RACE; i++) {
        e = run_once(r, &op, 1);
        r->counts->races += e == ERR_RACE;
    }
    if (e == ERR_TOO_LARGE) {
        r->counts->too_large++;
        fail_all(r, &op, 1, e, op->steps[0].cmd->name);
    } else if (e != ERR_NONE) {
        r->error = e == ERR_RACE ? r->error : e;
        fail_all(r, &op, 1, e, archive_why(r->handle));
    }
}

static void run_together(struct run *r, struct op *const *ops, size_t n)
{
    enum err e = run_once(r, ops, n);

    if (e == ERR_NONE)
        return;
    if (e != ERR_RACE && e != ERR_TOO_LARGE && e != ERR_ARCHIVEBAD) {
        r->error = e;
        fail_all(r, ops, n, e, archive_why(r->handle));
        return;
    }
    r->counts->races += e == ERR_RACE;
    for (size_t i = 0; i < n; i++) {
        r->counts->alone++;
        run_alone(r, ops[i]);
    }
}

enum err run_batch(struct run *r, const struct op_list *batch)
{
    struct op **ops = malloc(batch->count * sizeof(struct op *));
    size_t n = 0;

    if (ops == NULL)
        abort();
    for (struct op *op = batch->head; op != NULL; op = op->next)
        ops[n++] = op;
    r->error = ERR_NONE;
    r->counts->batches++;
    r->counts->ops += n;
    if (n == 1)
        run_alone(r, ops[0]);
    else
        run_together(r, ops, n);
    free(ops);
    return r->error;
}
