/* script/struct — the library "struct": numbers and strings as they lie in memory. Source: inf.puc-rio.br/~roberto/struct; where that is
 * silent, redis-server 7.0.15. */
#include "script/internal.h"
#include "script/text.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>

#define MOST_BYTES 32 /* of an integer */

struct format {
    lua_State *L;
    const char *p;
    size_t align; /* 1: nothing is aligned */
    bool big;     /* endian */
};

struct item {
    char option;
    size_t size, padding;
};

static size_t take_size(struct format *f, size_t otherwise)
{
    size_t n = 0;

    if (*f->p < '0' || *f->p > '9')
        return otherwise;
    for (; *f->p >= '0' && *f->p <= '9'; f->p++) {
        if (n > (INT_MAX - (size_t)(*f->p - '0')) / 10)
            luaL_error(f->L, "integral size overflow");
        n = n * 10 + (size_t)(*f->p - '0');
    }
    return n;
}

static size_t integer_size(struct format *f)
{
    size_t n = take_size(f, sizeof(int));
    if (n > MOST_BYTES)
        luaL_error(f->L, "integral size %d is larger than limit of %d", (int)n, MOST_BYTES);
    return n;
}

static size_t size_of(struct format *f, char option)
{
    switch (option) {
    case 'b':
    case 'B':
    case 'x':
        return 1;
    case 'h':
    case 'H':
        return sizeof(short);
    case 'l':
    case 'L':
        return sizeof(long);
    case 'T':
        return sizeof(size_t);
    case 'f':
        return sizeof(float);
    case 'd':
        return sizeof(double);
    case 'i':
    case 'I':
        return integer_size(f);
    case 'c':
        return take_size(f, 1);
    default:
        return 0; /* strings, and what has no size */
    }
}

/* '<', '>', '!' and what stands for nothing but the wish to be read. */
static void control(struct format *f, char option)
{
    switch (option) {
    case ' ':
        return;
    case '>':
        f->big = true;
        return;
    case '<':
        f->big = false;
        return;
    case '!': {
        size_t n = take_size(f, 8);
        if (n == 0 || (n & (n - 1)) != 0)
            luaL_error(f->L, "alignment %d is not a power of 2", (int)n);
        f->align = n;
        return;
    }
    default:
        luaL_argerror(f->L, 1, lua_pushfstring(f->L, "invalid format option '%c'", option));
    }
}

static bool is_control(char option)
{
    return strchr("bBhHlLTiIcsfdx", option) == NULL;
}

/* The next option, where at bytes lie before it. False: the end. */
static bool next(struct format *f, size_t at, struct item *ret)
{
    while (*f->p != '\0' && is_control(*f->p)) {
        char option = *f->p++;
        control(f, option);
    }
    if (*f->p == '\0')
        return false;
    ret->option = *f->p++;
    ret->size = size_of(f, ret->option);
    ret->padding = 0;
    size_t align = ret->size < f->align ? ret->size : f->align;
    if (align > 1 && ret->option != 'c' && ret->option != 's')
        ret->padding = (align - (at & (align - 1))) & (align - 1);
    return true;
}

/* ---- packing ---- */

/* Numbers that no integer is come out as the conversion leaves them on x86: so do they from Redis. */
static uint64_t integer_of(lua_Number d)
{
    if (d >= 9223372036854775808.0)
        return d < 18446744073709551616.0 ? (uint64_t)d : 0;
    return d >= -9223372036854775808.0 ? (uint64_t)(int64_t)d : (uint64_t)INT64_MIN;
}

static void put_integer(struct text *t, const struct format *f, size_t size, lua_Number d)
{
    uint64_t v = integer_of(d);
    char *p = text_room(t, size);

    for (size_t i = 0; i < size; i++) {
        p[f->big ? size - 1 - i : i] = (char)v;
        v >>= 8;
    }
    t->n += size;
}

static void put_raw(struct text *t, const struct format *f, const void *bytes, size_t size)
{
    const char *from = bytes;
    char *p = text_room(t, size);

    for (size_t i = 0; i < size; i++)
        p[i] = from[f->big ? size - 1 - i : i];
    t->n += size;
}

static void put_string(struct text *t, struct item item, int arg)
{
    size_t n;
    const char *s = luaL_checklstring(t->L, arg, &n);
    size_t size = item.option == 's' || item.size == 0 ? n : item.size;

    luaL_argcheck(t->L, n >= size, arg + 1, "string too short"); /* Redis counts so */
    text_put(t, s, size);
    if (item.option == 's')
        text_char(t, '\0');
}

static void put_item(struct text *t, const struct format *f, struct item item, int arg)
{
    lua_State *L = t->L;

    if (item.option == 'c' || item.option == 's') {
        put_string(t, item, arg);
        return;
    }
    lua_Number number = luaL_checknumber(L, arg);
    float single = (float)number;
    if (item.option == 'f')
        put_raw(t, f, &single, sizeof single);
    else if (item.option == 'd')
        put_raw(t, f, &number, sizeof number);
    else
        put_integer(t, f, item.size, number);
}

static int struct_pack(lua_State *L)
{
    struct format f = {L, luaL_checkstring(L, 1), 1, false};
    struct item item;
    struct text t;
    int arg = 2;

    lua_pushnil(L); /* stands for all that is missing */
    text_init(&t, L);
    while (next(&f, t.n, &item)) {
        for (size_t i = 0; i < item.padding; i++)
            text_char(&t, '\0');
        if (item.option == 'x')
            text_char(&t, '\0');
        else
            put_item(&t, &f, item, arg++);
    }
    text_push(&t);
    return 1;
}

/* ---- unpacking ---- */

static lua_Number integer_from(const struct format *f, const char *p, struct item item)
{
    uint64_t v = 0;

    for (size_t i = 0; i < item.size && i < sizeof v; i++)
        v |= (uint64_t)(unsigned char)p[f->big ? item.size - 1 - i : i] << 8 * i;
    bool is_signed = strchr("bhli", item.option) != NULL;
    if (!is_signed)
        return (lua_Number)v;
    unsigned unused = item.size < sizeof v ? 64 - 8 * (unsigned)item.size : 0;
    return item.size == 0 ? 0 : (lua_Number)((int64_t)(v << unused) >> unused);
}

static lua_Number real_from(const struct format *f, const char *p, struct item item)
{
    char bytes[sizeof(double)];
    float single;
    double d;

    for (size_t i = 0; i < item.size; i++)
        bytes[i] = p[f->big ? item.size - 1 - i : i];
    memcpy(&single, bytes, sizeof single);
    if (item.option == 'f')
        return single;
    memcpy(&d, bytes, sizeof d);
    return d;
}

/* The size that "c0" takes is the number before it, which it takes away. */
static size_t previous_size(lua_State *L, int *count)
{
    if (*count == 0 || !lua_isnumber(L, -1))
        luaL_error(L, "format 'c0' needs a previous size");
    lua_Number n = lua_tonumber(L, -1);
    lua_pop(L, 1);
    --*count;
    return n >= 0 && n < (lua_Number)SIZE_MAX ? (size_t)n : SIZE_MAX;
}

/* Pushes the item at p, where n bytes are left; how many of them it was. */
static size_t take_item(lua_State *L, const struct format *f, struct item item, const char *p, size_t n, int *count)
{
    size_t size = item.size;

    if (item.option == 's') {
        const char *end = memchr(p, '\0', n);
        if (end == NULL)
            luaL_error(L, "unfinished string in data");
        size = (size_t)(end - p) + 1;
        lua_pushlstring(L, p, size - 1);
    } else if (item.option == 'c') {
        if (size == 0)
            size = previous_size(L, count);
        luaL_argcheck(L, size <= n, 2, "data string too short");
        lua_pushlstring(L, p, size);
    } else if (item.option == 'f' || item.option == 'd') {
        lua_pushnumber(L, real_from(f, p, item));
    } else {
        lua_pushnumber(L, integer_from(f, p, item));
    }
    ++*count;
    return size;
}

static int struct_unpack(lua_State *L)
{
    struct format f = {L, luaL_checkstring(L, 1), 1, false};
    struct item item;
    size_t n;
    const char *data = luaL_checklstring(L, 2, &n);
    lua_Integer offset = luaL_optinteger(L, 3, 1);
    int count = 0;

    luaL_argcheck(L, offset != 0, 3, "offset must be 1 or greater");
    size_t at = (size_t)offset - 1;
    lua_settop(L, 2);
    while (next(&f, at, &item)) {
        luaL_argcheck(L, at <= n && item.padding + item.size <= n - at, 2, "data string too short");
        at += item.padding;
        luaL_checkstack(L, 2, "too many results");
        if (item.option == 'x')
            at++;
        else
            at += take_item(L, &f, item, data + at, n - at, &count);
    }
    lua_pushnumber(L, (lua_Number)at + 1);
    return count + 1;
}

static int struct_size(lua_State *L)
{
    struct format f = {L, luaL_checkstring(L, 1), 1, false};
    struct item item;
    size_t at = 0;

    while (next(&f, at, &item)) {
        if (item.option == 's')
            return luaL_argerror(L, 1, "option 's' has no fixed size");
        if (item.option == 'c' && item.size == 0)
            return luaL_argerror(L, 1, "option 'c0' has no fixed size");
        at += item.padding + item.size;
    }
    lua_pushnumber(L, (lua_Number)at);
    return 1;
}

void library_struct(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"pack", struct_pack}, {"unpack", struct_unpack}, {"size", struct_size}, {NULL, NULL}};

    lua_newtable(L);
    luaL_register(L, NULL, functions);
}
