/* sync/carried — keys that the end of one script has found while others were under way: some of them may be theirs, and they wait for their
 * copies, too.
 * Owns:       copies of the keys, until nobody who was under way then is left.
 * Threads:    one at a time.          Used by: sync/tracer. */
#ifndef SYNC_CARRIED_H
#define SYNC_CARRIED_H

#include "engine/arena.h"

#include <stdint.h>

struct carried_key {
    struct slice key;
    uint64_t at;
};

struct carried {
    struct arena arena;
    struct carried_key *keys;
    size_t n, cap;
    uint64_t now; /* grows with each end */
};

void carried_init(struct carried *c);
void carried_done(struct carried *c);
/* Of an end. Their moment is the new c->now. */
void carried_add(struct carried *c, const struct slice *keys, size_t n);
/* Those found after `since`, appended to n keys of one's own, in a list of a's. */
struct slice *carried_with(const struct carried *c, uint64_t since, struct arena *a, const struct slice *keys,
                           size_t n, size_t *ret_n);
/* None that is under way began before this moment. */
void carried_forget(struct carried *c, uint64_t until);

#endif
