/* engine/pattern — glob patterns over bytes: MATCH of the SCAN family, KEYS.
 * Source:  redis.io/commands/keys; where that is silent (a '[' without ']', an escape before a '-') redis-server 7.0.15.
 * Differs from config/glob: bytes instead of C strings, and case matters.
 * Threads: any. */
#ifndef ENGINE_PATTERN_H
#define ENGINE_PATTERN_H

#include "base/slice.h"

#include <stdbool.h>

/* Time is at most proportional to the product of the lengths, whatever the pattern. */
bool pattern_match(struct slice pattern, struct slice text);

#endif
