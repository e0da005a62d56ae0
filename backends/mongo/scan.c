/* Scans in the order of hashes, and the sweep. */
#include "backends/mongo/internal.h"

#include "backends/archive/fields.h"

#include "backends/mongo/record.h"
#include "engine/document.h"

#include <string.h>

struct page {
    struct arena *arena;
    struct archive_entry *entries;
    size_t n, cap;
    size_t read; /* documents, ours or not */
};

/* What is not a document of ours is not seen: the database belongs to its users. */
static bool page_add(void *ctx, const bson_t *doc)
{
    struct page *p = ctx;
    struct mongo_stored s;
    struct slice key;
    bson_iter_t it;

    p->read++;
    mongo_stored_read(doc, &s);
    if (s.version <= 0 || !bson_iter_init_find(&it, doc, "_id") || !BSON_ITER_HOLDS_UTF8(&it) ||
        !document_key(bson_iter_utf8(&it, NULL), p->arena, &key))
        return true;
    key = arena_copy(p->arena, key); /* it may lie in the cursor's buffer */
    if (p->n == p->cap) {
        size_t cap = p->cap == 0 ? 64 : 2 * p->cap;
        p->entries = arena_grow(p->arena, p->entries, p->n * sizeof *p->entries, cap * sizeof *p->entries);
        p->cap = cap;
    }
    bool expires = bson_iter_init_find(&it, doc, "due") && BSON_ITER_HOLDS_DATE_TIME(&it);
    p->entries[p->n++] = (struct archive_entry){
        .key = key,
        .hash = mongo_number(doc, "h"),
        .version = s.version,
        .expire_ms = expires ? bson_iter_date_time(&it) : -1,
        .type = FIELDS_KIND_TYPE(mongo_number(doc, "kind")),
        .tier = FIELDS_KIND_TIER(mongo_number(doc, "kind")),
        .dirty = bson_iter_init_find(&it, doc, "dirty") && bson_iter_as_bool(&it),
    };
    return true;
}

static void fields(bson_t *opts)
{
    static const char *const names[] = {"ver", "h", "due", "kind", "dirty", "in"};
    bson_t list;

    BSON_APPEND_DOCUMENT_BEGIN(opts, "projection", &list);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        BSON_APPEND_INT32(&list, names[i], 1);
    bson_append_document_end(opts, &list);
}

/* Appends to p the entries with a hash from `from` on; exact: with that hash alone. most 0: all of them. */
static enum err read_page(struct mongo_handle *h, enum archive_filter filter, int64_t from, bool exact,
                          size_t most, struct page *p)
{
    bson_t query, opts, sub;

    bson_init(&query);
    bson_init(&opts);
    BSON_APPEND_DOCUMENT_BEGIN(&query, "h", &sub);
    BSON_APPEND_INT64(&sub, exact ? "$eq" : "$gte", from);
    bson_append_document_end(&query, &sub);
    if (filter == ARCHIVE_DIRTY)
        BSON_APPEND_BOOL(&query, "dirty", true);
    fields(&opts);
    BSON_APPEND_DOCUMENT_BEGIN(&opts, "sort", &sub);
    BSON_APPEND_INT32(&sub, "h", 1);
    bson_append_document_end(&opts, &sub);
    if (most > 0)
        BSON_APPEND_INT64(&opts, "limit", (int64_t)most);
    enum err e = mongo_find(h, h->keys, &query, &opts, page_add, p);
    bson_destroy(&query);
    bson_destroy(&opts);
    return e;
}

/* One more than the page is asked for: it tells whether the last hash has others, which is rare. */
static enum err scan_page(struct mongo_handle *h, enum archive_filter filter, int64_t from, size_t limit,
                          struct page *p)
{
    size_t most = limit + 1;
    enum err e = read_page(h, filter, from, false, most, p);

    while (e == ERR_NONE && p->n <= limit && p->read == most) { /* some were not ours */
        p->n = p->read = 0;
        most *= 2;
        e = read_page(h, filter, from, false, most, p);
    }
    if (e != ERR_NONE || p->n <= limit)
        return e;
    int64_t last = p->entries[limit - 1].hash;
    if (p->entries[limit].hash != last) {
        p->n = limit;
        return ERR_NONE;
    }
    while (p->n > 0 && p->entries[p->n - 1].hash == last)
        p->n--;
    return read_page(h, filter, last, true, 0, p);
}

/* A page is chosen by fields that a document gets when its commit is applied: decided ones are applied first. What may have
 * been done when that fails was no write of the caller's. */
static enum err finish_decided(struct mongo_handle *h)
{
    mongo_turn_begin(h);
    enum err e = record_finish_decided(h);
    mongo_turn_end(h);
    return e == ERR_ARCHIVELOST ? ERR_ARCHIVEDOWN : e;
}

enum err mongo_scan(struct archive_handle *base, enum archive_filter filter, int64_t from_hash, size_t limit,
                    void (*each)(void *ctx, const struct archive_entry *e), void *ctx)
{
    struct arena arena;
    struct page p = {.arena = &arena};
    enum err e = mongo_enter(base);

    arena_init(&arena);
    if (e == ERR_NONE)
        e = finish_decided(mongo_handle_of(base));
    if (e == ERR_NONE && limit > 0)
        e = scan_page(mongo_handle_of(base), filter, from_hash, limit, &p);
    for (size_t i = 0; i < p.n && e == ERR_NONE; i++)
        each(ctx, &p.entries[i]);
    arena_done(&arena);
    return e;
}

struct expired {
    struct arena *arena;
    mongoc_bulk_operation_t *bulk;
    size_t n;
};

/* Each goes only if it is still what was found; locked ones stay. */
static bool expired_add(void *ctx, const bson_t *doc)
{
    struct expired *x = ctx;
    bson_iter_t it;
    int64_t version = mongo_number(doc, "ver");

    if (version <= 0 || !bson_iter_init_find(&it, doc, "_id") || !BSON_ITER_HOLDS_UTF8(&it))
        return true;
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(bson_iter_utf8(&it, NULL)), "ver", BCON_INT64(version));
    x->n += mongoc_bulk_operation_remove_one_with_opts(x->bulk, filter, NULL, NULL);
    bson_destroy(filter);
    return true;
}

static enum err sweep_expired(struct mongo_handle *h, int64_t now_ms, size_t limit, size_t *ret_swept)
{
    bson_error_t error;
    bson_t reply;
    bson_t *unordered = BCON_NEW("ordered", BCON_BOOL(false));
    struct expired x = {.bulk = mongoc_collection_create_bulk_operation_with_opts(h->keys, unordered)};
    bson_t *filter = BCON_NEW("due", "{", "$lt", BCON_DATE_TIME(now_ms), "}", "dirty", BCON_BOOL(false));
    bson_t *opts =
        BCON_NEW("limit", BCON_INT64((int64_t)limit), "projection", "{", "ver", BCON_INT32(1), "}");
    enum err e = mongo_find(h, h->keys, filter, opts, expired_add, &x);

    if (e == ERR_NONE && x.n > 0) {
        if (mongoc_bulk_operation_execute(x.bulk, &reply, &error) == 0)
            e = mongo_error(h, &error, true);
        *ret_swept = (size_t)mongo_number(&reply, "nRemoved");
        bson_destroy(&reply);
    }
    mongoc_bulk_operation_destroy(x.bulk);
    bson_destroy(unordered);
    bson_destroy(filter);
    bson_destroy(opts);
    return e;
}

enum err mongo_sweep(struct archive_handle *base, int64_t now_ms, size_t limit, size_t *ret_swept)
{
    struct mongo_handle *h = mongo_handle_of(base);

    *ret_swept = 0;
    enum err e = mongo_enter(base);
    if (e != ERR_NONE)
        return e;
    mongo_turn_begin(h);
    if (limit > 0)
        e = sweep_expired(h, now_ms, limit, ret_swept);
    if (e == ERR_NONE)
        e = record_tidy(h, now_ms);
    mongo_turn_end(h);
    return e;
}
