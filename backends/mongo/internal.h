/* backends/mongo/internal — what the files of this folder share: the handle, and calls of libmongoc with our errors.
 * Invariants: each function that returns an error has set the handle's why.
 * Threads:    as archive.h says. */
#ifndef BACKENDS_MONGO_INTERNAL_H
#define BACKENDS_MONGO_INTERNAL_H

#include "backends/archive/archive.h"

#include <mongoc/mongoc.h>
#include <pthread.h>

/* What the server turned out to be. */
struct mongo_caps {
    bool replicated;    /* a replica set or a cluster of them: linearizable reads mean something */
    bool transactions;  /* tried */
    bool racy_updates;  /* FerretDB 1: an update looks first and writes later, */
    bool by_id_only;    /* and reads all of a collection for filters other than one _id */
    bool majority_read; /* it takes read concern "majority" */
    bool journal;       /* it takes write concern j */
};

struct mongo {
    struct archive base;
    mongoc_uri_t *uri;
    const char *database; /* the URI's */
    pthread_mutex_t lock; /* guards the next three */
    mongoc_client_pool_t *pool;
    bool probed;
    struct mongo_caps caps;
    pthread_mutex_t turns; /* held by the writer, where updates are racy */
};

struct mongo_handle {
    struct archive_handle base;
    mongoc_client_t *client; /* NULL until first used */
    mongoc_collection_t *keys, *control;
    bool ready; /* probed, and caps is a copy */
    struct mongo_caps caps;
    mongoc_client_session_t *session; /* of the transaction under way */
};

/* _id as text: short ones need no memory of their own. */
struct mongo_id {
    char *text; /* ends with NUL */
    char space[128];
};

/* The part of a stored document that is ours. */
struct mongo_stored {
    int64_t version; /* of the entry, also while it is locked; 0: there is none */
    bool locked, written;
    bson_oid_t in, wid; /* when locked, when written */
};

static inline struct mongo_handle *mongo_handle_of(struct archive_handle *h)
{
    return (struct mongo_handle *)h;
}

/* Connects and probes where that was not done yet. */
MUST_USE enum err mongo_enter(struct archive_handle *base);
/* Around writes: one at a time where the server needs that. */
void mongo_turn_begin(struct mongo_handle *h);
void mongo_turn_end(struct mongo_handle *h);

/* why becomes this, on one line; returns e. */
enum err mongo_fail(struct mongo_handle *h, enum err e, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What an error of libmongoc means. writing: it may have been done. */
enum err mongo_error(struct mongo_handle *h, const bson_error_t *error, bool writing);

/* Calls, in the transaction if there is one. ret_n: documents that matched, or went. A duplicate _id is ERR_RACE. */
MUST_USE enum err mongo_insert(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *doc);
MUST_USE enum err mongo_insert_all(struct mongo_handle *h, mongoc_collection_t *c, const bson_t **docs,
                                   size_t n);
MUST_USE enum err mongo_replace(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *filter,
                                const bson_t *doc, int64_t *ret_n);
MUST_USE enum err mongo_update(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *filter,
                               const bson_t *update, int64_t *ret_n);
MUST_USE enum err mongo_delete(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *filter,
                               int64_t *ret_n);
MUST_USE enum err mongo_delete_all(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *filter,
                                   int64_t *ret_n);
/* each() for every document; it returns false to stop. */
MUST_USE enum err mongo_find(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *filter,
                             const bson_t *opts, bool (*each)(void *ctx, const bson_t *doc), void *ctx);
/* ret_doc.p NULL: there is none. */
MUST_USE enum err mongo_find_id(struct mongo_handle *h, mongoc_collection_t *c, const char *id,
                                const bson_t *opts, struct arena *arena, struct slice *ret_doc);

void mongo_id_init(struct mongo_id *id, struct slice key);
void mongo_id_done(struct mongo_id *id);
/* own: fields of doc and ours. */
void mongo_stored_make(bson_t *ret_doc, const char *id, const struct archive_write *w, const bson_oid_t *wid);
void mongo_stored_read(const bson_t *doc, struct mongo_stored *ret);
/* What callers get: doc as it was before it was locked. */
struct slice mongo_stored_unlocked(const bson_t *doc, const struct mongo_stored *s, struct arena *arena);
int64_t mongo_number(const bson_t *doc, const char *field); /* 0: not there */

/* What stands under an id: version 0 and not locked when nothing does. */
MUST_USE enum err mongo_look(struct mongo_handle *h, const char *id, struct mongo_stored *ret);

/* One write; outside transactions it finishes the commits that are in its way. */
MUST_USE enum err mongo_write(struct mongo_handle *h, const struct archive_write *w);
/* One attempt. ret_hit false: the version is another, or the document is locked. */
MUST_USE enum err mongo_write_once(struct mongo_handle *h, const char *id, const struct archive_write *w,
                                   const bson_oid_t *wid, bool *ret_hit);
MUST_USE enum err mongo_transact(struct mongo_handle *h, const struct archive_write *writes, size_t n);
/* Finds h->caps out. ERR_ARCHIVEBAD: the server does not do what it says. */
MUST_USE enum err mongo_probe(struct mongo_handle *h);
/* The collections' concerns become what caps says: a server that doesn't take ours does what it can by its own. */
void mongo_concerns(struct mongo_handle *h);

enum err mongo_load(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *arena,
                    struct archive_found *found);
enum err mongo_commit(struct archive_handle *h, const struct archive_write *writes, size_t n);
enum err mongo_scan(struct archive_handle *h, enum archive_filter filter, int64_t from_hash, size_t limit,
                    void (*each)(void *ctx, const struct archive_entry *e), void *ctx);
enum err mongo_sweep(struct archive_handle *h, int64_t now_ms, size_t limit, size_t *ret_swept);
enum err mongo_control_get(struct archive_handle *h, const char *name, struct arena *arena,
                           struct archive_found *found);
enum err mongo_control_set(struct archive_handle *h, const char *name, int64_t expected, int64_t version,
                           const bson_t *doc);
enum err mongo_clear(struct archive_handle *h);
enum err mongo_stats(struct archive_handle *h, struct archive_stats *ret);
enum err mongo_ping(struct archive_handle *h);

#endif
