#include "router/copyable.h"

#include "router/rewrite.h"

#include <stdlib.h>
#include <string.h>

static bool always(const struct slice *argv, size_t argc)
{
    return true;
}

static bool has_word(const struct slice *argv, size_t from, size_t to, const char *word)
{
    for (size_t i = from; i < to; i++)
        if (slice_is(argv[i], word))
            return true;
    return false;
}

/* EX and PX count from the server's now. Other times are absolute. */
static bool is_absolute(const struct slice *argv, size_t argc, size_t from, bool set)
{
    return rewrite_parse_options(argv, argc, set).valid && !has_word(argv, from, argc, "ex") &&
           !has_word(argv, from, argc, "px");
}

static bool if_set_absolute(const struct slice *argv, size_t argc)
{
    return is_absolute(argv, argc, 3, true);
}

static bool if_getex_absolute(const struct slice *argv, size_t argc)
{
    return is_absolute(argv, argc, 2, false);
}

/* The server trims roughly, by its nodes' sizes. */
static bool if_trims_exactly(const struct slice *argv, size_t argc)
{
    return !has_word(argv, 2, argc < 4 ? argc : 4, "~");
}

/* XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] n [LIMIT n]] id …: the id is the first word that belongs to none of them. */
static bool if_id_given(const struct slice *argv, size_t argc)
{
    size_t i = 2;

    if (i < argc && slice_is(argv[i], "nomkstream"))
        i++;
    if (i < argc && (slice_is(argv[i], "maxlen") || slice_is(argv[i], "minid"))) {
        i++;
        if (i < argc && slice_is(argv[i], "~"))
            return false;
        i += i < argc && slice_is(argv[i], "=") ? 2 : 1;
    }
    return i < argc && !slice_is(argv[i], "limit") && !slice_is(argv[i], "nomkstream") &&
           memchr(argv[i].p, '*', argv[i].len) == NULL;
}

/* Sorted: bsearch. */
static const struct row {
    const char *name;
    bool (*test)(const struct slice *argv, size_t argc);
} rows[] = {
    {"append", always},
    {"bitfield", always},
    {"decr", always},
    {"decrby", always},
    {"del", always},
    {"expireat", always},
    {"geoadd", always},
    {"getdel", always},
    {"getex", if_getex_absolute},
    {"getset", always},
    {"hdel", always},
    {"hincrby", always},
    {"hmset", always},
    {"hset", always},
    {"hsetnx", always},
    {"incr", always},
    {"incrby", always},
    {"linsert", always},
    {"lmove", always},
    {"lmpop", always},
    {"lpop", always},
    {"lpush", always},
    {"lpushx", always},
    {"lrem", always},
    {"lset", always},
    {"ltrim", always},
    {"mset", always},
    {"msetnx", always},
    {"persist", always},
    {"pexpireat", always},
    {"pfadd", always},
    {"rename", always},
    {"renamenx", always},
    {"rpop", always},
    {"rpoplpush", always},
    {"rpush", always},
    {"rpushx", always},
    {"sadd", always},
    {"set", if_set_absolute},
    {"setbit", always},
    {"setnx", always},
    {"setrange", always},
    {"smove", always},
    {"srem", always},
    {"unlink", always},
    {"xack", always},
    {"xadd", if_id_given},
    {"xdel", always},
    {"xgroup|create", always},
    {"xgroup|destroy", always},
    {"xgroup|setid", always},
    {"xsetid", always},
    {"xtrim", if_trims_exactly},
    {"zadd", always},
    {"zincrby", always},
    {"zmpop", always},
    {"zpopmax", always},
    {"zpopmin", always},
    {"zrem", always},
    {"zremrangebylex", always},
    {"zremrangebyrank", always},
    {"zremrangebyscore", always},
};

static int compare(const void *name, const void *row)
{
    return strcmp(name, ((const struct row *)row)->name);
}

bool copyable_overwrites(const struct command *cmd, const struct slice *argv, size_t argc)
{
    if (cmd == NULL || (strcmp(cmd->name, "set") != 0 && strcmp(cmd->name, "mset") != 0))
        return false;
    return cmd->name[0] == 'm' || (copyable(cmd, argv, argc) && !has_word(argv, 3, argc, "nx") &&
                                   !has_word(argv, 3, argc, "xx") && !has_word(argv, 3, argc, "get") &&
                                   !has_word(argv, 3, argc, "keepttl"));
}

bool copyable(const struct command *cmd, const struct slice *argv, size_t argc)
{
    if (cmd == NULL)
        return false;
    if ((cmd->flags & CMD_READONLY) != 0)
        return !command_sees_others(cmd) && (cmd->cats & CAT_SCRIPTING) == 0;
    const struct row *row = bsearch(cmd->name, rows, sizeof rows / sizeof rows[0], sizeof rows[0], compare);
    return row != NULL && row->test(argv, argc);
}
