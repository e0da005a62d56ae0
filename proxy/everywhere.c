#include "proxy/everywhere.h"

#include "proxy/archived.h"
#include "proxy/dispatch.h"
#include "proxy/gather.h"
#include "proxy/hold.h"
#include "proxy/internal.h"
#include "proxy/keyspace.h"
#include "proxy/reader.h"
#include "proxy/scripting.h"
#include "resp/frame.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CURSORS 1000 /* a client's cursor is the node's times this, plus the node's number: TOPOLOGY_MOST */

static gather_fn finish_keys, finish_random;

static const struct {
    const char *name;
    gather_fn *finish;
    bool keys; /* the archive's count, too */
} rows[] = {
    {"dbsize", gather_sum, true},
    {"keys", finish_keys, true},
    {"randomkey", finish_random, true},
    {"flushall", gather_first, true},
    {"flushdb", gather_first, true},
    {"script|load", gather_first, false},
    {"script|flush", gather_first, false},
    {"script|exists", gather_least, false},
    {"function|load", gather_first, false},
    {"function|delete", gather_first, false},
    {"function|flush", gather_first, false},
    {"function|restore", gather_first, false},
    {"save", gather_first, false},
    {"bgsave", gather_first, false},
    {"bgrewriteaof", gather_first, false},
};

#define ROWS (sizeof rows / sizeof rows[0])

static size_t find(const struct command *cmd)
{
    size_t i = 0;
    while (i < ROWS && strcmp(rows[i].name, cmd->name) != 0)
        i++;
    return i;
}

static bool is_scan(const struct command *cmd)
{
    return strcmp(cmd->name, "scan") == 0;
}

bool everywhere_is(const struct command *cmd)
{
    return is_scan(cmd) || find(cmd) < ROWS;
}

/* ---- may it be asked ---- */

static bool has_archive(const struct session *s)
{
    return s->loop->acting.any && s->db == 0;
}

static struct upstream *aimed(struct session *s, const struct job *job)
{
    return pool_shared(&s->loop->pool, job->slow ? LANE_SLOW : LANE_FAST, s->db, s->resp, s->id);
}

/* Nothing else of the client is in flight. */
static bool may_begin(struct session *s)
{
    if (s->in_flight > 0)
        session_pause(s, PAUSE_ORDER);
    return s->in_flight == 0;
}

static enum admission admit_masters(struct session *s, const struct job *job)
{
    for (size_t i = 0; i < s->loop->topology->count; i++) {
        pool_aim_master(&s->loop->pool, i);
        enum admission a = dispatch_admit(s, aimed(s, job), job);
        if (a != ADMIT_NOW)
            return a;
    }
    return ADMIT_NOW;
}

/* Known before, so that nothing is done by halves. */
static bool archive_refuses(struct session *s)
{
    if (archived_refuses(s))
        return true;
    if (executor_up(s->loop->executor))
        return false;
    build_err(slot_answer(s), ERR_ARCHIVEDOWN, "it did not answer lately");
    slot_answered(s);
    return true;
}

/* ---- replies ---- */

static enum split_store store_of(const struct gather *g, size_t i)
{
    return g->archive && i + 1 == g->n ? SPLIT_ARCHIVE : SPLIT_REDIS;
}

static bool may_tell(const struct gather *g, size_t i, struct slice key)
{
    return !g->slot->loop->acting.any || keyspace_may_tell(g->slot->loop, store_of(g, i), key);
}

/* Copies those bulks of an array that part i's store may tell; how many. */
static size_t tell_keys(const struct gather *g, size_t i, struct reader *r, struct chain *out)
{
    size_t told = 0;

    for (int64_t n = reader_enter(r); n > 0; n--) {
        struct slice value = reader_next(r);
        if (!may_tell(g, i, reader_bulk(value)))
            continue;
        chain_put(out, value.p, value.len);
        told++;
    }
    return told;
}

static void finish_keys(struct gather *g, struct chain *out)
{
    struct chain keys;
    size_t told = 0;

    chain_init(&keys, out->pool);
    for (size_t i = 0; i < g->n; i++)
        told += tell_keys(g, i, &(struct reader){g->replies[i]}, &keys);
    build_array(out, told);
    chain_move(out, &keys);
}

/* One by chance; nil when nobody has one. */
static void finish_random(struct gather *g, struct chain *out)
{
    size_t first = (size_t)random() % g->n;

    for (size_t k = 0; k < g->n; k++) {
        size_t i = (first + k) % g->n;
        struct slice key = reader_bulk(g->replies[i]);
        if (key.p == NULL || !may_tell(g, i, key))
            continue;
        chain_put(out, g->replies[i].p, g->replies[i].len);
        return;
    }
    build_null(out, g->resp);
}

/* ---- all at once ---- */

static void ask_archive(struct gather *g, struct session *s, const struct job *job)
{
    struct chain request;

    chain_init(&request, &s->loop->turn.chunks);
    managed_put_raw(&request, job);
    g->archive = true;
    gather_send_archive(g, s, g->n - 1, chain_flat(&request));
    chain_clear(&request);
}

static bool ask_all(struct session *s, const struct job *job, size_t row)
{
    size_t masters = s->loop->topology->count;
    bool archive = rows[row].keys && has_archive(s);

    if (!may_begin(s))
        return false;
    if (archive && archive_refuses(s))
        return true;
    enum admission a = admit_masters(s, job);
    if (a != ADMIT_NOW)
        return a == ADMIT_NEVER;
    struct job part = *job;
    struct gather *g = gather_new(s, job, masters + archive, rows[row].finish);

    part.inline_ = true;
    if (archive)
        ask_archive(g, s, &part);
    for (size_t i = 0; i < masters; i++) {
        pool_aim_master(&s->loop->pool, i);
        gather_send(g, s, i, &part);
    }
    return true;
}

/* ---- SCAN: one master after the other, then the archive ---- */

static uint64_t next_cursor(const struct gather *g, uint64_t theirs)
{
    if (g->archive)
        return theirs != 0 ? KEYSPACE_ARCHIVE + theirs : 0;
    if (theirs != 0)
        return theirs * CURSORS + g->master;
    if (g->master + 1 < g->masters)
        return g->master + 1;
    return has_archive(g->slot->session) ? KEYSPACE_ARCHIVE : 0;
}

/* [cursor of the node, keys] → [cursor of ours, keys] */
static void finish_scan(struct gather *g, struct chain *out)
{
    struct reader r = {g->replies[0]};
    struct chain keys;
    char cursor[32];

    if (g->slot->session == NULL)
        return; /* nobody hears it */
    struct slice theirs = reader_enter(&r) == 2 ? reader_bulk(reader_next(&r)) : (struct slice){NULL, 0};
    if (theirs.p == NULL) {
        build_err(out, ERR_UPSTREAM_PROTOCOL, NULL);
        return;
    }
    chain_init(&keys, out->pool);
    size_t told = tell_keys(g, 0, &r, &keys);
    snprintf(cursor, sizeof cursor, "%" PRIu64, next_cursor(g, strtoull(theirs.p, NULL, 10)));
    build_array(out, 2);
    build_text(out, cursor);
    build_array(out, told);
    chain_move(out, &keys);
}

/* False: it is no cursor. */
static bool read_cursor(struct slice text, uint64_t *ret)
{
    char copy[24], *end;

    if (text.len == 0 || text.len >= sizeof copy || text.p[0] < '0' || text.p[0] > '9')
        return false;
    memcpy(copy, text.p, text.len);
    copy[text.len] = '\0';
    errno = 0;
    *ret = strtoull(copy, &end, 10);
    return *end == '\0' && errno == 0;
}

/* master: its number; that of all masters is the archive's. */
static void send_scan(struct session *s, const struct job *job, uint64_t cursor, size_t master)
{
    struct slice *argv = malloc(job->argc * sizeof *argv);
    struct job part = *job;
    char text[24];

    if (argv == NULL)
        abort();
    struct gather *g = gather_new(s, job, 1, finish_scan);
    memcpy(argv, job->argv, job->argc * sizeof *argv);
    snprintf(text, sizeof text, "%" PRIu64, cursor);
    argv[1] = (struct slice){text, strlen(text)};
    part.argv = argv;
    part.inline_ = true;
    g->master = master;
    g->masters = s->loop->topology->count;
    if (master == g->masters)
        ask_archive(g, s, &part);
    else
        gather_send(g, s, 0, &part);
    free(argv);
}

/* A cursor of a master that is not there any more is at its end. */
static bool end_scan(struct session *s)
{
    struct chain *out = slot_answer(s);

    build_array(out, 2);
    build_text(out, "0");
    build_array(out, 0);
    slot_answered(s);
    return true;
}

static bool scan_archive(struct session *s, const struct job *job, uint64_t cursor)
{
    if (!may_begin(s))
        return false;
    if (!archive_refuses(s))
        send_scan(s, job, cursor, s->loop->topology->count);
    return true;
}

static bool scan(struct session *s, const struct job *job)
{
    uint64_t ours;

    if (!read_cursor(job->argv[1], &ours))
        return local_error(s, "ERR invalid cursor");
    if (has_archive(s) && ours >= KEYSPACE_ARCHIVE && ours < 2 * (uint64_t)KEYSPACE_ARCHIVE)
        return scan_archive(s, job, ours - KEYSPACE_ARCHIVE);
    size_t master = ours % CURSORS;
    if (master >= s->loop->topology->count)
        return end_scan(s);
    if (!may_begin(s))
        return false;
    pool_aim_master(&s->loop->pool, master);
    enum admission a = dispatch_admit(s, aimed(s, job), job);
    if (a == ADMIT_NOW)
        send_scan(s, job, ours / CURSORS, master);
    return a != ADMIT_LATER;
}

bool everywhere_command(struct session *s, const struct job *job)
{
    size_t row = find(job->cmd);
    bool keys = row == ROWS || rows[row].keys;
    enum gate gate = keys && has_archive(s) ? hold_gate_any(s) : GATE_GO;

    if (gate != GATE_GO)
        return gate == GATE_REFUSED;
    if (scripting_is(job->cmd) && scripting_takes(s, job))
        return true;
    return row == ROWS ? scan(s, job) : ask_all(s, job, row);
}
