/* Commits: one write is a compare-and-set of the server; several are a transaction, or an intent. Control documents too. */
#include "backends/mongo/internal.h"

#include "backends/mongo/intent.h"
#include "backends/mongo/record.h"

#include <string.h>

#define SETTLES 8 /* commits in the way of one write, at most */

enum err mongo_write_once(struct mongo_handle *h, const char *id, const struct archive_write *w,
                          const bson_oid_t *wid, bool *ret_hit)
{
    bson_t filter, doc;
    int64_t n = 0;
    enum err e;

    bson_init(&filter);
    BSON_APPEND_UTF8(&filter, "_id", id);
    BSON_APPEND_INT64(&filter, "ver", w->expected);
    if (w->doc == NULL) {
        e = mongo_delete(h, h->keys, &filter, &n);
    } else {
        mongo_stored_make(&doc, id, w, wid);
        e = w->expected == 0 ? mongo_insert(h, h->keys, &doc) : mongo_replace(h, h->keys, &filter, &doc, &n);
        n = e == ERR_NONE && w->expected == 0 ? 1 : n;
        bson_destroy(&doc);
    }
    bson_destroy(&filter);
    *ret_hit = e == ERR_NONE && n > 0;
    /* A duplicate id is a miss, outside transactions only: there it has ended the transaction. */
    return e == ERR_RACE && h->session == NULL ? ERR_NONE : e;
}

static enum err raced(struct mongo_handle *h, int64_t expected, const struct mongo_stored *s)
{
    return mongo_fail(h, ERR_RACE, "version %lld was expected, %lld is there", (long long)expected,
                      (long long)s->version);
}

/* Absence that is to stay: nothing is written. */
static bool only_looks(const struct archive_write *w)
{
    return w->doc == NULL && w->expected == 0;
}

enum err mongo_write(struct mongo_handle *h, const struct archive_write *w)
{
    struct mongo_id id;
    struct mongo_stored s;
    bson_oid_t wid;
    bool hit = false;
    enum err e = ERR_NONE;

    mongo_id_init(&id, w->entry.key);
    bson_oid_init(&wid, NULL);
    for (int tries = 0; tries < SETTLES && !hit && e == ERR_NONE; tries++) {
        if (!only_looks(w))
            e = mongo_write_once(h, id.text, w, &wid, &hit);
        if (hit || e != ERR_NONE)
            break;
        e = mongo_look(h, id.text, &s);
        if (e == ERR_NONE && s.locked) {
            e = record_settle(h, &s.in, id.text);
            continue;
        }
        /* libmongoc may have sent it twice: then what is in the way is our own first attempt. */
        hit = e == ERR_NONE && (only_looks(w) ? s.version == 0 : s.written && bson_oid_equal(&s.wid, &wid));
        if (e == ERR_NONE && !hit)
            e = raced(h, w->expected, &s);
    }
    mongo_id_done(&id);
    return e != ERR_NONE || hit ? e : mongo_fail(h, ERR_RACE, "too many commits in the way");
}

enum err mongo_commit(struct archive_handle *base, const struct archive_write *writes, size_t n)
{
    struct mongo_handle *h = mongo_handle_of(base);
    enum err e = mongo_enter(base);
    if (e != ERR_NONE)
        return e;

    mongo_turn_begin(h);
    if (n == 1)
        e = mongo_write(h, &writes[0]);
    else if (h->caps.transactions)
        e = mongo_transact(h, writes, n);
    else
        e = intent_commit(h, writes, n);
    mongo_turn_end(h);
    return e;
}

/* What an update that matched nothing met: ret_ours when it was the attempt with this wid. */
static enum err control_look(struct mongo_handle *h, const char *id, const bson_oid_t *wid,
                             struct mongo_stored *ret, bool *ret_ours)
{
    struct arena arena;
    struct slice raw;
    bson_t doc;

    arena_init(&arena);
    *ret = (struct mongo_stored){0};
    enum err e = mongo_find_id(h, h->control, id, NULL, &arena, &raw);
    if (e == ERR_NONE && raw.p != NULL && bson_init_static(&doc, (const uint8_t *)raw.p, raw.len))
        mongo_stored_read(&doc, ret);
    *ret_ours = ret->written && bson_oid_equal(&ret->wid, wid);
    arena_done(&arena);
    return e;
}

/* As mongo_write_once; doc NULL and expected 0 write nothing. */
static enum err control_write(struct mongo_handle *h, const bson_t *filter, int64_t expected,
                              const bson_t *stored, bool *ret_hit)
{
    int64_t n = 0;
    enum err e = ERR_NONE;

    if (stored == NULL && expected != 0) {
        e = mongo_delete(h, h->control, filter, &n);
    } else if (stored != NULL && expected != 0) {
        e = mongo_replace(h, h->control, filter, stored, &n);
    } else if (stored != NULL) {
        e = mongo_insert(h, h->control, stored);
        n = e == ERR_NONE;
    }
    *ret_hit = n > 0;
    return e == ERR_RACE ? ERR_NONE : e;
}

enum err mongo_control_set(struct archive_handle *base, const char *name, int64_t expected, int64_t version,
                           const bson_t *doc)
{
    struct mongo_handle *h = mongo_handle_of(base);
    struct mongo_stored s;
    bson_oid_t wid;
    bool hit = false, ours = false;

    enum err e = mongo_enter(base);
    if (e != ERR_NONE)
        return e;
    bson_oid_init(&wid, NULL);
    char *id = bson_strdup_printf("doc:%s", name);
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(id), "ver", BCON_INT64(expected));
    bson_t *stored = doc == NULL ? NULL
                                 : BCON_NEW("_id", BCON_UTF8(id), "ver", BCON_INT64(version), "wid",
                                            BCON_OID(&wid), "doc", BCON_DOCUMENT(doc));
    mongo_turn_begin(h);
    e = control_write(h, filter, expected, stored, &hit);
    if (e == ERR_NONE && !hit)
        e = control_look(h, id, &wid, &s, &ours);
    if (e == ERR_NONE && !hit && !ours && !(doc == NULL && expected == 0 && s.version == 0))
        e = raced(h, expected, &s);
    mongo_turn_end(h);
    bson_destroy(stored);
    bson_destroy(filter);
    bson_free(id);
    return e;
}
