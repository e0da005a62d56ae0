#include "script/text.h"

#include <string.h>

#define FIRST 256

void text_init(struct text *t, lua_State *L)
{
    *t = (struct text){.L = L, .cap = FIRST};
    t->p = lua_newuserdata(L, FIRST);
    t->at = lua_gettop(L);
}

char *text_room(struct text *t, size_t n)
{
    if (n > t->cap - t->n) {
        size_t cap = 2 * t->cap > t->n + n ? 2 * t->cap : t->n + n;
        char *fresh = lua_newuserdata(t->L, cap);
        memcpy(fresh, t->p, t->n);
        lua_replace(t->L, t->at);
        t->p = fresh;
        t->cap = cap;
    }
    return t->p + t->n;
}

void text_put(struct text *t, const void *p, size_t n)
{
    if (n == 0)
        return;
    memcpy(text_room(t, n), p, n);
    t->n += n;
}

void text_char(struct text *t, char c)
{
    *text_room(t, 1) = c;
    t->n++;
}

void text_push(struct text *t)
{
    lua_pushlstring(t->L, t->p, t->n);
}
