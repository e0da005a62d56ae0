#include "backends/mongo/record.h"

#include "backends/mongo/internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GRACE_MS  200 /* for the owner of a lock, before others undo its commit */
#define POLL_MS   20
#define TIDY_ROWS 16

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void record_name(const bson_oid_t *in, char buf[RECORD_NAME_CAP])
{
    char hex[25];
    bson_oid_to_string(in, hex);
    snprintf(buf, RECORD_NAME_CAP, "intent:%s", hex);
}

void record_part_name(const bson_oid_t *in, size_t i, char buf[RECORD_NAME_CAP])
{
    char hex[25];
    bson_oid_to_string(in, hex);
    snprintf(buf, RECORD_NAME_CAP, "part:%s:%zu", hex, i);
}

enum err record_apply(struct mongo_handle *h, const bson_oid_t *in, const char *id, const bson_t *doc)
{
    int64_t n;
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(id), "in", BCON_OID(in));
    enum err e =
        doc == NULL ? mongo_delete(h, h->keys, filter, &n) : mongo_replace(h, h->keys, filter, doc, &n);
    bson_destroy(filter);
    return e;
}

enum err record_forget(struct mongo_handle *h, const bson_oid_t *in)
{
    int64_t gone;
    bson_t *filter = BCON_NEW("in", BCON_OID(in));
    enum err e = mongo_delete_all(h, h->control, filter, &gone);

    bson_destroy(filter);
    return e;
}

enum err record_call_off(struct mongo_handle *h, const bson_oid_t *in, bool *ret_was)
{
    char name[RECORD_NAME_CAP];
    int64_t n;

    record_name(in, name);
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(name), "state", BCON_UTF8("open"));
    enum err e = mongo_delete(h, h->control, filter, &n);
    bson_destroy(filter);
    *ret_was = e == ERR_NONE && n > 0;
    return e;
}

enum err record_unlock(struct mongo_handle *h, const bson_oid_t *in, const char *id, int64_t old)
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
    enum record_state state;
    struct slice doc; /* in the arena */
};

static enum err read_record(struct mongo_handle *h, const bson_oid_t *in, struct arena *arena,
                            struct found_record *ret)
{
    char name[RECORD_NAME_CAP];
    bson_t doc;
    bson_iter_t it;

    *ret = (struct found_record){.state = RECORD_GONE};
    record_name(in, name);
    enum err e = mongo_find_id(h, h->control, name, NULL, arena, &ret->doc);
    if (e != ERR_NONE || ret->doc.p == NULL ||
        !bson_init_static(&doc, (const uint8_t *)ret->doc.p, ret->doc.len))
        return e;
    bool done = bson_iter_init_find(&it, &doc, "state") && BSON_ITER_HOLDS_UTF8(&it) &&
                strcmp(bson_iter_utf8(&it, NULL), "done") == 0;
    ret->state = done ? RECORD_DONE : RECORD_OPEN;
    return ERR_NONE;
}

enum err record_look(struct mongo_handle *h, const bson_oid_t *in, enum record_state *ret)
{
    struct found_record r;
    struct arena arena;

    arena_init(&arena);
    enum err e = read_record(h, in, &arena, &r);
    arena_done(&arena);
    *ret = r.state;
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
    char name[RECORD_NAME_CAP];
    struct arena arena;
    struct slice raw = {NULL, 0};
    bson_t part, doc;
    bson_iter_t it;
    enum err e;

    if (!key->is_new)
        return record_apply(h, in, key->id, NULL);
    arena_init(&arena);
    record_part_name(in, key->number, name);
    e = mongo_find_id(h, h->control, name, NULL, &arena, &raw);
    if (e == ERR_NONE && raw.p != NULL && bson_init_static(&part, (const uint8_t *)raw.p, raw.len) &&
        bson_iter_init_find(&it, &part, "doc") && BSON_ITER_HOLDS_DOCUMENT(&it)) {
        const uint8_t *bytes;
        uint32_t len;
        bson_iter_document(&it, &len, &bytes);
        if (bson_init_static(&doc, bytes, len))
            e = record_apply(h, in, key->id, &doc);
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
        e = done ? apply_found(h, in, &key) : record_unlock(h, in, key.id, key.old);
    return e == ERR_NONE ? record_forget(h, in) : e;
}

/* The lock's commit left no record. */
static enum err unlock_stray(struct mongo_handle *h, const bson_oid_t *in, const char *id)
{
    struct mongo_stored s;
    enum err e = id == NULL ? ERR_NONE : mongo_look(h, id, &s);

    if (e != ERR_NONE || id == NULL || !s.locked || !bson_oid_equal(&s.in, in))
        return e;
    return record_unlock(h, in, id, s.version);
}

/* id NULL: no lock was seen. */
static enum err settle(struct mongo_handle *h, const bson_oid_t *in, const char *id, int64_t grace_ms)
{
    struct found_record r;
    struct arena arena;
    int64_t until = now_ms() + grace_ms;
    bool ended = false;
    enum err e = ERR_NONE;

    arena_init(&arena);
    while (e == ERR_NONE && !ended) {
        bool late = now_ms() >= until;
        arena_reset(&arena);
        e = read_record(h, in, &arena, &r);
        if (e != ERR_NONE)
            break;
        if (r.state == RECORD_OPEN && late)
            e = record_call_off(h, in, &ended);
        else if (r.state == RECORD_OPEN)
            usleep(POLL_MS * 1000);
        else
            ended = true;
    }
    if (e == ERR_NONE)
        e = r.state == RECORD_GONE ? unlock_stray(h, in, id) : end_record(h, in, &r, r.state == RECORD_DONE);
    arena_done(&arena);
    return e;
}

enum err record_settle(struct mongo_handle *h, const bson_oid_t *in, const char *id)
{
    return settle(h, in, id, GRACE_MS);
}

struct some_commits {
    bson_oid_t in[TIDY_ROWS];
    size_t n;
};

static bool note_commit(void *ctx, const bson_t *doc)
{
    struct some_commits *some = ctx;
    bson_iter_t it;

    if (bson_iter_init_find(&it, doc, "in") && BSON_ITER_HOLDS_OID(&it))
        bson_oid_copy(bson_iter_oid(&it), &some->in[some->n++]);
    return some->n < TIDY_ROWS;
}

static enum err find_commits(struct mongo_handle *h, const bson_t *filter, struct some_commits *ret)
{
    bson_t *opts = BCON_NEW("limit", BCON_INT64(TIDY_ROWS), "projection", "{", "in", BCON_INT32(1), "}");

    ret->n = 0;
    enum err e = mongo_find(h, h->control, filter, opts, note_commit, ret);
    bson_destroy(opts);
    return e;
}

enum err record_finish_decided(struct mongo_handle *h)
{
    struct some_commits decided = {.n = TIDY_ROWS};
    bson_t *filter = BCON_NEW("state", BCON_UTF8("done"));
    enum err e = ERR_NONE;

    while (e == ERR_NONE && decided.n == TIDY_ROWS) {
        e = find_commits(h, filter, &decided);
        for (size_t k = 0; k < decided.n && e == ERR_NONE; k++)
            e = settle(h, &decided.in[k], NULL, 0);
    }
    bson_destroy(filter);
    return e;
}

enum err record_tidy(struct mongo_handle *h, int64_t now)
{
    struct some_commits old;
    bson_t *filter = BCON_NEW("at", "{", "$lt", BCON_DATE_TIME(now - RECORD_OLD_MS), "}");
    enum err e = find_commits(h, filter, &old);

    for (size_t k = 0; k < old.n && e == ERR_NONE; k++) {
        e = settle(h, &old.in[k], NULL, 0);
        if (e == ERR_NONE)
            e = record_forget(h, &old.in[k]); /* parts that have no record */
    }
    bson_destroy(filter);
    return e;
}
