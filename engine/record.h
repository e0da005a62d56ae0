/* engine/record — structs as BSON documents by tables of their fields: what engine/document is made of.
 * Owns:       nothing: read slices borrow the document's bytes.
 * Invariants: reading never trusts a length or a type; a record is whole or refused. Fields that the table doesn't name are
 *             skipped.
 * Uses:       libbson (in-memory only).
 * Threads:    any. */
#ifndef ENGINE_RECORD_H
#define ENGINE_RECORD_H

#include "base/slice.h"
#include "engine/arena.h"

#include <bson/bson.h>

enum record_kind {
    RECORD_VALUE,    /* struct slice: a string when it is UTF-8 without NUL, else BinData 0 */
    RECORD_DOUBLE,   /* double, not NaN; reads integers too */
    RECORD_INT,      /* int64_t; uint64_t keeps its bits */
    RECORD_POSITION, /* uint32_t below 2^31 */
    RECORD_DATE,     /* int64_t, ms since 1970 */
    RECORD_ID,       /* struct stream_id: "ms-seq" */
    RECORD_ARRAY     /* bson_iter_t inside the array; writing leaves it out */
};

struct record_field {
    const char *name;
    size_t at; /* offset in the struct */
    enum record_kind kind;
};

/* One document being read. */
struct record_reader {
    struct arena *a;
    const char *why; /* what is wrong with it */
    size_t expected; /* elements, at most: for room, never for trust */
};

/* False, always; remembers why. */
bool record_bad(struct record_reader *r, const char *why);
/* The next element of an array. False: at its end, with *ok; damaged, without. */
bool record_next(struct record_reader *r, bson_iter_t *it, bool *ok);
/* Fills *record from the document at it. False: not whole, or a field of another type. */
bool record_read(struct record_reader *r, const bson_iter_t *it, const struct record_field *fields, size_t n, void *record);

/* The name of an array's element. */
struct record_index {
    char text[16];
};
const char *record_index(struct record_index *at, size_t i);
/* Appends the fields to doc. False: the document is full. */
bool record_write(bson_t *doc, const struct record_field *fields, size_t n, const void *record);
/* The same as element i of an array. */
bool record_write_item(bson_t *array, size_t i, const struct record_field *fields, size_t n, const void *record);
/* One value, as RECORD_VALUE. */
bool record_read_value(const bson_iter_t *it, struct slice *ret);
bool record_write_value(bson_t *doc, const char *name, struct slice value);
/* UTF-8 without NUL: fit for a BSON string. */
bool record_is_text(struct slice s);

#endif
