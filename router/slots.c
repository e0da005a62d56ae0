#include "router/slots.h"

#include <string.h>

/* Four bits at a time: the table is small enough to stay in the cache. */
static const uint16_t nibbles[16] = {0x0000, 0x1021, 0x2042, 0x3063, 0x4084, 0x50a5, 0x60c6, 0x70e7,
                                     0x8108, 0x9129, 0xa14a, 0xb16b, 0xc18c, 0xd1ad, 0xe1ce, 0xf1ef};

static uint16_t crc16(const char *p, size_t n)
{
    uint16_t crc = 0;

    for (size_t i = 0; i < n; i++) {
        uint8_t byte = (uint8_t)p[i];
        crc = (uint16_t)(crc << 4 ^ nibbles[(crc >> 12 ^ byte >> 4) & 15]);
        crc = (uint16_t)(crc << 4 ^ nibbles[(crc >> 12 ^ byte) & 15]);
    }
    return crc;
}

/* What stands between the first '{' and the first '}' behind it, unless that is nothing. */
static struct slice hashed_part(struct slice key)
{
    const char *open = key.len > 0 ? memchr(key.p, '{', key.len) : NULL;

    if (open == NULL)
        return key;
    const char *from = open + 1;
    const char *close = memchr(from, '}', (size_t)(key.p + key.len - from));
    if (close == NULL || close == from)
        return key;
    return (struct slice){from, (size_t)(close - from)};
}

uint16_t slots_of(struct slice key)
{
    struct slice part = hashed_part(key);
    return crc16(part.p, part.len) % SLOTS;
}
