#include "executor/whole.h"

#include "engine/object.h"
#include "engine/pattern.h"
#include "engine/scan.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAGE    1000
#define COUNTED 100000 /* documents that DBSIZE looks at one by one */

static bool is_live(const struct whole_call *w, const struct archive_entry *e)
{
    return e->type != OBJECT_NONE && (e->expire_ms < 0 || w->call->now_ms <= e->expire_ms);
}

/* ---- pages of keys ---- */

struct page {
    struct whole_call *w;
    struct chain keys;  /* bulks */
    size_t taken, seen; /* keys that match, entries at all */
    int64_t last_hash;
    struct slice pattern; /* p NULL: all */
    int type;             /* -1: all; 0: none has it */
    struct slice first;   /* the first one taken */
};

static void take(void *ctx, const struct archive_entry *e)
{
    struct page *p = ctx;

    p->seen++;
    p->last_hash = e->hash;
    if (!is_live(p->w, e) || (p->type >= 0 && e->type != p->type))
        return;
    if (p->pattern.p != NULL && !pattern_match(p->pattern, e->key))
        return;
    if (p->w->may_tell != NULL && !p->w->may_tell(p->w->may_tell_ctx, e->key))
        return;
    if (p->taken++ == 0)
        p->first = arena_copy(p->w->call->arena, e->key);
    build_bulk(&p->keys, e->key.p, e->key.len);
}

static void page_init(struct page *p, struct whole_call *w)
{
    *p = (struct page){.w = w, .type = -1};
    chain_init(&p->keys, w->call->out->pool);
}

/* From a hash on; where the next page begins, 0 at the end. False: the archive failed. */
static bool page_read(struct page *p, int64_t from, size_t limit, int64_t *ret_next)
{
    p->seen = 0;
    p->w->error = archive_scan(p->w->handle, ARCHIVE_ALL, from, limit, take, p);
    if (p->w->error != ERR_NONE) {
        chain_clear(&p->keys);
        return false;
    }
    *ret_next = p->seen < limit || p->last_hash + 1 >= (int64_t)1 << ARCHIVE_HASH_BITS ? 0 : p->last_hash + 1;
    return true;
}

/* All of them. False: the archive failed. */
static bool pages_read(struct page *p)
{
    int64_t from = 0;

    do {
        if (!page_read(p, from, PAGE, &from))
            return false;
    } while (from != 0);
    return true;
}

static void whole_keys(struct whole_call *w)
{
    struct page p;

    page_init(&p, w);
    p.pattern = w->call->argv[1].len > 0 ? w->call->argv[1] : (struct slice){"", 0};
    if (!pages_read(&p))
        return;
    build_array(w->call->out, p.taken);
    chain_move(w->call->out, &p.keys);
}

/* ---- SCAN cursor [MATCH pattern] [COUNT n] [TYPE name] ---- */

static int type_of(struct slice name)
{
    for (int i = OBJECT_STRING; i <= OBJECT_STREAM; i++)
        if (slice_is(name, object_type_name((enum object_type)i)))
            return i;
    return OBJECT_NONE; /* no key has it */
}

static bool scan_option(struct page *p, size_t i, int64_t *count)
{
    struct call *c = p->w->call;

    if (call_is(c, i, "count")) {
        if (!call_int_arg(c, i + 1, count))
            return false;
        if (*count >= 1)
            return true;
    } else if (call_is(c, i, "match")) {
        p->pattern = c->argv[i + 1].len > 0 ? c->argv[i + 1] : (struct slice){"", 0};
        return true;
    } else if (call_is(c, i, "type")) {
        p->type = type_of(c->argv[i + 1]);
        return true;
    }
    call_syntax_error(c);
    return false;
}

static void whole_scan(struct whole_call *w)
{
    struct call *c = w->call;
    struct page p;
    int64_t cursor, count = 10;
    uint64_t place;
    char text[24];

    page_init(&p, w);
    if (!scan_cursor(c->argv[1], &place)) {
        call_error(c, "ERR invalid cursor");
        return;
    }
    cursor = place < INT64_MAX ? (int64_t)place : INT64_MAX; /* behind the last place there are no keys */
    for (size_t i = 2; i < c->argc; i += 2) {
        if (i + 1 >= c->argc) {
            call_syntax_error(c);
            return;
        }
        if (!scan_option(&p, i, &count))
            return;
    }
    if (!page_read(&p, cursor, count < PAGE ? (size_t)count : PAGE, &cursor))
        return;
    snprintf(text, sizeof text, "%" PRId64, cursor);
    build_array(c->out, 2);
    build_text(c->out, text);
    build_array(c->out, p.taken);
    chain_move(c->out, &p.keys);
}

/* ---- the others ---- */

struct counting {
    int64_t keys, tombstones;
    int64_t last_hash;
    size_t seen; /* in this page */
};

static void count_entry(void *ctx, const struct archive_entry *e)
{
    struct counting *c = ctx;

    c->seen++;
    c->last_hash = e->hash;
    c->tombstones += e->type == OBJECT_NONE;
    c->keys += e->type != OBJECT_NONE;
}

/* Those that are no tombstones, one by one. */
static enum err count_keys(struct whole_call *w, struct counting *c)
{
    enum err e = ERR_NONE;

    *c = (struct counting){.last_hash = -1};
    do {
        c->seen = 0;
        e = archive_scan(w->handle, ARCHIVE_ALL, c->last_hash + 1, PAGE, count_entry, c);
    } while (e == ERR_NONE && c->seen >= PAGE);
    return e;
}

/* The archive counts documents. Where some may be tombstones they are looked at, unless they are so many that a few more or less
 * are no matter. */
static void whole_dbsize(struct whole_call *w)
{
    struct archive_stats stats;
    struct counting c;
    struct page p;

    if (w->may_tell != NULL) {
        page_init(&p, w);
        if (pages_read(&p))
            call_int(w->call, (int64_t)p.taken);
        chain_clear(&p.keys);
        return;
    }
    w->error = archive_stats(w->handle, &stats);
    if (w->error == ERR_NONE && !*w->no_tombstones && stats.documents <= COUNTED) {
        *w->no_tombstones = true; /* first: one that comes meanwhile says so again */
        w->error = count_keys(w, &c);
        if (w->error != ERR_NONE || c.tombstones > 0)
            *w->no_tombstones = false;
        stats.documents = c.keys;
    }
    if (w->error == ERR_NONE)
        call_int(w->call, stats.documents);
}

/* From a hash drawn at random on, then from the beginning. Keys that lie behind gaps are drawn more often, as in Redis. */
static void whole_randomkey(struct whole_call *w)
{
    struct page p;
    int64_t start = (int64_t)(w->call->random(w->call->random_ctx) >> (64 - ARCHIVE_HASH_BITS));

    page_init(&p, w);
    for (int round = 0; round < 2 && p.taken == 0; round++) {
        int64_t from = round == 0 ? start : 0;
        do {
            if (!page_read(&p, from, 16, &from))
                return;
        } while (from != 0 && p.taken == 0);
    }
    chain_clear(&p.keys);
    if (p.taken > 0)
        call_bulk(w->call, p.first);
    else
        call_null(w->call);
}

static void whole_flush(struct whole_call *w)
{
    struct call *c = w->call;

    if (c->argc > 2 || (c->argc == 2 && !call_is(c, 1, "sync") && !call_is(c, 1, "async"))) {
        call_syntax_error(c);
        return;
    }
    w->error = archive_clear(w->handle);
    if (w->error == ERR_NONE)
        call_ok(c);
}

static void whole_ping(struct whole_call *w)
{
    if (w->call->argc > 2)
        call_error(w->call, "ERR wrong number of arguments for 'ping' command");
    else if (w->call->argc > 1)
        call_bulk(w->call, w->call->argv[1]);
    else
        build_status(w->call->out, "PONG");
}

static void whole_echo(struct whole_call *w)
{
    call_bulk(w->call, w->call->argv[1]);
}

static void whole_time(struct whole_call *w)
{
    build_array(w->call->out, 2);
    build_number(w->call->out, w->call->now_ms / 1000);
    build_number(w->call->out, w->call->now_ms % 1000 * 1000);
}

/* EXEC, which it is part of, has ended all watches. */
static void whole_unwatch(struct whole_call *w)
{
    call_ok(w->call);
}

static const struct {
    const char *name;
    whole_fn fn;
} rows[] = {
    {"scan", whole_scan},           {"keys", whole_keys},     {"dbsize", whole_dbsize},
    {"randomkey", whole_randomkey}, {"flushdb", whole_flush}, {"flushall", whole_flush},
    {"ping", whole_ping},           {"echo", whole_echo},     {"time", whole_time},
    {"unwatch", whole_unwatch},
};

whole_fn whole_find(const struct command *cmd)
{
    for (size_t i = 0; cmd != NULL && i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(cmd->name, rows[i].name) == 0)
            return rows[i].fn;
    return NULL;
}
