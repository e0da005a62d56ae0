#include "proxy/compatibility.h"

#include "engine/call.h"
#include "executor/scripted.h"
#include "executor/whole.h"
#include "proxy/debug.h"

#include <ctype.h>
#include <string.h>

/* ---- what differs, and why ---- */

static const struct {
    const char *name; /* a row; or a container, for all of its rows that have no note of their own */
    const char *note;
} notes[] = {
    {"asking", "refused: it would change the connection that clients share, for whoever comes next"},
    {"client", "about the clients of this proxy; inside MULTI it is done when the other commands are"},
    {"client|no-evict", "kept and shown; the proxy evicts nobody"},
    {"client|pause",
     "the clients of this proxy wait, not those of another one; copies between the stores go on"},
    {"client|caching", "on the client's own connection, which tracks"},
    {"client|getredir", "ids are those of the proxy's clients"},
    {"client|tracking", "not inside MULTI; on a connection of the client's own; with REDIRECT in RESP2 on two"},
    {"client|unblock", "whoever lets the client wait: Redis, the archive, or the proxy"},
    {"command", "Redis's own answer, so that commands of modules are in it"},
    {"config", "names with a dot are the proxy's settings, names without are Redis's"},
    {"config|rewrite", "the proxy's file when it has one, else Redis's"},
    {"copy", "to another database: raw keys only"},
    {"debug", "as far as Redis allows it (`enable-debug-command`); see below for what is not passed on"},
    {"fcall", "functions are Redis's own"},
    {"fcall_ro", "functions are Redis's own"},
    {"flushall", "managed keys become tombstones, so that the archive forgets them too"},
    {"flushdb", "managed keys become tombstones, so that the archive forgets them too"},
    {"hello", "inside MULTI another protocol alone, before the commands that use keys, and without WATCH"},
    {"info", "Redis's numbers; clients, port and `# Convproxy` are the proxy's"},
    {"migrate", "raw keys only: a managed key would leave Redis without its version"},
    {"monitor",
     "every command of this proxy's clients, whatever store answers; what scripts call is not shown"},
    {"move", "raw keys only: other databases are Redis's alone"},
    {"psubscribe", "while Redis is away it is confirmed, and made when Redis is back"},
    {"psync", "refused: it would turn a shared connection into a replica's"},
    {"publish", "tells the clients behind this proxy, too, not only its connections; inside MULTI and "
                "scripts those alone"},
    {"pubsub|numsub", "as PUBLISH; clients behind another proxy count as that one's connections"},
    {"pubsub|shardnumsub", "as PUBLISH; clients behind another proxy count as that one's connections"},
    {"readonly", "refused: it would change the connection that clients share"},
    {"readwrite", "refused: it would change the connection that clients share"},
    {"replconf", "refused: it would turn a shared connection into a replica's"},
    {"reset", "all of the connection's state; a pinned connection is given back"},
    {"scan", "the proxy's own keys (`cvp:`) are left out; a cursor tells which store is next"},
    {"script|debug", "refused: the next EVAL would turn a shared connection into a debugger"},
    {"select", "inside MULTI before the commands that use another database, and without WATCH"},
    {"slowlog", "the proxy's own log of slow requests"},
    {"spublish", "as PUBLISH"},
    {"ssubscribe", "while Redis is away it is confirmed, and made when Redis is back"},
    {"subscribe", "while Redis is away it is confirmed, and made when Redis is back"},
    {"swapdb", "raw databases only: not 0 while managed keys are guarded"},
    {"sync", "refused: it would turn a shared connection into a replica's"},
    {"wait", "counts replicas that have all that Redis had done before: so at least this client's writes; "
             "the archive has no replicas"},
    {"watch", "a pinned connection is lent until EXEC, DISCARD or UNWATCH, and used again afterwards"},
    {"xread", "BLOCK: waits in Redis; for managed keys in the proxy"},
    {"xreadgroup", "BLOCK: waits in Redis; for managed keys in the proxy"},
};

static const char *find_note(const char *name, size_t len)
{
    for (size_t i = 0; i < sizeof notes / sizeof notes[0]; i++)
        if (strncmp(notes[i].name, name, len) == 0 && notes[i].name[len] == '\0')
            return notes[i].note;
    return NULL;
}

const char *compatibility_note(const struct command *cmd)
{
    const char *own = find_note(cmd->name, strlen(cmd->name));
    return own != NULL ? own : find_note(cmd->name, strcspn(cmd->name, "|"));
}

/* ---- who answers ---- */

static const char *const by_route[] = {
    [ROUTE_FORWARD] = "forwarded",
    [ROUTE_SLOW] = "forwarded, second lane",
    [ROUTE_URGENT] = "forwarded, on a connection that nothing holds up",
    [ROUTE_LOCAL] = "local",
    [ROUTE_MULTI] = "local, EXEC forwarded",
    [ROUTE_PUBSUB] = "messages",
    [ROUTE_BLOCKING] = "waits in Redis; for managed keys in the proxy",
    [ROUTE_UNSUPPORTED] = "refused",
    [ROUTE_REFUSED] = "refused",
};

static bool names_keys(const struct command *cmd)
{
    for (unsigned i = 0; i < cmd->nspecs; i++)
        if (!cmd->specs[i].not_key && cmd->specs[i].find != FIND_NONE)
            return true;
    return false;
}

static bool is_served(const struct command *cmd)
{
    return engine_find(cmd->name) != NULL || whole_find(cmd) != NULL;
}

/* While the archive acts for the keys that the command names, or for all. */
static const char *by_archive(const struct command *cmd)
{
    switch ((enum cmd_route)cmd->route) {
    case ROUTE_LOCAL:
        return "local";
    case ROUTE_PUBSUB:
        return "messages, if Redis is there";
    case ROUTE_MULTI:
        return "served by the archive";
    case ROUTE_UNSUPPORTED:
    case ROUTE_REFUSED:
        return "refused";
    case ROUTE_BLOCKING:
        return is_served(cmd) ? "served by the archive, parked" : "refused: Redis only";
    case ROUTE_FORWARD:
    case ROUTE_SLOW:
    case ROUTE_URGENT:
        break;
    }
    if (scripted_is(cmd))
        return "served by the archive, embedded Lua";
    if (is_served(cmd))
        return "served by the archive";
    if (strcmp(cmd->name, "script|load") == 0 || strcmp(cmd->name, "script|exists") == 0 ||
        strcmp(cmd->name, "script|flush") == 0 || strcmp(cmd->name, "script|kill") == 0)
        return "answered by the proxy without Redis";
    return names_keys(cmd) ? "refused: Redis only" : "forwarded, if Redis is there";
}

/* ---- the page ---- */

/* The .def file once more, for its chapters: a row with a title begins one. */
static const struct {
    const char *title;
} lines[] = {
#define FAMILY(text) {text},
#define CMD(...)     {NULL},
#include "router/commands.def"
};

static const char intro[] =
    "# Compatibility\n\n"
    "Generated from `router/commands.def`, `engine/engine.def` and `proxy/compatibility.c`; do not edit.\n\n"
    "Every command of Redis 7.0, and what becomes of it:\n\n"
    "- **forwarded**: Redis answers, and its bytes are passed on. Managed keys (those of a policy) get their "
    "TTL, trim, version and mark "
    "in the same step. *Second lane*: on a connection of its own, because it may take long.\n"
    "- **served by the archive**: the same answer, made from the archive's documents.\n"
    "- **parked**: the client waits in the proxy, or on a connection of its own, until there is something to "
    "take.\n"
    "- **messages**: subscriptions are kept by the proxy, which has one subscribing connection a loop; Redis "
    "carries what is published.\n"
    "- **local**: the proxy answers.\n"
    "- **refused**: with an error that says why; the connection goes on.\n\n"
    "*Archive acts* is about managed keys while the archive answers for their policy. Other keys are always "
    "Redis's. Commands of "
    "modules and of newer servers are forwarded as Redis's `COMMAND` describes them.\n";

static const char debug_part[] = "\n## DEBUG\n\n"
                                 "Redis allows DEBUG only where its `enable-debug-command` says so, and the "
                                 "proxy passes it on as it came, but for these:\n\n"
                                 "| Subcommand | Why not |\n|---|---|\n";

static void print_row(FILE *out, const struct command *cmd)
{
    const char *note = compatibility_note(cmd);

    fputs("| `", out);
    for (const char *p = cmd->name; *p != '\0'; p++)
        fputc(*p == '|' ? ' ' : toupper((unsigned char)*p), out);
    if (note == NULL)
        note = cmd->route == ROUTE_UNSUPPORTED ? "not supported by this version" : "";
    fprintf(out, "` | %s | %s | %s |\n", by_route[cmd->route], by_archive(cmd), note);
}

static void print_refused(void *out, const char *name, const char *why)
{
    fprintf(out, "| %s | it %s |\n", name, why);
}

/* Containers answer nothing but errors: their rows are those of the subcommands. */
void compatibility_markdown(FILE *out)
{
    uint16_t id = 0;

    fputs(intro, out);
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        if (lines[i].title != NULL)
            fprintf(out, "\n## %s\n\n| Command | Redis acts | Archive acts | Notes |\n|---|---|---|---|\n",
                    lines[i].title);
        else if (command_at(id++)->container)
            continue;
        else
            print_row(out, command_at((uint16_t)(id - 1)));
    }
    fputs(debug_part, out);
    debug_each_refused(print_refused, out);
}
