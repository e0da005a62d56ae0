#include "executor/again.h"

#include "base/mutant.h"
#include "base/version.h"
#include "engine/call.h"
#include "engine/list.h"
#include "router/keys.h"

#include <stdio.h>
#include <string.h>

enum answer { ANSWER_OK, ANSWER_LENGTH };

/* What can be told afterwards. */
static const struct row {
    const char *name;
    enum answer answer;
    enum object_type type; /* whose length */
} rows[] = {
    {"rpush", ANSWER_LENGTH, OBJECT_LIST},      {"lpush", ANSWER_LENGTH, OBJECT_LIST},
    {"rpushx", ANSWER_LENGTH, OBJECT_LIST},     {"lpushx", ANSWER_LENGTH, OBJECT_LIST},
    {"linsert", ANSWER_LENGTH, OBJECT_LIST},    {"append", ANSWER_LENGTH, OBJECT_STRING},
    {"setrange", ANSWER_LENGTH, OBJECT_STRING}, {"set", ANSWER_OK, OBJECT_NONE},
    {"mset", ANSWER_OK, OBJECT_NONE},           {"hmset", ANSWER_OK, OBJECT_NONE},
    {"setex", ANSWER_OK, OBJECT_NONE},          {"psetex", ANSWER_OK, OBJECT_NONE},
};

bool again_is(const struct op *op, struct cell *const *cells)
{
    for (size_t i = 0; i < op->nkeys && !MUTANT(skip_ids); i++)
        if (record_has(cell_record(cells[i]), &op->id))
            return true;
    return false;
}

/* ---- in part ---- */

bool again_lacks(const struct op *op, struct cell *const *cells, size_t key)
{
    const struct record *r = cell_record(cells[key]);
    int64_t copied = op->keys[key].copied, version = cells[key]->version;
    bool later = copied != 0 && r->redis && version_epoch(version) == version_epoch(copied) && version >= copied;

    return !later && !record_has(r, &op->id);
}

struct counting {
    const struct op *op;
    struct cell *const *cells;
    const struct slice *argv;
    bool any_redis;
    size_t has, lacks;
};

static bool count_key(void *ctx, struct key_ref ref)
{
    struct counting *c = ctx;
    size_t key = op_find_key(c->op, c->argv[ref.arg]);

    if (!ref.write || key == c->op->nkeys)
        return true;
    bool lacks = again_lacks(c->op, c->cells, key);
    c->lacks += lacks;
    c->has += !lacks;
    c->any_redis |= !lacks && cell_record(c->cells[key])->redis;
    return true;
}

static void count_step(struct counting *c, const struct op_step *step)
{
    c->argv = c->op->argv + step->argv;
    if (step->cmd != NULL && (step->cmd->flags & CMD_WRITE) != 0)
        keys_each(step->cmd, c->argv, step->argc, count_key, c);
}

bool again_is_part(const struct op *op, struct cell *const *cells)
{
    struct counting c = {.op = op, .cells = cells};

    for (size_t i = 0; i < op->nsteps && op->nkeys > 1; i++)
        count_step(&c, &op->steps[i]);
    return c.any_redis && c.lacks > 0;
}

static bool treats_each(const struct op_step *step)
{
    return strcmp(step->cmd->name, "mset") == 0 || strcmp(step->cmd->name, "del") == 0 ||
           strcmp(step->cmd->name, "unlink") == 0;
}

enum again_part again_part(const struct op *op, struct cell *const *cells, const struct op_step *step)
{
    struct counting c = {.op = op, .cells = cells};

    count_step(&c, step);
    if (c.lacks == 0)
        return AGAIN_SKIP;
    if (c.has == 0)
        return AGAIN_RUN;
    return treats_each(step) ? AGAIN_EACH : AGAIN_LOST;
}

/* ---- the answer ---- */

static bool is_named(const struct op_step *step, const char *name)
{
    return step->cmd != NULL && strcmp(step->cmd->name, name) == 0;
}

/* The client's only command among what the policy has added (PEXPIRETIME before it, trim and expiry behind it); NULL: there are
 * several. */
static const struct op_step *only_step(const struct op *op)
{
    const struct op_step *only = NULL;

    for (size_t i = 0; i < op->nsteps; i++) {
        const struct op_step *step = &op->steps[i];
        if (step->if_written || (op->nsteps > 1 && is_named(step, "pexpiretime")))
            continue;
        if (only != NULL)
            return NULL;
        only = step;
    }
    return only;
}

static const struct row *find(const struct op_step *step)
{
    for (size_t i = 0; step->cmd != NULL && i < sizeof rows / sizeof *rows; i++)
        if (strcmp(rows[i].name, step->cmd->name) == 0)
            return &rows[i];
    return NULL;
}

/* With one of these SET's outcome depended on what was there before. */
static bool asks_before(const struct slice *argv, size_t argc)
{
    for (size_t i = 3; i < argc; i++)
        if (slice_is(argv[i], "nx") || slice_is(argv[i], "xx") || slice_is(argv[i], "get"))
            return true;
    return false;
}

/* LINSERT may have found no pivot: then its element is not there either, or it was before. */
static bool holds(const struct object *o, struct slice element)
{
    for (size_t i = 0; o->type == OBJECT_LIST && i < o->v.list->count; i++)
        if (slice_equal(*list_at(o->v.list, i), element))
            return true;
    return false;
}

static bool tell_length(const struct cell *c, enum object_type type, int64_t now_ms, char *text, size_t cap)
{
    bool there = cell_is_there(c, now_ms);

    if (there && c->object.type != type)
        return false;
    size_t n = !there ? 0 : type == OBJECT_LIST ? c->object.v.list->count : c->object.v.string.len;
    snprintf(text, cap, ":%zu\r\n", n);
    return true;
}

/* False: nobody knows. */
static bool tell(const struct op *op, const struct op_step *step, struct cell *const *cells, int64_t now_ms,
                 char *text, size_t cap)
{
    const struct slice *argv = op->argv + step->argv;
    const struct row *row = find(step);

    if (row == NULL)
        return false;
    const struct cell *c = cells[op_find_key(op, argv[1])];
    if (row->answer == ANSWER_LENGTH)
        return (!is_named(step, "linsert") || holds(&c->object, argv[4])) &&
               tell_length(c, row->type, now_ms, text, cap);
    snprintf(text, cap, "+OK\r\n");
    return !is_named(step, "set") || !asks_before(argv, step->argc);
}

void again_answer(struct op *op, struct cell *const *cells, int64_t now_ms)
{
    const struct op_step *only = only_step(op);
    char text[32];

    if (only == NULL || !tell(op, only, cells, now_ms, text, sizeof text)) {
        op_fail(op, ERR_INDOUBT, "");
        return;
    }
    if (op->form == OP_EXEC) {
        char header[32];
        op_reply_add(op, header, (size_t)snprintf(header, sizeof header, "*%zu\r\n", op->nsteps));
    }
    for (size_t i = 0; i < op->nsteps; i++) {
        const char *reply = &op->steps[i] == only ? text : ":0\r\n"; /* nobody asks for the others */
        op_reply_add(op, reply, strlen(reply));
    }
}
