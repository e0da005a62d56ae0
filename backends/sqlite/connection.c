#include "backends/sqlite/connection.h"

#include "backends/sqlite/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Measured with tests/unit/backends/archive_bench.c, 4 KB documents, on two cores:
 * synchronous         FULL: a sync for each commit, 0.14 ms; nothing less keeps the promise of archive_commit.
 * wal_autocheckpoint  pages, 64 MB: groups of 256 commits are 1.5 to 2 times as fast as with 4 MB, for a page
 *                     is copied once however often it was written. The commit that copies takes 60 to 130 ms; with 256 MB, 350.
 *                     Reading so much again after kill -9 takes 40 ms.
 * cache_size          16 MB for each handle: holds the inner pages of millions of documents; 2 MB costs a third of the
 *                     loads, more than this gives nothing, since others' commits empty it.
 * secure_delete       FAST: what is deleted is overwritten where that costs no write. OFF was not faster.
 * page_size           stays 4096: 8192 was the same for 4 KB documents, and it doubles what a small one writes.
 * mmap_size           stays 0: a file that somebody truncates would be a SIGBUS instead of an error. */
static const char settings[] = "PRAGMA synchronous = FULL;"
                               "PRAGMA wal_autocheckpoint = 16384;"
                               "PRAGMA journal_size_limit = 134217728;"
                               "PRAGMA cache_size = -16384;"
                               "PRAGMA secure_delete = FAST;"
                               "PRAGMA cell_size_check = ON;"
                               "PRAGMA temp_store = MEMORY;";

static const char *const texts[STATEMENT_COUNT_OF] = {
#define STATEMENT(name, text) text,
#include "backends/sqlite/statements.def"
#undef STATEMENT
};

/* What SQLite's codes mean for the caller; the last row stands for all others. A commit that failed in the middle of writing or
 * syncing may be found complete after a crash. */
static const struct outcome {
    int rc;
    enum err err, at_commit;
    bool reopen;
    const char *text;
} outcomes[] = {
    {SQLITE_BUSY, ERR_ARCHIVEDOWN, ERR_ARCHIVEDOWN, false, "another process holds the lock"},
    {SQLITE_LOCKED, ERR_ARCHIVEDOWN, ERR_ARCHIVEDOWN, false, "another connection holds the lock"},
    {SQLITE_PROTOCOL, ERR_ARCHIVEDOWN, ERR_ARCHIVEDOWN, true, "another process holds the lock"},
    {SQLITE_FULL, ERR_ARCHIVEBAD, ERR_ARCHIVEBAD, false, "the disk is full"},
    {SQLITE_TOOBIG, ERR_ARCHIVEBAD, ERR_ARCHIVEBAD, false, "the document is too large"},
    {SQLITE_READONLY, ERR_ARCHIVEBAD, ERR_ARCHIVEBAD, true, "the file is read-only"},
    {SQLITE_PERM, ERR_ARCHIVEBAD, ERR_ARCHIVEBAD, true, "no permission"},
    {SQLITE_CORRUPT, ERR_ARCHIVEBAD, ERR_ARCHIVELOST, true, "the file is damaged"},
    {SQLITE_NOTADB, ERR_ARCHIVEBAD, ERR_ARCHIVELOST, true, "the file is not a database"},
    {SQLITE_ERROR, ERR_ARCHIVEBAD, ERR_ARCHIVELOST, true, "the file is not as it should be"},
    {SQLITE_CANTOPEN, ERR_ARCHIVEDOWN, ERR_ARCHIVELOST, true, "can't open the file"},
    {SQLITE_IOERR, ERR_ARCHIVEDOWN, ERR_ARCHIVELOST, true, "reading or writing failed"},
    {SQLITE_OK, ERR_ARCHIVEDOWN, ERR_ARCHIVELOST, true, "it failed"},
};

static const struct outcome *outcome_of(int rc)
{
    size_t i = 0;
    while (outcomes[i].rc != SQLITE_OK && outcomes[i].rc != (rc & 0xff))
        i++;
    return &outcomes[i];
}

static void close_now(struct connection *c)
{
    for (size_t i = 0; i < STATEMENT_COUNT_OF; i++) {
        sqlite3_finalize(c->statements[i]);
        c->statements[i] = NULL;
    }
    sqlite3_close(c->db);
    c->db = NULL;
    c->broken = false;
}

void connection_init(struct connection *c, const char *path, int busy_ms, atomic_uint *reopened, char *why,
                     size_t why_cap)
{
    *c = (struct connection){
        .path = path, .busy_ms = busy_ms, .reopened = reopened, .why = why, .why_cap = why_cap};
}

void connection_done(struct connection *c)
{
    close_now(c);
}

static enum err failed(struct connection *c, int rc, const char *doing, bool committing)
{
    const struct outcome *o = outcome_of(rc);
    int os = c->db == NULL ? 0 : sqlite3_system_errno(c->db);
    bool by_system = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;

    snprintf(c->why, c->why_cap, "%s: %s (SQLite %d: %s)", doing, o->text, rc,
             os != 0 && by_system ? strerror(os) : sqlite3_errstr(rc));
    c->broken = c->broken || o->reopen;
    if (o->rc == SQLITE_READONLY)
        atomic_fetch_add(c->reopened, 1);
    return committing ? o->at_commit : o->err;
}

enum err connection_failed(struct connection *c, int rc, const char *doing)
{
    return failed(c, rc, doing, false);
}

enum err connection_refused(struct connection *c, enum err e, const char *line)
{
    snprintf(c->why, c->why_cap, "%s", line);
    return e;
}

/* Whether the path leads to another file by now, or to none: what is written would be lost to everybody. */
static bool moved(struct connection *c)
{
    int is = 0;

    return sqlite3_file_control(c->db, "main", SQLITE_FCNTL_HAS_MOVED, &is) == SQLITE_OK && is != 0;
}

static int configure(struct connection *c, const char **why)
{
    int rc;

    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_timeout(c->db, c->busy_ms);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    rc = file_schema(c->db, why);
    return rc == SQLITE_OK ? sqlite3_exec(c->db, settings, NULL, NULL, NULL) : rc;
}

static enum err open_now(struct connection *c)
{
    const char *why = NULL;
    int e = file_make(c->path);

    c->opened_at = atomic_load(c->reopened);
    if (e != 0) {
        snprintf(c->why, c->why_cap, "can't make or write %s: %s", c->path, strerror(e));
        return e == ENOSPC || e == EROFS || e == EACCES ? ERR_ARCHIVEBAD : ERR_ARCHIVEDOWN;
    }
    int rc = sqlite3_open_v2(c->path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (rc == SQLITE_OK)
        rc = configure(c, &why);
    if (rc == SQLITE_OK)
        return ERR_NONE;
    enum err err = why != NULL ? connection_refused(c, ERR_ARCHIVEBAD, why) : failed(c, rc, "opening", false);
    close_now(c);
    return err;
}

enum err connection_ready(struct connection *c)
{
    if (c->db != NULL && c->opened_at != atomic_load(c->reopened))
        close_now(c);
    if (c->db != NULL && moved(c)) {
        close_now(c);
        return connection_refused(c, ERR_ARCHIVEDOWN, "the file was removed or replaced; it is opened anew");
    }
    return c->db != NULL ? ERR_NONE : open_now(c);
}

sqlite3_stmt *connection_statement(struct connection *c, enum statement which)
{
    sqlite3_stmt **s = &c->statements[which];

    if (*s == NULL) {
        int rc = sqlite3_prepare_v3(c->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, s, NULL);
        if (rc != SQLITE_OK)
            failed(c, rc, "preparing", false);
    }
    return *s;
}

int connection_step(sqlite3_stmt *s)
{
    sqlite3_step(s);
    return sqlite3_reset(s);
}

enum err connection_begin(struct connection *c, enum statement begin)
{
    enum err e = connection_ready(c);

    if (e != ERR_NONE)
        return e;
    sqlite3_stmt *s = connection_statement(c, begin);
    if (s == NULL)
        return ERR_ARCHIVEBAD;
    int rc = connection_step(s);
    return rc == SQLITE_OK ? ERR_NONE : failed(c, rc, "beginning", false);
}

enum err connection_end(struct connection *c, enum err so_far)
{
    if (c->db != NULL && so_far == ERR_NONE && !sqlite3_get_autocommit(c->db)) {
        sqlite3_stmt *s = connection_statement(c, STATEMENT_COMMIT);
        int rc = s == NULL ? SQLITE_NOMEM : connection_step(s);
        if (rc != SQLITE_OK)
            so_far = failed(c, rc, "committing", true);
    }
    if (c->db != NULL && !sqlite3_get_autocommit(c->db))
        c->broken = sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL) != SQLITE_OK || c->broken;
    if (c->broken)
        close_now(c);
    return so_far;
}
