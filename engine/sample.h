/* engine/sample — random elements of a value: SRANDMEMBER, ZRANDMEMBER, HRANDFIELD.
 * Threads: one.          Used by: sets, zpops, hashpages. */
#ifndef ENGINE_SAMPLE_H
#define ENGINE_SAMPLE_H

#include "engine/call.h"

struct sample {
    int64_t count; /* negative: that many, the same element more than once if it happens */
    bool pairs;    /* scores or values, too */
};

/* "count [with_pairs]" from argument 2 on; with_pairs is the command's word, NULL when it has none. False: wrong, answered. */
bool sample_args(struct call *c, const char *with_pairs, struct sample *q);
/* Positions below elements (> 0), *ret_n of them; all in order when as many are asked for. NULL: too many, answered. */
size_t *sample_pick(struct call *c, int64_t count, size_t elements, size_t *ret_n);
/* Whether so many bytes of elements may be answered; if not, that was said. */
bool sample_fits(struct call *c, uint64_t bytes);
/* A random number below n. */
size_t sample_below(struct call *c, size_t n);

#endif
