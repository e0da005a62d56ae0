#include "executor/journal.h"

#include "router/keys.h"
#include "router/plan.h"

#include <stdio.h>
#include <string.h>

#define HEADER 24 /* "*" or "$", a number, CR LF, NUL */

struct journal_key {
    struct slice requests;
    bool lost;
};

void journal_init(struct journal *j, const struct op *op, struct arena *a)
{
    *j = (struct journal){.op = op, .arena = a, .keys = arena_get(a, op->nkeys * sizeof *j->keys)};
}

/* ---- bytes ---- */

static size_t request_length(const struct slice *argv, size_t argc)
{
    char header[HEADER];
    size_t n = (size_t)snprintf(header, sizeof header, "*%zu\r\n", argc);

    for (size_t i = 0; i < argc; i++)
        n += (size_t)snprintf(header, sizeof header, "$%zu\r\n", argv[i].len) + argv[i].len + 2;
    return n;
}

static char *put(char *p, const char *bytes, size_t n)
{
    memcpy(p, bytes, n);
    return p + n;
}

static void append_request(struct journal_key *k, struct arena *a, const struct slice *argv, size_t argc)
{
    size_t len = k->requests.len + request_length(argv, argc);
    char header[HEADER];
    char *bytes = arena_grow(a, k->requests.p, k->requests.len, len);
    char *p = bytes + k->requests.len;

    p = put(p, header, (size_t)snprintf(header, sizeof header, "*%zu\r\n", argc));
    for (size_t i = 0; i < argc; i++) {
        p = put(p, header, (size_t)snprintf(header, sizeof header, "$%zu\r\n", argv[i].len));
        if (argv[i].len > 0)
            p = put(p, argv[i].p, argv[i].len);
        p = put(p, "\r\n", 2);
    }
    k->requests = (struct slice){bytes, len};
}

/* ---- which keys ---- */

/* The keys of one command. */
struct naming {
    struct journal *journal;
    const struct slice *argv;
    size_t first, count; /* count: 2 stands for more than one */
};

static bool count_key(void *ctx, struct key_ref ref)
{
    struct naming *n = ctx;
    size_t key = op_find_key(n->journal->op, n->argv[ref.arg]);

    if (n->count == 0)
        n->first = key;
    if (n->count == 0 || (n->count == 1 && key != n->first))
        n->count++;
    return n->count < 2;
}

static bool lose_key(void *ctx, struct key_ref ref)
{
    struct naming *n = ctx;
    if (ref.write)
        n->journal->keys[op_find_key(n->journal->op, n->argv[ref.arg])].lost = true;
    return true;
}

static bool can_be_repeated(const struct command *cmd)
{
    return strcmp(cmd->name, "spop") != 0 && !command_sees_others(cmd);
}

void journal_command(struct journal *j, const struct command *cmd, const struct slice *argv, size_t argc)
{
    struct naming n = {.journal = j, .argv = argv};

    if (keys_each(cmd, argv, argc, count_key, &n) > 0 && n.count == 1 && can_be_repeated(cmd))
        append_request(&j->keys[n.first], j->arena, argv, argc);
    else
        keys_each(cmd, argv, argc, lose_key, &n);
}

void journal_step(struct journal *j, const struct op_step *step, struct slice reply)
{
    if (step->cmd != NULL && (step->cmd->flags & CMD_WRITE) != 0 &&
        !plan_nothing_written(step->conditional, reply.p, reply.len))
        journal_command(j, step->cmd, j->op->argv + step->argv, step->argc);
}

const struct record_write *journal_write(const struct journal *j, size_t key, int64_t now_ms)
{
    const struct journal_key *k = &j->keys[key];

    if (k->lost || k->requests.len == 0)
        return NULL;
    struct record_write *w = arena_get(j->arena, sizeof *w);
    *w = (struct record_write){.id = j->op->id, .now_ms = now_ms, .requests = k->requests};
    return w;
}
