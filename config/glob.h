/* config/glob — Redis's glob patterns, for CONFIG GET.
 * Owns:    nothing.
 * Threads: any. */
#ifndef CONFIG_GLOB_H
#define CONFIG_GLOB_H

#include <stdbool.h>

/* *, ?, [abc], [a-z], [^x] and \ before a byte to take as it is (redis.io/commands/keys), in any case. Time
 * is at most proportional to the product of the lengths, whatever the pattern. */
bool glob_match(const char *pattern, const char *text);

#endif
