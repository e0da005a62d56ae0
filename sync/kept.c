#include "sync/kept.h"

#include "backends/archive/fields.h"
#include "engine/document.h"
#include "engine/packed.h"

/* ---- reading ---- */

static bool is_over(const struct object *o, int64_t now_ms)
{
    return o->type == OBJECT_NONE || (o->expire_ms >= 0 && now_ms > o->expire_ms);
}

static void decode(struct kept *k, const struct archive_found *found, struct arena *a, int64_t now_ms)
{
    bson_t doc;

    k->version = found->version;
    k->dirty = found->dirty;
    k->object = (struct object){.key = k->key, .expire_ms = -1};
    k->dead = true;
    if (found->version == 0)
        return;
    k->damaged = "not BSON";
    if (!bson_init_static(&doc, (const uint8_t *)found->doc.p, found->doc.len) ||
        document_decode(&doc, a, &k->object, &k->damaged) != ERR_NONE)
        return;
    k->damaged = NULL;
    record_decode(&doc, a, &k->record);
    k->dead = is_over(&k->object, now_ms);
    k->object.key = k->key;
    if (k->dead)
        k->object = (struct object){.key = k->key, .expire_ms = -1};
}

/* One by one, since one of them spoils it for all. */
static enum err load_each(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *a,
                          struct kept *ret, struct archive_found *found)
{
    enum err e = ERR_NONE;

    for (size_t i = 0; i < n && (e == ERR_NONE || e == ERR_ARCHIVEBAD); i++) {
        e = archive_load(h, &keys[i], 1, a, &found[i]);
        if (e == ERR_ARCHIVEBAD)
            ret[i].damaged = arena_copy(a, (struct slice){archive_why(h), strlen(archive_why(h)) + 1}).p;
    }
    return e == ERR_ARCHIVEBAD ? ERR_NONE : e;
}

enum err kept_load(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *a,
                   int64_t now_ms, struct kept *ret)
{
    struct archive_found *found = arena_get(a, n * sizeof *found);

    for (size_t i = 0; i < n; i++)
        ret[i] = (struct kept){.key = keys[i]};
    enum err e = archive_load(h, keys, n, a, found);
    if (e == ERR_ARCHIVEBAD)
        e = load_each(h, keys, n, a, ret, found);
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        if (ret[i].damaged == NULL)
            decode(&ret[i], &found[i], a, now_ms);
    return e;
}

/* ---- writing ---- */

enum err kept_seal(const struct kept_state *s, int64_t now_ms, struct archive_write *ret)
{
    struct object gone = {.key = s->object->key, .expire_ms = now_ms + FIELDS_TOMBSTONE_MS};
    const struct object *o = is_over(s->object, now_ms) ? &gone : s->object;
    struct archive_entry entry = {.key = o->key,
                                  .hash = archive_hash(o->key),
                                  .version = s->version,
                                  .expire_ms = o->expire_ms,
                                  .type = o->type,
                                  .tier = o->type != OBJECT_NONE ? s->record->tier.level : RECORD_WORKING,
                                  .dirty = s->dirty};
    bson_t *doc = bson_new();
    enum err e = document_encode(o, doc);
    bson_t *packed = e == ERR_NONE && entry.tier == RECORD_COLD ? packed_make(doc) : NULL;

    if (packed != NULL) {
        bson_destroy(doc);
        doc = packed;
    }
    if (e == ERR_NONE && (!fields_append(&entry, now_ms, doc) || !record_encode(s->record, doc)))
        e = ERR_TOO_LARGE;
    if (e == ERR_NONE)
        *ret = (struct archive_write){.entry = entry, .expected = s->expected, .doc = doc};
    else
        bson_destroy(doc);
    return e;
}

static bool is_of_one(enum err e)
{
    return e == ERR_RACE || e == ERR_ARCHIVEBAD;
}

enum err kept_commit(struct archive_handle *h, const struct archive_write *writes, size_t n, enum err *ret)
{
    enum err e = n > 0 ? archive_commit(h, writes, n) : ERR_NONE;

    for (size_t i = 0; i < n; i++)
        ret[i] = e;
    if (n < 2 || !is_of_one(e))
        return is_of_one(e) ? ERR_NONE : e;
    for (size_t i = 0; i < n; i++) {
        ret[i] = archive_commit(h, &writes[i], 1);
        if (ret[i] != ERR_NONE && !is_of_one(ret[i]))
            return ret[i];
    }
    return ERR_NONE;
}

void kept_drop(struct archive_write *writes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bson_destroy((bson_t *)writes[i].doc);
}
