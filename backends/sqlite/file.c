#include "backends/sqlite/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define APPLICATION_ID 0x63767078 /* "cvpx" */
#define SCHEMA_VERSION 1

static const char newer[] = "the file was made by a newer convproxy; this one does not know its schema";
static const char foreign[] = "the file is a database of another program";

/* doc.id is the key's hash and a number that tells keys of one hash apart (internal.h): one tree serves look-ups and scans, and
 * there is no index of keys to keep. bucket is expire in steps of about a minute (-1: never), so that a time to live that every
 * write moves on changes doc_expiry only now and then. The columns that scans look at stand before the document, which
 * may lie on pages of its own. */
static const char schema[] =
    "CREATE TABLE doc(id INTEGER PRIMARY KEY, version INTEGER NOT NULL, expire INTEGER NOT NULL, bucket "
    "INTEGER NOT NULL,"
    " type INTEGER NOT NULL, dirty INTEGER NOT NULL, key BLOB NOT NULL, doc BLOB NOT NULL);"
    "CREATE INDEX doc_dirty ON doc(dirty) WHERE dirty = 1;"
    "CREATE INDEX doc_expiry ON doc(bucket) WHERE bucket >= 0 AND dirty = 0;"
    "CREATE TABLE control(name TEXT PRIMARY KEY, version INTEGER NOT NULL, doc BLOB NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE total(documents INTEGER NOT NULL, pings INTEGER NOT NULL);"
    "INSERT INTO total VALUES(0, 0);"
    "PRAGMA application_id = 1668706424;"
    "PRAGMA user_version = 1;";

/* The new name must survive a crash of the machine as the file's content does. */
static int directory_sync(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *dir = slash == NULL ? strdup(".") : strndup(path, slash == path ? 1 : (size_t)(slash - path));
    int fd = dir == NULL ? -1 : open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), e = fd < 0 ? errno : 0;

    /* Some file systems can't sync a directory; they have nothing to lose by it. */
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(dir);
    return e;
}

int file_folders(const char *path)
{
    char *copy = strdup(path);
    int e = copy == NULL ? ENOMEM : 0;

    for (char *slash = copy; e == 0 && (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = '\0';
        int why = mkdir(copy, 0700) == 0 ? 0 : errno;
        if (why == 0)
            e = directory_sync(copy);
        else if (why != EEXIST && access(copy, X_OK) != 0)
            e = why;
    }
    free(copy);
    return e;
}

/* SQLite gives its -wal and -shm the file's mode when it makes them. When the file became writable later, they must too. */
static void companions_follow(const char *path)
{
    static const char *const suffixes[] = {"-wal", "-shm"};
    char name[PATH_MAX];
    struct stat file, companion;

    if (stat(path, &file) != 0)
        return;
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        int n = snprintf(name, sizeof name, "%s%s", path, suffixes[i]);
        if (n > 0 && (size_t)n < sizeof name && stat(name, &companion) == 0 &&
            companion.st_uid == file.st_uid && (file.st_mode & ~companion.st_mode & 0600) != 0)
            chmod(name, (companion.st_mode | (file.st_mode & 0600)) & 0777);
    }
}

int file_make(const char *path)
{
    if (access(path, F_OK) == 0) {
        companions_follow(path);
        /* All connections of a process share what SQLite finds out about a file that it may only read, until the last is
         * closed; so none is opened. */
        return access(path, W_OK) == 0 ? 0 : errno;
    }
    int e = file_folders(path);
    if (e != 0)
        return e;
    /* O_EXCL: closing a file that SQLite has open elsewhere in this process would drop its locks. */
    int fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno == EEXIST ? 0 : errno;
    close(fd);
    return directory_sync(path);
}

/* The first column of the first row; -1 when there is none. */
static int number_of(sqlite3 *db, const char *sql, int64_t *ret_n)
{
    sqlite3_stmt *s = NULL;
    int rc = sqlite3_prepare_v2(db, sql, -1, &s, NULL);

    *ret_n = -1;
    if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
        *ret_n = sqlite3_column_int64(s, 0);
        rc = SQLITE_DONE;
    }
    int end = sqlite3_finalize(s);
    return rc == SQLITE_DONE ? end : rc;
}

/* *ret_empty: nothing is in it yet. */
static int look(sqlite3 *db, bool *ret_empty, const char **why)
{
    int64_t id, version, objects;
    int rc = number_of(db, "PRAGMA application_id", &id);

    if (rc == SQLITE_OK)
        rc = number_of(db, "PRAGMA user_version", &version);
    if (rc == SQLITE_OK)
        rc = number_of(db, "SELECT count(*) FROM sqlite_schema", &objects);
    if (rc != SQLITE_OK)
        return rc;
    *ret_empty = objects == 0 && version == 0;
    if (*ret_empty || (id == APPLICATION_ID && version == SCHEMA_VERSION))
        return SQLITE_OK;
    *why = id == APPLICATION_ID && version > SCHEMA_VERSION ? newer : foreign;
    return SQLITE_MISMATCH;
}

/* Looks again inside the transaction: another process may have been faster. */
static int fill(sqlite3 *db, const char **why)
{
    bool empty = false;
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);

    if (rc != SQLITE_OK)
        return rc;
    rc = look(db, &empty, why);
    if (rc == SQLITE_OK && empty)
        rc = sqlite3_exec(db, schema, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (rc != SQLITE_OK)
        sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc;
}

/* SQLite gives up at once, whatever the busy time-out, when two connections turn WAL on at the same time. */
static int wal_on(sqlite3 *db, int tries)
{
    int rc;

    while ((rc = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL)) == SQLITE_BUSY &&
           tries-- > 0)
        sqlite3_sleep(5);
    return rc;
}

/* In one transaction: between two statements another connection could make the schema. */
static int look_at_once(sqlite3 *db, bool *ret_empty, const char **why)
{
    int rc = sqlite3_exec(db, "BEGIN", NULL, NULL, NULL);

    if (rc == SQLITE_OK)
        rc = look(db, ret_empty, why);
    int end = sqlite3_get_autocommit(db) ? SQLITE_OK : sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return rc != SQLITE_OK ? rc : end;
}

int file_schema(sqlite3 *db, const char **why)
{
    bool empty = false;
    int rc = look_at_once(db, &empty, why);

    if (rc != SQLITE_OK)
        return rc;
    rc = wal_on(db, 200);
    if (rc != SQLITE_OK)
        return rc;
    return empty ? fill(db, why) : SQLITE_OK;
}

bool file_is_newer(const char *why)
{
    return why == newer;
}
