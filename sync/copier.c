#include "sync/copier.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/version.h"
#include "router/marks.h"
#include "sync/busy.h"
#include "sync/handoff.h"
#include "sync/kept.h"
#include "sync/reply.h"
#include "sync/value.h"
#include "sync/warm.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>

#define PIECE      64          /* values read at once */
#define PAGE_KEYS  512         /* documents of one commit */
#define PAGE_BYTES (32u << 20) /* of values, after which a commit is full */
#define PASSES     8           /* over keys that somebody waits for */

/* What becomes of a key. */
enum fate {
    FATE_LOOK,   /* not known yet */
    FATE_COPY,   /* Redis is ahead: its state is to be written to the archive */
    FATE_GIVE,   /* the document is the archive's own: it is handed over first */
    FATE_NUMBER, /* Redis has it without a version: it gets one */
    FATE_DONE,   /* the archive has what Redis has */
    FATE_AGAIN,  /* somebody was faster */
    FATE_BAD,    /* it can't be carried */
};

struct item {
    struct slice key;
    enum fate fate;
    struct kept kept;
    struct redis_state redis;
};

struct round {
    struct copier *c;
    struct arena arena;
    int64_t now_ms;
    struct item *items;
    size_t n;
    enum err bad; /* why the last of FATE_BAD is so */
};

static struct slice *keys_of(struct round *r, struct item *const *list, size_t n)
{
    struct slice *keys = arena_get(&r->arena, (n + 1) * sizeof *keys);

    for (size_t i = 0; i < n; i++)
        keys[i] = list[i]->key;
    return keys;
}

static struct item **items_of(struct round *r, enum fate fate, size_t *ret_n)
{
    struct item **list = arena_get(&r->arena, (r->n + 1) * sizeof(struct item *));
    size_t n = 0;

    for (size_t i = 0; i < r->n; i++)
        if (r->items[i].fate == fate)
            list[n++] = &r->items[i];
    *ret_n = n;
    return list;
}

static void end_bad(struct round *r, struct item *item, enum err e, const char *why)
{
    item->fate = FATE_BAD;
    r->bad = e;
    r->c->counts->failed++;
    if (news_is(&r->c->news, r->c->epoch, item->key))
        log_event(LOG_ERROR, "copy_failed", LOG_BYTES("key", item->key.p, item->key.len),
                  LOG_STR("reason", why));
}

static void end_again(struct round *r, struct item *item)
{
    item->fate = FATE_AGAIN;
    r->c->counts->races++;
}

/* ---- looking ---- */

/* By versions alone. A document that is Redis', clean, and not older needs nothing; one of the archive's own is handed over, unless it
 * is a tombstone that Redis has gone beyond. */
static enum fate fate_of(const struct copier *c, const struct kept *k, int64_t redis)
{
    bool open = k->dirty || k->record.journalled;

    if (k->version != 0 && version_epoch(k->version) > c->epoch)
        return FATE_AGAIN;
    if (k->version == 0 || (!open && (k->record.redis || k->dead) && k->version < redis))
        return FATE_COPY;
    if (k->dead && !open && redis == 0)
        return FATE_COPY; /* or nothing, if Redis has nothing */
    return k->record.redis && !open ? FATE_DONE : FATE_GIVE;
}

/* Versions of a Redis that was claimed for a later epoch, or that was emptied, say nothing about what this one's has written. */
static enum err is_ours_still(const struct copier *c)
{
    int64_t epoch;

    enum err e = value_epoch(c->link, &epoch);
    if (e == ERR_NONE && epoch == 0) {
        link_fail(c->link, "Redis was emptied");
        return ERR_REDISDOWN;
    }
    return e == ERR_NONE && epoch > c->epoch ? ERR_MOVED : e;
}

static enum err look(struct round *r)
{
    size_t n;
    struct item **list = items_of(r, FATE_LOOK, &n);
    struct slice *keys = keys_of(r, list, n);
    struct kept *kept = arena_get(&r->arena, (n + 1) * sizeof *kept);
    int64_t *versions = arena_get(&r->arena, (n + 1) * sizeof *versions);
    enum err e = kept_load(r->c->handle, keys, n, &r->arena, r->now_ms, kept);

    if (e == ERR_NONE)
        e = value_versions(r->c->link, keys, n, versions);
    if (e == ERR_NONE)
        e = is_ours_still(r->c);
    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        list[i]->kept = kept[i];
        if (kept[i].damaged != NULL) {
            end_bad(r, list[i], ERR_ARCHIVEBAD, kept[i].damaged);
            continue;
        }
        list[i]->fate = fate_of(r->c, &kept[i], versions[i]);
        r->c->counts->races += list[i]->fate == FATE_AGAIN;
        r->c->counts->unmarked += list[i]->fate == FATE_DONE;
    }
    return e;
}

/* ---- copying ---- */

/* What was read may say more than the versions did. */
static void judge(struct round *r, struct item *item)
{
    const struct redis_state *s = &item->redis;

    if (s->torn)
        end_again(r, item);
    else if (s->bad != NULL)
        end_bad(r, item, ERR_ARCHIVEBAD, s->bad);
    else if (s->version == 0 && s->object.type != OBJECT_NONE)
        item->fate = FATE_NUMBER;
    else if (s->version <= item->kept.version) /* Redis was emptied, or knows nothing of the key */
        item->fate = FATE_DONE;
}

/* Connections may live on in a Redis that was emptied: what they wrote since is no successor of what the archive has (NO_COPY_EPOCH). */
static enum err check_epoch(struct round *r, int64_t epoch)
{
    if (epoch > 0 && epoch <= r->c->epoch)
        return ERR_NONE;
    link_fail(r->c->link, epoch == 0 ? "Redis was emptied" : "Redis was claimed for a later epoch");
    return ERR_REDISDOWN;
}

static enum err read_values(struct round *r, struct item *const *list, size_t n, size_t *ret_read)
{
    struct slice *keys = arena_get(&r->arena, PIECE * sizeof *keys);
    struct redis_state *states = arena_get(&r->arena, PIECE * sizeof *states);
    size_t at = 0, most = n < PAGE_KEYS ? n : PAGE_KEYS, used = r->arena.used;
    enum err e = ERR_NONE;

    while (e == ERR_NONE && at < most && r->arena.used - used < PAGE_BYTES) {
        size_t piece = most - at < PIECE ? most - at : PIECE;
        for (size_t i = 0; i < piece; i++)
            keys[i] = list[at + i]->key;
        e = value_read(r->c->link, keys, piece, &r->arena, states);
        for (size_t i = 0; e == ERR_NONE && i < piece; i++) {
            e = check_epoch(r, states[i].epoch);
            list[at + i]->redis = states[i];
            judge(r, list[at + i]);
        }
        at += piece;
    }
    *ret_read = at;
    return e;
}

/* Redis' state, and the ids that it contains and that somebody may ask for. */
static enum err seal(struct round *r, struct item *item, struct archive_write *ret)
{
    struct record record = {0};

    if (item->kept.record.redis)
        record = item->kept.record;
    record.redis = true;
    record.tier.level = RECORD_WORKING;
    record_add_ids(&record, item->redis.sessions,
                   recent_sort(&r->c->recent, item->redis.sessions, item->redis.nsessions, clock_mono_us()));
    item->redis.object.key = item->key;
    return kept_seal(
        &(struct kept_state){&item->redis.object, &record, item->redis.version, item->kept.version, false},
        r->now_ms, ret);
}

static void end_copied(struct round *r, struct item *item, const struct archive_write *w)
{
    item->fate = FATE_DONE;
    if (r->c->warm != NULL && item->kept.record.tier.level != RECORD_WORKING)
        warm_forget(r->c->warm, item->key);
    r->c->counts->copied++;
    r->c->counts->tombstones += w->entry.type == OBJECT_NONE;
    r->c->counts->bytes += w->doc->len;
}

static enum err write_values(struct round *r, struct item **list, size_t n)
{
    struct archive_write *writes = arena_get(&r->arena, (n + 1) * sizeof *writes);
    enum err *results = arena_get(&r->arena, (n + 1) * sizeof *results);
    size_t sealed = 0;

    for (size_t i = 0; i < n; i++) {
        struct item *item = list[i];
        if (item->fate != FATE_COPY)
            continue;
        if (seal(r, item, &writes[sealed]) == ERR_NONE)
            list[sealed++] = item;
        else
            end_bad(r, item, ERR_TOO_LARGE, "too large for a document");
    }
    enum err e = kept_commit(r->c->handle, writes, sealed, results);
    for (size_t i = 0; e == ERR_NONE && i < sealed; i++)
        if (results[i] == ERR_NONE)
            end_copied(r, list[i], &writes[i]);
        else if (results[i] == ERR_RACE)
            end_again(r, list[i]);
        else
            end_bad(r, list[i], results[i], archive_why(r->c->handle));
    kept_drop(writes, sealed);
    return e;
}

static enum err copy(struct round *r)
{
    size_t n, some = 0;
    struct item **list = items_of(r, FATE_COPY, &n);
    enum err e = ERR_NONE;

    for (size_t at = 0; at < n && e == ERR_NONE; at += some) {
        e = read_values(r, list + at, n - at, &some);
        if (e == ERR_NONE)
            e = write_values(r, list + at, some);
    }
    return e;
}

/* ---- the others ---- */

/* Its mark stays until Redis' version was compared anew. */
static enum err give(struct round *r)
{
    struct handoff_counts counts = {0};
    struct handoff h = {.handle = r->c->handle,
                        .link = r->c->link,
                        .epoch = r->c->epoch,
                        .versions_count = true,
                        .counts = &counts};
    size_t n;
    struct item **list = items_of(r, FATE_GIVE, &n);
    enum handoff_result *results = arena_get(&r->arena, (n + 1) * sizeof *results);
    enum err e = n > 0 ? handoff_keys(&h, keys_of(r, list, n), n, results) : ERR_NONE;

    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        if (results[i] == HANDOFF_BAD)
            end_bad(r, list[i], ERR_ARCHIVEBAD, "the archive's own state can't be handed over");
        else
            list[i]->fate = FATE_AGAIN;
    return e;
}

static enum err take_numbered(struct round *r, struct item *item)
{
    const redisReply *reply = link_get(r->c->link);

    item->fate = FATE_AGAIN;
    if (reply == NULL)
        return ERR_REDISLOST;
    if (reply->type == REDIS_REPLY_INTEGER)
        return ERR_NONE;
    link_refuse(r->c->link, reply);
    return ERR_REDISDOWN;
}

/* Keys from before dual writes get the first version of this epoch. */
static enum err number(struct round *r)
{
    char text[24];
    size_t n;
    struct item **list = items_of(r, FATE_NUMBER, &n);
    int len = snprintf(text, sizeof text, "%" PRId64, version_make(r->c->epoch, r->now_ms));
    struct slice argv[] = {
        {"HSETNX", 6}, {MARKS_VERSION, strlen(MARKS_VERSION)}, {NULL, 0}, {text, (size_t)len}};
    enum err e = ERR_NONE;

    for (size_t i = 0; i < n; i++) {
        argv[2] = list[i]->key;
        link_put(r->c->link, argv, 4);
    }
    for (size_t i = 0; i < n && e == ERR_NONE; i++)
        e = take_numbered(r, list[i]);
    link_done(r->c->link);
    return e;
}

static enum err carry_once(struct round *r)
{
    enum err e = look(r);

    if (e == ERR_NONE)
        e = copy(r);
    if (e == ERR_NONE)
        e = number(r);
    return e == ERR_NONE ? give(r) : e;
}

/* Those with which somebody else was faster are tried once more, or more often. */
static enum err carry(struct round *r, int passes)
{
    enum err e = ERR_NONE;

    for (int pass = 0; pass < passes && e == ERR_NONE; pass++) {
        size_t n;
        struct item **list = items_of(r, pass == 0 ? FATE_LOOK : FATE_AGAIN, &n);
        if (n == 0)
            break;
        for (size_t i = 0; i < n; i++)
            list[i]->fate = FATE_LOOK;
        r->now_ms = clock_wall_us() / 1000;
        e = carry_once(r);
    }
    return e;
}

static void round_init(struct round *r, struct copier *c)
{
    *r = (struct round){.c = c};
    arena_init(&r->arena);
}

static void round_keys(struct round *r, const struct slice *keys, size_t n)
{
    r->items = arena_get(&r->arena, (n + 1) * sizeof *r->items);
    r->n = n;
    for (size_t i = 0; i < n; i++)
        r->items[i].key = keys[i];
}

/* Gives the claims up: those that are not done become marks again. */
static enum err settle(struct round *r, const struct slice *keys)
{
    bool *done = arena_get(&r->arena, r->n + 1);

    for (size_t i = 0; i < r->n; i++)
        done[i] = r->items[i].fate == FATE_DONE;
    return busy_settle(r->c->link, r->c->proxy, keys, done, r->n);
}

/* ---- calls ---- */

enum err copier_recover(struct copier *c)
{
    return busy_recover(c->link);
}

static enum err count_left(struct copier *c, size_t *ret_left)
{
    int64_t left;
    enum err e = busy_left(c->link, &left);

    if (e != ERR_NONE)
        return e;
    c->counts->dirty = left;
    if (left == 0)
        c->counts->oldest_us = 0;
    else if (c->counts->oldest_us == 0)
        c->counts->oldest_us = clock_mono_us();
    *ret_left = (size_t)left;
    return ERR_NONE;
}

/* After an error of the archive, too, claims go back, if Redis lets us. */
static enum err carry_claimed(struct round *r, const struct slice *keys, size_t n, int passes)
{
    round_keys(r, keys, n);
    enum err e = carry(r, passes);
    enum err settled = settle(r, keys);
    return e != ERR_NONE ? e : settled;
}

enum err copier_round(struct copier *c, size_t limit, size_t *ret_left)
{
    struct round r;
    struct slice *keys;
    size_t n;

    round_init(&r, c);
    enum err e = busy_take(c->link, c->proxy, limit, &r.arena, &keys, &n);
    if (e == ERR_NONE) {
        c->counts->claimed += n;
        e = carry_claimed(&r, keys, n, 2);
    }
    if (e == ERR_NONE)
        e = count_left(c, ret_left);
    arena_done(&r.arena);
    return e;
}

enum err copier_keys(struct copier *c, const struct slice *keys, size_t n)
{
    struct round r;

    round_init(&r, c);
    enum err e = busy_take_these(c->link, c->proxy, keys, n);
    if (e == ERR_NONE)
        e = carry_claimed(&r, keys, n, PASSES);
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        if (r.items[i].fate == FATE_BAD)
            e = r.bad;
        else if (r.items[i].fate != FATE_DONE)
            e = ERR_RACE;
    arena_done(&r.arena);
    return e;
}
