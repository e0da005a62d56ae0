/* proxy/reader — walks through a reply of a store, value by value.
 * Owns:       nothing: values point into the reply.
 * Invariants: the reply is whole (the slot has collected it), so nothing here can fail but by being of another type.
 * Threads:    any.          Used by: proxy/keyspace, proxy/hide. */
#ifndef PROXY_READER_H
#define PROXY_READER_H

#include "base/slice.h"

#include <stdint.h>

struct reader {
    struct slice rest;
};

/* The next value as RESP; len 0 at the end. */
struct slice reader_next(struct reader *r);
/* Goes into an array: how many values follow; 0 when it is none. */
int64_t reader_enter(struct reader *r);
/* What is in a bulk; p NULL: it is none. */
struct slice reader_bulk(struct slice value);
/* The number of an integer reply; 0 when it is none. */
int64_t reader_int(struct slice value);

#endif
