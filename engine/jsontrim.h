/* engine/jsontrim — shortens a conversation kept as one JSON array: the oldest (first) elements go.
 * Owns:       nothing; the result borrows the input.
 * Invariants: the bytes of a kept element, and whatever stands between two kept ones, are never changed.
 * Bounds:     one pass; memory: one parsed element at a time, and 8 bytes for each element that may stay.
 * Threads:    any. cJSON's one global, the place of its last error, is written by each parse, read by none.
 * Used by:    router/rewrite. */
#ifndef ENGINE_JSONTRIM_H
#define ENGINE_JSONTRIM_H

#include "base/err.h"
#include "base/slice.h"

#include <stddef.h>

enum jsontrim_status {
    JSONTRIM_UNCHANGED, /* an array within both limits, or one whose newest element alone is over max_bytes */
    JSONTRIM_TRIMMED,   /* an array that lost elements, or only the blanks around it when that was enough */
    JSONTRIM_NOT_ARRAY, /* starts like another JSON value; not looked at further */
    JSONTRIM_INVALID,   /* not JSON, bytes behind it, control bytes (NUL too), or beyond the limits below */
};

struct jsontrim {
    size_t count;      /* elements before the trim; 0 for NOT_ARRAY and INVALID */
    size_t kept;       /* elements after it */
    const char *head;  /* goes before tail: "[" when TRIMMED, else "" */
    struct slice tail; /* of the input: first kept element to closing bracket when TRIMMED, else all of it */
};

/* text: the value as the client sent it. max_messages: elements kept at most. max_bytes: length of the result
 * at most, except that the newest element always stays. 0 means no limit. *ret is filled for every status.
 *
 * JSON is what cJSON reads (1.7.15). It takes numbers like 01 and strings with raw tabs or invalid UTF-8. It
 * refuses NaN, Infinity, lone surrogates (\ud800), and elements with over 1000 arrays or objects inside one
 * another. Ours, to bound time and memory: at most 2^20 of the bytes , : [ { in a text. */
MUST_USE enum jsontrim_status jsontrim(struct slice text, size_t max_messages, size_t max_bytes,
                                       struct jsontrim *ret);

#endif
