/* script/redis — the library "redis" of scripts. */
#include "script/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REDIS_VERSION     "7.0.15" /* whose commands, and whose answers, the archive has */
#define REDIS_VERSION_NUM 0x7000f

/* ---- redis.call, redis.pcall ---- */

/* Numbers as Redis writes them. The text takes the number's place on the stack, so that it lives as long as the call. */
static void number_to_text(lua_State *L, int at)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%.17g", (double)lua_tonumber(L, at));

    lua_pushlstring(L, text, (size_t)n);
    lua_replace(L, at);
}

static void room_for(lua_State *L, size_t argc)
{
    struct script_state *st = state_of(L);

    if (argc <= st->argv_cap)
        return;
    size_t cap = 2 * argc;
    struct slice *argv = realloc(st->argv, cap * sizeof *argv);
    if (argv == NULL)
        abort();
    st->argv = argv;
    st->argv_cap = cap;
}

/* The arguments from the first on become st->argv. Else what is wrong with them. */
static const char *take_args(lua_State *L)
{
    struct script_state *st = state_of(L);
    int n = lua_gettop(L);

    if (n == 0)
        return "Please specify at least one argument for this redis lib call";
    room_for(L, (size_t)n);
    for (int i = 1; i <= n; i++) {
        int type = lua_type(L, i);
        if (type != LUA_TNUMBER && type != LUA_TSTRING)
            return "Lua redis lib command arguments must be strings or integers";
        if (type == LUA_TNUMBER)
            number_to_text(L, i);
        st->argv[i - 1].p = lua_tolstring(L, i, &st->argv[i - 1].len);
    }
    return NULL;
}

static bool is_error(lua_State *L)
{
    if (!lua_istable(L, -1))
        return false;
    lua_pushliteral(L, "err");
    lua_rawget(L, -2);
    bool is = lua_isstring(L, -1);
    lua_pop(L, 1);
    return is;
}

static void push_reply(lua_State *L)
{
    struct script_state *st = state_of(L);
    struct slice reply = chain_flat(&st->command);

    if (reply.len > st->script->memory)
        state_end(L, SCRIPT_NO_MEMORY);
    reply_push(L, reply);
    chain_clear(&st->command);
}

static int call(lua_State *L, bool raise)
{
    struct script_state *st = state_of(L);

    state_check(L);
    const char *wrong = take_args(L);
    if (wrong != NULL) {
        reply_push_error(L, wrong, strlen(wrong));
    } else {
        struct script_command c = {.argv = st->argv,
                                   .argc = (size_t)lua_gettop(L),
                                   .resp = st->resp,
                                   .read_only = st->read_only};
        chain_clear(&st->command); /* of one that was not taken */
        if (!st->host->call(st->host->ctx, &c, &st->command))
            state_end(L, SCRIPT_STOPPED);
        push_reply(L);
    }
    return raise && is_error(L) ? lua_error(L) : 1;
}

static int redis_call(lua_State *L)
{
    return call(L, true);
}

static int redis_pcall(lua_State *L)
{
    return call(L, false);
}

static int redis_acl_check_cmd(lua_State *L)
{
    struct script_state *st = state_of(L);
    const char *wrong = take_args(L);
    int may = wrong == NULL ? st->host->may(st->host->ctx, st->argv, (size_t)lua_gettop(L)) : -1;

    if (may < 0) {
        wrong = wrong != NULL ? wrong : "Invalid command passed to redis.acl_check_cmd()";
        reply_push_error(L, wrong, strlen(wrong));
        return lua_error(L);
    }
    lua_pushboolean(L, may);
    return 1;
}

/* ---- replies ---- */

static int wrong_use(lua_State *L)
{
    static const char text[] = "wrong number or type of arguments";
    reply_push_error(L, text, sizeof text - 1);
    return 1;
}

static int redis_status_reply(lua_State *L)
{
    if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING)
        return wrong_use(L);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, 1);
    lua_setfield(L, -2, "ok");
    return 1;
}

static int redis_error_reply(lua_State *L)
{
    size_t n;

    if (lua_gettop(L) != 1 || lua_type(L, 1) != LUA_TSTRING)
        return wrong_use(L);
    const char *text = lua_tolstring(L, 1, &n);
    if (n == 0 || text[0] != '-') {
        lua_pushliteral(L, "-");
        lua_insert(L, 1);
        lua_concat(L, 2);
        text = lua_tolstring(L, 1, &n);
    }
    reply_push_error(L, text, n);
    return 1;
}

/* ---- the rest ---- */

static int raise(lua_State *L, const char *text)
{
    reply_push_error(L, text, strlen(text));
    return lua_error(L);
}

static int redis_sha1hex(lua_State *L)
{
    char sha[SHA1_HEX + 1];
    size_t n;

    if (lua_gettop(L) != 1)
        return raise(L, "wrong number of arguments");
    const char *text = lua_tolstring(L, 1, &n);
    sha1_hex((struct slice){text, text != NULL ? n : 0}, sha);
    lua_pushstring(L, sha);
    return 1;
}

static int redis_log(lua_State *L)
{
    struct script_state *st = state_of(L);
    int n = lua_gettop(L);
    luaL_Buffer b;

    if (n < 2)
        return raise(L, "redis.log() requires two arguments or more.");
    if (!lua_isnumber(L, 1))
        return raise(L, "First argument must be a number (log level).");
    lua_Number level = lua_tonumber(L, 1);
    if (!(level >= 0 && level < 4))
        return raise(L, "Invalid debug level.");
    luaL_buffinit(L, &b);
    for (int i = 2; i <= n; i++) {
        size_t len;
        const char *text = lua_tolstring(L, i, &len);
        if (text == NULL)
            continue;
        if (i > 2)
            luaL_addchar(&b, ' ');
        luaL_addlstring(&b, text, len);
    }
    luaL_pushresult(&b);
    st->host->log(st->host->ctx, (int)level, lua_tostring(L, -1));
    return 0;
}

static int redis_setresp(lua_State *L)
{
    if (lua_gettop(L) != 1)
        return raise(L, "redis.setresp() requires one argument.");
    lua_Number version = lua_tonumber(L, 1);
    if (version != 2 && version != 3)
        return raise(L, "RESP version must be 2 or 3.");
    state_of(L)->resp = version == 3 ? RESP3 : RESP2;
    return 0;
}

/* Nothing is sent anywhere from here: what a script has changed is what counts. */
static int redis_set_repl(lua_State *L)
{
    if (lua_gettop(L) != 1)
        return raise(L, "redis.set_repl() requires two arguments.");
    lua_Number flags = lua_tonumber(L, 1);
    if (!(flags >= 0 && flags < 4))
        return raise(L, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.");
    return 0;
}

static int redis_replicate_commands(lua_State *L)
{
    lua_pushboolean(L, 1);
    return 1;
}

/* There is no debugger here. */
static int redis_breakpoint(lua_State *L)
{
    lua_pushboolean(L, 0);
    return 1;
}

static int redis_debug(lua_State *L)
{
    return 0;
}

static const luaL_Reg functions[] = {{"call", redis_call},
                                     {"pcall", redis_pcall},
                                     {"acl_check_cmd", redis_acl_check_cmd},
                                     {"status_reply", redis_status_reply},
                                     {"error_reply", redis_error_reply},
                                     {"sha1hex", redis_sha1hex},
                                     {"log", redis_log},
                                     {"setresp", redis_setresp},
                                     {"set_repl", redis_set_repl},
                                     {"replicate_commands", redis_replicate_commands},
                                     {"breakpoint", redis_breakpoint},
                                     {"debug", redis_debug},
                                     {NULL, NULL}};

static const struct {
    const char *name;
    int value;
} numbers[] = {{"LOG_DEBUG", 0},   {"LOG_VERBOSE", 1}, {"LOG_NOTICE", 2},
               {"LOG_WARNING", 3}, {"REPL_NONE", 0},   {"REPL_AOF", 1},
               {"REPL_SLAVE", 2},  {"REPL_REPLICA", 2}, {"REPL_ALL", 3},
               {"REDIS_VERSION_NUM", REDIS_VERSION_NUM}};

void library_redis(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        lua_pushinteger(L, numbers[i].value);
        lua_setfield(L, -2, numbers[i].name);
    }
    lua_pushliteral(L, REDIS_VERSION);
    lua_setfield(L, -2, "REDIS_VERSION");
}
