/* base/few — arrays that begin inside their owner, so that the common small ones ask for no memory.
 * Owns:    nothing: the owner frees what is not its own first array.
 * Threads: the owner's. */
#ifndef BASE_FEW_H
#define BASE_FEW_H

#include <stddef.h>

/* p, or its longer copy: with room for need items of size bytes. few is the owner's own array, which p is at first and which is
 * never freed; *cap is at least 1 and grows by doubling. Never NULL: running out of memory aborts. */
void *few_grow(void *p, size_t *cap, size_t need, size_t size, const void *few);

#endif
