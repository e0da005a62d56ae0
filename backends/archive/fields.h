/* backends/archive/fields — the fields of a document that are not its value: whoever commits one appends them.
 * Threads: any.          Used by: executor/cell, sync/kept, the archives. */
#ifndef BACKENDS_ARCHIVE_FIELDS_H
#define BACKENDS_ARCHIVE_FIELDS_H

#include "backends/archive/archive.h"

#define FIELDS_TOMBSTONE_MS 86400000 /* far longer than a late copy of what was there before can be on its way */

/* Type and tier are stored as one number. */
#define FIELDS_KIND(entry)     ((entry)->type | (entry)->tier << 4)
#define FIELDS_KIND_TYPE(kind) ((uint8_t)((kind) & 15))
#define FIELDS_KIND_TIER(kind) ((uint8_t)((kind) >> 4 & 15))

/* ver, h and at. False: the document would be too large. */
static inline bool fields_append(const struct archive_entry *e, int64_t now_ms, bson_t *doc)
{
    return BSON_APPEND_INT64(doc, "ver", e->version) && BSON_APPEND_INT64(doc, "h", e->hash) &&
           BSON_APPEND_DATE_TIME(doc, "at", now_ms);
}

#endif
