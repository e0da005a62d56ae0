/* script/internal — what the folder's files share: the state of the script that runs, and the libraries that it gets.
 * Threads: one. */
#ifndef SCRIPT_INTERNAL_H
#define SCRIPT_INTERNAL_H

#include "script/script.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>

struct script_state {
    const struct script *script;
    const struct script_host *host;
    struct chain *out;    /* the client's reply */
    struct chain command; /* the reply of the command that runs */
    struct slice *argv;   /* its arguments */
    size_t argv_cap;
    size_t used; /* bytes of Lua's */
    int64_t deadline_us;
    uint64_t random; /* 48 bits: of math.random */
    enum script_end end;
    enum resp resp; /* redis.setresp */
    bool read_only;
};

struct script_state *state_of(lua_State *L);
/* The script must end, and can't help it. Does not return. */
int state_end(lua_State *L, enum script_end end);
/* After something was caught: goes on ending when the script must. */
void state_check(lua_State *L);

/* ---- sandbox.c ---- */

/* Globals without the libraries below; what is in them can be read, and not be written, from sandbox_close on. */
void sandbox_open(lua_State *L);
/* Replaces the table on top by one that shows the same and can't be written. */
void sandbox_protect(lua_State *L);
/* Protects a library (on top; popped) and makes it a global. */
void sandbox_add(lua_State *L, const char *name);
void sandbox_close(lua_State *L);

/* ---- libraries: each leaves a table on the stack ---- */

void library_redis(lua_State *L);
void library_cjson(lua_State *L);
void library_cmsgpack(lua_State *L);
void library_struct(lua_State *L);
void library_bit(lua_State *L);

/* ---- reply.c ---- */

/* Pushes what a whole reply (RESP of either version) is in Lua. */
void reply_push(lua_State *L, struct slice reply);
/* Appends what the value on top (popped) is as the client's reply. */
void reply_tell(lua_State *L, struct chain *out);
/* Pushes { err = … }. text: with '-' in front its first word is the error's code; else, and when it has one word only, "ERR". */
void reply_push_error(lua_State *L, const char *text, size_t n);

#endif
