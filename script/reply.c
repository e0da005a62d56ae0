/* script/reply — RESP as Lua values, and Lua values as RESP. Source: redis.io/docs/manual/programmability/lua-api, "Data type conversion". */
#include "script/internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- errors ---- */

void reply_push_error(lua_State *L, const char *text, size_t n)
{
    while (n > 0 && (text[n - 1] == '\r' || text[n - 1] == '\n'))
        n--;
    lua_createtable(L, 0, 2);
    bool coded = n > 0 && text[0] == '-';
    text += coded;
    n -= coded;
    if (coded && memchr(text, ' ', n) != NULL)
        lua_pushlstring(L, text, n);
    else {
        lua_pushliteral(L, "ERR ");
        lua_pushlstring(L, text, n);
        lua_concat(L, 2);
    }
    lua_setfield(L, -2, "err");
}

/* ---- to Lua ---- */

static void push_value(lua_State *L, struct slice *rest);

/* The line, without its first byte and its end; rest begins behind it. */
static struct slice take_line(lua_State *L, struct slice *rest)
{
    const char *end = rest->len > 1 ? memchr(rest->p + 1, '\r', rest->len - 1) : NULL;

    if (end == NULL || (size_t)(end - rest->p) + 2 > rest->len)
        luaL_error(L, "a reply that is not whole");
    struct slice line = {rest->p + 1, (size_t)(end - rest->p) - 1};
    rest->p = end + 2;
    rest->len -= line.len + 3;
    return line;
}

/* Decimal digits with a sign; what follows them does not matter. */
static long long number_of(struct slice line)
{
    char text[24];
    size_t n = line.len < sizeof text - 1 ? line.len : sizeof text - 1;

    memcpy(text, line.p, n);
    text[n] = '\0';
    return strtoll(text, NULL, 10);
}

static struct slice take_bytes(lua_State *L, struct slice *rest, long long n)
{
    if (n < 0 || (unsigned long long)n > rest->len || rest->len - (size_t)n < 2)
        luaL_error(L, "a reply that is not whole");
    struct slice bytes = {rest->p, (size_t)n};
    rest->p += n + 2;
    rest->len -= (size_t)n + 2;
    return bytes;
}

static void push_slice(lua_State *L, struct slice s)
{
    lua_pushlstring(L, s.len > 0 ? s.p : "", s.len);
}

static void push_field(lua_State *L, const char *name, struct slice s)
{
    lua_createtable(L, 0, 1);
    push_slice(L, s);
    lua_setfield(L, -2, name);
}

static void push_double(lua_State *L, struct slice line)
{
    lua_createtable(L, 0, 1);
    push_slice(L, line);
    lua_pushnumber(L, strtod(lua_tostring(L, -1), NULL));
    lua_remove(L, -2);
    lua_setfield(L, -2, "double");
}

static void push_array(lua_State *L, struct slice *rest, long long n)
{
    lua_newtable(L);
    for (long long i = 1; i <= n; i++) {
        push_value(L, rest);
        lua_rawseti(L, -2, (int)i);
    }
}

/* { map = { key = value } }, or { set = { member = true } }. */
static void push_keyed(lua_State *L, struct slice *rest, long long n, const char *name)
{
    bool map = name[0] == 'm';

    lua_createtable(L, 0, 1);
    lua_newtable(L);
    for (long long i = 0; i < n; i++) {
        push_value(L, rest);
        if (map)
            push_value(L, rest);
        else
            lua_pushboolean(L, 1);
        if (lua_isnil(L, -2))
            luaL_error(L, "a reply with a null as a key");
        lua_rawset(L, -3);
    }
    lua_setfield(L, -2, name);
}

static void push_verbatim(lua_State *L, struct slice bytes)
{
    size_t format = bytes.len < 3 ? bytes.len : 3, text = bytes.len < 4 ? bytes.len : 4;

    lua_createtable(L, 0, 1);
    lua_createtable(L, 0, 2);
    push_slice(L, (struct slice){bytes.p + text, bytes.len - text});
    lua_setfield(L, -2, "string");
    push_slice(L, (struct slice){bytes.p, format});
    lua_setfield(L, -2, "format");
    lua_setfield(L, -2, "verbatim_string");
}

static void push_error(lua_State *L, struct slice line)
{
    lua_createtable(L, 0, 2);
    push_slice(L, line);
    lua_setfield(L, -2, "err");
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, "ignore_error_stats_update");
}

static void push_value(lua_State *L, struct slice *rest)
{
    luaL_checkstack(L, 8, "a reply that is too deep");
    char kind = rest->len > 0 ? rest->p[0] : '\0';
    struct slice line = take_line(L, rest);

    switch (kind) {
    case ':':
        lua_pushnumber(L, (lua_Number)number_of(line));
        return;
    case '$':
        if (number_of(line) < 0)
            lua_pushboolean(L, 0);
        else
            push_slice(L, take_bytes(L, rest, number_of(line)));
        return;
    case '+':
        push_field(L, "ok", line);
        return;
    case '-':
        push_error(L, line);
        return;
    case '*':
        if (number_of(line) < 0)
            lua_pushboolean(L, 0);
        else
            push_array(L, rest, number_of(line));
        return;
    case '%':
        push_keyed(L, rest, number_of(line), "map");
        return;
    case '~':
        push_keyed(L, rest, number_of(line), "set");
        return;
    case '_':
        lua_pushnil(L);
        return;
    case '#':
        lua_pushboolean(L, line.len > 0 && line.p[0] == 't');
        return;
    case ',':
        push_double(L, line);
        return;
    case '(':
        push_field(L, "big_number", line);
        return;
    case '=':
        push_verbatim(L, take_bytes(L, rest, number_of(line)));
        return;
    default:
        luaL_error(L, "a reply of an unknown kind");
    }
}

void reply_push(lua_State *L, struct slice reply)
{
    push_value(L, &reply);
}

/* ---- to the client ---- */

/* Pushes a field of the table on top; false, and nothing is pushed: it is not of this type. */
static bool get_field(lua_State *L, const char *name, int type)
{
    lua_pushstring(L, name);
    lua_rawget(L, -2);
    if (lua_type(L, -1) == type)
        return true;
    lua_pop(L, 1);
    return false;
}

static bool tell_err(lua_State *L, struct chain *out)
{
    if (!get_field(L, "err", LUA_TSTRING))
        return false;
    build_error(out, lua_tostring(L, -1));
    return true;
}

static bool tell_ok(lua_State *L, struct chain *out)
{
    if (!get_field(L, "ok", LUA_TSTRING))
        return false;
    build_status(out, lua_tostring(L, -1));
    return true;
}

static bool tell_double(lua_State *L, struct chain *out)
{
    char digits[40];

    if (!get_field(L, "double", LUA_TNUMBER))
        return false;
    lua_Number d = lua_tonumber(L, -1);
    int n = isinf(d) ? snprintf(digits, sizeof digits, d > 0 ? "inf" : "-inf")
                     : snprintf(digits, sizeof digits, "%.17g", d);
    build_double(out, state_of(L)->script->resp, digits, (size_t)n);
    return true;
}

static size_t count_pairs(lua_State *L)
{
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        n++;
    return n;
}

static bool tell_keyed(lua_State *L, struct chain *out, bool map)
{
    enum resp resp = state_of(L)->script->resp;

    if (!get_field(L, map ? "map" : "set", LUA_TTABLE))
        return false;
    size_t n = count_pairs(L);
    if (map)
        build_map(out, resp, n);
    else
        build_set(out, resp, n);
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pushvalue(L, -2);
        reply_tell(L, out);
        if (map)
            reply_tell(L, out);
        else
            lua_pop(L, 1);
    }
    return true;
}

static bool tell_map(lua_State *L, struct chain *out)
{
    return tell_keyed(L, out, true);
}

static bool tell_set(lua_State *L, struct chain *out)
{
    return tell_keyed(L, out, false);
}

static bool tell_big_number(lua_State *L, struct chain *out)
{
    char *text;
    size_t n;

    if (!get_field(L, "big_number", LUA_TSTRING))
        return false;
    const char *digits = lua_tolstring(L, -1, &n);
    text = lua_newuserdata(L, n + 1);
    for (size_t i = 0; i < n; i++)
        text[i] = digits[i] == '\r' || digits[i] == '\n' ? ' ' : digits[i];
    if (state_of(L)->script->resp == RESP3) {
        chain_put(out, "(", 1);
        chain_put(out, text, n);
        chain_put(out, "\r\n", 2);
    } else {
        build_bulk(out, text, n);
    }
    lua_pop(L, 1);
    return true;
}

static bool tell_verbatim(lua_State *L, struct chain *out)
{
    size_t n, format_n;
    char header[48], format[4] = "   ";

    if (!get_field(L, "verbatim_string", LUA_TTABLE))
        return false;
    if (!get_field(L, "format", LUA_TSTRING)) {
        lua_pop(L, 1);
        return false;
    }
    const char *given = lua_tolstring(L, -1, &format_n);
    memcpy(format, given, format_n < 3 ? format_n : 3);
    lua_pop(L, 1); /* the table still has it */
    if (!get_field(L, "string", LUA_TSTRING)) {
        lua_pop(L, 1);
        return false;
    }
    const char *text = lua_tolstring(L, -1, &n);
    if (state_of(L)->script->resp == RESP3) {
        chain_put(out, header, (size_t)snprintf(header, sizeof header, "=%zu\r\n%s:", n + 4, format));
        chain_append(out, text, n);
        chain_put(out, "\r\n", 2);
    } else {
        build_bulk(out, text, n);
    }
    lua_pop(L, 1);
    return true;
}

/* Up to the first nil. Nothing is asked of metatables. */
static void tell_array(lua_State *L, struct chain *out)
{
    size_t n = 0;

    for (;; n++) {
        lua_rawgeti(L, -1, (int)n + 1);
        bool end = lua_isnil(L, -1);
        lua_pop(L, 1);
        if (end)
            break;
    }
    build_array(out, n);
    for (size_t i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, (int)i);
        reply_tell(L, out);
    }
}

static void tell_table(lua_State *L, struct chain *out)
{
    static bool (*const forms[])(lua_State *L, struct chain *out) = {
        tell_err, tell_ok, tell_double, tell_map, tell_set, tell_big_number, tell_verbatim};
    int top = lua_gettop(L);
    size_t i = 0;

    while (i < sizeof forms / sizeof *forms && !forms[i](L, out))
        i++;
    if (i == sizeof forms / sizeof *forms)
        tell_array(L, out);
    lua_settop(L, top);
}

static void tell_boolean(lua_State *L, struct chain *out, bool value)
{
    enum resp client = state_of(L)->script->resp;

    if (state_of(L)->resp == RESP3 && client == RESP3)
        chain_put(out, value ? "#t\r\n" : "#f\r\n", 4);
    else if (state_of(L)->resp == RESP3 || value)
        build_int(out, value);
    else
        build_null(out, client);
}

/* As the processor's own conversion has it where the number is no long long, and as Redis therefore answers. */
static int64_t integer_of(lua_Number d)
{
    return d >= -9223372036854775808.0 && d < 9223372036854775808.0 ? (int64_t)d : INT64_MIN;
}

void reply_tell(lua_State *L, struct chain *out)
{
    size_t n;

    if (!lua_checkstack(L, 8)) {
        build_error(out, "ERR reached lua stack limit");
        lua_pop(L, 1);
        return;
    }
    if (out->len > state_of(L)->script->memory)
        state_end(L, SCRIPT_NO_MEMORY);
    switch (lua_type(L, -1)) {
    case LUA_TSTRING: {
        const char *text = lua_tolstring(L, -1, &n);
        build_bulk(out, text, n);
        break;
    }
    case LUA_TBOOLEAN:
        tell_boolean(L, out, lua_toboolean(L, -1));
        break;
    case LUA_TNUMBER:
        build_int(out, integer_of(lua_tonumber(L, -1)));
        break;
    case LUA_TTABLE:
        tell_table(L, out);
        break;
    default:
        build_null(out, state_of(L)->script->resp);
    }
    lua_pop(L, 1);
}
