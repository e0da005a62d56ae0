#include "backends/sqlite/sqlite.h"

#include "backends/sqlite/file.h"
#include "backends/sqlite/internal.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUSY_MS_DEFAULT 4000

struct sqlite_archive {
    struct archive base;
    char *path;
    int busy_ms;
    atomic_uint reopened; /* see struct connection */
};

/* Handles belong to one thread at a time, so SQLite needs no locks of its own around them; its statistics would be one
 * more, and a path is a path even if it begins with "file:". */
static void configure_library(void)
{
    sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
    sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    sqlite3_config(SQLITE_CONFIG_URI, 0);
}

static void archive_free(struct archive *own_a)
{
    struct sqlite_archive *a = (struct sqlite_archive *)own_a;
    free(a->path);
    free(a);
}

static struct archive_handle *attach(struct archive *base)
{
    struct sqlite_archive *a = (struct sqlite_archive *)base;
    struct sqlite_handle *h = calloc(1, sizeof *h);

    if (h == NULL)
        abort();
    h->base.archive = base;
    connection_init(&h->connection, a->path, a->busy_ms, &a->reopened, h->base.why, sizeof h->base.why);
    return &h->base;
}

static void detach(struct archive_handle *own_h)
{
    connection_done(connection_of(own_h));
    free(own_h);
}

static const struct archive_ops ops = {
    .kind = "sqlite",
    .writers = 1,
    .close = archive_free,
    .attach = attach,
    .detach = detach,
    .load = reads_load,
    .commit = writes_commit,
    .scan = reads_scan,
    .sweep = writes_sweep,
    .control_get = reads_control,
    .control_set = writes_control,
    .clear = writes_clear,
    .stats = reads_stats,
    .ping = writes_ping,
};

bool sqlite_archive_url_ok(const char *url, char *why, size_t why_cap)
{
    size_t scheme = strlen(SQLITE_ARCHIVE_SCHEME), n = strlen(url);
    const char *wrong = NULL;

    if (strncmp(url, SQLITE_ARCHIVE_SCHEME, scheme) != 0)
        wrong = "an SQLite archive is sqlite:PATH";
    else if (n == scheme || url[n - 1] == '/')
        wrong = "sqlite: needs the path of a file";
    else if (n - scheme >= PATH_MAX - sizeof "-journal")
        wrong = "the path after sqlite: is too long";
    else if (url[scheme] == ':')
        wrong = "an SQLite archive must be a file, not in memory";
    if (wrong != NULL)
        snprintf(why, why_cap, "%s", wrong);
    return wrong == NULL;
}

/* True: the file is there and was made by a newer convproxy, which only an operator can mend. */
static bool made_by_newer(const struct sqlite_archive *a)
{
    sqlite3 *db = NULL;
    const char *why = NULL;

    if (sqlite3_open_v2(a->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) == SQLITE_OK)
        (void)file_schema(db, &why);
    sqlite3_close(db);
    return why != NULL && file_is_newer(why);
}

struct archive *sqlite_archive_open(const struct archive_options *options, char *why, size_t why_cap)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int64_t busy = options->timeout > 0 ? options->timeout : BUSY_MS_DEFAULT;

    if (!sqlite_archive_url_ok(options->url, why, why_cap))
        return NULL;
    pthread_once(&once, configure_library);
    struct sqlite_archive *a = calloc(1, sizeof *a);
    char *path = strdup(options->url + strlen(SQLITE_ARCHIVE_SCHEME));
    if (a == NULL || path == NULL)
        abort();
    *a = (struct sqlite_archive){
        .base = {&ops}, .path = path, .busy_ms = busy > INT_MAX ? INT_MAX : (int)busy};
    if (!made_by_newer(a))
        return &a->base;
    snprintf(why, why_cap, "%s was made by a newer convproxy; this one does not know its schema", path);
    archive_free(&a->base);
    return NULL;
}
