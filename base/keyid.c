#include "base/keyid.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void keyid_secret_init(struct keyid_secret *s)
{
    if (getrandom(s->words, sizeof s->words, 0) != sizeof s->words)
        abort();
}

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

struct keyid keyid_of(const struct keyid_secret *s, struct slice key)
{
    const uint64_t *secret = s->words;
    struct keyid id = {secret[0] ^ key.len, secret[1]};

    for (size_t at = 0; at < key.len; at += 8) {
        uint64_t word = 0;
        memcpy(&word, key.p + at, key.len - at < 8 ? key.len - at : 8);
        id.a = mix(id.a ^ word ^ secret[2]);
        id.b = mix(id.b + word * (secret[3] | 1));
    }
    return (struct keyid){mix(id.a + secret[3]), mix(id.b ^ secret[2])};
}
