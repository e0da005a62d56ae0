/* base/secret — passwords: their hashes, comparing without telling where the difference is, and random ones.
 * Owns:       nothing.
 * Invariants: a clear password is never kept.
 * Threads:    any. */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/slice.h"

#include <stdbool.h>
#include <stddef.h>

#define SECRET_HEX 64 /* digits of a SHA-256 */

/* The SHA-256 of the bytes as lower-case hex, with a NUL behind it. */
void secret_hash(struct slice clear, char hex[SECRET_HEX + 1]);
/* The same time wherever the first difference is. */
bool secret_same_hash(const char a[SECRET_HEX], const char b[SECRET_HEX]);
/* The same for texts of any length: their hashes are compared. */
bool secret_same(struct slice a, struct slice b);
/* 64 lower-case hex digits, nothing else: the only form of a hash that Redis takes. */
bool secret_is_hash(struct slice text);
/* n lower-case hex digits that nobody can guess, with a NUL behind them. */
void secret_random(char *hex, size_t n);
/* Overwrites what is not needed any more; not optimised away. */
void secret_wipe(void *p, size_t n);

#endif
