/* engine/json — is a text JSON?
 * Owns:       nothing; no allocation, no recursion.
 * Invariants: one pass. Bytes of strings are not looked at beyond escapes and control bytes, as most readers do: UTF-8 is the
 *             reader's matter.
 * Source:     RFC 8259. Arrays and objects may be JSON_DEPTH deep inside one another.
 * Threads:    any.          Used by: proxy/policing, sync/tenancy. */
#ifndef ENGINE_JSON_H
#define ENGINE_JSON_H

#include "base/slice.h"

#include <stdbool.h>

#define JSON_DEPTH 1024

/* One value, with blanks around it at most. */
bool json_is_valid(struct slice text);

#endif
