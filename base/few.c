#include "base/few.h"

#include <stdlib.h>
#include <string.h>

void *few_grow(void *p, size_t *cap, size_t need, size_t size, const void *few)
{
    size_t had = *cap;

    if (need <= had)
        return p;
    while (*cap < need)
        *cap *= 2;
    void *grown = realloc(p == few ? NULL : p, *cap * size);
    if (grown == NULL)
        abort();
    if (p == few)
        memcpy(grown, few, had * size);
    return grown;
}
