/* script/cjson_decode — JSON as Lua values. */
#include "script/cjson.h"

#include "script/internal.h"
#include "script/text.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum token { OBJ_BEGIN, OBJ_END, ARR_BEGIN, ARR_END, STRING, NUMBER, BOOLEAN, NULL_, COLON, COMMA, END, WRONG };

static const char *const names[] = {"T_OBJ_BEGIN", "T_OBJ_END", "T_ARR_BEGIN", "T_ARR_END", "T_STRING", "T_NUMBER",
                                    "T_BOOLEAN",   "T_NULL",    "T_COLON",     "T_COMMA",   "T_END",    "an error"};

struct decoding {
    lua_State *L;
    const struct cjson *c;
    const char *data, *p, *end; /* a NUL stands at the end */
    struct text text;           /* the string that was read last */
    int depth;
    /* the token that was read last */
    enum token token;
    const char *begins;
    const char *wrong;
    double number;
    bool truth;
};

static void read_value(struct decoding *d);

/* ---- tokens ---- */

static void fail(struct decoding *d, const char *at, const char *why)
{
    d->token = WRONG;
    d->begins = at;
    d->wrong = why;
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind "\u" at p; -1: they are none. */
static int32_t code_unit(const struct decoding *d, const char *p)
{
    int32_t unit = 0;

    if (d->end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex(p[i]);
        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

static void put_utf8(struct text *t, uint32_t c)
{
    if (c < 0x80) {
        text_char(t, (char)c);
        return;
    }
    if (c < 0x800) {
        text_char(t, (char)(0xc0 | c >> 6));
    } else {
        if (c < 0x10000) {
            text_char(t, (char)(0xe0 | c >> 12));
        } else {
            text_char(t, (char)(0xf0 | c >> 18));
            text_char(t, (char)(0x80 | (c >> 12 & 63)));
        }
        text_char(t, (char)(0x80 | (c >> 6 & 63)));
    }
    text_char(t, (char)(0x80 | (c & 63)));
}

/* An escape by number, of one code unit or two. False: it is none. */
static bool take_unicode(struct decoding *d)
{
    int32_t unit = code_unit(d, d->p);

    if (unit < 0 || (unit & 0xfc00) == 0xdc00)
        return false;
    d->p += 6;
    if ((unit & 0xfc00) == 0xd800) {
        int32_t low = code_unit(d, d->p);
        if ((low & 0xfc00) != 0xdc00 || low < 0)
            return false;
        d->p += 6;
        unit = 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
    }
    put_utf8(&d->text, (uint32_t)unit);
    return true;
}

static bool take_escape(struct decoding *d)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = d->p, *found = d->p[1] != '\0' ? strchr(from, d->p[1]) : NULL;

    if (d->p[1] == 'u') {
        if (!take_unicode(d))
            fail(d, at, "invalid unicode escape code");
        return d->token != WRONG;
    }
    if (found == NULL) {
        fail(d, at, "invalid escape code");
        return false;
    }
    text_char(&d->text, to[found - from]);
    d->p += 2;
    return true;
}

static void take_string(struct decoding *d)
{
    d->token = STRING;
    d->text.n = 0;
    for (d->p++; *d->p != '"';) {
        if (*d->p == '\0') {
            fail(d, d->p, "unexpected end of string");
            return;
        }
        if (*d->p != '\\')
            text_char(&d->text, *d->p++);
        else if (!take_escape(d))
            return;
    }
    d->p++;
}

/* What strtod takes, and JSON has not. */
static bool is_odd_number(const char *p)
{
    if (*p == '-' || *p == '+')
        p++;
    if (*p == '0')
        return (p[1] | 0x20) == 'x' || (p[1] >= '0' && p[1] <= '9');
    return *p > '9' && (strncasecmp(p, "inf", 3) == 0 || strncasecmp(p, "nan", 3) == 0);
}

static void take_number(struct decoding *d)
{
    char *end;

    d->token = NUMBER;
    d->number = strtod(d->p, &end);
    if (end == d->p)
        fail(d, d->p, "invalid number");
    else
        d->p = end;
}

static bool take_word(struct decoding *d, const char *word, enum token token)
{
    if (strncmp(d->p, word, strlen(word)) != 0)
        return false;
    d->p += strlen(word);
    d->token = token;
    d->truth = word[0] == 't';
    return true;
}

static void take_other(struct decoding *d)
{
    bool digit = *d->p == '-' || (*d->p >= '0' && *d->p <= '9');
    bool odd = is_odd_number(d->p) || *d->p == '+';

    if (*d->p == '"')
        take_string(d);
    else if (digit && is_odd_number(d->p) && d->c->decode_invalid == CJSON_REFUSED)
        fail(d, d->p, "invalid number");
    else if (digit)
        take_number(d);
    else if (take_word(d, "true", BOOLEAN) || take_word(d, "false", BOOLEAN) || take_word(d, "null", NULL_))
        return;
    else if (odd && d->c->decode_invalid != CJSON_REFUSED)
        take_number(d);
    else
        fail(d, d->p, "invalid token");
}

static void next_token(struct decoding *d)
{
    static const char single[] = "{}[]\1\1\1\1:,";

    while (*d->p == ' ' || *d->p == '\t' || *d->p == '\n' || *d->p == '\r')
        d->p++;
    d->begins = d->p;
    const char *found = *d->p > '\1' ? strchr(single, *d->p) : NULL;
    if (found != NULL) {
        d->token = (enum token)(found - single);
        d->p++;
    } else if (d->p == d->end) {
        d->token = END;
    } else {
        take_other(d);
    }
}

static void expected(struct decoding *d, const char *what)
{
    luaL_error(d->L, "Expected %s but found %s at character %d", what,
               d->token == WRONG ? d->wrong : names[d->token], (int)(d->begins - d->data) + 1);
}

/* ---- values ---- */

static void enter(struct decoding *d)
{
    if (++d->depth > d->c->decode_depth || !lua_checkstack(d->L, 6))
        luaL_error(d->L, "Found too many nested data structures (%d) at character %d", d->depth,
                   (int)(d->p - d->data));
    lua_newtable(d->L);
}

static void read_object(struct decoding *d)
{
    enter(d);
    next_token(d);
    while (d->token != OBJ_END) {
        if (d->token != STRING)
            expected(d, "object key string");
        text_push(&d->text);
        next_token(d);
        if (d->token != COLON)
            expected(d, "colon");
        next_token(d);
        read_value(d);
        lua_rawset(d->L, -3);
        next_token(d);
        if (d->token == OBJ_END)
            break;
        if (d->token != COMMA)
            expected(d, "comma or object end");
        next_token(d);
        if (d->token != STRING)
            expected(d, "object key string");
    }
    d->depth--;
}

static void read_array(struct decoding *d)
{
    enter(d);
    next_token(d);
    for (int i = 1; d->token != ARR_END; i++) {
        read_value(d);
        lua_rawseti(d->L, -2, i);
        next_token(d);
        if (d->token == ARR_END)
            break;
        if (d->token != COMMA)
            expected(d, "comma or array end");
        next_token(d);
        if (d->token == ARR_END)
            expected(d, "value");
    }
    d->depth--;
}

/* Pushes the value that begins with the last token. */
static void read_value(struct decoding *d)
{
    switch (d->token) {
    case STRING:
        text_push(&d->text);
        return;
    case NUMBER:
        lua_pushnumber(d->L, d->number);
        return;
    case BOOLEAN:
        lua_pushboolean(d->L, d->truth);
        return;
    case NULL_:
        lua_pushlightuserdata(d->L, NULL);
        return;
    case OBJ_BEGIN:
        read_object(d);
        return;
    case ARR_BEGIN:
        read_array(d);
        return;
    case OBJ_END:
    case ARR_END:
    case COLON:
    case COMMA:
    case END:
    case WRONG:
        expected(d, "value");
    }
}

int cjson_decode(lua_State *L)
{
    struct decoding d = {.L = L, .c = lua_touserdata(L, lua_upvalueindex(1))};
    size_t n;

    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    d.data = d.p = luaL_checklstring(L, 1, &n);
    d.end = d.data + n;
    if (n >= 2 && (d.data[0] == '\0' || d.data[1] == '\0'))
        luaL_error(L, "JSON parser does not support UTF-16 or UTF-32");
    text_init(&d.text, L);
    next_token(&d);
    read_value(&d);
    next_token(&d);
    if (d.token != END)
        expected(&d, "the end");
    return 1;
}
