/* engine/document — an object as a BSON document, the form in which archives keep it, and back.
 *
 *   { _id: "conv:42", t: "list", v: ["…", …], n: element count, exp: Date|null, enc: "quicklist", … }
 *   string: v · list, set: array · hash: [{f, v}] · zset: [{m, s}], in order · stream: engine/streamdoc.h · none: tombstone,
 *   which has no v and no enc
 *
 * Of a key that is cold v is packed: engine/packed.h.
 * Values: UTF-8 text without NUL as string, else BinData 0. Keys: the text; one that isn't valid UTF-8, holds a NUL or
 * starts with "hex:" is "hex:" + hex (design §8). Readable by people and other programs on purpose.
 * Owns:    nothing: a decoded object borrows the document's bytes; an encoded document is malloc'ed for the caller.
 * Uses:    libbson (in-memory only).
 * Threads: any. */
#ifndef ENGINE_DOCUMENT_H
#define ENGINE_DOCUMENT_H

#include "base/err.h"
#include "engine/arena.h"
#include "engine/object.h"

#include <bson/bson.h>

/* Fills o (key included) from doc. ERR_IO: not a document of ours; *why says what is wrong with it. */
MUST_USE enum err document_decode(const bson_t *doc, struct arena *a, struct object *o, const char **why);
/* Appends the fields of o to doc (which may hold others: version, owner …): _id, t, v, n, exp, enc. ERR_TOO_LARGE: doc is
 * longer than LIMIT_MANAGED_VALUE then, and not to be used. */
MUST_USE enum err document_encode(const struct object *o, bson_t *doc);

/* The key as _id: the length needed, without NUL; nothing is written when cap leaves no room for it and the NUL. */
size_t document_id(struct slice key, char *buf, size_t cap);
/* And back. False: not the _id of any key (each key has just one). */
bool document_key(const char *id, struct arena *a, struct slice *ret_key);

#endif
