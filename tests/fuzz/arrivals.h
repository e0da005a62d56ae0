/* tests/fuzz/arrivals — the ways in which one stream of bytes arrives: in one piece, in two, in many.
 * Input of such a target: two bytes that choose the split (first + 256 * second, modulo the length; the first also gives the
 * size of the many pieces), then the stream.
 * Threads: one.          Used by: fuzz_frame, fuzz_request. */
#ifndef FUZZ_ARRIVALS_H
#define FUZZ_ARRIVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRIVALS_HEAD 2

/* Shows run the stream p up to end, of which it has seen a part. False: that is enough, the bytes were wrong. */
typedef bool (*arrivals_show)(void *run, const char *p, size_t end);

static inline void arrivals_play(const uint8_t *data, size_t size, arrivals_show show, void *whole, void *two, void *many)
{
    const char *p = (const char *)data + ARRIVALS_HEAD;
    size_t n = size - ARRIVALS_HEAD, step = 1 + data[0] % 16, end = 0;

    show(whole, p, n);
    if (show(two, p, (data[0] + 256 * (size_t)data[1]) % (n + 1)))
        show(two, p, n);
    do
        end = n - end < step ? n : end + step;
    while (show(many, p, end) && end < n);
}

#endif
