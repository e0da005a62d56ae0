#include "tools/sha.h"

#include <stdio.h>
#include <stdlib.h>

EVP_MD_CTX *sha_new(void)
{
    EVP_MD_CTX *sha = EVP_MD_CTX_new();

    if (sha == NULL || EVP_DigestInit_ex(sha, EVP_sha256(), NULL) != 1)
        abort();
    return sha;
}

void sha_end(EVP_MD_CTX *sha, char hex[SHA_HEX + 1])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;

    EVP_DigestFinal_ex(sha, digest, &n);
    hex[0] = '\0';
    for (unsigned i = 0; i < n && 2 * i < SHA_HEX; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}
