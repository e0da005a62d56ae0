#include "proxy/hide.h"

#include "executor/executor.h"
#include "proxy/dispatch.h"
#include "proxy/flush.h"
#include "proxy/internal.h"
#include "proxy/keyspace.h"
#include "proxy/reader.h"
#include "resp/frame.h"
#include "router/keys.h"
#include "router/marks.h"
#include "sync/sync.h"

#include <stdio.h>
#include <string.h>

/* A database of few keys is seen whole by the SCAN; in a larger one so many draws never meet the proxy's own keys only. */
#define DRAWS      16
#define SCAN_COUNT "64"

bool hide_is_internal(struct slice key)
{
    return key.len >= sizeof MARKS_PREFIX - 1 && memcmp(key.p, MARKS_PREFIX, sizeof MARKS_PREFIX - 1) == 0;
}

/* No key that the pattern names can be internal: up to its first special character it goes another way. */
static bool is_harmless(struct slice pattern)
{
    size_t i = 0;

    while (i < pattern.len && i < sizeof MARKS_PREFIX - 1 && pattern.p[i] == MARKS_PREFIX[i])
        i++;
    return i < sizeof MARKS_PREFIX - 1 && (i == pattern.len || memchr("*?[\\", pattern.p[i], 4) == NULL);
}

/* ---- replies ---- */

static void replace(struct slot *slot, struct chain *own_reply)
{
    chain_clear(&slot->reply);
    slot->reply = *own_reply;
}

/* Redis has refused: its first error is the client's. */
static bool is_error(struct slot *slot)
{
    struct reader r = {chain_flat(&slot->reply)};
    struct slice first = reader_next(&r);
    struct chain out;

    if (first.len > 0 && first.p[0] != '-')
        return false;
    chain_init(&out, slot->reply.pool);
    chain_put(&out, first.p, first.len);
    replace(slot, &out);
    return true;
}

/* ---- lists of keys ---- */

static size_t put_visible(struct reader *r, struct chain *out)
{
    size_t told = 0;

    for (int64_t n = reader_enter(r); n > 0; n--) {
        struct slice value = reader_next(r);
        if (hide_is_internal(reader_bulk(value)))
            continue;
        chain_put(out, value.p, value.len);
        told++;
    }
    return told;
}

static void put_list(struct reader *r, struct chain *out)
{
    struct chain keys;

    chain_init(&keys, out->pool);
    build_array(out, put_visible(r, &keys));
    chain_move(out, &keys);
}

/* The cursor stays Redis's. */
static void put_page(struct reader *r, struct chain *out)
{
    build_array(out, (size_t)reader_enter(r));
    struct slice cursor = reader_next(r);
    chain_put(out, cursor.p, cursor.len);
    put_list(r, out);
}

static void finish_by(struct slot *slot, void (*put)(struct reader *r, struct chain *out))
{
    struct reader r = {chain_flat(&slot->reply)};
    struct chain out;

    if (is_error(slot))
        return;
    chain_init(&out, slot->reply.pool);
    put(&r, &out);
    replace(slot, &out);
}

static void finish_keys(struct slot *slot)
{
    finish_by(slot, put_list);
}

static void finish_page(struct slot *slot)
{
    finish_by(slot, put_page);
}

static bool do_keys(struct session *s, const struct job *job, bool *ret_taken)
{
    if (is_harmless(job->argv[1]))
        return false;
    *ret_taken = dispatch_forward_collect(s, job, finish_keys);
    return true;
}

/* A cursor of the archive's, from before Redis acted: Redis is looked at from the beginning, so that nothing is missed. */
static bool is_archives(struct slice cursor)
{
    int64_t n;
    return frame_number(cursor.p, cursor.len, &n) && n >= KEYSPACE_ARCHIVE && n < 2 * KEYSPACE_ARCHIVE;
}

static bool scan_anew(struct session *s, const struct job *job)
{
    struct chain request;

    chain_init(&request, &s->loop->turn.chunks);
    build_array(&request, job->argc);
    build_text(&request, "SCAN");
    build_text(&request, "0");
    for (size_t i = 2; i < job->argc; i++)
        build_bulk(&request, job->argv[i].p, job->argv[i].len);
    return dispatch_ask(s, job, &request, 1, finish_page);
}

static bool do_scan(struct session *s, const struct job *job, bool *ret_taken)
{
    if (is_archives(job->argv[1])) {
        *ret_taken = scan_anew(s, job);
        return true;
    }
    for (size_t i = 2; i + 1 < job->argc; i += 2)
        if (slice_is(job->argv[i], "match") && is_harmless(job->argv[i + 1]))
            return false;
    *ret_taken = dispatch_forward_collect(s, job, finish_page);
    return true;
}

/* ---- RANDOMKEY ---- */

static struct slice drawn(struct reader *r)
{
    struct slice told = {NULL, 0};

    for (int i = 0; i < DRAWS; i++) {
        struct slice value = reader_next(r), key = reader_bulk(value);
        if (told.len == 0 && key.p != NULL && !hide_is_internal(key))
            told = value;
    }
    return told;
}

static struct slice scanned(struct reader *r, struct slice told)
{
    reader_enter(r);
    reader_next(r);
    for (int64_t n = reader_enter(r); n > 0 && told.len == 0; n--) {
        struct slice value = reader_next(r);
        if (!hide_is_internal(reader_bulk(value)))
            told = value;
    }
    return told;
}

static void finish_randomkey(struct slot *slot)
{
    struct reader r = {chain_flat(&slot->reply)};
    struct session *s = slot->session;
    struct chain out;

    if (is_error(slot))
        return;
    struct slice told = scanned(&r, drawn(&r));
    chain_init(&out, slot->reply.pool);
    if (told.len > 0)
        chain_put(&out, told.p, told.len);
    else
        build_null(&out, s != NULL ? s->resp : RESP2); /* nobody hears it when the client is gone */
    replace(slot, &out);
}

static bool do_randomkey(struct session *s, const struct job *job, bool *ret_taken)
{
    struct chain requests;

    chain_init(&requests, &s->loop->turn.chunks);
    for (int i = 0; i < DRAWS; i++)
        build_command(&requests, "RANDOMKEY", NULL);
    build_command(&requests, "SCAN", "0", "COUNT", SCAN_COUNT, NULL);
    *ret_taken = dispatch_ask(s, job, &requests, DRAWS + 1, finish_randomkey);
    return true;
}

/* ---- DBSIZE ---- */

void hide_put_count(struct chain *out, const struct loop *l)
{
    char busy[sizeof MARKS_BUSY + sizeof l->acting.proxy], urgent[sizeof busy + sizeof SYNC_URGENT];

    snprintf(busy, sizeof busy, MARKS_BUSY "%s", l->acting.proxy);
    snprintf(urgent, sizeof urgent, "%s" SYNC_URGENT, busy);
    build_command(out, "EXISTS", MARKS_EPOCH, MARKS_VERSION, MARKS_SESSION, MARKS_DIRTY, MARKS_SUSPECT, busy, urgent, NULL);
}

static void finish_dbsize(struct slot *slot)
{
    struct reader r = {chain_flat(&slot->reply)};
    struct chain out;

    if (is_error(slot))
        return;
    int64_t all = reader_int(reader_next(&r)), own = reader_int(reader_next(&r));
    chain_init(&out, slot->reply.pool);
    build_int(&out, all > own ? all - own : 0);
    replace(slot, &out);
}

static bool do_dbsize(struct session *s, const struct job *job, bool *ret_taken)
{
    struct chain requests;

    chain_init(&requests, &s->loop->turn.chunks);
    build_command(&requests, "DBSIZE", NULL);
    hide_put_count(&requests, s->loop);
    *ret_taken = dispatch_ask(s, job, &requests, 2, finish_dbsize);
    return true;
}

/* ---- FLUSHDB, FLUSHALL ---- */

/* The archive is emptied too when that can be done at once; otherwise the marks see to it. */
static bool do_flush(struct session *s, const struct job *job, bool *ret_taken)
{
    const char *refusal = flush_refusal(s->loop);
    struct chain request;

    if (job->argc > 2 ||
        (job->argc == 2 && !slice_is(job->argv[1], "SYNC") && !slice_is(job->argv[1], "ASYNC")))
        return false; /* Redis words the error */
    if (refusal != NULL) {
        *ret_taken = local_error(s, refusal);
        return true;
    }
    if (s->db == 0 && executor_up(s->loop->executor)) {
        *ret_taken = keyspace_flush(s, job);
        return true;
    }
    chain_init(&request, &s->loop->turn.chunks);
    flush_put(&request, job);
    *ret_taken = flush_ask(s, job, &request);
    return true;
}

/* ---- what would take keys away ---- */

#define HOW " while it guards them (settings dual_write of the policies, and failover.automatic)"

struct seeing {
    const struct loop *loop;
    const struct slice *argv;
    bool any;
};

static bool see_managed(void *ctx, struct key_ref ref)
{
    struct seeing *seen = ctx;

    seen->any = policy_find(seen->loop->policies, seen->argv[ref.arg]) != NULL;
    return !seen->any;
}

static bool names_managed(const struct loop *l, const struct job *job)
{
    struct seeing seen = {l, job->argv, false};

    keys_each(job->cmd, job->argv, job->argc, see_managed, &seen);
    return seen.any;
}

static const char *refuse_swapdb(const struct session *s, const struct job *job)
{
    for (size_t i = 1; i < job->argc; i++)
        if (slice_is(job->argv[i], "0"))
            return "ERR swapdb of database 0 is not supported by convproxy" HOW;
    return NULL;
}

static const char *refuse_move(const struct session *s, const struct job *job)
{
    return names_managed(s->loop, job) ? "ERR move of managed keys is not supported by convproxy" HOW : NULL;
}

static const char *refuse_migrate(const struct session *s, const struct job *job)
{
    return names_managed(s->loop, job) ? "ERR migrate of managed keys is not supported by convproxy" HOW
                                       : NULL;
}

static const char *refuse_queued_flush(const struct session *s, const struct job *job)
{
    return "ERR flushdb and flushall inside MULTI are not supported by convproxy" HOW;
}

static const struct {
    const char *name;
    bool (*fn)(struct session *s, const struct job *job, bool *ret_taken); /* NULL: only refused */
    const char *(*refuse)(const struct session *s, const struct job *job);
    const char *(*refuse_in_multi)(const struct session *s, const struct job *job);
    bool everywhere; /* not only in database 0 */
} rows[] = {
    {"scan", do_scan, NULL, NULL, false},
    {"keys", do_keys, NULL, NULL, false},
    {"dbsize", do_dbsize, NULL, NULL, false},
    {"randomkey", do_randomkey, NULL, NULL, false},
    {"flushdb", do_flush, NULL, refuse_queued_flush, false},
    {"flushall", do_flush, NULL, refuse_queued_flush, true},
    {"swapdb", NULL, refuse_swapdb, refuse_swapdb, true},
    {"move", NULL, refuse_move, refuse_move, true},
    {"migrate", NULL, refuse_migrate, refuse_migrate, true},
};
#define ROWS (sizeof rows / sizeof rows[0])

/* ROWS: none. Most commands are told by their category alone. */
static size_t find(const struct session *s, const struct command *cmd)
{
    size_t i = 0;

    if (cmd == NULL || (cmd->cats & (CAT_KEYSPACE | CAT_DANGEROUS)) == 0)
        return ROWS;
    while (i < ROWS && strcmp(rows[i].name, cmd->name) != 0)
        i++;
    return i < ROWS && (s->db == 0 || rows[i].everywhere) ? i : ROWS;
}

bool hide_takes(struct session *s, const struct job *job, bool *ret_taken)
{
    size_t i = find(s, job->cmd);
    const char *refusal = i < ROWS && rows[i].refuse != NULL ? rows[i].refuse(s, job) : NULL;

    if (refusal != NULL)
        *ret_taken = local_error(s, refusal);
    return refusal != NULL || (i < ROWS && rows[i].fn != NULL && rows[i].fn(s, job, ret_taken));
}

const char *hide_refusal_in_multi(const struct session *s, const struct job *job)
{
    size_t i = find(s, job->cmd);
    return i < ROWS && rows[i].refuse_in_multi != NULL ? rows[i].refuse_in_multi(s, job) : NULL;
}

void hide_tell(uint16_t command, enum resp resp, struct slice reply, struct chain *out)
{
    const char *name = command < command_count() ? command_at(command)->name : "";
    struct reader r = {reply};

    if (reply.p[0] == '*' && strcmp(name, "keys") == 0)
        put_list(&r, out);
    else if (reply.p[0] == '*' && strcmp(name, "scan") == 0)
        put_page(&r, out);
    else if (reply.p[0] == '$' && strcmp(name, "randomkey") == 0 && hide_is_internal(reader_bulk(reply)))
        build_null(out, resp);
    else
        chain_put(out, reply.p, reply.len);
}
