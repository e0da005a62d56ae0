/* script/bit — the library "bit": operations on the low 32 bits of numbers. Source: bitop.luajit.org/api.html. */
#include "script/internal.h"

#include <stdint.h>
#include <string.h>

/* Any number, rounded to the nearest integer, modulo 2^32: added to 2^52 + 2^51, its low bits are those of the sum. */
static uint32_t bits(lua_State *L, int at)
{
    double d = luaL_checknumber(L, at) + 6755399441055744.0;
    uint64_t image;

    memcpy(&image, &d, sizeof image);
    return (uint32_t)image;
}

static int push_bits(lua_State *L, uint32_t b)
{
    lua_pushnumber(L, (lua_Number)(int32_t)b);
    return 1;
}

static uint32_t rotate(uint32_t b, uint32_t n)
{
    return n == 0 ? b : b << n | b >> (32 - n);
}

static int bit_tobit(lua_State *L)
{
    return push_bits(L, bits(L, 1));
}

static int bit_bnot(lua_State *L)
{
    return push_bits(L, ~bits(L, 1));
}

static int bit_band(lua_State *L)
{
    uint32_t b = bits(L, 1);
    for (int i = lua_gettop(L); i > 1; i--)
        b &= bits(L, i);
    return push_bits(L, b);
}

static int bit_bor(lua_State *L)
{
    uint32_t b = bits(L, 1);
    for (int i = lua_gettop(L); i > 1; i--)
        b |= bits(L, i);
    return push_bits(L, b);
}

static int bit_bxor(lua_State *L)
{
    uint32_t b = bits(L, 1);
    for (int i = lua_gettop(L); i > 1; i--)
        b ^= bits(L, i);
    return push_bits(L, b);
}

static int bit_lshift(lua_State *L)
{
    uint32_t b = bits(L, 1);
    return push_bits(L, b << (bits(L, 2) & 31));
}

static int bit_rshift(lua_State *L)
{
    uint32_t b = bits(L, 1);
    return push_bits(L, b >> (bits(L, 2) & 31));
}

static int bit_arshift(lua_State *L)
{
    uint32_t b = bits(L, 1), n = bits(L, 2) & 31;
    uint32_t sign = (b & 0x80000000u) != 0 && n > 0 ? ~0u << (32 - n) : 0;
    return push_bits(L, b >> n | sign);
}

static int bit_rol(lua_State *L)
{
    uint32_t b = bits(L, 1);
    return push_bits(L, rotate(b, bits(L, 2) & 31));
}

static int bit_ror(lua_State *L)
{
    uint32_t b = bits(L, 1);
    return push_bits(L, rotate(b, (0u - bits(L, 2)) & 31));
}

static int bit_bswap(lua_State *L)
{
    uint32_t b = bits(L, 1);
    return push_bits(L, b >> 24 | (b >> 8 & 0xff00) | (b & 0xff00) << 8 | b << 24);
}

/* Digits of the second argument's number, 8 without one; capitals when it is negative. */
static int bit_tohex(lua_State *L)
{
    uint32_t b = bits(L, 1);
    int32_t n = lua_isnone(L, 2) ? 8 : (int32_t)bits(L, 2);
    const char *digits = n < 0 ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[8];

    n = n < -8 || n > 8 ? 8 : n < 0 ? -n : n;
    for (int32_t i = n; --i >= 0; b >>= 4)
        text[i] = digits[b & 15];
    lua_pushlstring(L, text, (size_t)n);
    return 1;
}

void library_bit(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"tobit", bit_tobit},     {"bnot", bit_bnot},       {"band", bit_band},     {"bor", bit_bor},
        {"bxor", bit_bxor},       {"lshift", bit_lshift},   {"rshift", bit_rshift}, {"arshift", bit_arshift},
        {"rol", bit_rol},         {"ror", bit_ror},         {"bswap", bit_bswap},   {"tohex", bit_tohex},
        {NULL, NULL}};

    lua_newtable(L);
    luaL_register(L, NULL, functions);
}
