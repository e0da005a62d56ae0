#include "backends/mongo/mongo.h"

#include "backends/mongo/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SELECTION_MS  2000 /* at least: choosing a server */
#define WAIT_QUEUE_MS 500
#define HEARTBEAT_MS  2000
#define SPARE_CLIENTS 4
#define WRITERS       64 /* side by side; each document is a lock of its own */

static pthread_once_t library = PTHREAD_ONCE_INIT;

/* Without the log handler libmongoc would print: callers get errors instead. */
static void library_start(void)
{
    mongoc_init();
    mongoc_log_set_handler(NULL, NULL);
    atexit(mongoc_cleanup);
}

static mongoc_uri_t *parse(const char *url, char *why, size_t why_cap)
{
    bson_error_t error;

    pthread_once(&library, library_start);
    mongoc_uri_t *uri = mongoc_uri_new_with_error(url, &error);
    if (uri == NULL)
        snprintf(why, why_cap, "%s", error.message);
    return uri;
}

bool mongo_archive_url_ok(const char *url, char *why, size_t why_cap)
{
    mongoc_uri_t *uri = parse(url, why, why_cap);

    mongoc_uri_destroy(uri);
    return uri != NULL;
}

static int32_t at_least(int64_t a, int64_t b)
{
    int64_t most = a > b ? a : b;
    return most > INT32_MAX ? INT32_MAX : (int32_t)most;
}

/* The concerns are ours: w majority so that no acknowledged write is rolled back, reads that see no write that may be. */
static void set_concerns(mongoc_uri_t *uri, int64_t timeout)
{
    mongoc_write_concern_t *write = mongoc_write_concern_new();
    mongoc_read_concern_t *read = mongoc_read_concern_new();

    /* Less than the socket's time-out, or its answer could never arrive. */
    mongoc_write_concern_set_wmajority(write, at_least(timeout * 5 / 8, 1));
    mongoc_write_concern_set_journal(write, true);
    mongoc_uri_set_write_concern(uri, write);
    mongoc_read_concern_set_level(read, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    mongoc_uri_set_read_concern(uri, read);
    mongoc_write_concern_destroy(write);
    mongoc_read_concern_destroy(read);
}

static void set_options(mongoc_uri_t *uri, const struct archive_options *o)
{
    const struct {
        const char *name;
        int32_t value;
    } numbers[] = {
        {MONGOC_URI_SERVERSELECTIONTIMEOUTMS, at_least(o->connect_timeout, SELECTION_MS)},
        {MONGOC_URI_CONNECTTIMEOUTMS, at_least(o->connect_timeout, 1)},
        {MONGOC_URI_SOCKETTIMEOUTMS, at_least(o->timeout, 1)},
        {MONGOC_URI_WAITQUEUETIMEOUTMS, WAIT_QUEUE_MS},
        {MONGOC_URI_HEARTBEATFREQUENCYMS, HEARTBEAT_MS},
        {MONGOC_URI_MAXPOOLSIZE, at_least((int64_t)o->workers + SPARE_CLIENTS, 1)},
    };
    mongoc_read_prefs_t *primary = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        mongoc_uri_set_option_as_int32(uri, numbers[i].name, numbers[i].value);
    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, true);
    mongoc_uri_set_appname(uri, "convproxy");
    mongoc_uri_set_read_prefs_t(uri, primary);
    mongoc_read_prefs_destroy(primary);
    if (mongoc_uri_get_database(uri) == NULL)
        mongoc_uri_set_database(uri, "convproxy");
    set_concerns(uri, o->timeout);
}

static void drop_client(struct mongo_handle *h)
{
    if (h->client == NULL)
        return;
    mongoc_collection_destroy(h->keys);
    mongoc_collection_destroy(h->control);
    mongoc_client_pool_push(((struct mongo *)h->base.archive)->pool, h->client);
    h->client = NULL;
}

/* The pool is made late, because it looks the servers of a mongodb+srv URL up, and that may fail for a while. */
static enum err take_client(struct mongo *m, struct mongo_handle *h)
{
    bson_error_t error;

    if (m->pool == NULL) {
        m->pool = mongoc_client_pool_new_with_error(m->uri, &error);
        if (m->pool == NULL)
            return mongo_fail(h, ERR_ARCHIVEDOWN, "%s", error.message);
        mongoc_client_pool_set_error_api(m->pool, MONGOC_ERROR_API_VERSION_2);
    }
    h->client = mongoc_client_pool_pop(m->pool);
    if (h->client == NULL)
        return mongo_fail(h, ERR_ARCHIVEDOWN, "more handles than workers");
    h->keys = mongoc_client_get_collection(h->client, m->database, "keys");
    h->control = mongoc_client_get_collection(h->client, m->database, "control");
    return ERR_NONE;
}

void mongo_concerns(struct mongo_handle *h)
{
    mongoc_collection_t *both[] = {h->keys, h->control};
    mongoc_read_concern_t *none = mongoc_read_concern_new();
    mongoc_write_concern_t *write = mongoc_write_concern_copy(mongoc_collection_get_write_concern(h->keys));

    mongoc_write_concern_set_journal(write, false);
    for (size_t i = 0; i < 2; i++) {
        if (!h->caps.majority_read)
            mongoc_collection_set_read_concern(both[i], none);
        if (!h->caps.journal)
            mongoc_collection_set_write_concern(both[i], write);
    }
    mongoc_read_concern_destroy(none);
    mongoc_write_concern_destroy(write);
}

enum err mongo_enter(struct archive_handle *base)
{
    struct mongo_handle *h = mongo_handle_of(base);
    struct mongo *m = (struct mongo *)base->archive;
    enum err e = ERR_NONE;

    if (h->ready)
        return ERR_NONE;
    pthread_mutex_lock(&m->lock);
    if (h->client == NULL)
        e = take_client(m, h);
    bool probed = m->probed;
    h->caps = m->caps;
    pthread_mutex_unlock(&m->lock);
    /* Several workers may probe at once: scratch documents differ, and waiting would add their time-outs up. */
    if (e == ERR_NONE && !probed)
        e = mongo_probe(h);
    if (e != ERR_NONE)
        return e;
    pthread_mutex_lock(&m->lock);
    m->probed = true;
    m->caps = h->caps;
    pthread_mutex_unlock(&m->lock);
    mongo_concerns(h);
    h->ready = true;
    return ERR_NONE;
}

void mongo_turn_begin(struct mongo_handle *h)
{
    if (h->caps.racy_updates)
        pthread_mutex_lock(&((struct mongo *)h->base.archive)->turns);
}

void mongo_turn_end(struct mongo_handle *h)
{
    if (h->caps.racy_updates)
        pthread_mutex_unlock(&((struct mongo *)h->base.archive)->turns);
}

static struct archive_handle *mongo_attach(struct archive *a)
{
    struct mongo_handle *h = calloc(1, sizeof *h);

    if (h == NULL)
        abort();
    h->base.archive = a;
    return &h->base;
}

static void mongo_detach(struct archive_handle *own_h)
{
    struct mongo_handle *h = mongo_handle_of(own_h);
    struct mongo *m = (struct mongo *)own_h->archive;

    pthread_mutex_lock(&m->lock);
    drop_client(h);
    pthread_mutex_unlock(&m->lock);
    free(h);
}

static void mongo_close(struct archive *own_a)
{
    struct mongo *m = (struct mongo *)own_a;

    if (m->pool != NULL)
        mongoc_client_pool_destroy(m->pool);
    mongoc_uri_destroy(m->uri);
    pthread_mutex_destroy(&m->lock);
    pthread_mutex_destroy(&m->turns);
    free(m);
}

static const struct archive_ops mongo_ops = {
    .kind = "mongo",
    .writers = WRITERS,
    .close = mongo_close,
    .attach = mongo_attach,
    .detach = mongo_detach,
    .load = mongo_load,
    .commit = mongo_commit,
    .scan = mongo_scan,
    .sweep = mongo_sweep,
    .control_get = mongo_control_get,
    .control_set = mongo_control_set,
    .clear = mongo_clear,
    .stats = mongo_stats,
    .ping = mongo_ping,
};

struct archive *mongo_archive_open(const struct archive_options *options, char *why, size_t why_cap)
{
    mongoc_uri_t *uri = parse(options->url, why, why_cap);
    struct mongo *m;

    if (uri == NULL)
        return NULL;
    m = calloc(1, sizeof *m);
    if (m == NULL)
        abort();
    set_options(uri, options);
    m->base.ops = &mongo_ops;
    m->uri = uri;
    m->database = mongoc_uri_get_database(uri);
    pthread_mutex_init(&m->lock, NULL);
    pthread_mutex_init(&m->turns, NULL);
    return &m->base;
}
