/* tools/sha — SHA-256 as the text that files of exports and backups have.
 * Owns:       nothing.
 * Threads:    any.          Used by: tools/dump, tools/dumpfile, tools/manifest. */
#ifndef TOOLS_SHA_H
#define TOOLS_SHA_H

#include <openssl/evp.h>

#define SHA_HEX 64

/* Of no bytes yet; EVP_DigestUpdate adds some, EVP_MD_CTX_free frees it. Never NULL. */
EVP_MD_CTX *sha_new(void);
/* Ends it: no more bytes can be added. */
void sha_end(EVP_MD_CTX *sha, char hex[SHA_HEX + 1]);

#endif
