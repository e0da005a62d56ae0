/* backends/sqlite/internal — what the files of this folder share: the handle, rows and their numbers.
 * Invariants: doc.id holds a key's hash above ID_ORDINAL_BITS bits that tell the keys of one hash apart.
 * Threads:    as archive.h says. */
#ifndef BACKENDS_SQLITE_INTERNAL_H
#define BACKENDS_SQLITE_INTERNAL_H

#include "backends/archive/archive.h"
#include "backends/sqlite/connection.h"

#define ID_ORDINAL_BITS 11
#define BUCKET_BITS     16 /* an expiry's bucket: ms >> 16, steps of 65 s */

struct sqlite_handle {
    struct archive_handle base;
    struct connection connection;
};

static inline struct connection *connection_of(struct archive_handle *h)
{
    return &((struct sqlite_handle *)h)->connection;
}

static inline int64_t first_id(int64_t hash)
{
    return hash << ID_ORDINAL_BITS;
}

static inline int64_t last_id(int64_t hash)
{
    return first_id(hash) | ((1 << ID_ORDINAL_BITS) - 1);
}

static inline int64_t bucket_of(int64_t expire_ms)
{
    return expire_ms < 0 ? -1 : expire_ms >> BUCKET_BITS;
}

/* Borrowed from the statement until its next step. */
static inline struct slice column_slice(sqlite3_stmt *s, int column)
{
    const char *p = sqlite3_column_blob(s, column);
    return (struct slice){p, (size_t)sqlite3_column_bytes(s, column)};
}

/* Binds without a copy: bytes must live until the statement is reset. An empty blob is not NULL. */
static inline void bind_slice(sqlite3_stmt *s, int parameter, const void *p, size_t n)
{
    sqlite3_bind_blob64(s, parameter, n == 0 ? "" : p, n, SQLITE_STATIC);
}

enum err reads_load(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *arena,
                    struct archive_found *found);
enum err reads_scan(struct archive_handle *h, enum archive_filter filter, int64_t from_hash, size_t limit,
                    void (*each)(void *ctx, const struct archive_entry *e), void *ctx);
enum err reads_control(struct archive_handle *h, const char *name, struct arena *arena,
                       struct archive_found *found);
enum err reads_stats(struct archive_handle *h, struct archive_stats *ret);

enum err writes_commit(struct archive_handle *h, const struct archive_write *writes, size_t n);
enum err writes_sweep(struct archive_handle *h, int64_t now_ms, size_t limit, size_t *ret_swept);
enum err writes_control(struct archive_handle *h, const char *name, int64_t expected, int64_t version,
                        const bson_t *doc);
enum err writes_clear(struct archive_handle *h);
enum err writes_ping(struct archive_handle *h);

#endif
