/* script/text — bytes that a library puts together, in memory of the script that calls it: counted, and gone with it.
 * Invariants: the buffer is the value at one place of the stack, which its user leaves alone. Growing may raise an error.
 * Threads:    one. */
#ifndef SCRIPT_TEXT_H
#define SCRIPT_TEXT_H

#include <lua.h>
#include <stddef.h>

struct text {
    lua_State *L;
    int at; /* of the buffer, on the stack */
    char *p;
    size_t n, cap;
};

/* Pushes the buffer. */
void text_init(struct text *t, lua_State *L);
/* Room for n bytes behind those that are there; add them to t->n. */
char *text_room(struct text *t, size_t n);
void text_put(struct text *t, const void *p, size_t n);
void text_char(struct text *t, char c);
/* Pushes all as a string. */
void text_push(struct text *t);

#endif
