/* engine/object — one key's value in memory while a command runs on it.
 * Owns:       nothing: bytes lie in the document it was decoded from, in the request, or in the arena. All three outlive
 *             the command.
 * Invariants: type NONE means that the key does not exist; a container that lost its last element becomes NONE.
 *             Structures are plain arrays on purpose: a command decodes and encodes the whole value anyway, so nothing is
 *             gained by trees. Look-ups that repeat within one command go through dict's index.
 * Threads:    one. */
#ifndef ENGINE_OBJECT_H
#define ENGINE_OBJECT_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum object_type { OBJECT_NONE, OBJECT_STRING, OBJECT_LIST, OBJECT_HASH, OBJECT_SET, OBJECT_ZSET, OBJECT_STREAM };

/* What OBJECT ENCODING says. Kept with the value, because Redis never turns a big encoding back into a small one. */
enum object_encoding {
    ENC_RAW, ENC_EMBSTR, ENC_INT,     /* strings */
    ENC_QUICKLIST,                    /* lists (7.0 knows no other) */
    ENC_LISTPACK, ENC_HASHTABLE,      /* hashes */
    ENC_INTSET,                       /* sets: intset, hashtable */
    ENC_SKIPLIST,                     /* sorted sets: listpack, skiplist */
    ENC_STREAM,
    ENC_COUNT
};
const char *object_encoding_name(enum object_encoding e);
const char *object_type_name(enum object_type t); /* as TYPE says: "none", "string", … */

struct list;   /* engine/list.h */
struct dict;   /* engine/dict.h: hashes, sets */
struct zset;   /* engine/zset.h */
struct stream; /* engine/stream.h */

struct object {
    struct slice key;
    uint8_t type;      /* enum object_type */
    uint8_t encoding;  /* enum object_encoding */
    bool changed;      /* the value or the expiry is not what was loaded */
    int64_t expire_ms; /* since 1970; -1: none */
    union {
        struct slice string;
        struct list *list;
        struct dict *hash; /* field → value */
        struct dict *set;  /* member → nothing */
        struct zset *zset;
        struct stream *stream;
    } v;
};

/* Elements, fields, members, entries; 1 of a string, 0 of nothing. */
int64_t object_count(const struct object *o);

struct arena; /* engine/arena.h */
/* The value becomes a copy of its own: changes to it don't show in the object whose v was assigned to it. The bytes of elements
 * stay shared, since nobody changes those in place. */
void object_own(struct object *o, struct arena *a);

#endif
