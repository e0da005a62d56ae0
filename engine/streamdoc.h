/* engine/streamdoc — a stream as a BSON document, for engine/document:
 *   { last: "ms-seq", maxDel: "ms-seq", added: n, entries: [{id, f: [field, value, …]}],
 *     groups: [{name, last, read, consumers: [{name, seen}], pending: [{id, c: position of the consumer, at, n}]}] }
 * Threads: any. */
#ifndef ENGINE_STREAMDOC_H
#define ENGINE_STREAMDOC_H

#include "engine/record.h"
#include "engine/stream.h"

/* False: r->why says what is wrong. */
bool streamdoc_read(struct record_reader *r, const bson_iter_t *it, struct stream **ret);
/* False: the document is full. */
bool streamdoc_write(bson_t *doc, const char *name, const struct stream *s);

#endif
