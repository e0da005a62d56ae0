#include "proxy/keyspace.h"

#include "backends/archive/archive.h"
#include "proxy/archived.h"
#include "proxy/dispatch.h"
#include "proxy/flush.h"
#include "proxy/hide.h"
#include "proxy/internal.h"
#include "proxy/reader.h"
#include "proxy/server.h"
#include "proxy/split.h"
#include "resp/frame.h"
#include "sync/sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DRAWS 16 /* keys drawn from each store: all of them may be ones that the other store acts for */

_Static_assert(KEYSPACE_ARCHIVE == INT64_C(1) << ARCHIVE_HASH_BITS,
               "cursors of the archive begin behind all its hashes");

bool keyspace_is_archive(const struct loop *l, struct slice key)
{
    const struct policy_conf *policy = policy_find(l->policies, key);
    return acting_is_archive(&l->acting, policy);
}

/* Every key that the pattern may name is the archive's: Redis need not be asked, nor be there. */
static bool names_only_archives(const struct loop *l, struct slice pattern)
{
    const struct policy_conf *policy;
    size_t literal = 0;

    while (literal < pattern.len && memchr("*?[\\", pattern.p[literal], 4) == NULL)
        literal++;
    return policy_of_prefix(l->policies, (struct slice){pattern.p, literal}, &policy) &&
           acting_is_archive(&l->acting, policy);
}

/* ---- replies ---- */

/* Keys on their way back are in either store, or in both; on HOLD, what was asked before it comes from who acted then. */
static bool is_changing(const struct loop *l, size_t policy)
{
    return policy < STATS_POLICIES &&
           (l->acting.phase[policy] == PHASE_CATCHUP || l->acting.phase[policy] == PHASE_HOLD);
}

bool keyspace_may_tell(const struct loop *l, enum split_store store, struct slice key)
{
    if (key.p == NULL || hide_is_internal(key))
        return false;
    const struct policy_conf *policy = policy_find(l->policies, key);
    if (store == SPLIT_ARCHIVE && hold_tiers(l) && warm_shows(sync_warm(server_sync(l->server)), key))
        return true; /* Redis does not have it, on purpose */
    return (policy != NULL && is_changing(l, policy->index)) ||
           acting_is_archive(&l->acting, policy) == (store == SPLIT_ARCHIVE);
}

static bool some_change(const struct loop *l)
{
    for (size_t i = 0; i < l->settings->policy_count; i++)
        if (is_changing(l, i))
            return true;
    return false;
}

/* Copies those bulks of an array that this store may tell; how many. */
static size_t tell_keys(const struct loop *l, enum split_store store, struct reader *r, struct chain *out)
{
    size_t told = 0;

    for (int64_t n = reader_enter(r); n > 0; n--) {
        struct slice value = reader_next(r);
        if (!keyspace_may_tell(l, store, reader_bulk(value)))
            continue;
        chain_put(out, value.p, value.len);
        told++;
    }
    return told;
}

/* ---- SCAN ---- */

static void finish_page(struct slot *slot, enum split_store store)
{
    struct reader r = {chain_flat(&slot->reply)};
    struct chain keys, out;
    int64_t cursor;
    char text[24];

    if (r.rest.len == 0 || r.rest.p[0] == '-')
        return;
    reader_enter(&r);
    struct slice number = reader_bulk(reader_next(&r));
    chain_init(&keys, slot->reply.pool);
    chain_init(&out, slot->reply.pool);
    size_t told = tell_keys(slot->loop, store, &r, &keys);
    bool exact = number.p != NULL && frame_number(number.p, number.len, &cursor) && cursor >= 0 &&
                 cursor < KEYSPACE_ARCHIVE;
    if (!exact) {
        chain_clear(&keys);
        build_error(&out,
                    "ERR this Redis has cursors that are too large for convproxy: SCAN is not possible");
    } else {
        if ((store == SPLIT_REDIS) ==
            (cursor == 0)) /* Redis's last page, or one of the archive's that is not */
            cursor += KEYSPACE_ARCHIVE;
        else if (store == SPLIT_ARCHIVE)
            cursor = 0;
        snprintf(text, sizeof text, "%" PRId64, cursor);
        build_array(&out, 2);
        build_text(&out, text);
        build_array(&out, told);
        chain_move(&out, &keys);
    }
    chain_clear(&slot->reply);
    slot->reply = out;
}

static void finish_redis_page(struct slot *slot)
{
    finish_page(slot, SPLIT_REDIS);
}

static void finish_archive_page(struct slot *slot)
{
    finish_page(slot, SPLIT_ARCHIVE);
}

/* The same page of the archive's own numbering. */
static bool scan_archive(struct session *s, const struct job *job, int64_t hash)
{
    struct chain request;
    struct slot *slot;

    if (s->in_flight > 0) {
        session_pause(s, PAUSE_ORDER);
        return false;
    }
    if (archived_refuses(s))
        return true;
    chain_init(&request, &s->loop->turn.chunks);
    build_array(&request, job->argc);
    build_text(&request, "SCAN");
    build_number(&request, hash);
    for (size_t i = 2; i < job->argc; i++)
        build_bulk(&request, job->argv[i].p, job->argv[i].len);
    slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    slot->finish = finish_archive_page;
    slot_defer(slot, &archived_target);
    archived_send(slot, op_new(OP_ONE, s->resp, chain_flat(&request)));
    chain_clear(&request);
    return true;
}

static bool is_match_of_archives(const struct loop *l, const struct job *job)
{
    for (size_t i = 2; i + 1 < job->argc; i += 2)
        if (slice_is(job->argv[i], "match"))
            return names_only_archives(l, job->argv[i + 1]);
    return false;
}

static bool do_scan(struct session *s, const struct job *job)
{
    int64_t cursor;
    bool exact = frame_number(job->argv[1].p, job->argv[1].len, &cursor);

    if (exact && cursor >= KEYSPACE_ARCHIVE && cursor < 2 * KEYSPACE_ARCHIVE)
        return scan_archive(s, job, cursor - KEYSPACE_ARCHIVE);
    if (exact && cursor == 0 && is_match_of_archives(s->loop, job))
        return scan_archive(s, job, 0);
    return dispatch_forward_collect(s, job, finish_redis_page);
}

/* ---- in both stores at once ---- */

static int by_bytes(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    int order = memcmp(x->p, y->p, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

/* told values, of which those that are there twice are told once; own_keys is given back. */
static void put_once(struct chain *own_keys, size_t told, struct chain *out)
{
    struct slice *values = calloc(told + 1, sizeof *values);
    struct reader r = {chain_flat(own_keys)};
    size_t n = 0;

    if (values == NULL)
        abort();
    for (size_t i = 0; i < told; i++)
        values[i] = reader_next(&r);
    qsort(values, told, sizeof *values, by_bytes);
    for (size_t i = 0; i < told; i++)
        if (i == 0 || by_bytes(&values[i], &values[n - 1]) != 0)
            values[n++] = values[i];
    build_array(out, n);
    for (size_t i = 0; i < n; i++)
        chain_put(out, values[i].p, values[i].len);
    free(values);
    chain_clear(own_keys);
}

static void finish_keys(struct split *sp, struct chain *out)
{
    struct chain keys;
    size_t told = 0;

    chain_init(&keys, out->pool);
    for (int i = 0; i < SPLIT_STORES; i++) {
        struct reader r = {split_reply(sp, (enum split_store)i)};
        told += tell_keys(sp->slot->loop, (enum split_store)i, &r, &keys);
    }
    if (some_change(sp->slot->loop) || hold_tiers(sp->slot->loop)) {
        put_once(&keys, told, out);
        return;
    }
    build_array(out, told);
    chain_move(out, &keys);
}

/* Beside a Redis that acts for all policies only what has left it counts. */
static int64_t count_archive(const struct split *sp, int64_t told)
{
    const struct loop *l = sp->slot->loop;
    return l->acting.any ? told : warm_away(sync_warm(server_sync(l->server)));
}

static void finish_dbsize(struct split *sp, struct chain *out)
{
    struct reader r = {split_reply(sp, SPLIT_REDIS)};
    int64_t all = reader_int(reader_next(&r)), own = reader_int(reader_next(&r));

    build_int(out, all - (own < all ? own : all) + count_archive(sp, reader_int(split_reply(sp, SPLIT_ARCHIVE))));
}

static void finish_ok(struct split *sp, struct chain *out)
{
    build_status(out, "OK");
}

/* What a store has drawn: its size, and then keys. */
struct draw {
    int64_t size;
    struct slice key; /* len 0: none that may be told */
};

static struct draw look(const struct split *sp, enum split_store store)
{
    struct reader r = {split_reply(sp, store)};
    struct draw d = {0, {NULL, 0}};

    if (store == SPLIT_ARCHIVE)
        reader_enter(&r); /* EXEC's array */
    d.size = reader_int(reader_next(&r));
    if (store == SPLIT_ARCHIVE)
        d.size = count_archive(sp, d.size);
    for (int i = 0; i < DRAWS && d.key.len == 0; i++) {
        struct slice value = reader_next(&r);
        if (keyspace_may_tell(sp->slot->loop, store, reader_bulk(value)))
            d.key = value;
    }
    return d;
}

static void finish_randomkey(struct split *sp, struct chain *out)
{
    struct draw r = look(sp, SPLIT_REDIS), a = look(sp, SPLIT_ARCHIVE);
    int64_t all = r.size + a.size;
    bool redis = a.key.len == 0 || (r.key.len > 0 && all > 0 && random() % all < r.size);
    struct slice told = redis ? r.key : a.key;

    if (told.len > 0)
        chain_put(out, told.p, told.len);
    else
        build_null(out, sp->resp);
}

static void put_draws(struct chain *out)
{
    build_command(out, "DBSIZE", NULL);
    for (int i = 0; i < DRAWS; i++)
        build_command(out, "RANDOMKEY", NULL);
}

static bool do_randomkey(struct session *s, const struct job *job)
{
    struct split *sp = NULL;
    struct chain requests;

    if (!split_start(s, job, finish_randomkey, &sp))
        return false;
    if (sp == NULL)
        return true;
    chain_init(&requests, &s->loop->turn.chunks);
    put_draws(&requests);
    split_ask_archive(sp, OP_EXEC, chain_flat(&requests));
    split_ask_redis(sp, &requests, 1 + DRAWS, job->slow);
    return true;
}

/* The client's request. empty: stays so. */
static void ask_archive(struct split *sp, const struct job *job, struct chain *empty)
{
    managed_put_raw(empty, job);
    split_ask_archive(sp, OP_ONE, chain_flat(empty));
    chain_clear(empty);
}

/* n requests for Redis, which put appends; the archive gets the client's. */
static bool ask_both(struct session *s, const struct job *job, uint32_t n,
                     void (*put)(struct chain *out, const struct loop *l, const struct job *job),
                     void (*finish)(struct split *sp, struct chain *out))
{
    struct split *sp = NULL;
    struct chain request;

    if (!split_start(s, job, finish, &sp))
        return false;
    if (sp == NULL)
        return true;
    chain_init(&request, &s->loop->turn.chunks);
    ask_archive(sp, job, &request);
    put(&request, s->loop, job);
    split_ask_redis(sp, &request, n, job->slow);
    return true;
}

static void put_raw(struct chain *out, const struct loop *l, const struct job *job)
{
    managed_put_raw(out, job);
}

static bool do_keys(struct session *s, const struct job *job)
{
    if (names_only_archives(s->loop, job->argv[1]))
        return archived_command(s, job);
    return ask_both(s, job, 1, put_raw, finish_keys);
}

static void put_dbsize(struct chain *out, const struct loop *l, const struct job *job)
{
    managed_put_raw(out, job);
    hide_put_count(out, l);
}

static bool do_dbsize(struct session *s, const struct job *job)
{
    return ask_both(s, job, 2, put_dbsize, finish_dbsize);
}

bool keyspace_flush(struct session *s, const struct job *job)
{
    struct split *sp = NULL;
    struct chain request;

    if (!split_start(s, job, finish_ok, &sp))
        return false;
    if (sp == NULL)
        return true;
    chain_init(&request, &s->loop->turn.chunks);
    ask_archive(sp, job, &request);
    if (!s->loop->acting.guarded) {
        managed_put_raw(&request, job);
        split_ask_redis(sp, &request, 1, job->slow);
        return true;
    }
    flush_put(&request, job);
    flush_goes_on(split_ask_redis(sp, &request, 1, job->slow));
    return true;
}

/* Redis would word the error, but the other store must not be emptied then. */
static bool do_flush(struct session *s, const struct job *job)
{
    const char *refusal = flush_refusal(s->loop);

    if (refusal != NULL)
        return local_error(s, refusal);
    if (job->argc == 1 ||
        (job->argc == 2 && (slice_is(job->argv[1], "SYNC") || slice_is(job->argv[1], "ASYNC"))))
        return keyspace_flush(s, job);
    build_err(slot_answer(s), ERR_SYNTAX, NULL);
    slot_answered(s);
    return true;
}

static const struct {
    const char *name;
    bool (*fn)(struct session *s, const struct job *job);
} rows[] = {
    {"scan", do_scan},           {"keys", do_keys},     {"dbsize", do_dbsize},
    {"randomkey", do_randomkey}, {"flushdb", do_flush}, {"flushall", do_flush},
};

#define ROWS (sizeof rows / sizeof rows[0])
#define LISTS 4 /* of them that change nothing */

static size_t find(const struct command *cmd)
{
    bool may_be = cmd != NULL && cmd->nspecs == 0 && (cmd->cats & CAT_KEYSPACE) != 0; /* most requests name keys */
    size_t i = may_be ? 0 : ROWS;

    while (i < ROWS && strcmp(rows[i].name, cmd->name) != 0)
        i++;
    return i;
}

/* Other databases are Redis's alone; but FLUSHALL is about all of them. */
bool keyspace_handles(const struct session *s, const struct command *cmd)
{
    const struct acting *acting = &s->loop->acting;

    if (acting->any ? acting->whole : !hold_tiers(s->loop))
        return false;
    size_t i = find(cmd);
    if (!acting->any)
        return i < LISTS && s->db == 0;
    return i < ROWS && (s->db == 0 || strcmp(rows[i].name, "flushall") == 0);
}

bool keyspace_command(struct session *s, const struct job *job)
{
    return rows[find(job->cmd)].fn(s, job);
}

/* ---- what would miss keys ---- */

/* A key made of the pattern may be one of the policy's: up to the first '*' of either one, they are the same. */
static bool may_be_archives(const struct loop *l, struct slice pattern)
{
    const struct settings *set = l->settings;

    for (size_t k = 0; k < set->policy_count && k < STATS_POLICIES; k++) {
        const char *match = set->policies[k].match;
        size_t i = 0;
        while (i < pattern.len && pattern.p[i] != '*' && match[i] != '\0' && match[i] != '*' &&
               pattern.p[i] == match[i])
            i++;
        bool open = match[i] == '*' || (i < pattern.len && pattern.p[i] == '*') ||
                    (i == pattern.len && match[i] == '\0');
        if (open && (acting_is_archive(&l->acting, &set->policies[k]) || (set->policies[k].tiers && hold_tiers(l))))
            return true;
    }
    return false;
}

static const char *refuse_sort(const struct loop *l, const struct job *job, enum home home)
{
    for (size_t i = 2; i + 1 < job->argc; i++) {
        bool pattern = slice_is(job->argv[i], "by") || slice_is(job->argv[i], "get");
        if (slice_is(job->argv[i], "limit"))
            i += 2;
        else if (pattern || slice_is(job->argv[i], "store"))
            i++;
        if (!pattern || memchr(job->argv[i].p, '*', job->argv[i].len) == NULL)
            continue;
        bool elsewhere = home == HOME_ARCHIVE ? !l->acting.whole && !names_only_archives(l, job->argv[i])
                                              : may_be_archives(l, job->argv[i]);
        if (elsewhere)
            return "CROSSSTORE the patterns of 'sort' may name keys that live in different stores";
    }
    return NULL;
}

static const char *refuse_debug(const struct loop *l, const struct job *job, enum home home)
{
    for (size_t i = 2; i < job->argc; i++)
        if (keyspace_is_archive(l, job->argv[i]))
            return "ERR debug is not supported by convproxy for keys of the archive";
    return NULL;
}

static const char *refuse_swapdb(const struct loop *l, const struct job *job, enum home home)
{
    int64_t db;

    for (size_t i = 1; i < job->argc; i++)
        if (frame_number(job->argv[i].p, job->argv[i].len, &db) && db == 0)
            return "ERR swapdb of database 0 is not supported by convproxy while the archive serves keys of "
                   "it";
    return NULL;
}

static const struct {
    const char *name;
    const char *(*fn)(const struct loop *l, const struct job *job, enum home home);
    bool on_archive; /* also asked when the archive runs it */
} refusals[] = {
    {"sort", refuse_sort, true},
    {"sort_ro", refuse_sort, true},
    {"debug", refuse_debug, false},
    {"swapdb", refuse_swapdb, false},
};

const char *keyspace_refusal(const struct loop *l, const struct job *job, enum home home)
{
    for (size_t i = 0; job->cmd != NULL && i < sizeof refusals / sizeof refusals[0]; i++)
        if (strcmp(refusals[i].name, job->cmd->name) == 0)
            return home != HOME_ARCHIVE || refusals[i].on_archive ? refusals[i].fn(l, job, home) : NULL;
    return NULL;
}
