#include "router/command_doc.h"

#include "router/command.h"

#include <ctype.h>
#include <stdbool.h>

/* The .def file once more, for its chapters: a row with a title begins one. */
static const struct {
    const char *title;
} lines[] = {
#define FAMILY(text) {text},
#define CMD(...)     {NULL},
#include "router/commands.def"
};

static const char *const answers[] = {
    [ROUTE_FORWARD] = "Redis",
    [ROUTE_SLOW] = "Redis, second lane",
    [ROUTE_URGENT] = "Redis, also while a script runs",
    [ROUTE_LOCAL] = "the proxy",
    [ROUTE_MULTI] = "the session's transaction",
    [ROUTE_BLOCKING] = "may wait",
    [ROUTE_PUBSUB] = "Redis, and the proxy's subscriptions",
    [ROUTE_UNSUPPORTED] = "an error: not supported",
    [ROUTE_REFUSED] = "an error: never on a shared connection",
};

static const char *const ttl_words[] = {
    [TTL_NONE] = "",
    [TTL_SLIDE] = "TTL starts again",
    [TTL_COND] = "TTL starts again if something was written",
    [TTL_SHRINK] = "TTL starts again",
    [TTL_OWN] = "the client's TTL is kept",
    [TTL_SET] = "TTL by the options, else the policy's",
    [TTL_GETEX] = "TTL by the options",
    [TTL_PERSIST] = "the policy's TTL instead of none",
    [TTL_RESTORE] = "a TTL of 0 becomes the policy's",
    [TTL_SCRIPT] = "the policy's TTL where the script leaves none",
};

static const char *const trim_words[] = {
    [TRIM_NONE] = "",
    [TRIM_HEAD] = "keeps the last N elements",
    [TRIM_TAIL] = "keeps the first N elements",
    [TRIM_STREAM] = "keeps the newest N entries",
    [TRIM_ZSET] = "keeps the N highest scores",
    [TRIM_JSON] = "a JSON array keeps its last N elements",
};

static const char intro[] =
    "# Commands\n\n"
    "Generated from `router/commands.def`; do not edit.\n\n"
    "- **Arity** counts the command's name (and its subcommand's); `2+` means at least 2.\n"
    "- **Keys** are argument numbers, the name being 0; `[2] keys` means as many as argument 2 says. A star "
    "marks "
    "keys that the command may change.\n"
    "- **Answered by**: keys of no policy; managed keys are answered by the store that their policy's "
    "placement "
    "names. *May wait*: refused outside MULTI.\n"
    "- **Managed keys** says what the policy adds to a write: `N` is its `max_messages`.\n";

static void print_name(FILE *out, const char *name)
{
    fputs("| `", out);
    for (const char *p = name; *p != '\0'; p++)
        fputc(*p == '|' ? ' ' : toupper((unsigned char)*p), out);
    fputs("` ", out);
}

static void print_range(FILE *out, const struct keyspec *spec)
{
    bool keyword = spec->begin == BEGIN_KEYWORD;
    if (keyword)
        fprintf(out, "after %s", spec->keyword);
    else
        fprintf(out, "%d", spec->index);
    if (spec->a > 0)
        fprintf(out, " to %d", spec->index + spec->a);
    else if (spec->c > 1)
        fprintf(out, " the first 1/%d", spec->c);
    else if (spec->a < 0 && !keyword)
        fputs(spec->a == -1 ? " to last" : " to last but one", out);
    if (spec->b > 1)
        fprintf(out, ", every %dnd", spec->b);
}

static void print_spec(FILE *out, const struct keyspec *spec)
{
    if (spec->not_key)
        fputs("channels ", out);
    switch ((enum keyspec_find)spec->find) {
    case FIND_NONE:
        break;
    case FIND_RANGE:
    case FIND_MIGRATE:
    case FIND_BITFIELD:
        print_range(out, spec);
        break;
    case FIND_KEYNUM:
        fprintf(out, "[%d] keys", spec->index + spec->a);
        break;
    case FIND_UNKNOWN:
        fputs("by stored values", out);
        break;
    case FIND_SORT:
        fputs("after STORE", out);
        break;
    }
    if (spec->write)
        fputs("\\*", out);
}

static void print_added(FILE *out, const struct command *cmd)
{
    const char *trim = trim_words[cmd->trim];
    fprintf(out, "| %s%s%s |\n", ttl_words[cmd->ttl], *trim != '\0' ? "; " : "", trim);
}

static void print_row(FILE *out, const struct command *cmd)
{
    print_name(out, cmd->name);
    fprintf(out, "| %d%s | ", cmd->arity < 0 ? -cmd->arity : cmd->arity, cmd->arity < 0 ? "+" : "");
    for (unsigned i = 0; i < cmd->nspecs; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_spec(out, &cmd->specs[i]);
    }
    fprintf(out, " | %s ", answers[cmd->route]);
    print_added(out, cmd);
}

void commands_markdown(FILE *out)
{
    fputs(intro, out);
    uint16_t id = 0;
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (lines[i].title == NULL)
            print_row(out, command_at(id++));
        else
            fprintf(
                out,
                "\n## %s\n\n| Command | Arity | Keys | Answered by | Managed keys |\n|---|---|---|---|---|\n",
                lines[i].title);
    }
}
