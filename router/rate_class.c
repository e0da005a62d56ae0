#include "router/rate_class.h"

#include <string.h>

/* In alphabetical order. Search: what looks through more than one element or key to find some of them. */
static const struct {
    const char *name;
    enum rate_class class;
} classes[] = {
    {"georadius", RATE_SEARCH},
    {"georadius_ro", RATE_SEARCH},
    {"georadiusbymember", RATE_SEARCH},
    {"georadiusbymember_ro", RATE_SEARCH},
    {"geosearch", RATE_SEARCH},
    {"geosearchstore", RATE_SEARCH},
    {"hscan", RATE_SEARCH},
    {"keys", RATE_SEARCH},
    {"lcs", RATE_SEARCH},
    {"lpos", RATE_SEARCH},
    {"mset", RATE_BULK},
    {"msetnx", RATE_BULK},
    {"scan", RATE_SEARCH},
    {"sdiff", RATE_SEARCH},
    {"sdiffstore", RATE_SEARCH},
    {"sinter", RATE_SEARCH},
    {"sintercard", RATE_SEARCH},
    {"sinterstore", RATE_SEARCH},
    {"sort", RATE_SEARCH},
    {"sort_ro", RATE_SEARCH},
    {"sscan", RATE_SEARCH},
    {"sunion", RATE_SEARCH},
    {"sunionstore", RATE_SEARCH},
    {"zdiff", RATE_SEARCH},
    {"zdiffstore", RATE_SEARCH},
    {"zinter", RATE_SEARCH},
    {"zintercard", RATE_SEARCH},
    {"zinterstore", RATE_SEARCH},
    {"zrangebylex", RATE_SEARCH},
    {"zrangebyscore", RATE_SEARCH},
    {"zrevrangebylex", RATE_SEARCH},
    {"zrevrangebyscore", RATE_SEARCH},
    {"zscan", RATE_SEARCH},
    {"zunion", RATE_SEARCH},
    {"zunionstore", RATE_SEARCH},
};

/* Commands of search modules: FT.SEARCH, FT.AGGREGATE … */
static bool is_module_search(struct slice verb)
{
    return verb.len > 3 && (verb.p[0] | 32) == 'f' && (verb.p[1] | 32) == 't' && verb.p[2] == '.';
}

enum rate_class rate_class_of(const struct command *cmd, const struct slice *argv, size_t argc, size_t queued)
{
    if (queued > 0 && queued % RATE_BULK_COMMANDS == 0)
        return RATE_BULK;
    if (is_module_search(argv[0]))
        return RATE_SEARCH;
    if (cmd == NULL)
        return RATE_DEFAULT;
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (strcmp(classes[i].name, cmd->name) == 0)
            return classes[i].class;
    return (cmd->flags & CMD_WRITE) != 0 && argc - 1 > RATE_BULK_ARGS ? RATE_BULK : RATE_DEFAULT;
}

const char *rate_class_name(enum rate_class c)
{
    static const char *const names[] = {[RATE_DEFAULT] = "default", [RATE_SEARCH] = "search", [RATE_BULK] = "bulk"};
    return names[c];
}
