#include "executor/blocking.h"

#include "base/clock.h"
#include "engine/number.h"
#include "engine/stream.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum where { FIRST_SECONDS, LAST_SECONDS, OPTION_MS };

static const struct {
    const char *name;
    enum where where;
} rows[] = {
    {"blpop", LAST_SECONDS},     {"brpop", LAST_SECONDS},     {"blmove", LAST_SECONDS},   {"brpoplpush", LAST_SECONDS},
    {"bzpopmin", LAST_SECONDS},  {"bzpopmax", LAST_SECONDS},  {"blmpop", FIRST_SECONDS},  {"bzmpop", FIRST_SECONDS},
    {"xread", OPTION_MS},        {"xreadgroup", OPTION_MS},
};

#define ROWS (sizeof rows / sizeof rows[0])

static int64_t until(long double ms)
{
    if (ms <= 0)
        return INT64_MAX; /* 0: for ever. The handler refuses what is negative. */
    return ms < 1e15L ? clock_mono_us() + (int64_t)(ms * 1000) : INT64_MAX;
}

static bool is_word(struct slice s, const char *word)
{
    return s.len == strlen(word) && strncasecmp(s.p, word, s.len) == 0;
}

static int64_t from_option(const struct slice *argv, size_t argc)
{
    int64_t ms;
    for (size_t i = 1; i + 1 < argc && !is_word(argv[i], "streams"); i++)
        if (is_word(argv[i], "block"))
            return number_int(argv[i + 1], &ms) ? until((long double)ms) : 0;
    return 0;
}

int64_t blocking_until(const struct op *op)
{
    const struct op_step *step = &op->steps[op->blocking];
    const struct slice *argv = op->argv + step->argv;
    long double seconds;
    size_t i = 0;

    if (step->fn == NULL || (step->cmd->flags & CMD_BLOCKING) == 0)
        return 0;
    while (i < ROWS && strcmp(rows[i].name, step->cmd->name) != 0)
        i++;
    if (i == ROWS)
        return 0;
    if (rows[i].where == OPTION_MS)
        return from_option(argv, step->argc);
    struct slice text = argv[rows[i].where == FIRST_SECONDS ? 1 : step->argc - 1];
    return number_long_double(text, &seconds) ? until(seconds * 1000) : 0;
}

bool blocking_found_nothing(const char *reply, size_t n, bool again)
{
    static const char wrong[] = "-WRONGTYPE ";
    if (reply[0] == '_' || (n >= 2 && reply[1] == '-' && (reply[0] == '$' || reply[0] == '*')))
        return true;
    return again && n >= sizeof wrong - 1 && memcmp(reply, wrong, sizeof wrong - 1) == 0;
}

static struct stream_id last_id(const struct object *o)
{
    return o->type == OBJECT_STREAM ? o->v.stream->last_id : (struct stream_id){0, 0};
}

/* Keys and ids stand in two halves behind STREAMS. */
void blocking_pin(struct op *op, const struct object *objects)
{
    enum { ID_TEXT = 48 };
    const struct op_step *step = &op->steps[op->blocking];
    struct slice *argv = op->argv + step->argv;
    size_t first = 1;

    if (strcmp(step->cmd->name, "xread") != 0 || op->pinned)
        return;
    op->pinned = true;
    while (first < step->argc && !is_word(argv[first], "streams"))
        first++;
    size_t n = (step->argc - ++first) / 2;
    for (size_t i = 0; i < n; i++) {
        struct slice *id = &argv[first + n + i];
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
    op_reply_clear(op);
    op_reply_add(op, nil, strlen(nil));
}
