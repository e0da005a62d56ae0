/* base/decimal — integers as text.
 * Threads: any. */
#ifndef BASE_DECIMAL_H
#define BASE_DECIMAL_H

#include <stddef.h>
#include <stdint.h>

#define DECIMAL_MAX 20 /* bytes of the longest one */

/* Without a NUL behind it; returns its length. In the header because every reply has such a number. */
static inline size_t decimal_print(char *buf, int64_t value)
{
    char digits[DECIMAL_MAX];
    size_t n = 0, len = 0;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        buf[len++] = '-';
    while (n > 0)
        buf[len++] = digits[--n];
    return len;
}

#endif
