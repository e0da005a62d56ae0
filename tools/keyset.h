/* tools/keyset — which keys were seen, by hashes of 128 bits: 16 bytes a key, so that ten million fit in memory.
 * Owns:       its table.
 * Invariants: with 2^32 keys the chance that one is taken for another is below 10^-19.
 * Threads:    one per object.          Used by: tools/export. */
#ifndef TOOLS_KEYSET_H
#define TOOLS_KEYSET_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct keyset {
    struct keyset_row {
        uint64_t a, b; /* both 0: free */
    } *rows;
    size_t cap, count;
};

void keyset_init(struct keyset *k);
void keyset_done(struct keyset *k);
/* True: it was not there. */
bool keyset_add(struct keyset *k, struct slice key);

#endif
