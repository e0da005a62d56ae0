#include "executor/apply.h"

#include "base/clock.h"
#include "base/version.h"
#include "executor/again.h"
#include "executor/blocking.h"
#include "executor/copy.h"
#include "executor/journal.h"
#include "executor/scripted.h"
#include "executor/whole.h"
#include "router/plan.h"

#include <stdio.h>
#include <string.h>

uint64_t apply_random(void *batch)
{
    struct batch *b = batch;
    b->random ^= b->random << 13;
    b->random ^= b->random >> 7;
    b->random ^= b->random << 17;
    return b->random;
}

static bool is_there(const struct batch *b, const struct cell *cell)
{
    return cell_is_there(cell, b->now_us / 1000);
}

/* What WATCH keeps of a key: its version, or for one that is not there how often keys of its kind have come so far, so that
 * one that came and went is noticed, when this process has seen it. */
static int64_t seen_version(const struct batch *b, const struct cell *cell)
{
    return is_there(b, cell) ? cell->version : -2 - (int64_t)b->counts->come[cell->hash % RUN_COME];
}

struct applying {
    struct batch *batch;
    struct op *op;
    struct cell *const *cells; /* by op key */
    struct keyspace keys;
    int64_t now_ms;          /* the clock that it runs by */
    struct journal *journal; /* NULL: none of its keys keeps one */
    struct scripted *scripted; /* NULL: no script has run */
    bool written;            /* the last step that is not if_written has written something */
};

/* ---- commands ---- */

/* What a key that is not the op's holds in the archive now; its lane is not asked. */
static void fetch(void *ctx, struct slice key, struct object *o)
{
    struct applying *a = ctx;
    struct archive_found found;
    struct cell cell = {.key = key};

    *o = (struct object){.key = key, .expire_ms = -1};
    enum err e = a->op->error == ERR_NONE ? archive_load(a->batch->handle, &key, 1, &a->batch->arena, &found)
                                          : a->op->error;
    if (e == ERR_NONE)
        cell_decode(&cell, &found, &a->batch->arena);
    if (e != ERR_NONE && a->op->error == ERR_NONE)
        op_fail(a->op, e, archive_why(a->batch->handle));
    else if (cell.damaged != NULL)
        op_fail(a->op, ERR_ARCHIVEBAD, cell.damaged);
    else if (e == ERR_NONE)
        *o = cell.object;
}

static bool is_owed(const struct op *op)
{
    return op->role == OP_OWED || op->role == OP_JOURNAL;
}

static void raise_to(_Atomic int64_t *highest, int64_t version)
{
    int64_t seen = *highest;
    while (seen < version && !atomic_compare_exchange_weak(highest, &seen, version))
        ;
}

static void run_whole(struct batch *b, const struct op_step *step, whole_fn whole, struct whole_call *w)
{
    whole(w);
    for (size_t i = 0; (step->cmd->flags & CMD_WRITE) != 0 && i < RUN_COME;
         i++) /* it has emptied the archive */
        raise_to(&b->counts->gone[i], b->counts->newest);
}

static void run_engine(struct applying *a, const struct op_step *step, const struct slice *argv, size_t argc)
{
    struct batch *b = a->batch;
    struct call c = {.argv = argv,
                     .argc = argc,
                     .resp = a->op->resp,
                     .now_ms = a->now_ms,
                     .out = &b->out,
                     .arena = &b->arena,
                     .keys = &a->keys,
                     .fetch = fetch,
                     .fetch_ctx = a,
                     .random = apply_random,
                     .random_ctx = b};
    struct whole_call w = {.call = &c, .handle = b->handle, .no_tombstones = &b->counts->no_tombstones};
    whole_fn whole = step->fn == NULL ? whole_find(step->cmd) : NULL;

    if (step->fn != NULL)
        step->fn(&c);
    else if (whole != NULL && is_owed(a->op) && (step->cmd->flags & CMD_WRITE) != 0)
        build_err(&b->out, ERR_UNSUPPORTED,
                  "Emptying the archive while Redis has yet to hear of its changes");
    else if (whole != NULL)
        run_whole(b, step, whole, &w);
    else
        build_err(&b->out, ERR_UNSUPPORTED,
                  step->cmd != NULL ? step->cmd->name : "an unknown command on archived keys");
    if (w.error != ERR_NONE)
        op_fail(a->op, w.error, archive_why(b->handle));
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
    struct batch *b = a->batch;
    struct op *op = a->op;
    bool waits = op->block_until_us != 0 && step == &op->steps[op->blocking];
    size_t argc;
    const struct slice *narrow = waits && op->woken_by.p != NULL ? blocking_narrow(op, &argc) : NULL;

    if (narrow != NULL)
        run_engine(a, step, narrow, argc);
    if (narrow == NULL || found_nothing(a, step, chain_flat(&b->out))) {
        chain_clear(&b->out);
        run_engine(a, step, op->argv + step->argv, step->argc);
    }
    struct slice reply = chain_flat(&b->out);
    if (found_nothing(a, step, reply) && blocking_came_and_went(op, a->keys.objects, &b->out))
        return chain_flat(&b->out);
    const char *lost = waits ? blocking_lost(op, reply.p, reply.len, a->keys.objects) : NULL;
    return lost != NULL ? (struct slice){lost, strlen(lost)} : reply;
}

/* Scripts of one op share what they know of other keys. */
static void run_script(struct applying *a, const struct op_step *step)
{
    if (a->scripted == NULL) {
        a->scripted = arena_get(&a->batch->arena, sizeof *a->scripted);
        *a->scripted = (struct scripted){.batch = a->batch,
                                         .op = a->op,
                                         .keys = &a->keys,
                                         .journal = a->journal,
                                         .now_ms = a->now_ms,
                                         .fetch = fetch,
                                         .fetch_ctx = a};
    }
    scripted_run(a->scripted, step, &a->batch->out);
}

/* Scripts don't tell by their reply whether they have written. */
static bool has_changed(const struct applying *a)
{
    size_t i = 0;
    while (i < a->op->nkeys && !a->keys.objects[i].changed)
        i++;
    return i < a->op->nkeys;
}

/* Adds its reply to the op's. False: the op has failed, or waits. */
static bool run_step(struct applying *a, const struct op_step *step)
{
    struct batch *b = a->batch;
    struct op *op = a->op;

    if (step->if_written && !a->written) {
        op_reply_add(op, ":0\r\n", 4);
        return true;
    }
    bool script = scripted_is(step->cmd);
    if (script)
        run_script(a, step);
    struct slice reply = script ? chain_flat(&b->out) : run_command(a, step);
    if (script)
        a->written = has_changed(a);
    else if (!step->if_written && reply.len > 0)
        a->written = !plan_nothing_written(step->conditional, reply.p, reply.len);
    if (found_nothing(a, step, reply))
        park(a);
    else if (op->error == ERR_NONE)
        op_reply_add(op, reply.p, reply.len);
    if (a->journal != NULL && !op->parks)
        journal_step(a->journal, step, reply);
    chain_clear(&b->out);
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

/* ---- what they leave ---- */

/* Above all that the key has ever had, as far as this process knows. */
static int64_t next_version(const struct batch *b, const struct cell *cell, const struct op *op)
{
    int64_t epoch = op->epoch > VERSION_FIRST_EPOCH ? op->epoch : VERSION_FIRST_EPOCH;
    int64_t last = cell->version != 0 ? cell->version : b->counts->gone[cell->hash % RUN_COME];

    return version_next(last, epoch, b->now_us / 1000);
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
        w.version = next_version(a->batch, cell, op);
        w.journal = a->journal != NULL ? journal_write(a->journal, i, a->now_ms) : NULL;
        op->changed = true;
        raise_to(&a->batch->counts->newest, w.version);
        a->batch->counts->come[cell->hash % RUN_COME] += !is_there(a->batch, cell);
        cell_wrote(cell, &w, &a->batch->arena);
        if (cell->object.type == OBJECT_NONE && !cell->tombstone)
            raise_to(&a->batch->counts->gone[cell->hash % RUN_COME], cell->version);
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
        a->batch->counts->come[cell->hash % RUN_COME] +=
            a->keys.objects[i].changed && !is_there(a->batch, cell);
        op->keys[i].changed = op->changed = true; /* the version at least: the next copy may wait for it */
        cell_copied(cell, &w, &a->batch->arena);
    }
}

/* ---- ops ---- */

static bool watches_hold(const struct applying *a)
{
    for (size_t i = 0; i < a->op->nkeys; i++)
        if (a->op->keys[i].watched != -1 && a->op->keys[i].watched != seen_version(a->batch, a->cells[i]))
            return false;
    return true;
}

static void answer_watch(struct applying *a)
{
    for (size_t i = 0; i < a->op->nkeys; i++)
        a->op->keys[i].watched = seen_version(a->batch, a->cells[i]);
    op_reply_add(a->op, "+OK\r\n", 5);
}

static size_t find_object(const void *ctx, struct slice key)
{
    return op_find_key(ctx, key);
}

/* False: a document can't be read. */
static bool take_objects(struct applying *a)
{
    struct op *op = a->op;

    a->keys = (struct keyspace){.objects = arena_get(&a->batch->arena, op->nkeys * sizeof *a->keys.objects),
                                .count = op->nkeys,
                                .find = find_object,
                                .find_ctx = op};
    for (size_t i = 0; i < op->nkeys; i++) {
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
        struct slice reply = chain_flat(&a->batch->out);
        if (!step->if_written)
            a->written = !plan_nothing_written(step->conditional, reply.p, reply.len);
        chain_clear(&a->batch->out);
    }
}

/* It waits until one of its keys is changed, but not for long. */
static bool await_predecessor(struct op *op)
{
    int64_t now_us = clock_mono_us();

    if (op->block_until_us == 0)
        op->block_until_us = now_us + COPY_PATIENCE_US;
    op->parks = !op->timed_out && now_us < op->block_until_us;
    return op->parks;
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
    case COPY_EARLY:
        if (await_predecessor(a->op))
            return;
        /* fallthrough */
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
    a->journal = arena_get(&a->batch->arena, sizeof *a->journal);
    journal_init(a->journal, a->op, &a->batch->arena);
}

/* Only where Redis' copy has not come. What cannot be told apart is a gap. */
static void run_part(struct applying *a)
{
    struct op *op = a->op;

    for (size_t i = 0; i < op->nsteps && op->error == ERR_NONE; i++) {
        const struct op_step *step = &op->steps[i];
        enum again_part part = again_part(op, a->cells, step);
        if (part == AGAIN_RUN || part == AGAIN_EACH)
            run_step(a, step);
        for (size_t k = 0; part == AGAIN_EACH && k < op->nkeys; k++) {
            if (again_lacks(op, a->cells, k))
                continue;
            a->keys.objects[k] = a->cells[k]->object;
            a->keys.objects[k].changed = false;
        }
    }
    if (op->error == ERR_NONE)
        op_fail(op, ERR_INDOUBT, "");
}

static void apply_commands(struct applying *a)
{
    struct op *op = a->op;

    if (op->second && again_is_part(op, a->cells)) {
        start_journal(a);
        run_part(a);
        keep_changes(a);
    } else if (op->second && again_is(op, a->cells)) {
        again_answer(op, a->cells, a->now_ms);
    } else if (has_moved(a)) {
        op_fail(op, ERR_MOVED, "");
    } else if (!watches_hold(a)) {
        blocking_time_over(op); /* EXEC's nil is the same */
    } else {
        start_journal(a);
        run_steps(a);
        if (a->scripted != NULL)
            scripted_end(a->scripted);
        if (op->nwanted > 0 || (a->scripted != NULL && op->error != ERR_NONE))
            return; /* what it has done is thrown away */
        keep_changes(a);
        op->changed &= !op->parks;
    }
}

void apply_op(struct batch *b, struct op *op, struct cell *const *cells)
{
    bool by_redis_clock = op->role == OP_COPY && op->now_ms > 0;
    struct applying a = {
        .batch = b, .op = op, .cells = cells, .now_ms = by_redis_clock ? op->now_ms : b->now_us / 1000};

    op_reply_clear(op);
    op->changed = op->parks = false;
    if (op->cancelled || !take_objects(&a))
        return;
    if (op->form == OP_WATCH)
        answer_watch(&a);
    else if (op->role == OP_COPY)
        apply_copy(&a);
    else
        apply_commands(&a);
}
