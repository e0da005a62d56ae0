/* script/cjson — what the two halves of the library "cjson" share.
 * Source:  kyne.com.au/~mark/software/lua-cjson-manual.html; where that is silent, redis-server 7.0.15.
 * Threads: one. */
#ifndef SCRIPT_CJSON_H
#define SCRIPT_CJSON_H

#include <lua.h>
#include <stdbool.h>

enum cjson_invalid { CJSON_REFUSED, CJSON_TAKEN, CJSON_AS_NULL };

/* The settings of one instance: an upvalue of its functions. */
struct cjson {
    bool sparse_convert;
    int sparse_ratio, sparse_safe;
    int encode_depth, decode_depth;
    int precision;
    int encode_invalid, decode_invalid; /* enum cjson_invalid */
    bool keep_buffer;                   /* told, and without a meaning here */
};

int cjson_encode(lua_State *L);
int cjson_decode(lua_State *L);

#endif
