/* Commits of several documents where the server has transactions. */
#include "backends/mongo/internal.h"

#include "backends/mongo/record.h"

#define ATTEMPTS 8 /* as many locks of intents may be in the way */

/* In the transaction: made and deleted, so that it collides with whoever makes the key meanwhile. */
static enum err stay_absent(struct mongo_handle *h, const char *id, bool *ret_hit)
{
    bson_t *doc = BCON_NEW("_id", BCON_UTF8(id), "ver", BCON_INT64(0));
    int64_t n = 0;
    enum err e = mongo_insert(h, h->keys, doc);

    if (e == ERR_NONE)
        e = mongo_delete(h, h->keys, doc, &n);
    *ret_hit = n > 0;
    bson_destroy(doc);
    return e;
}

/* In the transaction. *ret_loser is the write whose version was another. */
static enum err write_all(struct mongo_handle *h, const struct archive_write *writes, size_t n,
                          const bson_oid_t *wid, size_t *ret_loser)
{
    enum err e = ERR_NONE;

    for (size_t i = 0; i < n && e == ERR_NONE; i++) {
        const struct archive_write *w = &writes[i];
        struct mongo_id id;
        bool hit = false;

        *ret_loser = i;
        mongo_id_init(&id, w->entry.key);
        if (w->doc == NULL && w->expected == 0)
            e = stay_absent(h, id.text, &hit);
        else
            e = mongo_write_once(h, id.text, w, wid, &hit);
        mongo_id_done(&id);
        if (e == ERR_NONE && !hit)
            e = mongo_fail(h, ERR_RACE, "version %lld was expected, another is there",
                           (long long)w->expected);
    }
    return e;
}

/* An unknown result may be asked for again: the server knows its transactions. */
static enum err finish(struct mongo_handle *h)
{
    enum err e = ERR_NONE;

    for (int tries = 0; tries < 2; tries++) {
        bson_error_t error;
        bson_t reply;
        bool ok = mongoc_client_session_commit_transaction(h->session, &reply, &error);
        bool unknown = !ok && mongoc_error_has_label(&reply, "UnknownTransactionCommitResult");
        e = ok ? ERR_NONE : mongo_error(h, &error, true);
        if (!ok && !unknown && e == ERR_ARCHIVELOST &&
            mongoc_error_has_label(&reply, "TransientTransactionError"))
            e = ERR_ARCHIVEDOWN;
        bson_destroy(&reply);
        if (!unknown)
            return e;
    }
    return e == ERR_NONE ? e : ERR_ARCHIVELOST;
}

static enum err transact_once(struct mongo_handle *h, const struct archive_write *writes, size_t n,
                              size_t *ret_loser)
{
    bson_error_t error;
    bson_oid_t wid;

    *ret_loser = n;
    bson_oid_init(&wid, NULL);
    h->session = mongoc_client_start_session(h->client, NULL, &error);
    if (h->session == NULL)
        return mongo_error(h, &error, false);
    enum err e = ERR_NONE;
    if (!mongoc_client_session_start_transaction(h->session, NULL, &error))
        e = mongo_error(h, &error, false);
    if (e == ERR_NONE)
        e = write_all(h, writes, n, &wid, ret_loser);
    if (e == ERR_NONE) {
        *ret_loser = n;
        e = finish(h);
    } else if (mongoc_client_session_in_transaction(h->session)) {
        (void)mongoc_client_session_abort_transaction(h->session, &error);
    }
    mongoc_client_session_destroy(h->session);
    h->session = NULL;
    return e;
}

/* Whether the loser was locked by an intent, which is settled then: proxies of another deployment may have left it. */
static enum err clear_way(struct mongo_handle *h, const struct archive_write *w, bool *ret_again)
{
    struct mongo_stored s;
    struct mongo_id id;

    mongo_id_init(&id, w->entry.key);
    enum err e = mongo_look(h, id.text, &s);
    *ret_again = e == ERR_NONE && s.locked;
    if (*ret_again)
        e = record_settle(h, &s.in, id.text);
    mongo_id_done(&id);
    return e;
}

enum err mongo_transact(struct mongo_handle *h, const struct archive_write *writes, size_t n)
{
    enum err e = ERR_RACE;

    for (int tries = 0; tries < ATTEMPTS; tries++) {
        size_t loser;
        bool again = false;

        e = transact_once(h, writes, n, &loser);
        if (e != ERR_RACE || loser == n)
            return e;
        if (clear_way(h, &writes[loser], &again) != ERR_NONE || !again)
            return e;
    }
    return e;
}
