#include "engine/object.h"

#include <stddef.h>

static const char *const type_names[] = {
    [OBJECT_NONE] = "none", [OBJECT_STRING] = "string", [OBJECT_LIST] = "list",     [OBJECT_HASH] = "hash",
    [OBJECT_SET] = "set",   [OBJECT_ZSET] = "zset",     [OBJECT_STREAM] = "stream",
};

static const char *const encoding_names[ENC_COUNT] = {
    [ENC_RAW] = "raw",           [ENC_EMBSTR] = "embstr",
    [ENC_INT] = "int",           [ENC_QUICKLIST] = "quicklist",
    [ENC_LISTPACK] = "listpack", [ENC_HASHTABLE] = "hashtable",
    [ENC_INTSET] = "intset",     [ENC_SKIPLIST] = "skiplist",
    [ENC_STREAM] = "stream",
};

const char *object_type_name(enum object_type t)
{
    return type_names[t];
}

const char *object_encoding_name(enum object_encoding e)
{
    return encoding_names[e];
}
