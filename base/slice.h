/* base/slice — borrowed bytes. */
#ifndef BASE_SLICE_H
#define BASE_SLICE_H

#include <stddef.h>

struct slice {
    const char *p;
    size_t len;
};

#endif
