/* router/keyspec — where keys stand in the arguments: one key specification of Redis 7, as in COMMAND.
 * Owns:       nothing.
 * Source:     redis.io/docs/reference/key-specs
 * Threads:    any.          Used by: router/command, router/keys, docs and tests. */
#ifndef ROUTER_KEYSPEC_H
#define ROUTER_KEYSPEC_H

#include <stdbool.h>
#include <stdint.h>

enum keyspec_begin { BEGIN_NONE, BEGIN_INDEX, BEGIN_KEYWORD, BEGIN_UNKNOWN };
enum keyspec_find {
    FIND_NONE,
    FIND_RANGE,
    FIND_KEYNUM,
    FIND_UNKNOWN,
    FIND_SORT,    /* "unknown" to Redis: the STORE option of SORT */
    FIND_MIGRATE, /* a range to Redis: either the one key, or those after KEYS when the one is empty */
    FIND_BITFIELD /* a range to Redis, "variable flags": written unless every operation is a GET */
};

/* What a user needs to be allowed on a key. */
enum key_right { KEY_READ = 1, KEY_WRITE = 2, KEY_BOTH = 3 };

struct keyspec {
    uint8_t begin; /* enum keyspec_begin */
    uint8_t find;  /* enum keyspec_find */
    bool write;    /* RW, OW or RM: the command may change this key (commands.def notes two exceptions) */
    bool not_key;  /* a channel */
    uint8_t needs; /* enum key_right, as bits: what a user must be allowed; from write and router/access.def */
    int16_t index; /* BEGIN_INDEX: argument number; BEGIN_KEYWORD: startfrom */
    const char *keyword;
    int16_t a, b, c; /* KEYNUM: keynumidx, firstkey, keystep; else: lastkey, keystep, limit */
};

#endif
