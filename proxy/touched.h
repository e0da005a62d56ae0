/* proxy/touched — the distinct keys that a block may write, in the order in which they were first named.
 * Owns:    copies of the keys.
 * Threads: the owner's.          Used by: proxy/block. */
#ifndef PROXY_TOUCHED_H
#define PROXY_TOUCHED_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define TOUCHED_FEW   2
#define TOUCHED_BYTES 64

struct touched {
    size_t count, cap;
    size_t *ends; /* of each key in bytes */
    char *bytes;
    size_t bytes_cap;
    uint32_t *index; /* of many keys: place + 1, open addressing */
    size_t index_size;
    size_t few_ends[TOUCHED_FEW];
    char few_bytes[TOUCHED_BYTES];
};

void touched_init(struct touched *t);
void touched_done(struct touched *t);
/* Once for each distinct key, however often it is called. */
void touched_add(struct touched *t, struct slice key);
/* The number of a key that was touched; count: it was not. */
size_t touched_find(const struct touched *t, struct slice key);
/* Valid until the next touched_add. */
struct slice touched_key(const struct touched *t, size_t i);

#endif
