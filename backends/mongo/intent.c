#include "backends/mongo/intent.h"

#include "backends/mongo/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS  200 /* for the owner of a lock, before others undo its commit */
#define POLL_MS   20
#define SETTLES   8 /* commits in the way of one lock, at most */
#define TIDY_ROWS 16
#define NAME_CAP  64

struct intent {
    struct mongo_handle *h;
    const struct archive_write **writes; /* in the order of their ids */
    struct mongo_id *ids;
    size_t n, at; /* at: how many the step has done */
    enum intent_step step;
    bson_oid_t in;
    int64_t started_ms;
};

static int64_t now_ms(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void record_name(const bson_oid_t *in, char buf[NAME_CAP])
{
    char hex[25];
    bson_oid_to_string(in, hex);
    snprintf(buf, NAME_CAP, "intent:%s", hex);
}

static void part_name(const bson_oid_t *in, size_t i, char buf[NAME_CAP])
{
    char hex[25];
    bson_oid_to_string(in, hex);
    snprintf(buf, NAME_CAP, "part:%s:%zu", hex, i);
}

static int by_key(const void *a, const void *b)
{
    const struct archive_write *x = *(const struct archive_write *const *)a,
                               *y = *(const struct archive_write *const *)b;
    size_t n = x->entry.key.len < y->entry.key.len ? x->entry.key.len : y->entry.key.len;
    int order = n == 0 ? 0 : memcmp(x->entry.key.p, y->entry.key.p, n);
    return order != 0 ? order : (x->entry.key.len > y->entry.key.len) - (x->entry.key.len < y->entry.key.len);
}

struct intent *intent_new(struct mongo_handle *h, const struct archive_write *writes, size_t n)
{
    struct intent *i = calloc(1, sizeof *i);

    if (i == NULL || (i->writes = calloc(n, sizeof *i->writes)) == NULL ||
        (i->ids = calloc(n, sizeof *i->ids)) == NULL)
        abort();
    i->h = h;
    i->n = n;
    i->started_ms = now_ms(CLOCK_BOOTTIME);
    bson_oid_init(&i->in, NULL);
    for (size_t k = 0; k < n; k++)
        i->writes[k] = &writes[k];
    qsort(i->writes, n, sizeof *i->writes, by_key);
    for (size_t k = 0; k < n; k++)
        mongo_id_init(&i->ids[k], i->writes[k]->entry.key);
    return i;
}

void intent_free(struct intent *own_i)
{
    if (own_i == NULL)
        return;
    for (size_t k = 0; k < own_i->n; k++)
        mongo_id_done(&own_i->ids[k]);
    free(own_i->ids);
    free(own_i->writes);
    free(own_i);
}

enum intent_step intent_at(const struct intent *i)
{
    return i->step;
}

static bson_t *record_doc(const struct intent *i, int64_t at)
{
    char name[NAME_CAP], digits[16];
    const char *index;
    bson_t *doc = bson_new(), list;

    record_name(&i->in, name);
    BSON_APPEND_UTF8(doc, "_id", name);
    BSON_APPEND_UTF8(doc, "state", "open");
    BSON_APPEND_OID(doc, "in", &i->in);
    BSON_APPEND_DATE_TIME(doc, "at", at);
    BSON_APPEND_ARRAY_BEGIN(doc, "keys", &list);
    for (size_t k = 0; k < i->n; k++) {
        bson_t *key = BCON_NEW("k", BCON_UTF8(i->ids[k].text), "old", BCON_INT64(i->writes[k]->expected),
                               "new", BCON_BOOL(i->writes[k]->doc != NULL));
        bson_uint32_to_string((uint32_t)k, &index, digits, sizeof digits);
        BSON_APPEND_DOCUMENT(&list, index, key);
        bson_destroy(key);
    }
    bson_append_array_end(doc, &list);
    return doc;
}

static bson_t *part_doc(const struct intent *i, size_t k, int64_t at)
{
    char name[NAME_CAP];
    bson_t stored, *doc = bson_new();

    part_name(&i->in, k, name);
    mongo_stored_make(&stored, i->ids[k].text, i->writes[k], &i->in);
    BSON_APPEND_UTF8(doc, "_id", name);
    BSON_APPEND_OID(doc, "in", &i->in);
    BSON_APPEND_DATE_TIME(doc, "at", at);
    BSON_APPEND_DOCUMENT(doc, "doc", &stored);
    bson_destroy(&stored);
    return doc;
}

/* The record is the last of them, so that it never names parts that are not there. */
static enum err record(struct intent *i)
{
    const bson_t **docs = calloc(i->n + 1, sizeof *docs);
    int64_t at = now_ms(CLOCK_REALTIME);
    size_t n = 0;

    if (docs == NULL)
        abort();
    for (size_t k = 0; k < i->n; k++)
        if (i->writes[k]->doc != NULL)
            docs[n++] = part_doc(i, k, at);
    docs[n++] = record_doc(i, at);
    enum err e = mongo_insert_all(i->h, i->h->control, docs, n);
    while (n > 0)
        bson_destroy((bson_t *)docs[--n]);
    free(docs);
    i->step = INTENT_LOCK;
    return e;
}

static enum err lock_once(struct intent *i, size_t k, bool *ret_hit)
{
    int64_t expected = i->writes[k]->expected, n = 0;
    enum err e;

    if (expected == 0) {
        bson_t *lock =
            BCON_NEW("_id", BCON_UTF8(i->ids[k].text), "ver", BCON_INT64(0), "in", BCON_OID(&i->in));
        e = mongo_insert(i->h, i->h->keys, lock);
        n = e == ERR_NONE;
        bson_destroy(lock);
    } else {
        bson_t *filter = BCON_NEW("_id", BCON_UTF8(i->ids[k].text), "ver", BCON_INT64(expected));
        bson_t *update = BCON_NEW("$set", "{", "ver", BCON_INT64(-expected), "in", BCON_OID(&i->in), "}");
        e = mongo_update(i->h, i->h->keys, filter, update, &n);
        bson_destroy(filter);
        bson_destroy(update);
    }
    *ret_hit = n > 0;
    return e == ERR_RACE ? ERR_NONE : e;
}

static enum err lock(struct intent *i)
{
    const char *id = i->ids[i->at].text;
    struct mongo_stored s;
    bool hit = false;

    for (int tries = 0; tries < SETTLES && !hit; tries++) {
        enum err e = lock_once(i, i->at, &hit);
        if (e != ERR_NONE)
            return e;
        if (hit)
            break;
        e = mongo_look(i->h, id, &s);
        if (e == ERR_NONE && s.locked) {
            hit = bson_oid_equal(&s.in, &i->in);
            e = hit ? ERR_NONE : intent_settle(i->h, &s.in, id);
        } else if (e == ERR_NONE) {
            e = mongo_fail(i->h, ERR_RACE, "version %lld was expected, %lld is there",
                           (long long)i->writes[i->at]->expected, (long long)s.version);
        }
        if (e != ERR_NONE)
            return e;
    }
    if (!hit)
        return mongo_fail(i->h, ERR_RACE, "too many commits in the way");
    if (++i->at == i->n) {
        i->at = 0;
        i->step = INTENT_DECIDE;
    }
    return ERR_NONE;
}

static enum err decide(struct intent *i)
{
    char name[NAME_CAP];
    enum intent_state state = INTENT_DONE;
    int64_t n;

    if (now_ms(CLOCK_BOOTTIME) - i->started_ms > INTENT_OWNER_MS)
        return mongo_fail(i->h, ERR_ARCHIVEDOWN, "the commit took too long");
    record_name(&i->in, name);
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(name), "state", BCON_UTF8("open"));
    bson_t *update = BCON_NEW("$set", "{", "state", BCON_UTF8("done"), "}");
    enum err e = mongo_update(i->h, i->h->control, filter, update, &n);
    bson_destroy(filter);
    bson_destroy(update);
    i->step = INTENT_APPLY;
    /* No match: undone by somebody, or the second sending of what had been done. */
    if (e == ERR_NONE && n == 0)
        e = intent_look(i->h, &i->in, &state) == ERR_NONE ? ERR_NONE : ERR_ARCHIVELOST;
    if (e == ERR_NONE && state != INTENT_DONE)
        e = mongo_fail(i->h, ERR_RACE, "somebody else was faster");
    return e;
}

/* doc NULL: it is deleted. No match means that somebody has done it already. */
static enum err apply_one(struct mongo_handle *h, const bson_oid_t *in, const char *id, const bson_t *doc)
{
    int64_t n;
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(id), "in", BCON_OID(in));
    enum err e =
        doc == NULL ? mongo_delete(h, h->keys, filter, &n) : mongo_replace(h, h->keys, filter, doc, &n);
    bson_destroy(filter);
    return e;
}

static enum err apply(struct intent *i)
{
    const struct archive_write *w = i->writes[i->at];
    bson_t stored;

    if (w->doc != NULL)
        mongo_stored_make(&stored, i->ids[i->at].text, w, &i->in);
    enum err e = apply_one(i->h, &i->in, i->ids[i->at].text, w->doc == NULL ? NULL : &stored);
    if (w->doc != NULL)
        bson_destroy(&stored);
    if (++i->at == i->n)
        i->step = INTENT_FORGET;
    return e;
}

/* The record and its parts. */
static enum err forget(struct mongo_handle *h, const bson_oid_t *in)
{
    int64_t gone;
    bson_t *filter = BCON_NEW("in", BCON_OID(in));
    enum err e = mongo_delete_all(h, h->control, filter, &gone);

    bson_destroy(filter);
    return e;
}

enum err intent_step(struct intent *i)
{
    static enum err (*const steps[])(struct intent * i) = {
        [INTENT_RECORD] = record, [INTENT_LOCK] = lock, [INTENT_DECIDE] = decide, [INTENT_APPLY] = apply};

    if (i->step < INTENT_FORGET)
        return steps[i->step](i);
    i->step = INTENT_END;
    return forget(i->h, &i->in);
}

/* ret_was false: it was not open any more. */
static enum err call_off(struct mongo_handle *h, const bson_oid_t *in, bool *ret_was)
{
    char name[NAME_CAP];
    int64_t n;

    record_name(in, name);
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(name), "state", BCON_UTF8("open"));
    enum err e = mongo_delete(h, h->control, filter, &n);
    bson_destroy(filter);
    *ret_was = e == ERR_NONE && n > 0;
    return e;
}

static enum err unlock(struct mongo_handle *h, const bson_oid_t *in, const char *id, int64_t old)
{
    int64_t n;
    enum err e;
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(id), "in", BCON_OID(in));

    if (old == 0) {
        e = mongo_delete(h, h->keys, filter, &n);
    } else {
        bson_t *update =
            BCON_NEW("$set", "{", "ver", BCON_INT64(old), "}", "$unset", "{", "in", BCON_UTF8(""), "}");
        e = mongo_update(h, h->keys, filter, update, &n);
        bson_destroy(update);
    }
    bson_destroy(filter);
    return e;
}

/* What is in a record that was found. */
struct found_record {
    enum intent_state state;
    struct slice doc; /* in the arena */
};

static enum err read_record(struct mongo_handle *h, const bson_oid_t *in, struct arena *arena,
                            struct found_record *ret)
{
    char name[NAME_CAP];
    bson_t doc;
    bson_iter_t it;

    *ret = (struct found_record){.state = INTENT_GONE};
    record_name(in, name);
    enum err e = mongo_find_id(h, h->control, name, NULL, arena, &ret->doc);
    if (e != ERR_NONE || ret->doc.p == NULL ||
        !bson_init_static(&doc, (const uint8_t *)ret->doc.p, ret->doc.len))
        return e;
    bool done = bson_iter_init_find(&it, &doc, "state") && BSON_ITER_HOLDS_UTF8(&it) &&
                strcmp(bson_iter_utf8(&it, NULL), "done") == 0;
    ret->state = done ? INTENT_DONE : INTENT_OPEN;
    return ERR_NONE;
}

enum err intent_look(struct mongo_handle *h, const bson_oid_t *in, enum intent_state *ret)
{
    struct found_record r;
    struct arena arena;

    arena_init(&arena);
    enum err e = read_record(h, in, &arena, &r);
    arena_done(&arena);
    *ret = r.state;
    return e;
}

enum err intent_undo(struct intent *i)
{
    enum intent_state state = INTENT_GONE;
    bool was;

    enum err e = call_off(i->h, &i->in, &was);
    if (e == ERR_NONE && !was)
        e = intent_look(i->h, &i->in, &state);
    if (e == ERR_NONE && state == INTENT_DONE)
        e = mongo_fail(i->h, ERR_ARCHIVELOST, "it is done already");
    for (size_t k = 0; k < i->n && e == ERR_NONE; k++)
        e = unlock(i->h, &i->in, i->ids[k].text, i->writes[k]->expected);
    if (e == ERR_NONE)
        e = forget(i->h, &i->in);
    return e;
}

/* Before DECIDE nothing is done, and without its owner it never will be: where the server can't be reached, it is left to
 * whoever meets it. */
static enum err give_up(struct intent *i, enum err cause)
{
    char why[sizeof i->h->base.why];

    if (cause == ERR_ARCHIVELOST || cause == ERR_ARCHIVEDOWN)
        return ERR_ARCHIVEDOWN;
    memcpy(why, i->h->base.why, sizeof why);
    enum err e = intent_undo(i);
    if (e == ERR_ARCHIVELOST)
        return e;
    memcpy(i->h->base.why, why, sizeof why);
    return cause;
}

enum err intent_commit(struct mongo_handle *h, const struct archive_write *writes, size_t n)
{
    struct intent *i = intent_new(h, writes, n);
    enum err e = ERR_NONE;

    while (e == ERR_NONE && i->step <= INTENT_DECIDE)
        e = intent_step(i);
    if (e != ERR_NONE && (i->step <= INTENT_DECIDE || e != ERR_ARCHIVELOST))
        e = give_up(i, e);
    /* From here on it is done, and others do the rest if we can't. */
    for (enum err rest = e; rest == ERR_NONE && i->step != INTENT_END;)
        rest = intent_step(i);
    intent_free(i);
    return e;
}

/* One key of a record: its number is that of its part. */
struct found_key {
    const char *id;
    int64_t old;
    bool is_new;
    size_t number;
};

static bool next_key(bson_iter_t *keys, size_t number, struct found_key *ret)
{
    bson_iter_t it;

    *ret = (struct found_key){.number = number};
    if (!bson_iter_next(keys) || !bson_iter_recurse(keys, &it))
        return false;
    while (bson_iter_next(&it)) {
        if (strcmp(bson_iter_key(&it), "k") == 0 && BSON_ITER_HOLDS_UTF8(&it))
            ret->id = bson_iter_utf8(&it, NULL);
        else if (strcmp(bson_iter_key(&it), "old") == 0)
            ret->old = bson_iter_as_int64(&it);
        else if (strcmp(bson_iter_key(&it), "new") == 0)
            ret->is_new = bson_iter_as_bool(&it);
    }
    return ret->id != NULL;
}

/* A part that is gone was applied: parts go last. */
static enum err apply_found(struct mongo_handle *h, const bson_oid_t *in, const struct found_key *key)
{
    char name[NAME_CAP];
    struct arena arena;
    struct slice raw = {NULL, 0};
    bson_t part, doc;
    bson_iter_t it;
    enum err e;

    if (!key->is_new)
        return apply_one(h, in, key->id, NULL);
    arena_init(&arena);
    part_name(in, key->number, name);
    e = mongo_find_id(h, h->control, name, NULL, &arena, &raw);
    if (e == ERR_NONE && raw.p != NULL && bson_init_static(&part, (const uint8_t *)raw.p, raw.len) &&
        bson_iter_init_find(&it, &part, "doc") && BSON_ITER_HOLDS_DOCUMENT(&it)) {
        const uint8_t *bytes;
        uint32_t len;
        bson_iter_document(&it, &len, &bytes);
        if (bson_init_static(&doc, bytes, len))
            e = apply_one(h, in, key->id, &doc);
    }
    arena_done(&arena);
    return e;
}

/* Undoes all keys of a record, or does the rest of them; then forgets it. */
static enum err end_record(struct mongo_handle *h, const bson_oid_t *in, const struct found_record *r,
                           bool done)
{
    bson_t doc;
    bson_iter_t it, keys;
    struct found_key key;
    enum err e = ERR_NONE;
    size_t n = 0;

    if (!bson_init_static(&doc, (const uint8_t *)r->doc.p, r->doc.len) ||
        !bson_iter_init_find(&it, &doc, "keys") || !bson_iter_recurse(&it, &keys))
        return mongo_fail(h, ERR_ARCHIVEBAD, "the record of a commit is damaged");
    for (; e == ERR_NONE && next_key(&keys, n, &key); n++)
        e = done ? apply_found(h, in, &key) : unlock(h, in, key.id, key.old);
    return e == ERR_NONE ? forget(h, in) : e;
}

/* The lock's commit left no record. */
static enum err unlock_stray(struct mongo_handle *h, const bson_oid_t *in, const char *id)
{
    struct mongo_stored s;
    enum err e = id == NULL ? ERR_NONE : mongo_look(h, id, &s);

    if (e != ERR_NONE || id == NULL || !s.locked || !bson_oid_equal(&s.in, in))
        return e;
    return unlock(h, in, id, s.version);
}

/* id NULL: no lock was seen. */
static enum err settle(struct mongo_handle *h, const bson_oid_t *in, const char *id, int64_t grace_ms)
{
    struct found_record r;
    struct arena arena;
    int64_t until = now_ms(CLOCK_BOOTTIME) + grace_ms;
    bool ended = false;
    enum err e = ERR_NONE;

    arena_init(&arena);
    while (e == ERR_NONE && !ended) {
        bool late = now_ms(CLOCK_BOOTTIME) >= until;
        arena_reset(&arena);
        e = read_record(h, in, &arena, &r);
        if (e != ERR_NONE)
            break;
        if (r.state == INTENT_OPEN && late)
            e = call_off(h, in, &ended);
        else if (r.state == INTENT_OPEN)
            usleep(POLL_MS * 1000);
        else
            ended = true;
    }
    if (e == ERR_NONE)
        e = r.state == INTENT_GONE ? unlock_stray(h, in, id) : end_record(h, in, &r, r.state == INTENT_DONE);
    arena_done(&arena);
    return e;
}

enum err intent_settle(struct mongo_handle *h, const bson_oid_t *in, const char *id)
{
    return settle(h, in, id, GRACE_MS);
}

struct old_commits {
    bson_oid_t in[TIDY_ROWS];
    size_t n;
};

static bool note_old(void *ctx, const bson_t *doc)
{
    struct old_commits *old = ctx;
    bson_iter_t it;

    if (bson_iter_init_find(&it, doc, "in") && BSON_ITER_HOLDS_OID(&it))
        bson_oid_copy(bson_iter_oid(&it), &old->in[old->n++]);
    return old->n < TIDY_ROWS;
}

enum err intent_tidy(struct mongo_handle *h, int64_t now)
{
    struct old_commits old = {.n = 0};
    bson_t *filter = BCON_NEW("at", "{", "$lt", BCON_DATE_TIME(now - INTENT_OLD_MS), "}");
    bson_t *opts = BCON_NEW("limit", BCON_INT64(TIDY_ROWS), "projection", "{", "in", BCON_INT32(1), "}");
    enum err e = mongo_find(h, h->control, filter, opts, note_old, &old);

    for (size_t k = 0; k < old.n && e == ERR_NONE; k++) {
        e = settle(h, &old.in[k], NULL, 0);
        if (e == ERR_NONE)
            e = forget(h, &old.in[k]); /* parts that have no record */
    }
    bson_destroy(filter);
    bson_destroy(opts);
    return e;
}
