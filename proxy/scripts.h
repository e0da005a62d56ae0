/* proxy/scripts — the scripts that this process has seen (EVAL, SCRIPT LOAD), so that EVALSHA goes on when Redis is away, or has come
 * back without them.
 * Owns:       copies of the scripts, up to a number of bytes; those that were not used for longest are forgotten first.
 * Invariants: a script is found by its SHA-1 in either case. SCRIPT FLUSH forgets all; scripts_serial tells that it did.
 * Threads:    any. */
#ifndef PROXY_SCRIPTS_H
#define PROXY_SCRIPTS_H

#include "base/sha1.h"
#include "base/slice.h"

#include <stdbool.h>
#include <stdint.h>

struct scripts;

struct scripts *scripts_new(size_t max_bytes);
void scripts_free(struct scripts *own_s);

/* Keeps a copy unless it is there, and counts as a use. ret_sha may be NULL. What is too large to keep is not kept, but named. */
void scripts_see(struct scripts *s, struct slice body, char ret_sha[SHA1_HEX + 1]);
/* The script of this name, which counts as a use: copied to memory that get gives out for so many bytes. p NULL: not known. */
struct slice scripts_find(struct scripts *s, struct slice sha, char *(*get)(void *ctx, size_t n), void *ctx);
bool scripts_has(struct scripts *s, struct slice sha);
void scripts_flush(struct scripts *s);
/* How often it was flushed. */
uint64_t scripts_serial(const struct scripts *s);

struct scripts_report {
    size_t count, bytes;
};
void scripts_report(struct scripts *s, struct scripts_report *ret);

#endif
