/* base/keyid — keys by 128 bits of their hash, for tables that must not keep the keys themselves.
 * Owns:       nothing.
 * Invariants: under a secret that clients do not know, keys that they make up do not meet by design.
 * Threads:    any.          Used by: sync/warm, sync/uses, proxy/handed. */
#ifndef BASE_KEYID_H
#define BASE_KEYID_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keyid {
    uint64_t a, b;
};

struct keyid_secret {
    uint64_t words[4];
};

/* A secret that nobody can guess. */
void keyid_secret_init(struct keyid_secret *s);
struct keyid keyid_of(const struct keyid_secret *s, struct slice key);
static inline bool keyid_same(struct keyid x, struct keyid y)
{
    return x.a == y.a && x.b == y.b;
}

#endif
