#include "executor/op.h"

#include "backends/archive/archive.h"
#include "base/few.h"
#include "executor/blocking.h"
#include "executor/scope.h"
#include "executor/scripted.h"
#include "resp/request.h"
#include "router/keys.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OP_SEARCHED 16 /* fewer keys are compared one by one */

struct op_memory {
    struct op_memory *next;
    char bytes[];
};

/* ---- commands ---- */

#define COMMANDS_MOST 1024

/* engine_find for each row of the command table; written by the constructor only. */
static call_fn engines[COMMANDS_MOST];

__attribute__((constructor)) static void find_engines(void)
{
    if (command_count() > COMMANDS_MOST)
        abort();
    for (uint16_t id = 0; id < command_count(); id++)
        engines[id] = engine_find(command_at(id)->name);
}

/* ---- keys ---- */

/* The place of the key in the index, or the free one where it would be. */
static uint32_t *index_at(const struct op *op, struct slice key, int64_t hash)
{
    size_t mask = op->index_size - 1, at = (size_t)hash & mask;

    while (op->index[at] != 0 && !slice_equal(op->keys[op->index[at] - 1].key, key))
        at = (at + 1) & mask;
    return &op->index[at];
}

static void index_last(struct op *op)
{
    if (2 * op->nkeys <= op->index_size) {
        *index_at(op, op->keys[op->nkeys - 1].key, op->keys[op->nkeys - 1].hash) = (uint32_t)op->nkeys;
        return;
    }
    free(op->index);
    op->index_size = op->index_size == 0 ? 8 * OP_SEARCHED : 4 * op->index_size; /* a power of 2 */
    op->index = calloc(op->index_size, sizeof *op->index);
    if (op->index == NULL)
        abort();
    for (size_t i = 0; i < op->nkeys; i++)
        *index_at(op, op->keys[i].key, op->keys[i].hash) = (uint32_t)i + 1;
}

static size_t find_key(const struct op *op, struct slice key, int64_t hash)
{
    size_t i = 0;

    if (op->index != NULL) {
        uint32_t place = *index_at(op, key, hash);
        return place != 0 ? place - 1 : op->nkeys;
    }
    while (i < op->nkeys && !slice_equal(op->keys[i].key, key))
        i++;
    return i;
}

size_t op_find_key(const struct op *op, struct slice key)
{
    return find_key(op, key, op->index != NULL ? archive_hash(key) : 0);
}

static void add_key(struct op *op, struct slice key, int64_t watched)
{
    bool indexed = op->index != NULL; /* else no hash is needed to find it */
    int64_t hash = indexed ? archive_hash(key) : 0;
    size_t i = find_key(op, key, hash);

    if (i == op->nkeys) {
        if (!indexed)
            hash = archive_hash(key);
        op->keys = few_grow(op->keys, &op->keys_cap, op->nkeys + 1, sizeof *op->keys, op->few_keys);
        op->keys[op->nkeys++] = (struct op_key){.key = key, .hash = hash, .watched = -1};
        if (op->nkeys >= OP_SEARCHED)
            index_last(op);
    }
    if (watched != -1)
        op->keys[i].watched = watched;
}

struct keys_of {
    struct op *op;
    const struct slice *argv;
};

static bool add_ref(void *ctx, struct key_ref ref)
{
    struct keys_of *k = ctx;
    add_key(k->op, k->argv[ref.arg], -1);
    return true;
}

/* Malformed arguments: the handler words the error, and may look at any of them as a key before. */
static void add_keys(struct op *op, const struct op_step *step)
{
    const struct slice *argv = op->argv + step->argv;
    struct keys_of k = {op, argv};

    bool script = scripted_is(step->cmd);

    if (op->form != OP_WATCH && (step->cmd == NULL || (step->fn == NULL && !script)))
        return;
    if (script)
        keys_each(step->cmd, argv, step->argc, add_ref, &k); /* when they are malformed it does not run */
    else if (op->form == OP_WATCH || keys_each(step->cmd, argv, step->argc, add_ref, &k) < 0)
        for (size_t i = 1; i < step->argc; i++)
            add_key(op, argv[i], -1);
}

static void add_step(struct op *op, const struct request *r)
{
    op->steps = few_grow(op->steps, &op->steps_cap, op->nsteps + 1, sizeof *op->steps, op->few_steps);
    op->argv = few_grow(op->argv, &op->argv_cap, op->nargv + r->argc, sizeof *op->argv, op->few_argv);
    struct op_step *step = &op->steps[op->nsteps++];
    *step = (struct op_step){.argv = op->nargv, .argc = r->argc, .cmd = command_of(r->argv, r->argc)};
    memcpy(op->argv + op->nargv, r->argv, r->argc * sizeof *r->argv);
    op->nargv += r->argc;
    if (step->cmd != NULL) {
        step->fn = engines[step->cmd->id];
        op->writes |= (step->cmd->flags & CMD_WRITE) != 0;
    }
    if (scripted_is(step->cmd)) {
        op->scripted = true;
        op->writes |= (step->cmd->flags & CMD_READONLY) == 0;
        if (strncmp(step->cmd->name, "evalsha", 7) != 0)
            step->script = r->argv[1];
    }
}

static void parse(struct op *op, size_t n)
{
    struct slice rest = {op->bytes, n}, raw;
    struct request r;

    request_init(&r);
    while (request_next(&r, &rest, &raw))
        if (r.argc > 0)
            add_step(op, &r);
    request_done(&r);
}

struct op *op_new(enum op_form form, enum resp resp, struct slice requests)
{
    struct op *op = malloc(sizeof *op + requests.len);

    if (op == NULL)
        abort();
    memset(op, 0, offsetof(struct op, few_steps));
    op->form = form;
    op->resp = resp;
    op->steps = op->few_steps;
    op->steps_cap = OP_FEW_STEPS;
    op->argv = op->few_argv;
    op->argv_cap = OP_FEW_ARGS;
    op->keys = op->few_keys;
    op->keys_cap = OP_FEW_KEYS;
    memcpy(op->bytes, requests.p, requests.len);
    parse(op, requests.len);
    for (size_t i = 0; i < op->nsteps; i++)
        add_keys(op, &op->steps[i]);
    return op;
}

/* Its requests as one text. */
static char *requests_of(const struct op *op, size_t *ret_len)
{
    size_t cap = 0, n = 0;

    for (size_t i = 0; i < op->nsteps; i++)
        cap += 24;
    for (size_t i = 0; i < op->nargv; i++)
        cap += op->argv[i].len + 28;
    char *text = malloc(cap + 1);
    if (text == NULL)
        abort();
    for (size_t i = 0; i < op->nsteps; i++) {
        const struct slice *argv = op->argv + op->steps[i].argv;
        n += (size_t)sprintf(text + n, "*%zu\r\n", op->steps[i].argc);
        for (size_t k = 0; k < op->steps[i].argc; k++) {
            n += (size_t)sprintf(text + n, "$%zu\r\n", argv[k].len);
            if (argv[k].len > 0)
                memcpy(text + n, argv[k].p, argv[k].len);
            n += argv[k].len;
            memcpy(text + n, "\r\n", 2);
            n += 2;
        }
    }
    *ret_len = n;
    return text;
}

struct op *op_again(const struct op *op)
{
    size_t n;
    char *text = requests_of(op, &n);
    struct op *again = op_new(op->form, op->resp, (struct slice){text, n});

    free(text);
    for (size_t i = 0; i < op->nsteps; i++) {
        again->steps[i].conditional = op->steps[i].conditional;
        again->steps[i].if_written = op->steps[i].if_written;
    }
    for (size_t i = 0; i < op->nkeys; i++) {
        again->keys[i].copied = op->keys[i].copied;
        again->keys[i].fresh = op->keys[i].fresh;
    }
    again->id = op->id;
    again->epoch = op->epoch;
    again->now_ms = op->now_ms;
    return again;
}

char *op_get(struct op *op, size_t n)
{
    struct op_memory *m = malloc(sizeof *m + n);
    if (m == NULL)
        abort();
    m->next = op->memory;
    op->memory = m;
    return m->bytes;
}

void op_watch(struct op *op, struct slice key, int64_t version)
{
    char *copy = op_get(op, key.len);
    memcpy(copy, key.p, key.len);
    add_key(op, (struct slice){copy, key.len}, version);
}

void op_take_wanted(struct op *op)
{
    for (size_t i = 0; i < op->nwanted; i++)
        add_key(op, op->wanted[i], -1);
    op->nwanted = 0;
    for (size_t i = 0; op->scope != NULL && i < op->nkeys; i++) {
        const struct policy_conf *policy = scope_find(op->scope, op->keys[i].key);
        uint8_t role = policy != NULL && op->writes ? scope_role(op->scope, policy) : (uint8_t)OP_PLAIN;
        op->role = role > op->role ? role : op->role;
    }
}

void op_may_block(struct op *op)
{
    for (size_t i = 0; i < op->nsteps && op->block_until_us == 0; i++) {
        op->blocking = i;
        op->block_until_us = blocking_until(op);
    }
}

void op_free(struct op *own_op)
{
    struct op *op = own_op;

    if (op->steps != op->few_steps)
        free(op->steps);
    if (op->argv != op->few_argv)
        free(op->argv);
    if (op->keys != op->few_keys)
        free(op->keys);
    scope_unref(op->scope);
    free(op->index);
    free(op->reply);
    for (struct op_memory *m = op->memory, *next; m != NULL; m = next) {
        next = m->next;
        free(m);
    }
    free(op);
}

void op_reply_add(struct op *op, const char *p, size_t n)
{
    if (op->reply_len + n > op->reply_cap) {
        size_t cap = op->reply_cap == 0 ? 64 : op->reply_cap * 2;
        op->reply_cap = cap < op->reply_len + n ? op->reply_len + n : cap;
        op->reply = realloc(op->reply, op->reply_cap);
        if (op->reply == NULL)
            abort();
    }
    memcpy(op->reply + op->reply_len, p, n);
    op->reply_len += n;
}

void op_reply_clear(struct op *op)
{
    op->reply_len = 0;
    op->error = ERR_NONE;
    op->published_len = op->publishes = 0;
}

void op_publish(struct op *op, struct slice request)
{
    if (op->published_len + request.len > op->published_cap) {
        size_t cap = 2 * (op->published_len + request.len);
        char *more = op_get(op, cap);
        if (op->published_len > 0)
            memcpy(more, op->published, op->published_len);
        op->published = more;
        op->published_cap = cap;
    }
    memcpy(op->published + op->published_len, request.p, request.len);
    op->published_len += request.len;
    op->publishes++;
}

void op_fail(struct op *op, enum err e, const char *detail)
{
    op->reply_len = 0;
    op->error = e;
    snprintf(op->detail, sizeof op->detail, "%s", detail);
}
