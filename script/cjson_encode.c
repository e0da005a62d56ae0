/* script/cjson_encode — Lua values as JSON. */
#include "script/cjson.h"

#include "script/internal.h"
#include "script/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct encoding {
    lua_State *L;
    const struct cjson *c;
    struct text text;
    int depth;
};

static void put_value(struct encoding *e);

static void refuse(struct encoding *e, int at, const char *why)
{
    luaL_error(e->L, "Cannot serialise %s: %s", lua_typename(e->L, lua_type(e->L, at)), why);
}

static void put_text(struct encoding *e, const char *text)
{
    text_put(&e->text, text, strlen(text));
}

/* ---- strings and numbers ---- */

static const char *short_escape(unsigned char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '/':
        return "\\/";
    case '\b':
        return "\\b";
    case '\t':
        return "\\t";
    case '\n':
        return "\\n";
    case '\f':
        return "\\f";
    case '\r':
        return "\\r";
    default:
        return NULL;
    }
}

static void put_string(struct encoding *e, int at)
{
    char code[8];
    size_t n;
    const char *s = lua_tolstring(e->L, at, &n);

    text_char(&e->text, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        const char *escape = short_escape(c);
        if (escape == NULL && (c < 32 || c == 127)) {
            snprintf(code, sizeof code, "\\u%04x", c);
            escape = code;
        }
        if (escape != NULL)
            put_text(e, escape);
        else
            text_char(&e->text, (char)c);
    }
    text_char(&e->text, '"');
}

static void put_number(struct encoding *e, int at)
{
    lua_Number d = lua_tonumber(e->L, at);
    char digits[40];

    if (isfinite(d)) {
        snprintf(digits, sizeof digits, "%.*g", e->c->precision, d);
        put_text(e, digits);
    } else if (e->c->encode_invalid == CJSON_REFUSED) {
        refuse(e, at, "must not be NaN or Inf");
    } else if (e->c->encode_invalid == CJSON_AS_NULL) {
        put_text(e, "null");
    } else {
        put_text(e, isnan(d) ? "nan" : d > 0 ? "inf" : "-inf");
    }
}

/* ---- tables ---- */

/* How many elements the table on top has as an array; 0: it is none. */
static int array_length(struct encoding *e)
{
    lua_State *L = e->L;
    double most = 0, items = 0;

    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        double k = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (!(k >= 1) || floor(k) != k) {
            lua_pop(L, 2);
            return 0;
        }
        most = k > most ? k : most;
        items++;
    }
    const struct cjson *c = e->c;
    if (c->sparse_ratio > 0 && most > items * c->sparse_ratio && most > c->sparse_safe) {
        if (!c->sparse_convert)
            refuse(e, -1, "excessively sparse array");
        return 0;
    }
    return most <= 0x7fffffff ? (int)most : 0;
}

static void put_array(struct encoding *e, int n)
{
    text_char(&e->text, '[');
    for (int i = 1; i <= n; i++) {
        if (i > 1)
            text_char(&e->text, ',');
        lua_rawgeti(e->L, -1, i);
        put_value(e);
        lua_pop(e->L, 1);
    }
    text_char(&e->text, ']');
}

static void put_key(struct encoding *e)
{
    switch (lua_type(e->L, -2)) {
    case LUA_TNUMBER:
        text_char(&e->text, '"');
        put_number(e, -2);
        text_char(&e->text, '"');
        break;
    case LUA_TSTRING:
        put_string(e, -2);
        break;
    default:
        refuse(e, -2, "table key must be a number or string");
    }
    text_char(&e->text, ':');
}

static void put_object(struct encoding *e)
{
    bool first = true;

    text_char(&e->text, '{');
    for (lua_pushnil(e->L); lua_next(e->L, -2); lua_pop(e->L, 1)) {
        if (!first)
            text_char(&e->text, ',');
        first = false;
        put_key(e);
        put_value(e);
    }
    text_char(&e->text, '}');
}

static void put_table(struct encoding *e)
{
    if (++e->depth > e->c->encode_depth || !lua_checkstack(e->L, 6))
        luaL_error(e->L, "Cannot serialise, excessive nesting (%d)", e->depth);
    int n = array_length(e);
    if (n > 0)
        put_array(e, n);
    else
        put_object(e);
    e->depth--;
}

/* The value on top, which stays. */
static void put_value(struct encoding *e)
{
    switch (lua_type(e->L, -1)) {
    case LUA_TSTRING:
        put_string(e, -1);
        return;
    case LUA_TNUMBER:
        put_number(e, -1);
        return;
    case LUA_TBOOLEAN:
        put_text(e, lua_toboolean(e->L, -1) ? "true" : "false");
        return;
    case LUA_TTABLE:
        put_table(e);
        return;
    case LUA_TNIL:
        put_text(e, "null");
        return;
    case LUA_TLIGHTUSERDATA:
        if (lua_touserdata(e->L, -1) == NULL) {
            put_text(e, "null");
            return;
        }
        /* fallthrough */
    default:
        refuse(e, -1, "type not supported");
    }
}

int cjson_encode(lua_State *L)
{
    struct encoding e = {.L = L, .c = lua_touserdata(L, lua_upvalueindex(1))};

    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    text_init(&e.text, L);
    lua_pushvalue(L, 1);
    put_value(&e);
    text_push(&e.text);
    return 1;
}
