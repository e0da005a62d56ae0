/* resp/frame — finds where a RESP2 or RESP3 value ends, without building it.
 * Owns:       nothing; the state is two counters, whatever the depth: nesting costs no stack and no memory.
 * Invariants: bytes reported as used are never looked at again.
 * Source:     redis.io/docs/reference/protocol-spec. Streamed strings and aggregates ($?, *?) are not used by
 *             Redis and count as malformed.
 * Threads:    any. */
#ifndef RESP_FRAME_H
#define RESP_FRAME_H

#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

enum frame_status { FRAME_MORE, FRAME_DONE, FRAME_BAD };

struct frame {
    uint64_t owed; /* values still to come; 0: between frames */
    uint64_t body; /* bytes of a bulk body still to pass */
    bool tail;     /* the CR LF behind that body is still to pass */
};

/* Goes on from f's state over p[0, n). Sets *used to the bytes passed: on FRAME_DONE up to the end of the
 * value; on FRAME_MORE all that is settled (a line that is not whole stays: show it again with what follows).
 * FRAME_BAD: not RESP, or beyond a limit of base/limits.h; f has no meaning then. p may be
 * NULL when n is 0. */
enum frame_status frame_scan(struct frame *f, const char *p, size_t n, size_t *used);

/* The length of the whole value at p, or 0 when it is not all there or malformed. */
size_t frame_length(const char *p, size_t n);

/* An aggregate's header ("*3\r\n"): sets *items (elements; a map's or attribute's pairs count two; -1 for a
 * null) and returns the header's length, or 0 when p does not start with a whole and well-formed aggregate
 * header. */
size_t frame_aggregate(const char *p, size_t n, int64_t *items);

/* The common header, "<type>digits\r\n" of one to eight digits without a leading zero, in one step: its length, and *ret_count. 0: it
 * is another one, or not all there; then the general way decides. */
static inline size_t frame_short_header(const char *p, size_t n, size_t *ret_count)
{
    size_t i = 2, most = n < 11 ? n : 11, count;

    if (n < 4 || (count = (unsigned char)(p[1] - '0')) > 9)
        return 0;
    for (unsigned digit; i < most && (digit = (unsigned char)(p[i] - '0')) <= 9; i++)
        count = count * 10 + digit;
    if (i + 1 >= most || p[i] != '\r' || p[i + 1] != '\n' || (p[1] == '0' && i > 2))
        return 0;
    *ret_count = count;
    return i + 2;
}

/* Decimal of p[0, n) with optional sign, at most 19 digits. False when it is not one or does not fit. */
bool frame_number(const char *p, size_t n, int64_t *ret_value);

/* The same for counts and lengths, which have one spelling in Redis: no plus, no leading zeros, no "-0". */
bool frame_count(const char *p, size_t n, int64_t *ret_value);

#endif
