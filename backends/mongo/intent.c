#include "backends/mongo/intent.h"

#include "backends/mongo/internal.h"
#include "backends/mongo/record.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SETTLES 8 /* commits in the way of one lock, at most */

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
    char name[RECORD_NAME_CAP], digits[16];
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
    char name[RECORD_NAME_CAP];
    bson_t stored, *doc = bson_new();

    record_part_name(&i->in, k, name);
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
            e = hit ? ERR_NONE : record_settle(i->h, &s.in, id);
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
    char name[RECORD_NAME_CAP];
    enum record_state state = RECORD_DONE;
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
        e = record_look(i->h, &i->in, &state) == ERR_NONE ? ERR_NONE : ERR_ARCHIVELOST;
    if (e == ERR_NONE && state != RECORD_DONE)
        e = mongo_fail(i->h, ERR_RACE, "somebody else was faster");
    return e;
}

static enum err apply(struct intent *i)
{
    const struct archive_write *w = i->writes[i->at];
    bson_t stored;

    if (w->doc != NULL)
        mongo_stored_make(&stored, i->ids[i->at].text, w, &i->in);
    enum err e = record_apply(i->h, &i->in, i->ids[i->at].text, w->doc == NULL ? NULL : &stored);
    if (w->doc != NULL)
        bson_destroy(&stored);
    if (++i->at == i->n)
        i->step = INTENT_FORGET;
    return e;
}

enum err intent_step(struct intent *i)
{
    static enum err (*const steps[])(struct intent * i) = {
        [INTENT_RECORD] = record, [INTENT_LOCK] = lock, [INTENT_DECIDE] = decide, [INTENT_APPLY] = apply};

    if (i->step < INTENT_FORGET)
        return steps[i->step](i);
    i->step = INTENT_END;
    return record_forget(i->h, &i->in);
}

enum err intent_undo(struct intent *i)
{
    enum record_state state = RECORD_GONE;
    bool was;

    enum err e = record_call_off(i->h, &i->in, &was);
    if (e == ERR_NONE && !was)
        e = record_look(i->h, &i->in, &state);
    if (e == ERR_NONE && state == RECORD_DONE)
        e = mongo_fail(i->h, ERR_ARCHIVELOST, "it is done already");
    for (size_t k = 0; k < i->n && e == ERR_NONE; k++)
        e = record_unlock(i->h, &i->in, i->ids[k].text, i->writes[k]->expected);
    if (e == ERR_NONE)
        e = record_forget(i->h, &i->in);
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
