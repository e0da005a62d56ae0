/* Reading documents: keys and control. */
#include "backends/mongo/internal.h"

#include "backends/mongo/record.h"

#include <stdio.h>
#include <string.h>

#define SETTLES    8    /* commits in the way of one read, at most */
#define CONTROL_MS 1500 /* a linearizable read waits for a majority */
#define LOCKED     (-1)
#define IDS        256 /* in one query */

struct loading {
    const struct mongo_id *ids;
    size_t from, to; /* what the query asks for */
    struct arena *arena;
    struct archive_found *found;
};

static bool is_dirty(const bson_t *doc)
{
    bson_iter_t it;
    return bson_iter_init_find(&it, doc, "dirty") && BSON_ITER_HOLDS_BOOL(&it) && bson_iter_bool(&it);
}

static bool load_doc(void *ctx, const bson_t *doc)
{
    struct loading *l = ctx;
    struct mongo_stored s;
    struct archive_found f = {.dirty = is_dirty(doc)};
    bson_iter_t it;

    if (!bson_iter_init_find(&it, doc, "_id") || !BSON_ITER_HOLDS_UTF8(&it))
        return true;
    const char *id = bson_iter_utf8(&it, NULL);
    mongo_stored_read(doc, &s);
    f.version = s.locked ? LOCKED : s.version;
    f.doc = s.locked ? (struct slice){NULL, 0} : mongo_stored_unlocked(doc, &s, l->arena);
    for (size_t i = l->from; i < l->to; i++)
        if (strcmp(l->ids[i].text, id) == 0)
            l->found[i] = f;
    return true;
}

static void filter_init(bson_t *filter, const struct loading *l)
{
    bson_t in, list;
    char digits[16];
    const char *index;

    bson_init(filter);
    if (l->to - l->from == 1) {
        BSON_APPEND_UTF8(filter, "_id", l->ids[l->from].text);
        return;
    }
    BSON_APPEND_DOCUMENT_BEGIN(filter, "_id", &in);
    BSON_APPEND_ARRAY_BEGIN(&in, "$in", &list);
    for (size_t i = l->from; i < l->to; i++) {
        bson_uint32_to_string((uint32_t)(i - l->from), &index, digits, sizeof digits);
        BSON_APPEND_UTF8(&list, index, l->ids[i].text);
    }
    bson_append_array_end(&in, &list);
    bson_append_document_end(filter, &in);
}

/* Many ids in a query where that is one look into an index for each, else a query for each. */
static enum err load_all(struct mongo_handle *h, struct loading *l, size_t n)
{
    size_t step = h->caps.by_id_only ? 1 : IDS;
    enum err e = ERR_NONE;

    for (size_t at = 0; at < n && e == ERR_NONE; at += step) {
        bson_t filter;
        l->from = at;
        l->to = n - at < step ? n : at + step;
        filter_init(&filter, l);
        e = mongo_find(h, h->keys, &filter, NULL, load_doc, l);
        bson_destroy(&filter);
    }
    return e;
}

/* Reads a document whose lock was seen. */
static enum err load_locked(struct mongo_handle *h, const char *id, struct arena *arena,
                            struct archive_found *found)
{
    for (int tries = 0; tries < SETTLES; tries++) {
        struct slice raw;
        struct mongo_stored s;
        enum record_state state = RECORD_OPEN;
        bson_t doc;

        enum err e = mongo_find_id(h, h->keys, id, NULL, arena, &raw);
        if (e != ERR_NONE)
            return e;
        *found = (struct archive_found){0};
        if (raw.p == NULL)
            return ERR_NONE;
        if (!bson_init_static(&doc, (const uint8_t *)raw.p, raw.len))
            return mongo_fail(h, ERR_ARCHIVEBAD, "a document is not BSON");
        mongo_stored_read(&doc, &s);
        if (s.locked)
            e = record_look(h, &s.in, &state);
        if (e == ERR_NONE && state == RECORD_OPEN) {
            if (s.version != 0)
                *found = (struct archive_found){s.version, mongo_stored_unlocked(&doc, &s, arena), is_dirty(&doc)};
            return ERR_NONE;
        }
        if (e == ERR_NONE)
            e = record_settle(h, &s.in, id);
        if (e != ERR_NONE)
            return e;
    }
    return mongo_fail(h, ERR_ARCHIVEDOWN, "too many commits in the way");
}

enum err mongo_load(struct archive_handle *base, const struct slice *keys, size_t n, struct arena *arena,
                    struct archive_found *found)
{
    struct mongo_handle *h = mongo_handle_of(base);
    enum err e = mongo_enter(base);
    if (e != ERR_NONE)
        return e;

    struct mongo_id *ids = arena_get(arena, n * sizeof *ids);
    struct loading l = {.ids = ids, .arena = arena, .found = found};
    for (size_t i = 0; i < n; i++) {
        mongo_id_init(&ids[i], keys[i]);
        found[i] = (struct archive_found){0};
    }
    e = load_all(h, &l, n);
    for (size_t i = 0; i < n && e == ERR_NONE; i++) {
        if (found[i].version != LOCKED)
            continue;
        mongo_turn_begin(h);
        e = load_locked(h, ids[i].text, arena, &found[i]);
        mongo_turn_end(h);
    }
    for (size_t i = 0; i < n; i++)
        mongo_id_done(&ids[i]);
    /* What may have been done then was no write of the caller's. */
    return e == ERR_ARCHIVELOST ? ERR_ARCHIVEDOWN : e;
}

enum err mongo_look(struct mongo_handle *h, const char *id, struct mongo_stored *ret)
{
    bson_t *opts =
        BCON_NEW("projection", "{", "ver", BCON_INT32(1), "in", BCON_INT32(1), "wid", BCON_INT32(1), "}");
    struct arena arena;
    struct slice raw;
    bson_t doc;

    arena_init(&arena);
    *ret = (struct mongo_stored){0};
    enum err e = mongo_find_id(h, h->keys, id, opts, &arena, &raw);
    if (e == ERR_NONE && raw.p != NULL && bson_init_static(&doc, (const uint8_t *)raw.p, raw.len))
        mongo_stored_read(&doc, ret);
    arena_done(&arena);
    bson_destroy(opts);
    return e;
}

/* A deposed primary may still answer with what was true: where there can be one, the read waits for a majority. */
static bson_t *control_opts(const struct mongo_handle *h)
{
    if (!h->caps.replicated)
        return NULL;
    return BCON_NEW("readConcern", "{", "level", BCON_UTF8("linearizable"), "}", "maxTimeMS",
                    BCON_INT32(CONTROL_MS));
}

enum err mongo_control_get(struct archive_handle *base, const char *name, struct arena *arena,
                           struct archive_found *found)
{
    struct mongo_handle *h = mongo_handle_of(base);
    char *id = bson_strdup_printf("doc:%s", name);
    struct slice raw = {NULL, 0};
    bson_t doc;
    bson_iter_t it;

    enum err e = mongo_enter(base);
    bson_t *opts = e == ERR_NONE ? control_opts(h) : NULL;
    if (e == ERR_NONE)
        e = mongo_find_id(h, h->control, id, opts, arena, &raw);
    if (e == ERR_NONE)
        *found = (struct archive_found){0};
    if (raw.p != NULL && bson_init_static(&doc, (const uint8_t *)raw.p, raw.len) &&
        bson_iter_init_find(&it, &doc, "doc") && BSON_ITER_HOLDS_DOCUMENT(&it)) {
        const uint8_t *bytes;
        uint32_t len;
        bson_iter_document(&it, &len, &bytes);
        *found = (struct archive_found){.version = mongo_number(&doc, "ver"), .doc = {(const char *)bytes, len}};
    }
    bson_destroy(opts);
    bson_free(id);
    return e;
}
