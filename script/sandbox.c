/* script/sandbox — the globals of a script: those of Lua that Redis leaves, changed where Redis has changed them. Stock Lua knows no tables
 * that can't be written; an empty table that shows another one, and refuses to be written, stands for them. */
#include "script/internal.h"

#include <string.h>

static const char real_key; /* of what such a table shows, in its metatable */
static const char shown_key; /* of the globals' metatable, in the registry */

static const char refusal[] = "Attempt to modify a readonly table";

/* ---- tables that can't be written ---- */

static int refuse_write(lua_State *L)
{
    return luaL_error(L, "%s", refusal);
}

void sandbox_protect(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_pushlightuserdata(L, (void *)&real_key);
    lua_pushvalue(L, -4);
    lua_rawset(L, -3);
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

/* Pushes what the table at this place shows. False: it is an ordinary value, and nothing is pushed. */
static bool push_real(lua_State *L, int at)
{
    if (!lua_istable(L, at) || !lua_getmetatable(L, at))
        return false;
    lua_pushlightuserdata(L, (void *)&real_key);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

static void use_real(lua_State *L, int at)
{
    if (push_real(L, at))
        lua_replace(L, at);
}

static void must_be_writable(lua_State *L, int at)
{
    if (!push_real(L, at))
        return;
    lua_pushstring(L, refusal);
    lua_error(L);
}

/* ---- changed functions ---- */

static int base_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    use_real(L, 1);
    lua_settop(L, 2);
    return lua_next(L, 1) ? 2 : (lua_pushnil(L), 1);
}

static int base_pairs(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    use_real(L, 1);
    lua_pushcfunction(L, base_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int base_rawget(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    use_real(L, 1);
    lua_settop(L, 2);
    lua_rawget(L, 1);
    return 1;
}

static int base_getmetatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (lua_rawequal(L, 1, LUA_GLOBALSINDEX)) {
        lua_pushlightuserdata(L, (void *)&shown_key);
        lua_rawget(L, LUA_REGISTRYINDEX);
        return 1;
    }
    if (push_real(L, 1) || !lua_getmetatable(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    luaL_getmetafield(L, 1, "__metatable");
    return 1;
}

/* The first upvalue is Lua's own function; it must not write into what can't be written. */
static int guarded(lua_State *L)
{
    must_be_writable(L, 1);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* What redis.call has raised is told by its text. */
static int base_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    state_check(L);
    if (status != 0 && lua_istable(L, -1)) {
        lua_getfield(L, -1, "err");
        if (lua_isstring(L, -1))
            lua_replace(L, -2);
        else
            lua_pop(L, 1);
    }
    lua_pushboolean(L, status == 0);
    lua_insert(L, 1);
    return lua_gettop(L);
}

/* No hook runs while an error that a hook has raised is handled: the script's own handler must not go on for ever then. */
static int handle(lua_State *L)
{
    if (state_of(L)->end != SCRIPT_ANSWERED)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int base_xpcall(lua_State *L)
{
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    lua_pushcclosure(L, handle, 1);
    lua_insert(L, 1);
    int status = lua_pcall(L, 0, LUA_MULTRET, 1);
    state_check(L);
    lua_pushboolean(L, status == 0);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* Text only: what begins like compiled code gets a blank in front. The chunk, or nil and why not. */
static int load_text(lua_State *L, const char *text, size_t n, const char *name)
{
    if (n > 0 && text[0] == LUA_SIGNATURE[0]) {
        lua_pushliteral(L, " ");
        lua_pushlstring(L, text, n);
        lua_concat(L, 2);
        text = lua_tolstring(L, -1, &n);
    }
    if (luaL_loadbuffer(L, text, n, name) == 0)
        return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static int base_loadstring(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);
    return load_text(L, text, n, luaL_optstring(L, 2, text));
}

static int base_load(lua_State *L)
{
    size_t n;

    luaL_checktype(L, 1, LUA_TFUNCTION);
    const char *name = luaL_optstring(L, 2, "=(load)");
    lua_settop(L, 2);
    lua_pushliteral(L, "");
    for (;;) {
        lua_pushvalue(L, 1);
        int status = lua_pcall(L, 0, 1, 0);
        state_check(L);
        if (status == 0 && (lua_isnil(L, -1) || (lua_isstring(L, -1) && lua_objlen(L, -1) == 0)))
            break;
        if (status != 0 || !lua_isstring(L, -1)) {
            lua_pushnil(L);
            if (status == 0)
                lua_pushliteral(L, "reader function must return a string");
            else
                lua_pushvalue(L, -2);
            return 2;
        }
        lua_concat(L, 2);
    }
    lua_pop(L, 1);
    const char *text = lua_tolstring(L, 3, &n);
    return load_text(L, text, n, name);
}

/* Nothing, many times: the original would count. */
static int string_rep(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING && lua_objlen(L, 1) == 0 && lua_isnumber(L, 2)) {
        lua_pushliteral(L, "");
        return 1;
    }
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* ---- math.random: numbers of 31 bits by the generator that POSIX describes for lrand48 ---- */

static int32_t draw(struct script_state *st)
{
    st->random = (st->random * 0x5deece66dull + 11) & 0xffffffffffff;
    return (int32_t)(st->random >> 17);
}

static int math_random(lua_State *L)
{
    lua_Number r = (lua_Number)(draw(state_of(L)) % INT32_MAX) / (lua_Number)INT32_MAX;
    int low = 1, high;

    switch (lua_gettop(L)) {
    case 0:
        lua_pushnumber(L, r);
        return 1;
    case 1:
        high = luaL_checkint(L, 1);
        luaL_argcheck(L, low <= high, 1, "interval is empty");
        break;
    case 2:
        low = luaL_checkint(L, 1);
        high = luaL_checkint(L, 2);
        luaL_argcheck(L, low <= high, 2, "interval is empty");
        break;
    default:
        return luaL_error(L, "wrong number of arguments");
    }
    lua_Number span = (lua_Number)high - low + 1;
    lua_pushnumber(L, (lua_Number)(int64_t)(r * span) + low);
    return 1;
}

static int math_randomseed(lua_State *L)
{
    uint32_t seed = (uint32_t)(int64_t)luaL_checknumber(L, 1);
    state_of(L)->random = (uint64_t)seed << 16 | 0x330e;
    return 0;
}

/* ---- the globals ---- */

static int no_such_global(lua_State *L)
{
    return luaL_error(L, "Script attempted to access nonexistent global variable '%s'", lua_tostring(L, 2));
}

static void open_library(lua_State *L, const char *name, lua_CFunction open)
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 0);
}

/* The table on top gets guards around what writes into its first argument. */
static void guard(lua_State *L, const char *name)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, guarded, 1);
    lua_setfield(L, -2, name);
}

static void change_base(lua_State *L)
{
    static const luaL_Reg changed[] = {
        {"next", base_next},     {"pairs", base_pairs},           {"rawget", base_rawget}, {"pcall", base_pcall},
        {"xpcall", base_xpcall}, {"loadstring", base_loadstring}, {"load", base_load},     {"getmetatable", base_getmetatable},
        {NULL, NULL}};
    static const char *const gone[] = {"dofile",  "loadfile", "print",   "newproxy", "getfenv",
                                       "setfenv", "require",  "module"};

    lua_pushvalue(L, LUA_GLOBALSINDEX);
    for (const luaL_Reg *f = changed; f->name != NULL; f++) {
        lua_pushcfunction(L, f->func);
        lua_setfield(L, -2, f->name);
    }
    for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) {
        lua_pushnil(L);
        lua_setfield(L, -2, gone[i]);
    }
    guard(L, "rawset");
    guard(L, "setmetatable");
    lua_pop(L, 1);
}

static void change_libraries(lua_State *L)
{
    lua_getglobal(L, LUA_MATHLIBNAME);
    lua_pushcfunction(L, math_random);
    lua_setfield(L, -2, "random");
    lua_pushcfunction(L, math_randomseed);
    lua_setfield(L, -2, "randomseed");
    sandbox_add(L, LUA_MATHLIBNAME);

    lua_getglobal(L, LUA_TABLIBNAME);
    guard(L, "insert");
    guard(L, "remove");
    guard(L, "setn");
    sandbox_add(L, LUA_TABLIBNAME);

    lua_getglobal(L, LUA_STRLIBNAME);
    lua_getfield(L, -1, "rep");
    lua_pushcclosure(L, string_rep, 1);
    lua_setfield(L, -2, "rep");
    sandbox_add(L, LUA_STRLIBNAME);

    lua_getglobal(L, LUA_COLIBNAME);
    sandbox_add(L, LUA_COLIBNAME);
}

/* Whoever asks for the metatable of strings gets one that can't be written. */
static void protect_strings(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_newtable(L);
    lua_getglobal(L, LUA_STRLIBNAME);
    lua_setfield(L, -2, "__index");
    sandbox_protect(L);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}

void sandbox_open(lua_State *L)
{
    open_library(L, "", luaopen_base);
    open_library(L, LUA_TABLIBNAME, luaopen_table);
    open_library(L, LUA_STRLIBNAME, luaopen_string);
    open_library(L, LUA_MATHLIBNAME, luaopen_math);
    change_base(L);
    change_libraries(L);
    protect_strings(L);
}

void sandbox_add(lua_State *L, const char *name)
{
    sandbox_protect(L);
    lua_setglobal(L, name);
}

void sandbox_close(lua_State *L)
{
    lua_pushvalue(L, LUA_GLOBALSINDEX);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, no_such_global);
    lua_setfield(L, -2, "__index");
    lua_pushlightuserdata(L, (void *)&shown_key);
    lua_pushvalue(L, -2);
    sandbox_protect(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    sandbox_protect(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "_G"); /* the real ones, still */
    lua_replace(L, LUA_GLOBALSINDEX);
    lua_pop(L, 1);
}
