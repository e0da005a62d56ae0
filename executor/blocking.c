#include "executor/blocking.h"

#include "base/clock.h"
#include "engine/number.h"
#include "engine/stream.h"
#include "engine/streamargs.h"
#include "resp/build.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum where { FIRST_SECONDS, LAST_SECONDS, OPTION_MS };
enum keys { ONE, UNTIL_TIME, COUNTED, STREAMS };

static const struct {
    const char *name;
    enum where where;
    enum keys keys;
} rows[] = {
    {"blpop", LAST_SECONDS, UNTIL_TIME},    {"brpop", LAST_SECONDS, UNTIL_TIME},    {"blmove", LAST_SECONDS, ONE},
    {"brpoplpush", LAST_SECONDS, ONE},      {"bzpopmin", LAST_SECONDS, UNTIL_TIME}, {"bzpopmax", LAST_SECONDS, UNTIL_TIME},
    {"blmpop", FIRST_SECONDS, COUNTED},     {"bzmpop", FIRST_SECONDS, COUNTED},     {"xread", OPTION_MS, STREAMS},
    {"xreadgroup", OPTION_MS, STREAMS},
};

#define ROWS (sizeof rows / sizeof rows[0])

static int64_t until(long double ms)
{
    if (ms <= 0)
        return INT64_MAX; /* 0: for ever. The handler refuses what is negative. */
    return ms < 1e15L ? clock_mono_us() + (int64_t)(ms * 1000) : INT64_MAX;
}

static size_t find_row(const struct command *cmd)
{
    size_t i = 0;
    while (i < ROWS && strcmp(rows[i].name, cmd->name) != 0)
        i++;
    return i;
}

static size_t find(const struct op_step *step)
{
    return find_row(step->cmd);
}

/* Where XREAD's streams begin; *ret_time: the argument of BLOCK, 0 when there is none. Options are skipped with what
 * belongs to them, since groups and consumers may be called "block" or "streams". */
static size_t first_stream(const struct slice *argv, size_t argc, size_t *ret_time)
{
    size_t i = 1;

    *ret_time = 0;
    while (i + 1 < argc && !slice_is(argv[i], "streams")) {
        if (slice_is(argv[i], "block"))
            *ret_time = i + 1;
        i += slice_is(argv[i], "group") ? 3 : slice_is(argv[i], "noack") ? 1 : 2;
    }
    return i + 1;
}

/* The argument that says how long; 0: there is none. */
static size_t time_arg(const struct slice *argv, size_t argc, enum where where)
{
    size_t arg;

    if (where != OPTION_MS)
        return where == FIRST_SECONDS ? 1 : argc - 1;
    first_stream(argv, argc, &arg);
    return arg;
}

size_t blocking_time_arg(const struct command *cmd, const struct slice *argv, size_t argc)
{
    size_t row = (cmd->flags & CMD_BLOCKING) != 0 ? find_row(cmd) : ROWS;
    return row < ROWS ? time_arg(argv, argc, rows[row].where) : 0;
}

int64_t blocking_end(const struct command *cmd, const struct slice *argv, size_t argc)
{
    size_t arg = blocking_time_arg(cmd, argv, argc);
    long double seconds;
    int64_t ms;

    if (arg == 0)
        return 0;
    if (rows[find_row(cmd)].where == OPTION_MS)
        return number_int(argv[arg], &ms) ? until((long double)ms) : 0;
    return number_long_double(argv[arg], &seconds) ? until(seconds * 1000) : 0;
}

int64_t blocking_until(const struct op *op)
{
    const struct op_step *step = &op->steps[op->blocking];

    return step->fn != NULL ? blocking_end(step->cmd, op->argv + step->argv, step->argc) : 0;
}

void blocking_again(const struct command *cmd, const struct slice *argv, size_t argc, int64_t until_us, int64_t now_us,
                    struct chain *out)
{
    size_t arg = blocking_time_arg(cmd, argv, argc);
    int64_t ms = until_us > now_us ? (until_us - now_us) / 1000 + 1 : 1;
    char text[32];

    if (until_us == INT64_MAX)
        snprintf(text, sizeof text, "0");
    else if (rows[find_row(cmd)].where == OPTION_MS)
        snprintf(text, sizeof text, "%" PRId64, ms);
    else
        snprintf(text, sizeof text, "%" PRId64 ".%03d", ms / 1000, (int)(ms % 1000));
    build_array(out, argc);
    for (size_t i = 0; i < argc; i++) {
        if (i == arg)
            build_text(out, text);
        else
            build_bulk(out, argv[i].p, argv[i].len);
    }
}

void blocking_request(const struct op *op, int64_t now_us, struct chain *out)
{
    const struct op_step *step = &op->steps[op->blocking];

    blocking_again(step->cmd, op->argv + step->argv, step->argc, op->block_until_us, now_us, out);
}

/* ---- what woke it ---- */

static struct blocking_keys keys_of(const struct slice *argv, size_t argc, enum keys keys)
{
    int64_t n = 1;
    size_t first, time;

    switch (keys) {
    case ONE:
        break;
    case UNTIL_TIME:
        return (struct blocking_keys){1, argc - 2, argc - 1};
    case COUNTED:
        number_int(argv[2], &n);
        return (struct blocking_keys){3, (size_t)n, 3 + (size_t)n};
    case STREAMS:
        first = first_stream(argv, argc, &time);
        return (struct blocking_keys){first, (argc - first) / 2, argc};
    }
    return (struct blocking_keys){1, 1, 2};
}

struct blocking_keys blocking_keys(const struct command *cmd, const struct slice *argv, size_t argc)
{
    return keys_of(argv, argc, rows[find_row(cmd)].keys);
}

const struct slice *blocking_narrow(struct op *op, size_t *ret_argc)
{
    const struct op_step *step = &op->steps[op->blocking];
    const struct slice *argv = op->argv + step->argv;
    enum keys keys = rows[find(step)].keys;
    struct blocking_keys k = keys_of(argv, step->argc, keys);
    size_t at = k.first, n = k.first;

    while (at < k.first + k.n && !slice_equal(argv[at], op->woken_by))
        at++;
    if (k.n < 2 || at == k.first + k.n)
        return NULL;
    struct slice *narrow = (struct slice *)op_get(op, (step->argc + 1) * sizeof *narrow);
    memcpy(narrow, argv, k.first * sizeof *narrow);
    if (keys == COUNTED)
        narrow[2] = (struct slice){"1", 1};
    narrow[n++] = argv[at];
    if (keys == STREAMS)
        narrow[n++] = argv[at + k.n];
    for (size_t i = k.rest; i < step->argc; i++)
        narrow[n++] = argv[i];
    *ret_argc = n;
    return narrow;
}

static bool starts(const char *reply, size_t n, const char *with)
{
    return n >= strlen(with) && memcmp(reply, with, strlen(with)) == 0;
}

bool blocking_found_nothing(const struct op *op, struct slice reply, const struct object *objects)
{
    const struct op_step *step = &op->steps[op->blocking];

    if (reply.p[0] == '_' || (reply.len >= 2 && reply.p[1] == '-' && (reply.p[0] == '$' || reply.p[0] == '*')))
        return true;
    if (!op->woken || !starts(reply.p, reply.len, "-WRONGTYPE "))
        return false;
    return rows[find(step)].keys != ONE || objects[op_find_key(op, op->argv[step->argv + 1])].type != OBJECT_LIST;
}

const char *blocking_lost(const struct op *op, const char *reply, size_t n, const struct object *objects)
{
    const struct op_step *step = &op->steps[op->blocking];
    const struct slice *argv = op->argv + step->argv;
    bool gone = starts(reply, n, "-WRONGTYPE "), no_group = starts(reply, n, "-NOGROUP ");

    if (!op->woken || strcmp(step->cmd->name, "xreadgroup") != 0 || !(gone || no_group))
        return NULL;
    struct blocking_keys k = keys_of(argv, step->argc, STREAMS);
    for (size_t i = k.first; i < k.first + k.n; i++)
        gone |= objects[op_find_key(op, argv[i])].type != OBJECT_STREAM;
    return gone ? "-UNBLOCKED the stream key no longer exists\r\n"
                : "-NOGROUP the consumer group this client was blocked on no longer exists\r\n";
}

static struct stream_id last_id(const struct object *o)
{
    return o->type == OBJECT_STREAM ? o->v.stream->last_id : (struct stream_id){0, 0};
}

static size_t find_slice(const struct slice *list, struct slice s)
{
    size_t i = 0;
    while (!slice_equal(list[i], s))
        i++;
    return i;
}

/* RESP2 has no maps: a list of one pair. */
static void build_pair(struct chain *out)
{
    build_array(out, 1);
    build_array(out, 2);
}

/* What came last before the wait: the id that XREAD names, or the group's place in the stream. */
static bool waits_from(const struct op_step *step, const struct slice *argv, struct slice id, const struct object *o, struct stream_id *ret)
{
    size_t i = 1;

    if (strcmp(step->cmd->name, "xread") == 0)
        return stream_id_parse(id, 0, ret);
    while (i + 1 < step->argc && !slice_is(argv[i], "group"))
        i++;
    const struct stream_group *g = i + 1 < step->argc ? stream_group_find(o->v.stream, argv[i + 1]) : NULL;
    if (g != NULL)
        *ret = g->last_id;
    return g != NULL;
}

bool blocking_came_and_went(const struct op *op, const struct object *objects, struct chain *out)
{
    const struct op_step *step = &op->steps[op->blocking];
    const struct slice *argv = op->argv + step->argv;
    struct stream_id id;

    if (strncmp(step->cmd->name, "xread", 5) != 0 || op->woken_by.p == NULL)
        return false;
    struct blocking_keys k = keys_of(argv, step->argc, STREAMS);
    size_t at = k.first + find_slice(argv + k.first, op->woken_by);
    const struct object *o = &objects[op_find_key(op, op->woken_by)];
    if (o->type != OBJECT_STREAM || !waits_from(step, argv, argv[at + k.n], o, &id) || stream_id_compare(last_id(o), id) <= 0)
        return false;
    chain_clear(out);
    if (op->resp == RESP3)
        build_map(out, RESP3, 1);
    else
        build_pair(out);
    build_bulk(out, argv[at].p, argv[at].len);
    build_array(out, 0);
    return true;
}

/* Keys and ids stand in two halves behind STREAMS. Who waits for a stream twice waits from the first id on. */
void blocking_pin(struct op *op, const struct object *objects)
{
    enum { ID_TEXT = 48 };
    const struct op_step *step = &op->steps[op->blocking];
    struct slice *argv = op->argv + step->argv;
    if (strcmp(step->cmd->name, "xread") != 0 || op->pinned)
        return;
    op->pinned = true;
    size_t time, first = first_stream(argv, step->argc, &time);
    size_t n = (step->argc - first) / 2;
    for (size_t i = 0; i < n; i++) {
        struct slice *id = &argv[first + n + i];
        *id = argv[first + n + find_slice(argv + first, argv[first + i])];
        if (id->len != 1 || id->p[0] != '$')
            continue;
        struct stream_id last = last_id(&objects[op_find_key(op, argv[first + i])]);
        char *text = op_get(op, ID_TEXT);
        id->len = (size_t)snprintf(text, ID_TEXT, "%llu-%llu", (unsigned long long)last.ms, (unsigned long long)last.seq);
        id->p = text;
    }
}

void blocking_time_over(struct op *op)
{
    const char *nil = op->resp == RESP3 ? "_\r\n" : "*-1\r\n";
    if (op->role == OP_COPY) {
        op_fail(op, ERR_RACE, "the state before it did not come");
        return;
    }
    if (op->unblocked)
        nil = "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";
    op_reply_clear(op);
    op_reply_add(op, nil, strlen(nil));
}
