/* engine/packed — the value of a document, compressed: in place of v stands z, a zstd frame of the BSON document {v: …}.
 *
 * Owns:       nothing; what is unpacked lies in the arena.
 * Invariants: a frame says how long its content is; one that says more than a managed value may have, or has something else in it, is refused.
 * Source:     RFC 8878; facebook.github.io/zstd/doc/api_manual_latest.html.
 * Threads:    any.          Used by: engine/document, sync/kept. */
#ifndef ENGINE_PACKED_H
#define ENGINE_PACKED_H

#include "engine/arena.h"

#include <bson/bson.h>
#include <stdbool.h>

/* A new document with the fields of doc, v packed: bson_destroy. NULL: it has no v, or would not get smaller. */
bson_t *packed_make(const bson_t *doc);
/* The value of doc, packed or not, at *ret_v. False: there is none, or it is damaged. */
bool packed_find(const bson_t *doc, struct arena *a, bson_iter_t *ret_v);
/* libzstd's version. */
const char *packed_version(void);

#endif
