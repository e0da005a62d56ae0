#include "proxy/trial.h"

#include "engine/number.h"
#include "executor/blocking.h"
#include "proxy/reader.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum shape {
    POP,  /* numkeys key … where */
    MPOP, /* the same, but where and the rest are the client's */
    MOVE, /* its arguments without the time */
    READ, /* its arguments without BLOCK */
};
enum told { AS_IS, KEY_VALUE, KEY_MEMBER_SCORE };

static const struct row {
    const char *name, *form;
    enum shape shape;
    const char *where; /* POP */
    enum told told;
    const char *type;
} rows[] = {
    {"blpop", "lmpop", POP, "LEFT", KEY_VALUE, "list"},
    {"brpop", "lmpop", POP, "RIGHT", KEY_VALUE, "list"},
    {"blmpop", "lmpop", MPOP, NULL, AS_IS, "list"},
    {"blmove", "lmove", MOVE, NULL, AS_IS, "list"},
    {"brpoplpush", "rpoplpush", MOVE, NULL, AS_IS, "list"},
    {"bzpopmin", "zmpop", POP, "MIN", KEY_MEMBER_SCORE, "zset"},
    {"bzpopmax", "zmpop", POP, "MAX", KEY_MEMBER_SCORE, "zset"},
    {"bzmpop", "zmpop", MPOP, NULL, AS_IS, "zset"},
    {"xread", "xread", READ, NULL, AS_IS, "stream"},
    {"xreadgroup", "xreadgroup", READ, NULL, AS_IS, "stream"},
};

/* Every row of the command table that may wait for keys has one: tests/unit/proxy/test_trial.c */
static const struct row *find(const struct command *cmd)
{
    size_t i = 0;
    while (strcmp(rows[i].name, cmd->name) != 0)
        i++;
    return &rows[i];
}

bool trial_takes(const struct command *cmd)
{
    return strcmp(cmd->name, "xread") != 0;
}

static uint64_t mix(uint64_t h, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        h = (h ^ (unsigned char)text.p[i]) * 0x9e3779b97f4a7c15u;
    return h;
}

uint64_t trial_kind(const struct command *cmd, const struct slice *argv, size_t argc)
{
    const char *type = find(cmd)->type;
    uint64_t kind = mix(0, (struct slice){type, strlen(type)});
    size_t i = 1;

    if (strcmp(cmd->name, "xreadgroup") != 0)
        return kind;
    while (i + 1 < argc && !slice_is(argv[i], "group"))
        i++;
    return mix(kind, argv[i + 1 < argc ? i + 1 : i]);
}

const char *trial_type(const struct command *cmd)
{
    return find(cmd)->type;
}

/* ---- the request ---- */

static void add(struct trial *t, struct slice word)
{
    t->argv[t->argc++] = word;
}

static void add_text(struct trial *t, const char *text)
{
    add(t, (struct slice){text, strlen(text)});
}

static void add_keys(struct trial *t, const struct slice *keys, const size_t *which, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add(t, keys[which[i]]);
}

static void add_range(struct trial *t, const struct slice *argv, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        add(t, argv[i]);
}

void trial_init(struct trial *t, const struct command *cmd, const struct slice *argv, size_t argc, const size_t *which, size_t n)
{
    const struct row *row = find(cmd);
    struct blocking_keys k = blocking_keys(cmd, argv, argc);
    size_t time = blocking_time_arg(cmd, argv, argc);

    t->argv = malloc((argc + 2) * sizeof *t->argv);
    if (t->argv == NULL)
        abort();
    t->argc = 0;
    snprintf(t->number, sizeof t->number, "%zu", n);
    t->cmd = command_find((struct slice){row->form, strlen(row->form)});
    add_text(t, row->form);
    switch (row->shape) {
    case POP:
    case MPOP:
        add_text(t, t->number);
        add_keys(t, argv + k.first, which, n);
        if (row->shape == POP)
            add_text(t, row->where);
        else
            add_range(t, argv, k.rest, argc);
        break;
    case MOVE:
        add_range(t, argv, 1, time);
        break;
    case READ:
        add_range(t, argv, 1, time - 1);
        add_range(t, argv, time + 1, k.first);
        add_keys(t, argv + k.first, which, n);
        add_keys(t, argv + k.first + k.n, which, n);
        break;
    }
}

void trial_done(struct trial *t)
{
    free(t->argv);
}

/* ---- its time ---- */

bool trial_may_wait(const struct command *cmd, const struct slice *argv, size_t argc)
{
    if (strcmp(cmd->name, "xreadgroup") != 0)
        return true;
    struct blocking_keys k = blocking_keys(cmd, argv, argc);
    for (size_t i = k.first + k.n; i < argc; i++)
        if (!slice_is(argv[i], ">"))
            return false;
    return true;
}

static bool is_end(struct slice word)
{
    return slice_is(word, "left") || slice_is(word, "right");
}

/* Redis looks at these first. */
static bool has_other_error(const struct row *row, const struct slice *argv, size_t argc)
{
    return row->shape == MOVE && argc == 6 && (!is_end(argv[3]) || !is_end(argv[4]));
}

static const char *seconds_error(struct slice word)
{
    long double seconds;

    if (!number_long_double(word, &seconds))
        return "ERR timeout is not a float or out of range";
    long double ms = ceill(seconds * 1000.0L);
    return ms >= 0 && ms < 0x1p63L ? NULL : "ERR timeout is negative";
}

static const char *ms_error(struct slice word)
{
    int64_t ms;

    if (!number_int(word, &ms))
        return "ERR timeout is not an integer or out of range";
    return ms >= 0 ? NULL : "ERR timeout is negative";
}

const char *trial_time_error(const struct command *cmd, const struct slice *argv, size_t argc)
{
    const struct row *row = find(cmd);
    struct slice time = argv[blocking_time_arg(cmd, argv, argc)];

    if (has_other_error(row, argv, argc))
        return NULL;
    return row->shape == READ ? ms_error(time) : seconds_error(time);
}

/* ---- the reply ---- */

static bool starts(struct slice s, const char *text)
{
    size_t n = strlen(text);
    return s.len >= n && memcmp(s.p, text, n) == 0;
}

enum trial_end trial_end(struct slice reply)
{
    if (starts(reply, "-WRONGTYPE "))
        return TRIAL_OTHER_TYPE;
    if (starts(reply, "-NOGROUP "))
        return TRIAL_NO_GROUP;
    if (starts(reply, "-"))
        return TRIAL_ERROR;
    bool nothing = starts(reply, "$-1") || starts(reply, "*-1") || starts(reply, "_") || starts(reply, "*0");
    return nothing ? TRIAL_NOTHING : TRIAL_FOUND;
}

static void put(struct chain *out, struct slice value)
{
    chain_put(out, value.p, value.len);
}

void trial_tell(const struct command *cmd, struct slice reply, struct chain *out)
{
    enum told told = find(cmd)->told;
    struct reader r = {reply};

    if (told == AS_IS) {
        put(out, reply);
        return;
    }
    build_array(out, told == KEY_VALUE ? 2 : 3);
    reader_enter(&r);
    put(out, reader_next(&r));
    reader_enter(&r);
    if (told == KEY_MEMBER_SCORE)
        reader_enter(&r);
    put(out, reader_next(&r));
    if (told == KEY_MEMBER_SCORE)
        put(out, reader_next(&r));
}
