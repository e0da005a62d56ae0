/* engine/pops — arguments of the commands that take elements out of a list, a set or a sorted set.
 * Threads: one.          Used by: listpops, zpops, sets. */
#ifndef ENGINE_POPS_H
#define ENGINE_POPS_H

#include "engine/call.h"

/* How many to take, 0 or more: the optional argument of LPOP, ZPOPMIN and SPOP. False: wrong, answered. */
bool pops_count_arg(struct call *c, size_t arg, int64_t *ret);

struct pops_many {
    size_t first, keys; /* arguments */
    int64_t count;      /* 1 or more */
    bool high;          /* which end: the second of the two words */
};
/* "numkeys key … LOW|HIGH [COUNT n]" from argument `arg` on, with the command's own two words for the ends. False: wrong,
 * answered. */
bool pops_many_args(struct call *c, size_t arg, const char *low, const char *high, struct pops_many *q);

/* The first of n keys from argument `arg` on that holds such a value. NULL: none and nil was answered, or a key before it
 * holds another type and the error was. */
struct object *pops_first(struct call *c, size_t arg, size_t n, enum object_type type);

#endif
