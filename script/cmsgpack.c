/* script/cmsgpack — the library "cmsgpack": MessagePack. Source: github.com/msgpack/msgpack/blob/master/spec.md; where the library leaves
 * something out (binary and extension types), redis-server 7.0.15. */
#include "script/internal.h"
#include "script/text.h"

#include <limits.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#define NESTING 16 /* tables in tables; what is deeper becomes nil */

/* ---- packing ---- */

static void put_tag(struct text *t, unsigned tag, uint64_t value, size_t bytes)
{
    char *p = text_room(t, 1 + bytes);

    p[0] = (char)tag;
    for (size_t i = 0; i < bytes; i++)
        p[1 + i] = (char)(value >> 8 * (bytes - 1 - i));
    t->n += 1 + bytes;
}

/* The tags of the four lengths follow each other. */
static void put_unsigned(struct text *t, uint64_t v)
{
    if (v < 128)
        put_tag(t, (unsigned)v, 0, 0);
    else if (v <= UINT8_MAX)
        put_tag(t, 0xcc, v, 1);
    else if (v <= UINT16_MAX)
        put_tag(t, 0xcd, v, 2);
    else if (v <= UINT32_MAX)
        put_tag(t, 0xce, v, 4);
    else
        put_tag(t, 0xcf, v, 8);
}

static void put_negative(struct text *t, int64_t v)
{
    if (v >= -32)
        put_tag(t, (unsigned)v & 0xff, 0, 0);
    else if (v >= INT8_MIN)
        put_tag(t, 0xd0, (uint64_t)v, 1);
    else if (v >= INT16_MIN)
        put_tag(t, 0xd1, (uint64_t)v, 2);
    else if (v >= INT32_MIN)
        put_tag(t, 0xd2, (uint64_t)v, 4);
    else
        put_tag(t, 0xd3, (uint64_t)v, 8);
}

static void put_float(struct text *t, double d)
{
    float f = (float)d;
    uint32_t short_bits;
    uint64_t bits;

    if ((double)f == d) {
        memcpy(&short_bits, &f, sizeof f);
        put_tag(t, 0xca, short_bits, 4);
    } else {
        memcpy(&bits, &d, sizeof d);
        put_tag(t, 0xcb, bits, 8);
    }
}

static void put_number(struct text *t, double d)
{
    if (floor(d) != d || !(d >= -9223372036854775808.0 && d < 9223372036854775808.0))
        put_float(t, d);
    else if (d >= 0)
        put_unsigned(t, (uint64_t)d);
    else
        put_negative(t, (int64_t)d);
}

static void put_string(struct text *t, const char *s, size_t n)
{
    if (n < 32)
        put_tag(t, 0xa0 | (unsigned)n, 0, 0);
    else if (n <= UINT8_MAX)
        put_tag(t, 0xd9, n, 1);
    else if (n <= UINT16_MAX)
        put_tag(t, 0xda, n, 2);
    else
        put_tag(t, 0xdb, n, 4);
    text_put(t, s, n);
}

static void put_count(struct text *t, size_t n, unsigned few, unsigned many)
{
    if (n < 16)
        put_tag(t, few | (unsigned)n, 0, 0);
    else if (n <= UINT16_MAX)
        put_tag(t, many, n, 2);
    else
        put_tag(t, many + 1, n, 4);
}

static void put_value(lua_State *L, struct text *t, int depth);

/* Its keys are the numbers from 1 to *ret_n, without a gap. */
static bool is_array(lua_State *L, size_t *ret_n)
{
    double most = 0;

    *ret_n = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        double k = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (!(k >= 1 && k <= INT_MAX) || floor(k) != k) {
            lua_pop(L, 2);
            return false;
        }
        most = k > most ? k : most;
        ++*ret_n;
    }
    return most == (double)*ret_n;
}

static void put_array(lua_State *L, struct text *t, size_t n, int depth)
{
    put_count(t, n, 0x90, 0xdc);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, (int)i);
        put_value(L, t, depth + 1);
    }
}

static void put_map(lua_State *L, struct text *t, int depth)
{
    size_t n = 0;

    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        n++;
    put_count(t, n, 0x80, 0xde);
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pushvalue(L, -2);
        put_value(L, t, depth + 1);
        put_value(L, t, depth + 1);
    }
}

static void put_table(lua_State *L, struct text *t, int depth)
{
    size_t n;

    luaL_checkstack(L, 6, "in function mp_encode_lua_table");
    if (is_array(L, &n))
        put_array(L, t, n, depth);
    else
        put_map(L, t, depth);
}

/* The value on top; popped. */
static void put_value(lua_State *L, struct text *t, int depth)
{
    int type = lua_type(L, -1);
    size_t n;

    if (type == LUA_TSTRING) {
        const char *s = lua_tolstring(L, -1, &n);
        put_string(t, s, n);
    } else if (type == LUA_TNUMBER) {
        put_number(t, lua_tonumber(L, -1));
    } else if (type == LUA_TBOOLEAN) {
        put_tag(t, lua_toboolean(L, -1) ? 0xc3 : 0xc2, 0, 0);
    } else if (type == LUA_TTABLE && depth < NESTING) {
        put_table(L, t, depth);
    } else {
        put_tag(t, 0xc0, 0, 0);
    }
    lua_pop(L, 1);
}

static int msgpack_pack(lua_State *L)
{
    int n = lua_gettop(L);
    struct text t;

    if (n == 0)
        return luaL_argerror(L, 0, "MessagePack pack needs input.");
    luaL_checkstack(L, 3, "Too many arguments for MessagePack pack.");
    text_init(&t, L);
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, i);
        put_value(L, &t, 0);
    }
    text_push(&t);
    return 1;
}

/* ---- unpacking ---- */

struct input {
    const uint8_t *p;
    size_t n;
};

static void take_value(lua_State *L, struct input *in);

static uint64_t take_number(lua_State *L, struct input *in, size_t bytes)
{
    uint64_t v = 0;

    if (in->n < bytes)
        luaL_error(L, "Missing bytes in input.");
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | in->p[i];
    in->p += bytes;
    in->n -= bytes;
    return v;
}

static void take_string(lua_State *L, struct input *in, size_t n)
{
    if (in->n < n)
        luaL_error(L, "Missing bytes in input.");
    lua_pushlstring(L, (const char *)in->p, n);
    in->p += n;
    in->n -= n;
}

static void take_array(lua_State *L, struct input *in, size_t n)
{
    luaL_checkstack(L, 2, "in function mp_decode_to_lua_array");
    lua_newtable(L);
    for (size_t i = 1; i <= n; i++) {
        take_value(L, in);
        lua_rawseti(L, -2, (int)i);
    }
}

static void take_map(lua_State *L, struct input *in, size_t n)
{
    luaL_checkstack(L, 3, "in function mp_decode_to_lua_hash");
    lua_newtable(L);
    for (size_t i = 0; i < n; i++) {
        take_value(L, in);
        bool nil = lua_isnil(L, -1), nan = lua_type(L, -1) == LUA_TNUMBER && isnan(lua_tonumber(L, -1));
        if (nil || nan) {
            lua_pushstring(L, nil ? "table index is nil" : "table index is NaN");
            lua_error(L);
        }
        take_value(L, in);
        lua_settable(L, -3);
    }
}

static void take_float(lua_State *L, struct input *in, bool is_short)
{
    uint64_t bits = take_number(L, in, is_short ? 4 : 8);
    uint32_t short_bits = (uint32_t)bits;
    float f;
    double d;

    memcpy(&f, &short_bits, sizeof f);
    memcpy(&d, &bits, sizeof d);
    lua_pushnumber(L, is_short ? (lua_Number)f : d);
}

/* Tags from 0xc0 to 0xdf. */
static void take_tagged(lua_State *L, struct input *in, unsigned tag)
{
    switch (tag) {
    case 0xc0:
        lua_pushnil(L);
        return;
    case 0xc2:
    case 0xc3:
        lua_pushboolean(L, tag == 0xc3);
        return;
    case 0xca:
    case 0xcb:
        take_float(L, in, tag == 0xca);
        return;
    case 0xcc:
    case 0xcd:
    case 0xce:
        lua_pushnumber(L, (lua_Number)take_number(L, in, (size_t)1 << (tag - 0xcc)));
        return;
    case 0xd0:
        lua_pushnumber(L, (int8_t)take_number(L, in, 1));
        return;
    case 0xd1:
        lua_pushnumber(L, (int16_t)take_number(L, in, 2));
        return;
    case 0xd2:
        lua_pushnumber(L, (int32_t)take_number(L, in, 4));
        return;
    case 0xcf: /* the library takes them as signed, too */
    case 0xd3:
        lua_pushnumber(L, (lua_Number)(int64_t)take_number(L, in, 8));
        return;
    case 0xd9:
    case 0xda:
    case 0xdb:
        take_string(L, in, take_number(L, in, (size_t)1 << (tag - 0xd9)));
        return;
    case 0xdc:
    case 0xdd:
        take_array(L, in, take_number(L, in, tag == 0xdc ? 2 : 4));
        return;
    case 0xde:
    case 0xdf:
        take_map(L, in, take_number(L, in, tag == 0xde ? 2 : 4));
        return;
    default:
        luaL_error(L, "Bad data format in input.");
    }
}

/* Pushes one value. */
static void take_value(lua_State *L, struct input *in)
{
    luaL_checkstack(L, 1, "too many return values at once; use unpack_one or unpack_limit instead.");
    unsigned tag = (unsigned)take_number(L, in, 1);

    if (tag < 0x80)
        lua_pushnumber(L, tag);
    else if (tag < 0x90)
        take_map(L, in, tag & 15);
    else if (tag < 0xa0)
        take_array(L, in, tag & 15);
    else if (tag < 0xc0)
        take_string(L, in, tag & 31);
    else if (tag < 0xe0)
        take_tagged(L, in, tag);
    else
        lua_pushnumber(L, (int8_t)tag);
}

/* limit values, 0: all; from an offset on. Where either is given, the offset of what was left comes first, -1 at the end. */
static int unpack(lua_State *L, int limit, int offset, bool all)
{
    size_t n;
    const char *s = luaL_checklstring(L, 1, &n);
    int taken = 0;

    if (offset < 0 || limit < 0)
        return luaL_error(L, "Invalid request to unpack with offset of %d and limit of %d.", offset, (int)n);
    if ((size_t)offset > n)
        return luaL_error(L, "Start offset %d greater than input length %d.", offset, (int)n);
    if (all)
        limit = INT_MAX;
    struct input in = {(const uint8_t *)s + offset, n - (size_t)offset};
    for (; in.n > 0 && taken < limit; taken++)
        take_value(L, &in);
    if (all)
        return taken;
    luaL_checkstack(L, 1, "too many return values at once; use unpack_one or unpack_limit instead.");
    lua_pushinteger(L, in.n == 0 ? -1 : (lua_Integer)(n - in.n));
    lua_insert(L, -taken - 1);
    return taken + 1;
}

static int msgpack_unpack(lua_State *L)
{
    return unpack(L, 0, 0, true);
}

static int msgpack_unpack_one(lua_State *L)
{
    int offset = (int)luaL_optinteger(L, 2, 0);
    lua_settop(L, 1);
    return unpack(L, 1, offset, false);
}

static int msgpack_unpack_limit(lua_State *L)
{
    int limit = (int)luaL_checkinteger(L, 2), offset = (int)luaL_optinteger(L, 3, 0);
    lua_settop(L, 1);
    return unpack(L, limit, offset, limit == 0 && offset == 0);
}

void library_cmsgpack(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pack", msgpack_pack},
                                         {"unpack", msgpack_unpack},
                                         {"unpack_one", msgpack_unpack_one},
                                         {"unpack_limit", msgpack_unpack_limit},
                                         {NULL, NULL}};

    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_pushliteral(L, "cmsgpack");
    lua_setfield(L, -2, "_NAME");
    lua_pushliteral(L, "lua-cmsgpack 0.4.0"); /* whose ways these are */
    lua_setfield(L, -2, "_VERSION");
}
