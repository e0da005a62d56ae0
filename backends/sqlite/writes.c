#include "backends/sqlite/internal.h"

#include "backends/archive/fields.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Where a key's row is, or where it could be. */
struct place {
    int64_t id;
    int64_t version; /* 0: there is no row; id is free */
};

static enum err race(struct connection *c)
{
    return connection_refused(c, ERR_RACE, "another writer was faster");
}

/* Rows of one hash come in the order of their ids, so the first gap is the lowest free id. */
static enum err locate(struct connection *c, const struct archive_entry *entry, struct place *ret)
{
    sqlite3_stmt *s = connection_statement(c, STATEMENT_LOCATE);
    struct place at = {first_id(entry->hash), 0};
    int rc;

    if (s == NULL)
        return ERR_ARCHIVEBAD;
    sqlite3_bind_int64(s, 1, first_id(entry->hash));
    sqlite3_bind_int64(s, 2, last_id(entry->hash));
    while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
        struct slice key = column_slice(s, 1);
        int64_t id = sqlite3_column_int64(s, 0);
        if (key.len == entry->key.len && (key.len == 0 || memcmp(key.p, entry->key.p, key.len) == 0)) {
            at = (struct place){id, sqlite3_column_int64(s, 2)};
            break;
        }
        at.id += at.id == id;
    }
    sqlite3_reset(s);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return connection_failed(c, rc, "looking a key up");
    *ret = at;
    return at.id <= last_id(entry->hash)
               ? ERR_NONE
               : connection_refused(c, ERR_ARCHIVEBAD, "too many keys have the same hash");
}

/* INSERT and both REPLACEs number their parameters alike. */
static enum err put(struct connection *c, enum statement which, const struct archive_write *w, int64_t id,
                    bool *ret_done)
{
    const struct archive_entry *e = &w->entry;
    sqlite3_stmt *s = connection_statement(c, which);

    if (s == NULL)
        return ERR_ARCHIVEBAD;
    sqlite3_bind_int64(s, 1, id);
    bind_slice(s, 2, e->key.p, e->key.len);
    sqlite3_bind_int64(s, 3, e->version);
    sqlite3_bind_int64(s, 4, e->expire_ms);
    sqlite3_bind_int(s, 5, FIELDS_KIND(e));
    bind_slice(s, 6, bson_get_data(w->doc), w->doc->len);
    sqlite3_bind_int64(s, 7, bucket_of(e->expire_ms));
    sqlite3_bind_int(s, 8, e->dirty);
    if (which != STATEMENT_INSERT)
        sqlite3_bind_int64(s, 9, w->expected);
    int rc = connection_step(s);
    *ret_done = rc == SQLITE_OK && sqlite3_changes(c->db) == 1;
    return rc == SQLITE_OK ? ERR_NONE : connection_failed(c, rc, "writing");
}

static enum err create(struct connection *c, const struct archive_write *w)
{
    struct place at;
    bool done = false;
    enum err e = put(c, STATEMENT_INSERT, w, first_id(w->entry.hash), &done);

    if (e != ERR_NONE || done)
        return e;
    e = locate(c, &w->entry, &at);
    if (e == ERR_NONE && at.version != 0)
        return race(c);
    if (e == ERR_NONE)
        e = put(c, STATEMENT_INSERT, w, at.id, &done);
    return e != ERR_NONE || done ? e : race(c);
}

/* Nearly always the key is the only one of its hash, and bucket and dirty stay: one statement then. */
static enum err replace(struct connection *c, const struct archive_write *w)
{
    struct place at;
    bool done = false;
    enum err e = put(c, STATEMENT_REPLACE, w, first_id(w->entry.hash), &done);

    if (e != ERR_NONE || done)
        return e;
    e = locate(c, &w->entry, &at);
    if (e == ERR_NONE && at.version != w->expected)
        return race(c);
    if (e == ERR_NONE)
        e = put(c, STATEMENT_REPLACE_ALL, w, at.id, &done);
    return e != ERR_NONE || done ? e : race(c);
}

static enum err drop(struct connection *c, const struct archive_write *w, bool *ret_gone)
{
    struct place at;
    enum err e = locate(c, &w->entry, &at);

    if (e != ERR_NONE)
        return e;
    if (at.version != w->expected)
        return race(c);
    *ret_gone = at.version != 0;
    if (at.version == 0)
        return ERR_NONE;
    sqlite3_stmt *s = connection_statement(c, STATEMENT_REMOVE);
    if (s == NULL)
        return ERR_ARCHIVEBAD;
    sqlite3_bind_int64(s, 1, at.id);
    int rc = connection_step(s);
    return rc == SQLITE_OK ? ERR_NONE : connection_failed(c, rc, "deleting");
}

/* *documents: by how much the write changes the number of documents. */
static enum err write_one(struct connection *c, const struct archive_write *w, int64_t *documents)
{
    bool gone = false;
    enum err e;

    assert(w->entry.hash == archive_hash(w->entry.key)); /* load would never find it */
    if (w->doc == NULL) {
        e = drop(c, w, &gone);
        *documents -= gone;
    } else if (w->expected == 0) {
        e = create(c, w);
        *documents += 1;
    } else {
        e = replace(c, w);
    }
    return e;
}

static enum err count(struct connection *c, int64_t documents)
{
    sqlite3_stmt *s = documents == 0 ? NULL : connection_statement(c, STATEMENT_COUNT);

    if (s == NULL)
        return documents == 0 ? ERR_NONE : ERR_ARCHIVEBAD;
    sqlite3_bind_int64(s, 1, documents);
    int rc = connection_step(s);
    return rc == SQLITE_OK ? ERR_NONE : connection_failed(c, rc, "counting");
}

enum err writes_commit(struct archive_handle *h, const struct archive_write *writes, size_t n)
{
    struct connection *c = connection_of(h);
    int64_t documents = 0;
    enum err e = connection_begin(c, STATEMENT_BEGIN_WRITE);

    for (size_t i = 0; i < n && e == ERR_NONE; i++)
        e = write_one(c, &writes[i], &documents);
    if (e == ERR_NONE)
        e = count(c, documents);
    return connection_end(c, e);
}

static void bind_expired(sqlite3_stmt *s, int64_t now_ms)
{
    sqlite3_bind_int64(s, 1, bucket_of(now_ms));
    sqlite3_bind_int64(s, 2, now_ms);
}

/* Nothing expired is what most sweeps find, and they should not wait for the lock of writers. */
static enum err any_expired(struct connection *c, int64_t now_ms, bool *ret_any)
{
    enum err e = connection_ready(c);
    if (e != ERR_NONE)
        return e;
    sqlite3_stmt *s = connection_statement(c, STATEMENT_EXPIRED);
    if (s == NULL)
        return ERR_ARCHIVEBAD;
    bind_expired(s, now_ms);
    int rc = sqlite3_step(s);
    *ret_any = rc == SQLITE_ROW;
    sqlite3_reset(s);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? ERR_NONE : connection_failed(c, rc, "sweeping");
}

static enum err sweep_page(struct connection *c, int64_t now_ms, size_t limit, int64_t *ret_swept)
{
    sqlite3_stmt *s = connection_statement(c, STATEMENT_SWEEP);
    if (s == NULL)
        return ERR_ARCHIVEBAD;
    bind_expired(s, now_ms);
    sqlite3_bind_int64(s, 3, limit > INT32_MAX ? INT32_MAX : (int64_t)limit);
    int rc = connection_step(s);
    if (rc != SQLITE_OK)
        return connection_failed(c, rc, "sweeping");
    *ret_swept = sqlite3_changes(c->db);
    return count(c, -*ret_swept);
}

enum err writes_sweep(struct archive_handle *h, int64_t now_ms, size_t limit, size_t *ret_swept)
{
    struct connection *c = connection_of(h);
    bool any = false;
    int64_t swept = 0;
    enum err e = any_expired(c, now_ms, &any);

    if (e == ERR_NONE && any) {
        e = connection_begin(c, STATEMENT_BEGIN_WRITE);
        if (e == ERR_NONE)
            e = sweep_page(c, now_ms, limit, &swept);
    }
    e = connection_end(c, e);
    if (e == ERR_NONE)
        *ret_swept = (size_t)swept;
    return e;
}

static enum err control_put(struct connection *c, sqlite3_stmt *s, const char *name, int64_t expected,
                            int64_t version, const bson_t *doc)
{
    if (s == NULL)
        return ERR_ARCHIVEBAD;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    if (doc != NULL) {
        sqlite3_bind_int64(s, 2, version);
        bind_slice(s, 3, bson_get_data(doc), doc->len);
    }
    if (expected != 0)
        sqlite3_bind_int64(s, doc == NULL ? 2 : 4, expected);
    int rc = connection_step(s);
    if (rc != SQLITE_OK)
        return connection_failed(c, rc, "writing");
    return sqlite3_changes(c->db) == 1 ? ERR_NONE : race(c);
}

/* To delete what must not be there: a look whether it is. */
static enum err control_absent(struct connection *c, sqlite3_stmt *s, const char *name)
{
    if (s == NULL)
        return ERR_ARCHIVEBAD;
    sqlite3_bind_text(s, 1, name, -1, SQLITE_STATIC);
    int rc = sqlite3_step(s);
    sqlite3_reset(s);
    if (rc == SQLITE_ROW)
        return race(c);
    return rc == SQLITE_DONE ? ERR_NONE : connection_failed(c, rc, "reading");
}

enum err writes_control(struct archive_handle *h, const char *name, int64_t expected, int64_t version,
                        const bson_t *doc)
{
    struct connection *c = connection_of(h);
    enum err e = connection_begin(c, STATEMENT_BEGIN_WRITE);

    if (e == ERR_NONE && doc == NULL && expected == 0) {
        e = control_absent(c, connection_statement(c, STATEMENT_CONTROL_GET), name);
    } else if (e == ERR_NONE) {
        enum statement which = doc == NULL     ? STATEMENT_CONTROL_REMOVE
                               : expected == 0 ? STATEMENT_CONTROL_INSERT
                                               : STATEMENT_CONTROL_REPLACE;
        e = control_put(c, connection_statement(c, which), name, expected, version, doc);
    }
    return connection_end(c, e);
}

static enum err run(struct connection *c, enum statement which, const char *doing)
{
    sqlite3_stmt *s = connection_statement(c, which);
    if (s == NULL)
        return ERR_ARCHIVEBAD;
    int rc = connection_step(s);
    return rc == SQLITE_OK ? ERR_NONE : connection_failed(c, rc, doing);
}

enum err writes_clear(struct archive_handle *h)
{
    struct connection *c = connection_of(h);
    enum err e = connection_begin(c, STATEMENT_BEGIN_WRITE);

    if (e == ERR_NONE)
        e = run(c, STATEMENT_CLEAR, "clearing");
    if (e == ERR_NONE)
        e = run(c, STATEMENT_CLEAR_COUNT, "clearing");
    return connection_end(c, e);
}

enum err writes_ping(struct archive_handle *h)
{
    struct connection *c = connection_of(h);
    enum err e = connection_begin(c, STATEMENT_BEGIN_WRITE);

    if (e == ERR_NONE)
        e = run(c, STATEMENT_PING, "pinging");
    return connection_end(c, e);
}
