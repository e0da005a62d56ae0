/* base/sha1 — SHA-1 as Redis names its scripts by: forty hex digits. Not for secrets.
 * Source:  FIPS 180-4.
 * Threads: any. */
#ifndef BASE_SHA1_H
#define BASE_SHA1_H

#include "base/slice.h"

#define SHA1_HEX 40

/* ret gets the digits in lower case, and a NUL. */
void sha1_hex(struct slice s, char ret[SHA1_HEX + 1]);

#endif
