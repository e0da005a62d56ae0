#include "executor/run.h"

#include "base/clock.h"
#include "executor/apply.h"

#include <stdlib.h>
#include <unistd.h>

#define RACES_MAX 16 /* lost in a row before an op gives up */

struct run {
    struct batch batch;
    struct chunk_pool pool;
    struct cell *cells;
    size_t ncells;
    uint32_t *index; /* open addressing: cell number + 1 by hash */
    size_t mask;
    enum err error; /* of the archive's last call */
};

struct run *run_new(struct archive_handle *own_h, struct run_counts *counts)
{
    struct run *r = calloc(1, sizeof *r);

    if (r == NULL)
        abort();
    r->batch.handle = own_h;
    r->batch.counts = counts;
    r->batch.random = (uint64_t)clock_wall_us() * 2654435769u ^ (uint64_t)(uintptr_t)r;
    arena_init(&r->batch.arena);
    chunk_pool_init(&r->pool);
    chain_init(&r->batch.out, &r->pool);
    return r;
}

void run_free(struct run *own_r)
{
    archive_detach(own_r->batch.handle);
    chain_clear(&own_r->batch.out);
    chunk_pool_done(&own_r->pool);
    arena_done(&own_r->batch.arena);
    free(own_r);
}

struct archive_handle *run_handle(struct run *r)
{
    return r->batch.handle;
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
    r->cells = arena_get(&r->batch.arena, (keys + 1) * sizeof *r->cells);
    r->index = arena_get(&r->batch.arena, size * sizeof *r->index);
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
    struct slice *keys = arena_get(&r->batch.arena, r->ncells * sizeof *keys);
    struct archive_found *found = arena_get(&r->batch.arena, r->ncells * sizeof *found);

    for (size_t i = 0; i < r->ncells; i++)
        keys[i] = r->cells[i].key;
    enum err e = archive_load(r->batch.handle, keys, r->ncells, &r->batch.arena, found);
    for (size_t i = 0; e == ERR_NONE && i < r->ncells; i++)
        cell_decode(&r->cells[i], &found[i], &r->batch.arena);
    for (size_t i = 0; e == ERR_NONE && i < r->ncells; i++)
        if (r->cells[i].tombstone)
            r->batch.counts->no_tombstones = false;
    return e;
}

static struct cell **cells_of(struct run *r, const struct op *op)
{
    struct cell **cells = arena_get(&r->batch.arena, op->nkeys * sizeof *cells);

    for (size_t i = 0; i < op->nkeys; i++)
        cells[i] = cell_of(r, op->keys[i].key, op->keys[i].hash);
    return cells;
}

/* ---- commit ---- */

static enum err commit(struct run *r)
{
    struct archive_write *writes = arena_get(&r->batch.arena, r->ncells * sizeof *writes);
    size_t n = 0;
    enum err e = ERR_NONE;

    for (size_t i = 0; i < r->ncells && e == ERR_NONE; i++) {
        struct cell *cell = &r->cells[i];
        bool remains = cell->object.type != OBJECT_NONE || cell->tombstone;
        if (cell->object.type == OBJECT_NONE && cell->tombstone)
            r->batch.counts->no_tombstones = false; /* before it can be counted */
        if (cell->written && (remains || cell->stored != 0))
            e = cell_encode(cell, r->batch.now_us / 1000, &writes[n++]);
    }
    if (e == ERR_NONE && n > 0)
        e = archive_commit(r->batch.handle, writes, n);
    for (size_t i = 0; i < n; i++)
        bson_destroy((bson_t *)writes[i].doc);
    if (e == ERR_NONE && n > 0) {
        r->batch.counts->commits++;
        r->batch.counts->documents += n;
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
    arena_reset(&r->batch.arena);
    r->batch.now_us = clock_wall_us();
    r->batch.spoiled = false;
    make_cells(r, ops, n);
    enum err e = load(r);
    if (e != ERR_NONE)
        return e;
    for (size_t i = 0; i < n; i++)
        apply_op(&r->batch, ops[i], cells_of(r, ops[i]));
    if (r->batch.spoiled)
        return n == 1 ? ERR_NONE : ERR_RACE;
    return commit(r);
}

/* It has spoiled the batch, and is over for now. */
static bool is_out(const struct op *op)
{
    return op->scripted && (op->nwanted > 0 || op->error != ERR_NONE);
}

/* Others write the same key: each waits for another while, the longer the more often it has lost. */
static void stand_back(const struct run *r, int lost)
{
    int64_t most_us = 500 << (lost < 5 ? lost : 5);

    usleep((useconds_t)(((uint64_t)r->batch.now_us * 2654435761u >> 8) % (uint64_t)most_us));
}

static void run_alone(struct run *r, struct op *op)
{
    enum err e = ERR_RACE;

    for (int i = 0; i < RACES_MAX && e == ERR_RACE; i++) {
        e = run_once(r, &op, 1);
        r->batch.counts->races += e == ERR_RACE;
        if (e == ERR_RACE)
            stand_back(r, i);
    }
    if (e == ERR_TOO_LARGE) {
        r->batch.counts->too_large++;
        fail_all(r, &op, 1, e, op->steps[0].cmd->name);
    } else if (e != ERR_NONE) {
        r->error = e == ERR_RACE ? r->error : e;
        fail_all(r, &op, 1, e, archive_why(r->batch.handle));
    }
}

static void run_together(struct run *r, struct op *const *ops, size_t n)
{
    enum err e = run_once(r, ops, n);

    if (e == ERR_NONE)
        return;
    if (e != ERR_RACE && e != ERR_TOO_LARGE && e != ERR_ARCHIVEBAD) {
        r->error = e;
        fail_all(r, ops, n, e, archive_why(r->batch.handle));
        return;
    }
    r->batch.counts->races += e == ERR_RACE && !r->batch.spoiled;
    for (size_t i = 0; i < n; i++) {
        if (is_out(ops[i]))
            continue;
        r->batch.counts->alone++;
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
    r->batch.counts->batches++;
    r->batch.counts->ops += n;
    if (n == 1)
        run_alone(r, ops[0]);
    else
        run_together(r, ops, n);
    free(ops);
    return r->error;
}
