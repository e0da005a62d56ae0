#include "script/cjson.h"

#include "script/internal.h"

#include <limits.h>
#include <stdio.h>

static struct cjson *settings(lua_State *L, int most)
{
    luaL_argcheck(L, lua_gettop(L) <= most, most + 1, "found too many arguments");
    lua_settop(L, most);
    return lua_touserdata(L, lua_upvalueindex(1));
}

static int int_option(lua_State *L, int at, int *value, int least, int most)
{
    char why[64];

    if (!lua_isnil(L, at)) {
        int fresh = (int)luaL_checkinteger(L, at);
        snprintf(why, sizeof why, "expected integer between %d and %d", least, most);
        luaL_argcheck(L, least <= fresh && fresh <= most, 1, why);
        *value = fresh;
    }
    lua_pushinteger(L, *value);
    return 1;
}

/* One of the words, of which the first two are false and true. */
static int word_option(lua_State *L, int at, int *value, const char *const *words)
{
    if (lua_isboolean(L, at))
        *value = lua_toboolean(L, at);
    else if (!lua_isnil(L, at))
        *value = luaL_checkoption(L, at, NULL, words);
    if (*value < 2)
        lua_pushboolean(L, *value);
    else
        lua_pushstring(L, words[*value]);
    return 1;
}

static const char *const switches[] = {"off", "on", NULL};
static const char *const invalid_encoded[] = {"off", "on", "null", NULL};

static int bool_option(lua_State *L, int at, bool *value)
{
    int word = *value;
    word_option(L, at, &word, switches);
    *value = word != 0;
    return 1;
}

static int sparse_array(lua_State *L)
{
    struct cjson *c = settings(L, 3);
    bool_option(L, 1, &c->sparse_convert);
    int_option(L, 2, &c->sparse_ratio, 0, INT_MAX);
    int_option(L, 3, &c->sparse_safe, 0, INT_MAX);
    return 3;
}

static int encode_max_depth(lua_State *L)
{
    return int_option(L, 1, &settings(L, 1)->encode_depth, 1, INT_MAX);
}

static int decode_max_depth(lua_State *L)
{
    return int_option(L, 1, &settings(L, 1)->decode_depth, 1, INT_MAX);
}

static int number_precision(lua_State *L)
{
    return int_option(L, 1, &settings(L, 1)->precision, 1, 14);
}

static int keep_buffer(lua_State *L)
{
    return bool_option(L, 1, &settings(L, 1)->keep_buffer);
}

static int encode_invalid_numbers(lua_State *L)
{
    return word_option(L, 1, &settings(L, 1)->encode_invalid, invalid_encoded);
}

static int decode_invalid_numbers(lua_State *L)
{
    return word_option(L, 1, &settings(L, 1)->decode_invalid, switches);
}

static int make_new(lua_State *L)
{
    library_cjson(L);
    return 1;
}

void library_cjson(lua_State *L)
{
    static const luaL_Reg functions[] = {{"encode", cjson_encode},
                                         {"decode", cjson_decode},
                                         {"encode_sparse_array", sparse_array},
                                         {"encode_max_depth", encode_max_depth},
                                         {"decode_max_depth", decode_max_depth},
                                         {"encode_number_precision", number_precision},
                                         {"encode_keep_buffer", keep_buffer},
                                         {"encode_invalid_numbers", encode_invalid_numbers},
                                         {"decode_invalid_numbers", decode_invalid_numbers},
                                         {"new", make_new},
                                         {NULL, NULL}};

    lua_newtable(L);
    struct cjson *c = lua_newuserdata(L, sizeof *c);
    *c = (struct cjson){.sparse_ratio = 2,
                        .sparse_safe = 10,
                        .encode_depth = 1000,
                        .decode_depth = 1000,
                        .precision = 14,
                        .decode_invalid = CJSON_TAKEN,
                        .keep_buffer = true};
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushvalue(L, -1);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -3, f->name);
    }
    lua_pop(L, 1);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_pushliteral(L, "cjson");
    lua_setfield(L, -2, "_NAME");
    lua_pushliteral(L, "2.1.0");
    lua_setfield(L, -2, "_VERSION");
}
