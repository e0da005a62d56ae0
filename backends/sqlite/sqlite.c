#include "backends/sqlite/sqlite.h"

#include "backends/sqlite/file.h"
#include "backends/sqlite/internal.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define BUSY_MS_DEFAULT 4000

struct sqlite_archive {
    struct archive base;
    char *path;
    int busy_ms;
    atomic_uint reopened; /* see struct connection */
    int lock_fd;          /* of PATH-owner; -1: nobody is asked */
    atomic_bool owned;
};

/* ---- one owner at a time ---- */

static void name_owner(struct sqlite_archive *a)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (ftruncate(a->lock_fd, 0) != 0 || pwrite(a->lock_fd, text, (size_t)n, 0) != n)
        log_event(LOG_WARN, "archive_owner", LOG_STR("reason", strerror(errno)));
}

/* The lock goes with the process, however it ends. */
static bool become_owner(struct sqlite_archive *a)
{
    if (!atomic_load(&a->owned) && flock(a->lock_fd, LOCK_EX | LOCK_NB) == 0) {
        name_owner(a);
        atomic_store(&a->owned, true);
    }
    return atomic_load(&a->owned);
}

static void tell_owner(const struct sqlite_archive *a, char *why, size_t why_cap)
{
    char text[32] = "";
    ssize_t n = pread(a->lock_fd, text, sizeof text - 1, 0);

    text[n > 0 ? strcspn(text, "\n") : 0] = '\0';
    snprintf(why, why_cap,
             "another convproxy (process %s) has %s open: an SQLite archive is for one proxy, several need "
             "MongoDB",
             text, a->path);
}

/* A folder that is not there yet, or not writable, is told by the first use of the file itself. */
static bool take_ownership(struct sqlite_archive *a, enum archive_owner owner, char *why, size_t why_cap)
{
    char *path = NULL;

    if (owner == ARCHIVE_UNOWNED)
        return true;
    if (asprintf(&path, "%s-owner", a->path) < 0)
        abort();
    a->lock_fd = file_folders(a->path) != 0 ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(path);
    if (a->lock_fd < 0 || become_owner(a) || owner == ARCHIVE_HEIR)
        return true;
    tell_owner(a, why, why_cap);
    return false;
}

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
    if (a->lock_fd >= 0)
        close(a->lock_fd);
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

static enum err ping(struct archive_handle *h)
{
    struct sqlite_archive *a = (struct sqlite_archive *)h->archive;
    if (a->lock_fd >= 0)
        (void)become_owner(a);
    return writes_ping(h);
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
    .ping = ping,
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
        .base = {&ops}, .path = path, .busy_ms = busy > INT_MAX ? INT_MAX : (int)busy, .lock_fd = -1};
    bool newer = made_by_newer(a);
    if (!newer && take_ownership(a, options->owner, why, why_cap))
        return &a->base;
    if (!newer && options->ret_taken != NULL)
        *options->ret_taken = true;
    if (newer)
        snprintf(why, why_cap, "%s was made by a newer convproxy; this one does not know its schema", path);
    archive_free(&a->base);
    return NULL;
}
