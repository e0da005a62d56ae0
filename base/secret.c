#include "base/secret.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdlib.h>

static const char digits[] = "0123456789abcdef";

static void to_hex(const unsigned char *bytes, size_t n, char *hex)
{
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
}

void secret_hash(struct slice clear, char hex[SECRET_HEX + 1])
{
    unsigned char sum[SECRET_HEX / 2];

    if (EVP_Digest(clear.p, clear.len, sum, NULL, EVP_sha256(), NULL) != 1)
        abort(); /* only a library without SHA-256, or without memory, refuses */
    to_hex(sum, sizeof sum, hex);
    hex[SECRET_HEX] = '\0';
}

bool secret_same_hash(const char a[SECRET_HEX], const char b[SECRET_HEX])
{
    return CRYPTO_memcmp(a, b, SECRET_HEX) == 0;
}

bool secret_same(struct slice a, struct slice b)
{
    char x[SECRET_HEX + 1], y[SECRET_HEX + 1];

    secret_hash(a, x);
    secret_hash(b, y);
    return secret_same_hash(x, y);
}

bool secret_is_hash(struct slice text)
{
    if (text.len != SECRET_HEX)
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (memchr(digits, text.p[i], 16) == NULL)
            return false;
    return true;
}

void secret_random(char *hex, size_t n)
{
    unsigned char bytes[32];

    for (size_t i = 0; i < n; i++) {
        if (i % (2 * sizeof bytes) == 0 && RAND_bytes(bytes, sizeof bytes) != 1)
            abort(); /* a secret that can be guessed is worse than none */
        unsigned char b = bytes[i / 2 % sizeof bytes];
        hex[i] = digits[i % 2 == 0 ? b >> 4 : b & 15];
    }
    hex[n] = '\0';
}

void secret_wipe(void *p, size_t n)
{
    OPENSSL_cleanse(p, n);
}
