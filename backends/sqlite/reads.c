#include "backends/sqlite/internal.h"

#include "backends/archive/fields.h"

#include <string.h>

static const char damaged[] = "reading: the file is damaged (a row that no convproxy wrote)";

/* A damaged file may hold anything that is well-formed for SQLite. */
static enum err take(struct connection *c, sqlite3_stmt *s, int version_column, struct arena *arena,
                     struct archive_found *found)
{
    int64_t version = sqlite3_column_int64(s, version_column);
    struct slice doc = column_slice(s, version_column + 1);

    if (version <= 0 || doc.p == NULL)
        return connection_refused(c, ERR_ARCHIVEBAD, damaged);
    *found = (struct archive_found){.version = version, .doc = arena_copy(arena, doc)};
    return ERR_NONE;
}

static bool is_key(sqlite3_stmt *s, int column, struct slice key)
{
    struct slice stored = column_slice(s, column);
    return stored.len == key.len && (key.len == 0 || memcmp(stored.p, key.p, key.len) == 0);
}

static enum err load_one(struct connection *c, sqlite3_stmt *s, struct slice key, struct arena *arena,
                         struct archive_found *found)
{
    int64_t hash = archive_hash(key);
    enum err e = ERR_NONE;
    int rc;

    *found = (struct archive_found){0};
    sqlite3_bind_int64(s, 1, first_id(hash));
    sqlite3_bind_int64(s, 2, last_id(hash));
    while ((rc = sqlite3_step(s)) == SQLITE_ROW && !is_key(s, 0, key))
        ;
    if (rc == SQLITE_ROW)
        e = take(c, s, 1, arena, found);
    else if (rc != SQLITE_DONE)
        e = connection_failed(c, rc, "reading");
    found->dirty = found->version != 0 && sqlite3_column_int(s, 3) != 0;
    sqlite3_reset(s);
    return e;
}

enum err reads_load(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *arena,
                    struct archive_found *found)
{
    struct connection *c = connection_of(h);
    /* One statement is a transaction of its own. */
    enum err e = n == 1 ? connection_ready(c) : connection_begin(c, STATEMENT_BEGIN_READ);

    if (e == ERR_NONE) {
        sqlite3_stmt *s = connection_statement(c, STATEMENT_LOAD);
        e = s == NULL ? ERR_ARCHIVEBAD : ERR_NONE;
        for (size_t i = 0; i < n && e == ERR_NONE; i++)
            e = load_one(c, s, keys[i], arena, &found[i]);
    }
    return connection_end(c, e);
}

/* False: no convproxy wrote this row. */
static bool entry_of(sqlite3_stmt *s, struct archive_entry *e)
{
    int64_t type = sqlite3_column_int64(s, 4);

    *e = (struct archive_entry){
        .key = column_slice(s, 1),
        .hash = sqlite3_column_int64(s, 0) >> ID_ORDINAL_BITS,
        .version = sqlite3_column_int64(s, 2),
        .expire_ms = sqlite3_column_int64(s, 3),
        .type = FIELDS_KIND_TYPE(type),
        .tier = FIELDS_KIND_TIER(type),
        .dirty = sqlite3_column_int(s, 5) != 0,
    };
    return e->hash >= 0 && e->version > 0 && e->expire_ms >= -1 && type >= 0 && type <= UINT8_MAX;
}

static enum err page(struct connection *c, sqlite3_stmt *s, size_t limit,
                     void (*each)(void *, const struct archive_entry *), void *ctx)
{
    int64_t last = -1;
    struct archive_entry entry;
    int rc = SQLITE_DONE;

    for (size_t seen = 0; (rc = sqlite3_step(s)) == SQLITE_ROW; seen++) {
        if (!entry_of(s, &entry))
            return connection_refused(c, ERR_ARCHIVEBAD, damaged);
        if (seen >= limit && entry.hash != last)
            return ERR_NONE;
        last = entry.hash;
        each(ctx, &entry);
    }
    return rc == SQLITE_DONE ? ERR_NONE : connection_failed(c, rc, "scanning");
}

enum err reads_scan(struct archive_handle *h, enum archive_filter filter, int64_t from_hash, size_t limit,
                    void (*each)(void *ctx, const struct archive_entry *e), void *ctx)
{
    struct connection *c = connection_of(h);
    enum err e = connection_ready(c);

    /* Past the last hash there is no id, only an overflow. */
    if (e == ERR_NONE && limit > 0 && from_hash < (int64_t)1 << ARCHIVE_HASH_BITS) {
        sqlite3_stmt *s =
            connection_statement(c, filter == ARCHIVE_DIRTY ? STATEMENT_SCAN_DIRTY : STATEMENT_SCAN_ALL);
        e = ERR_ARCHIVEBAD;
        if (s != NULL) {
            sqlite3_bind_int64(s, 1, first_id(from_hash));
            e = page(c, s, limit, each, ctx);
            sqlite3_reset(s);
        }
    }
    return connection_end(c, e);
}

enum err reads_control(struct archive_handle *h, const char *name, struct arena *arena,
                       struct archive_found *found)
{
    struct connection *c = connection_of(h);
    enum err e = connection_ready(c);
    sqlite3_stmt *s = e == ERR_NONE ? connection_statement(c, STATEMENT_CONTROL_GET) : NULL;

    *found = (struct archive_found){0};
    if (s != NULL) {
        sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
        int rc = sqlite3_step(s);
        if (rc == SQLITE_ROW)
            e = take(c, s, 0, arena, found);
        else if (rc != SQLITE_DONE)
            e = connection_failed(c, rc, "reading");
        sqlite3_reset(s);
    } else if (e == ERR_NONE) {
        e = ERR_ARCHIVEBAD;
    }
    return connection_end(c, e);
}

static enum err number(struct connection *c, enum statement which, int64_t *ret_n)
{
    sqlite3_stmt *s = connection_statement(c, which);
    if (s == NULL)
        return ERR_ARCHIVEBAD;
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        *ret_n = sqlite3_column_int64(s, 0);
    sqlite3_reset(s);
    return rc == SQLITE_ROW ? ERR_NONE
                            : connection_failed(c, rc == SQLITE_DONE ? SQLITE_CORRUPT : rc, "counting");
}

enum err reads_stats(struct archive_handle *h, struct archive_stats *ret)
{
    struct connection *c = connection_of(h);
    struct archive_stats stats = {.documents = -1, .bytes = -1};
    enum err e = connection_begin(c, STATEMENT_BEGIN_READ);

    if (e == ERR_NONE)
        e = number(c, STATEMENT_DOCUMENTS, &stats.documents);
    if (e == ERR_NONE)
        e = number(c, STATEMENT_PAGES, &stats.bytes);
    e = connection_end(c, e);
    if (e == ERR_NONE)
        *ret = stats;
    return e;
}
