/* sync/digest — one number for a value: the same in both stores when the values are, whatever their encoding and order in memory.
 * Counted in: type, elements, expiry. Of streams: entries, last id, groups with their last ids, who owes which entry; not when
 * consumers were last seen, which no command can restore.
 * Threads: any. */
#ifndef SYNC_DIGEST_H
#define SYNC_DIGEST_H

#include "engine/object.h"

#include <stdint.h>

/* 0: the object is absent (type NONE). */
uint64_t digest_object(const struct object *o);

#endif
