/* The stored form of a document: the caller's fields, and ours beside them (mongo.h). */
#include "backends/mongo/internal.h"

#include "backends/archive/fields.h"

#include "engine/document.h"

#include <stdlib.h>
#include <string.h>

void mongo_id_init(struct mongo_id *id, struct slice key)
{
    size_t len = document_id(key, id->space, sizeof id->space);

    id->text = id->space;
    if (len < sizeof id->space)
        return;
    id->text = malloc(len + 1);
    if (id->text == NULL)
        abort();
    document_id(key, id->text, len + 1);
}

void mongo_id_done(struct mongo_id *id)
{
    if (id->text != id->space)
        free(id->text);
}

void mongo_stored_make(bson_t *ret_doc, const char *id, const struct archive_write *w, const bson_oid_t *wid)
{
    const struct archive_entry *e = &w->entry;

    bson_init(ret_doc);
    BSON_APPEND_UTF8(ret_doc, "_id", id);
    bson_copy_to_excluding_noinit(w->doc, ret_doc, "_id", "ver", "h", "dirty", "due", "kind", "wid", "in",
                                  NULL);
    BSON_APPEND_INT64(ret_doc, "ver", e->version);
    BSON_APPEND_INT64(ret_doc, "h", e->hash);
    BSON_APPEND_BOOL(ret_doc, "dirty", e->dirty);
    if (e->expire_ms < 0)
        BSON_APPEND_NULL(ret_doc, "due");
    else
        BSON_APPEND_DATE_TIME(ret_doc, "due", e->expire_ms);
    BSON_APPEND_INT32(ret_doc, "kind", FIELDS_KIND(e));
    BSON_APPEND_OID(ret_doc, "wid", wid);
}

static bool read_oid(const bson_t *doc, const char *field, bson_oid_t *ret)
{
    bson_iter_t it;

    if (!bson_iter_init_find(&it, doc, field) || !BSON_ITER_HOLDS_OID(&it))
        return false;
    bson_oid_copy(bson_iter_oid(&it), ret);
    return true;
}

void mongo_stored_read(const bson_t *doc, struct mongo_stored *ret)
{
    *ret = (struct mongo_stored){.version = mongo_number(doc, "ver")};
    ret->locked = read_oid(doc, "in", &ret->in);
    ret->written = read_oid(doc, "wid", &ret->wid);
    if (ret->locked)
        ret->version = -ret->version;
}

struct slice mongo_stored_unlocked(const bson_t *doc, const struct mongo_stored *s, struct arena *arena)
{
    bson_t clean;

    if (!s->locked)
        return arena_copy(arena, (struct slice){(const char *)bson_get_data(doc), doc->len});
    bson_init(&clean);
    bson_copy_to_excluding_noinit(doc, &clean, "ver", "in", NULL);
    BSON_APPEND_INT64(&clean, "ver", s->version);
    struct slice copy = arena_copy(arena, (struct slice){(const char *)bson_get_data(&clean), clean.len});
    bson_destroy(&clean);
    return copy;
}
