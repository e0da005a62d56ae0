/* What the server is, what it can do, and whether it does it: once for a process, with scratch documents. */
#include "backends/mongo/internal.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define BIG 4611686018427387903 /* 2^62 - 1: lost by servers that keep numbers as doubles */

struct scratch {
    bson_oid_t in; /* also makes the sweep take it, should we not get to it */
    char low[40], high[40];
    const char *order[2]; /* of ids as they were found */
    size_t found;
    bool exact; /* numbers came back as they were */
};

/* ERR_ARCHIVEBAD: the server refused; *ret_reply is the caller's then, too. */
static enum err command(struct mongo_handle *h, const char *database, const bson_t *command,
                        bson_t *ret_reply)
{
    bson_error_t error;
    bool ok = mongoc_client_command_simple(h->client, database, command, NULL, ret_reply, &error);
    return ok ? ERR_NONE : mongo_error(h, &error, false);
}

static enum err ask_who(struct mongo_handle *h)
{
    bson_t *hello = BCON_NEW("isMaster", BCON_INT32(1)), *build = BCON_NEW("buildInfo", BCON_INT32(1));
    bson_t reply;
    bson_iter_t it;

    enum err e = command(h, "admin", hello, &reply);
    h->caps.replicated = bson_has_field(&reply, "setName") ||
                         (bson_iter_init_find(&it, &reply, "msg") && BSON_ITER_HOLDS_UTF8(&it) &&
                          strcmp(bson_iter_utf8(&it, NULL), "isdbgrid") == 0);
    bson_destroy(&reply);
    if (e == ERR_NONE) {
        e = command(h, "admin", build, &reply);
        h->caps.racy_updates = h->caps.by_id_only =
            bson_has_field(&reply, "ferretdbVersion"); /* 1.x alone says so */
        bson_destroy(&reply);
    }
    bson_destroy(hello);
    bson_destroy(build);
    return e;
}

/* Some servers have no partial indexes, or no indexes: they answer all the same, only slowly. */
static enum err make_indexes(struct mongo_handle *h)
{
    static const struct {
        const char *collection, *field;
        bool partial;
    } indexes[] = {
        {"keys", "h", false}, {"keys", "due", false}, {"keys", "dirty", true}, {"control", "in", false}};
    enum err e = ERR_NONE;

    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0] && e != ERR_ARCHIVEDOWN; i++) {
        bson_t *options = indexes[i].partial
                              ? BCON_NEW("partialFilterExpression", "{", "dirty", BCON_BOOL(true), "}")
                              : bson_new();
        bson_t *index =
            BCON_NEW("key", "{", indexes[i].field, BCON_INT32(1), "}", "name", BCON_UTF8(indexes[i].field));
        bson_t *make, reply;

        bson_concat(index, options);
        make = BCON_NEW("createIndexes", BCON_UTF8(indexes[i].collection), "indexes", "[",
                        BCON_DOCUMENT(index), "]");
        e = command(h, ((struct mongo *)h->base.archive)->database, make, &reply);
        bson_destroy(&reply);
        bson_destroy(options);
        bson_destroy(index);
        bson_destroy(make);
    }
    return e == ERR_ARCHIVEDOWN ? e : ERR_NONE;
}

static bson_t *scratch_doc(const struct scratch *s, const char *id, int64_t hash)
{
    return BCON_NEW("_id", BCON_UTF8(id), "in", BCON_OID(&s->in), "at",
                    BCON_DATE_TIME((int64_t)time(NULL) * 1000), "h", BCON_INT64(hash), "ver",
                    BCON_INT64(BIG));
}

static enum err write_scratch(struct mongo_handle *h, const struct scratch *s)
{
    bson_t *high = scratch_doc(s, s->high, 2), *low = scratch_doc(s, s->low, 1);
    const bson_t *both[] = {high, low};

    h->caps.journal = true;
    enum err e = mongo_insert_all(h, h->control, both, 2);
    if (e == ERR_ARCHIVEBAD) { /* no journal, perhaps */
        h->caps.journal = false;
        mongo_concerns(h);
        e = mongo_insert_all(h, h->control, both, 2);
    }
    bson_destroy(high);
    bson_destroy(low);
    return e;
}

static bool note(void *ctx, const bson_t *doc)
{
    struct scratch *s = ctx;
    bson_iter_t it;

    if (s->found < 2 && bson_iter_init_find(&it, doc, "_id") && BSON_ITER_HOLDS_UTF8(&it))
        s->order[s->found++] = strcmp(bson_iter_utf8(&it, NULL), s->low) == 0 ? s->low : s->high;
    s->exact = s->exact && mongo_number(doc, "ver") == BIG;
    return true;
}

static enum err read_scratch(struct mongo_handle *h, struct scratch *s)
{
    bson_t *filter = BCON_NEW("in", BCON_OID(&s->in), "h", "{", "$gte", BCON_INT64(1), "}");
    bson_t *sorted = BCON_NEW("sort", "{", "h", BCON_INT32(1), "}");

    h->caps.majority_read = true;
    s->exact = true;
    enum err e = mongo_find(h, h->control, filter, sorted, note, s);
    if (e == ERR_ARCHIVEBAD) { /* no read concern, perhaps */
        h->caps.majority_read = false;
        mongo_concerns(h);
        e = mongo_find(h, h->control, filter, sorted, note, s);
    }
    bson_destroy(filter);
    bson_destroy(sorted);
    if (e == ERR_NONE && (s->found != 2 || s->order[0] != s->low || s->order[1] != s->high))
        e = mongo_fail(h, ERR_ARCHIVEBAD, "the server does not find and sort documents by a number");
    if (e == ERR_NONE && !s->exact)
        e = mongo_fail(h, ERR_ARCHIVEBAD, "the server changes large numbers");
    return e;
}

/* Replaces what has this version by what has version 7. */
static enum err swap(struct mongo_handle *h, const struct scratch *s, int64_t version, int64_t *ret_n)
{
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(s->low), "ver", BCON_INT64(version));
    bson_t *doc = BCON_NEW("_id", BCON_UTF8(s->low), "in", BCON_OID(&s->in), "ver", BCON_INT64(7));
    enum err e = mongo_replace(h, h->control, filter, doc, ret_n);

    bson_destroy(filter);
    bson_destroy(doc);
    return e;
}

static enum err try_writes(struct mongo_handle *h, const struct scratch *s)
{
    int64_t wrong = 0, right = 0, again = 0;
    bson_t *twice = scratch_doc(s, s->low, 1);

    enum err e = mongo_insert(h, h->control, twice);
    bson_destroy(twice);
    if (e == ERR_NONE)
        return mongo_fail(h, ERR_ARCHIVEBAD, "the server takes two documents with one _id");
    if (e != ERR_RACE)
        return e;
    e = swap(h, s, BIG - 1, &wrong);
    if (e == ERR_NONE)
        e = swap(h, s, BIG, &right);
    if (e == ERR_NONE)
        e = swap(h, s, 7, &again);
    if (e == ERR_NONE && (wrong != 0 || right != 1 || again != 1))
        e = mongo_fail(h, ERR_ARCHIVEBAD, "the server does not replace a document by _id and version");
    return e;
}

/* A transaction that is aborted must leave nothing. */
static enum err try_transaction(struct mongo_handle *h, const struct scratch *s)
{
    bson_t *filter = BCON_NEW("_id", BCON_UTF8(s->high));
    bson_error_t error;
    int64_t n = 0;
    struct scratch after = *s;
    enum err e = ERR_ARCHIVEBAD;

    h->session = mongoc_client_start_session(h->client, NULL, &error);
    if (h->session != NULL && mongoc_client_session_start_transaction(h->session, NULL, &error)) {
        e = mongo_delete(h, h->control, filter, &n);
        if (!mongoc_client_session_abort_transaction(h->session, &error))
            n = 0;
    }
    if (h->session != NULL)
        mongoc_client_session_destroy(h->session);
    h->session = NULL;
    after.found = 0;
    if (e == ERR_NONE && n == 1)
        e = mongo_find(h, h->control, filter, NULL, note, &after);
    h->caps.transactions = e == ERR_NONE && n == 1 && after.found == 1;
    bson_destroy(filter);
    return e == ERR_ARCHIVEDOWN ? e : ERR_NONE;
}

static enum err remove_scratch(struct mongo_handle *h, const struct scratch *s)
{
    bson_t *filter = BCON_NEW("in", BCON_OID(&s->in));
    int64_t n = 0;
    enum err e = mongo_delete_all(h, h->control, filter, &n);

    bson_destroy(filter);
    if (e == ERR_NONE && n != 2)
        e = mongo_fail(h, ERR_ARCHIVEBAD, "the server does not delete what it found");
    return e;
}

enum err mongo_probe(struct mongo_handle *h)
{
    struct scratch s = {.found = 0};
    char hex[25];

    bson_oid_init(&s.in, NULL);
    bson_oid_to_string(&s.in, hex);
    snprintf(s.low, sizeof s.low, "probe:%s:low", hex);
    snprintf(s.high, sizeof s.high, "probe:%s:high", hex);
    h->caps = (struct mongo_caps){.journal = true, .majority_read = true};
    enum err e = ask_who(h);
    if (e == ERR_NONE)
        e = write_scratch(h, &s);
    if (e == ERR_NONE)
        e = read_scratch(h, &s);
    if (e == ERR_NONE)
        e = try_writes(h, &s);
    if (e == ERR_NONE && h->caps.replicated)
        e = try_transaction(h, &s);
    if (e == ERR_NONE)
        e = remove_scratch(h, &s);
    if (e == ERR_NONE)
        e = make_indexes(h);
    /* Nothing of the caller's was sent. */
    return e == ERR_ARCHIVELOST || e == ERR_RACE ? ERR_ARCHIVEDOWN : e;
}
