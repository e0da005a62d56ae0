/* dump_commands — the command table for tests and documentation.
 *   dump_commands              every row as a line of JSON, in the shape of Redis's COMMAND reply
 *   dump_commands --keys       reads commands from stdin, arguments separated by tabs; answers each with
 *                              [[argument, "r" or "w"], …], or null when keys_each calls it malformed */
#include "router/command.h"
#include "router/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS 256

static void print_bits(uint32_t bits, const char *(*name)(unsigned bit))
{
    const char *comma = "";
    putchar('[');
    for (unsigned bit = 0; bit < 32; bit++) {
        if (bits >> bit & 1) {
            printf("%s\"%s\"", comma, name(bit) != NULL ? name(bit) : "?");
            comma = ",";
        }
    }
    putchar(']');
}

static void print_begin(const struct keyspec *spec)
{
    if (spec->begin == BEGIN_INDEX)
        printf("{\"type\":\"index\",\"spec\":{\"index\":%d}}", spec->index);
    else if (spec->begin == BEGIN_KEYWORD)
        printf("{\"type\":\"keyword\",\"spec\":{\"keyword\":\"%s\",\"startfrom\":%d}}", spec->keyword,
               spec->index);
    else
        printf("{\"type\":\"unknown\",\"spec\":{}}");
}

static void print_find(const struct keyspec *spec)
{
    switch ((enum keyspec_find)spec->find) {
    case FIND_KEYNUM:
        printf("{\"type\":\"keynum\",\"spec\":{\"keynumidx\":%d,\"firstkey\":%d,\"keystep\":%d}}", spec->a,
               spec->b, spec->c);
        break;
    case FIND_RANGE:
    case FIND_MIGRATE:
    case FIND_BITFIELD:
        printf("{\"type\":\"range\",\"spec\":{\"lastkey\":%d,\"keystep\":%d,\"limit\":%d}}", spec->a, spec->b,
               spec->c);
        break;
    case FIND_NONE:
    case FIND_UNKNOWN:
    case FIND_SORT:
        printf("{\"type\":\"unknown\",\"spec\":{}}");
        break;
    }
}

static void print_row(const struct command *cmd)
{
    printf("{\"name\":\"%s\",\"arity\":%d,\"range\":[%d,%d,%d],\"flags\":", cmd->name, cmd->arity, cmd->first,
           cmd->last, cmd->step);
    print_bits(cmd->flags, command_flag_name);
    printf(",\"categories\":");
    print_bits(cmd->cats, command_cat_name);
    printf(",\"container\":%s,\"specs\":[", cmd->container ? "true" : "false");
    for (unsigned i = 0; i < cmd->nspecs; i++) {
        const struct keyspec *spec = &cmd->specs[i];
        printf("%s{\"write\":%s,\"not_key\":%s,\"begin_search\":", i > 0 ? "," : "",
               spec->write ? "true" : "false", spec->not_key ? "true" : "false");
        print_begin(spec);
        printf(",\"find_keys\":");
        print_find(spec);
        putchar('}');
    }
    printf("],\"route\":\"%s\",\"ttl\":\"%s\",\"trim\":\"%s\"}\n", command_route_name(cmd->route),
           command_ttl_name(cmd->ttl), command_trim_name(cmd->trim));
}

struct found {
    struct key_ref refs[MAX_ARGS];
    size_t count;
};

static bool remember(void *ctx, struct key_ref ref)
{
    struct found *found = ctx;
    found->refs[found->count++] = ref;
    return found->count < MAX_ARGS;
}

static void answer(char *line)
{
    struct slice argv[MAX_ARGS];
    size_t argc = 0;
    struct found found = {.count = 0};
    for (char *arg; argc < MAX_ARGS && (arg = strsep(&line, "\t")) != NULL; argc++)
        argv[argc] = (struct slice){arg, strlen(arg)};
    const struct command *cmd = command_of(argv, argc);
    if (cmd == NULL || keys_each(cmd, argv, argc, remember, &found) < 0) {
        puts("null");
        return;
    }
    putchar('[');
    for (size_t i = 0; i < found.count; i++)
        printf("%s[%u,\"%s\"]", i > 0 ? "," : "", found.refs[i].arg, found.refs[i].write ? "w" : "r");
    puts("]");
}

static void answer_all(void)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&line, &cap, stdin)) > 0) {
        line[len - 1] = '\0'; /* the newline */
        answer(line);
    }
    free(line);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--keys") == 0) {
        answer_all();
    } else {
        for (uint16_t id = 0; id < command_count(); id++)
            print_row(command_at(id));
    }
    return ferror(stdout) != 0;
}
