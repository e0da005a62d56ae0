/* base/version — the version of a key: its epoch in the high bits, a counter in the low ones, so that one comparison orders
 * all states that a key has ever had (docs/protocol.md, I4). A new key's counter starts at the time in ms. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

#include <stdint.h>

#define VERSION_COUNTER_BITS 43  /* ms since 1970 until the year 2248 */
#define VERSION_FIRST_EPOCH  256 /* above what documents of releases without epochs hold: µs since 1970 */

static inline int64_t version_make(int64_t epoch, int64_t low)
{
    return epoch << VERSION_COUNTER_BITS | low;
}

static inline int64_t version_epoch(int64_t version)
{
    return version >> VERSION_COUNTER_BITS;
}

/* The version of the next write in this epoch. now_ms: any clock; it only makes new keys' versions unlike those of their
 * earlier lives. */
static inline int64_t version_next(int64_t version, int64_t epoch, int64_t now_ms)
{
    int64_t fresh = version_make(epoch, now_ms);
    return version >= fresh ? version + 1 : fresh;
}

#endif
