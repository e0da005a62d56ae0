/* Calls of libmongoc, with our errors, in the handle's transaction where there is one. */
#include "backends/mongo/internal.h"

#include <string.h>

/* Validation of what we made ourselves would read each document twice more. */
static void opts_init(struct mongo_handle *h, bson_t *opts, bool validates)
{
    bson_error_t error;

    bson_init(opts);
    if (validates)
        BSON_APPEND_BOOL(opts, "validate", false);
    if (h->session != NULL)
        mongoc_client_session_append(h->session, opts, &error);
}

/* Inside a transaction nothing is done before its commit. */
static enum err ended(struct mongo_handle *h, bool ok, const bson_error_t *error, bson_t *opts, bson_t *reply)
{
    enum err e = ok ? ERR_NONE : mongo_error(h, error, h->session == NULL);

    bson_destroy(opts);
    bson_destroy(reply);
    return e;
}

int64_t mongo_number(const bson_t *doc, const char *field)
{
    bson_iter_t it;
    return bson_iter_init_find(&it, doc, field) ? bson_iter_as_int64(&it) : 0;
}

enum err mongo_insert(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *doc)
{
    bson_t opts, reply;
    bson_error_t error;

    opts_init(h, &opts, true);
    bool ok = mongoc_collection_insert_one(c, doc, &opts, &reply, &error);
    return ended(h, ok, &error, &opts, &reply);
}

enum err mongo_insert_all(struct mongo_handle *h, mongoc_collection_t *c, const bson_t **docs, size_t n)
{
    bson_t opts, reply;
    bson_error_t error;

    opts_init(h, &opts, true);
    bool ok = mongoc_collection_insert_many(c, docs, n, &opts, &reply, &error);
    return ended(h, ok, &error, &opts, &reply);
}

enum err mongo_replace(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *filter,
                       const bson_t *doc, int64_t *ret_n)
{
    bson_t opts, reply;
    bson_error_t error;

    opts_init(h, &opts, true);
    bool ok = mongoc_collection_replace_one(c, filter, doc, &opts, &reply, &error);
    *ret_n = mongo_number(&reply, "matchedCount");
    return ended(h, ok, &error, &opts, &reply);
}

enum err mongo_update(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *filter,
                      const bson_t *update, int64_t *ret_n)
{
    bson_t opts, reply;
    bson_error_t error;

    opts_init(h, &opts, true);
    bool ok = mongoc_collection_update_one(c, filter, update, &opts, &reply, &error);
    *ret_n = mongo_number(&reply, "matchedCount");
    return ended(h, ok, &error, &opts, &reply);
}

enum err mongo_delete(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *filter, int64_t *ret_n)
{
    bson_t opts, reply;
    bson_error_t error;

    opts_init(h, &opts, false);
    bool ok = mongoc_collection_delete_one(c, filter, &opts, &reply, &error);
    *ret_n = mongo_number(&reply, "deletedCount");
    return ended(h, ok, &error, &opts, &reply);
}

enum err mongo_delete_all(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *filter,
                          int64_t *ret_n)
{
    bson_t opts, reply;
    bson_error_t error;

    opts_init(h, &opts, false);
    bool ok = mongoc_collection_delete_many(c, filter, &opts, &reply, &error);
    *ret_n = mongo_number(&reply, "deletedCount");
    return ended(h, ok, &error, &opts, &reply);
}

enum err mongo_find(struct mongo_handle *h, mongoc_collection_t *c, const bson_t *filter, const bson_t *opts,
                    bool (*each)(void *ctx, const bson_t *doc), void *ctx)
{
    bson_t all;
    bson_error_t error;
    const bson_t *doc;
    bool more = true;

    opts_init(h, &all, false);
    if (opts != NULL)
        bson_concat(&all, opts);
    mongoc_cursor_t *cursor = mongoc_collection_find_with_opts(c, filter, &all, NULL);
    while (more && mongoc_cursor_next(cursor, &doc))
        more = each(ctx, doc);
    enum err e = more && mongoc_cursor_error(cursor, &error) ? mongo_error(h, &error, false) : ERR_NONE;
    mongoc_cursor_destroy(cursor);
    bson_destroy(&all);
    return e;
}

struct keep {
    struct arena *arena;
    struct slice doc;
};

static bool keep_first(void *ctx, const bson_t *doc)
{
    struct keep *k = ctx;

    k->doc = arena_copy(k->arena, (struct slice){(const char *)bson_get_data(doc), doc->len});
    return false;
}

enum err mongo_find_id(struct mongo_handle *h, mongoc_collection_t *c, const char *id, const bson_t *opts,
                       struct arena *arena, struct slice *ret_doc)
{
    struct keep k = {arena, {NULL, 0}};
    bson_t filter, limited = BSON_INITIALIZER;

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "_id", id);
    if (opts != NULL)
        bson_concat(&limited, opts);
    BSON_APPEND_INT64(&limited, "limit", 1); /* so that no cursor stays open */
    BSON_APPEND_BOOL(&limited, "singleBatch", true);
    enum err e = mongo_find(h, c, &filter, &limited, keep_first, &k);
    bson_destroy(&filter);
    bson_destroy(&limited);
    if (e == ERR_NONE)
        *ret_doc = k.doc;
    return e;
}
