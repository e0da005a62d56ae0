/* What concerns the archive as a whole: clear, statistics, ping. */
#include "backends/mongo/internal.h"

#include <time.h>

enum err mongo_clear(struct archive_handle *base)
{
    struct mongo_handle *h = mongo_handle_of(base);
    bson_t all = BSON_INITIALIZER;
    int64_t gone;

    enum err e = mongo_enter(base);
    if (e != ERR_NONE)
        return e;
    mongo_turn_begin(h);
    e = mongo_delete_all(h, h->keys, &all, &gone);
    mongo_turn_end(h);
    bson_destroy(&all);
    return e;
}

enum err mongo_stats(struct archive_handle *base, struct archive_stats *ret)
{
    struct mongo_handle *h = mongo_handle_of(base);
    struct mongo *m = (struct mongo *)base->archive;
    bson_error_t error;
    bson_t reply;

    enum err e = mongo_enter(base);
    if (e != ERR_NONE)
        return e;
    ret->bytes = -1;
    ret->racy = h->caps.racy_updates;
    ret->documents = mongoc_collection_estimated_document_count(h->keys, NULL, NULL, NULL, &error);
    if (ret->documents < 0)
        return mongo_error(h, &error, false);
    bson_t *command = BCON_NEW("collStats", BCON_UTF8("keys"));
    if (mongoc_client_command_simple(h->client, m->database, command, NULL, &reply, &error) &&
        bson_has_field(&reply, "size"))
        ret->bytes = mongo_number(&reply, "size");
    bson_destroy(command);
    bson_destroy(&reply);
    return ERR_NONE;
}

/* A write, as durable as all others: a primary that lost its majority still answers reads. */
enum err mongo_ping(struct archive_handle *base)
{
    struct mongo_handle *h = mongo_handle_of(base);
    bson_error_t error;
    bson_t reply;

    enum err e = mongo_enter(base);
    if (e != ERR_NONE)
        return e;
    bson_t *filter = BCON_NEW("_id", BCON_UTF8("ping"));
    bson_t *update = BCON_NEW("$set", "{", "last", BCON_DATE_TIME((int64_t)time(NULL) * 1000), "}");
    bson_t *upsert = BCON_NEW("upsert", BCON_BOOL(true));
    bool ok = mongoc_collection_update_one(h->control, filter, update, upsert, &reply, &error);
    if (!ok)
        e = mongo_error(h, &error, false);
    bson_destroy(filter);
    bson_destroy(update);
    bson_destroy(upsert);
    bson_destroy(&reply);
    return e == ERR_RACE ? ERR_NONE : e; /* two that made it at once: it was made */
}
