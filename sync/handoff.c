#include "sync/handoff.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/mutant.h"
#include "base/version.h"
#include "sync/kept.h"
#include "sync/merge.h"
#include "sync/quarantine.h"
#include "sync/reply.h"
#include "sync/value.h"

#include <hiredis/hiredis.h>

#define PAGE_KEYS  256
#define PAGE_BYTES (64u << 20) /* of documents, after which a page is full */
#define PIECE      64          /* documents loaded at once */

/* Where an item of a page stands: what must be done with it next. */
enum step {
    STEP_OVER,    /* nothing: its result is there */
    STEP_LOOK,    /* 1: versions are compared, */
    STEP_READ,    /* and what Redis has is read */
    STEP_DECIDE,  /* 2 */
    STEP_COMMIT,  /* 3 */
    STEP_RESTORE, /* 4 */
    STEP_CONFIRM, /* 5 */
};

struct item {
    enum step step;
    enum handoff_result *result;
    struct kept kept;
    struct redis_state redis;
    struct merge_verdict verdict;
    struct object state;  /* what both stores are to have, */
    int64_t version;      /* and its version */
    struct record record; /* of the document that has it */
};

struct page {
    struct handoff *h;
    struct arena arena;
    int64_t now_ms;
    struct item *items;
    size_t n;
};

/* ---- ends ---- */

static void end_item(struct item *item, enum handoff_result result)
{
    item->step = STEP_OVER;
    *item->result = result;
}

static void end_bad(struct page *p, struct item *item, const char *why)
{
    struct slice key = item->kept.key;

    if (news_is(&p->h->news, p->h->epoch, key))
        log_event(LOG_ERROR, "handoff_failed", LOG_BYTES("key", key.p, key.len), LOG_STR("reason", why));
    p->h->counts->failed++;
    end_item(item, HANDOFF_BAD);
}

static void end_again(struct page *p, struct item *item)
{
    p->h->counts->again++;
    end_item(item, HANDOFF_AGAIN);
}

/* The items at this step; *ret_n: how many. */
static struct item **items_at(struct page *p, enum step step, size_t *ret_n)
{
    struct item **list = arena_get(&p->arena, (p->n + 1) * sizeof(struct item *));
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].step == step)
            list[n++] = &p->items[i];
    *ret_n = n;
    return list;
}

static struct slice *keys_of(struct page *p, struct item *const *list, size_t n)
{
    struct slice *keys = arena_get(&p->arena, (n + 1) * sizeof *keys);

    for (size_t i = 0; i < n; i++)
        keys[i] = list[i]->kept.key;
    return keys;
}

/* ---- step 1: what both have ---- */

/* As many of the keys as make a page. */
static enum err load(struct page *p, const struct slice *keys, size_t n, enum handoff_result *ret)
{
    struct kept *kept = arena_get(&p->arena, PIECE * sizeof *kept);
    size_t most = n < PAGE_KEYS ? n : PAGE_KEYS;
    enum err e = ERR_NONE;

    p->items = arena_get(&p->arena, most * sizeof *p->items);
    while (e == ERR_NONE && p->n < most && p->arena.used < PAGE_BYTES) {
        size_t piece = most - p->n < PIECE ? most - p->n : PIECE;
        e = kept_load(p->h->handle, keys + p->n, piece, &p->arena, p->now_ms, kept);
        for (size_t i = 0; e == ERR_NONE && i < piece; i++)
            p->items[p->n + i] = (struct item){.step = STEP_LOOK, .result = &ret[p->n + i], .kept = kept[i]};
        p->n += e == ERR_NONE ? piece : 0;
    }
    return e;
}

/* Most keys that are Redis' are seen to be so without reading their values. */
static enum err look(struct page *p)
{
    size_t n;

    for (size_t i = 0; i < p->n; i++)
        if (p->items[i].kept.damaged != NULL)
            end_bad(p, &p->items[i], p->items[i].kept.damaged);
        else if (p->items[i].kept.version == 0)
            end_item(&p->items[i], HANDOFF_DONE);
    struct item **list = items_at(p, STEP_LOOK, &n);
    int64_t *versions = arena_get(&p->arena, (n + 1) * sizeof *versions);
    enum err e = n > 0 ? value_versions(p->h->link, keys_of(p, list, n), n, versions) : ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        const struct kept *k = &list[i]->kept;
        if (k->record.redis && !k->record.journalled && !k->dirty && versions[i] >= k->version &&
            k->record.tier.level == RECORD_WORKING)
            end_item(list[i], HANDOFF_DONE);
        else
            list[i]->step = STEP_READ;
        list[i]->redis.version = versions[i];
    }
    return e;
}

/* What an emptied Redis has must not be committed, and nobody else's after the next claim (NO_READ_EPOCH). */
static enum err check_epoch(struct page *p, int64_t epoch)
{
    if (epoch > 0 && epoch <= p->h->epoch)
        return ERR_NONE;
    link_fail(p->h->link, epoch == 0 ? "Redis was emptied" : "Redis was claimed for a later epoch");
    return ERR_REDISDOWN;
}

/* Whether Redis has any of these keys. */
static enum err exist(struct page *p, const struct slice *keys, size_t n, int64_t *ret)
{
    struct slice *argv = arena_get(&p->arena, (n + 1) * sizeof *argv);
    enum err e = ERR_NONE;

    argv[0] = (struct slice){"EXISTS", 6};
    memcpy(argv + 1, keys, n * sizeof *keys);
    link_put(p->h->link, argv, n + 1);
    const redisReply *r = link_get(p->h->link);
    if (r == NULL)
        e = ERR_REDISLOST;
    else if (!reply_int(r, ret)) {
        link_refuse(p->h->link, r);
        e = ERR_REDISDOWN;
    }
    link_done(p->h->link);
    return e;
}

/* When Redis has come back empty, one question tells it of all. */
static enum err pass_absent(struct page *p)
{
    size_t n, absent = 0;
    struct item **list = items_at(p, STEP_READ, &n);
    int64_t there = 0, epoch = 0;

    for (size_t i = 0; i < n; i++)
        if (list[i]->redis.version == 0)
            list[absent++] = list[i];
    enum err e = absent > 0 ? exist(p, keys_of(p, list, absent), absent, &there) : ERR_NONE;
    if (e != ERR_NONE || absent == 0 || there > 0)
        return e;
    e = value_epoch(p->h->link, &epoch);
    for (size_t i = 0; e == ERR_NONE && i < absent; i++) {
        list[i]->step = STEP_DECIDE;
        list[i]->redis.epoch = epoch;
    }
    return e == ERR_NONE ? check_epoch(p, epoch) : e;
}

static enum err read_redis(struct page *p)
{
    size_t n;
    struct item **list = items_at(p, STEP_READ, &n);
    struct redis_state *states = arena_get(&p->arena, (n + 1) * sizeof *states);
    enum err e = n > 0 ? value_read(p->h->link, keys_of(p, list, n), n, &p->arena, states) : ERR_NONE;

    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        list[i]->redis = states[i];
        list[i]->step = STEP_DECIDE;
        e = check_epoch(p, states[i].epoch);
    }
    return e;
}

/* ---- step 2: what shall be ---- */

static struct merge_case case_of(const struct page *p, const struct item *item)
{
    return (struct merge_case){.epoch = p->h->epoch,
                               .versions_count = p->h->versions_count,
                               .document = item->kept.version,
                               .dead = item->kept.dead,
                               .dirty = item->kept.dirty,
                               .record = &item->kept.record,
                               .in_redis = item->redis.object.type != OBJECT_NONE || item->redis.bad != NULL,
                               .redis = item->redis.version,
                               .executed = {item->redis.sessions, item->redis.nsessions}};
}

/* What the document is until step 5. Without a journal its state counts, whatever else Redis may turn out to have: as if the journal had
 * holes. */
static struct record begun_record(const struct item *item)
{
    struct record r = item->kept.record;

    r.redis = true;
    if (r.tier.level != RECORD_WORKING) /* until step 5: who begins anew must find that Redis may lack it */
        r.tier.level = RECORD_WARM;
    r.overflowed = !r.journalled || r.overflowed;
    r.journalled = true;
    r.base = item->redis.version;
    if (item->verdict.action == MERGE_REPLAY)
        record_add_ids(&r, item->redis.sessions, item->redis.nsessions);
    return r;
}

/* A journal that can't be replayed is as good as none: the archive's state, and Redis' is kept aside. */
static void replay(struct page *p, struct item *item)
{
    struct merge_ids executed = {item->redis.sessions, item->redis.nsessions};

    item->state = item->redis.object;
    item->state.key = item->kept.key;
    object_own(&item->state, &p->arena);
    if (merge_replay(&item->kept.record, &executed, &item->state, &p->arena))
        return;
    bool there = item->redis.object.type != OBJECT_NONE;
    item->verdict = (struct merge_verdict){MERGE_ARCHIVE, there ? MERGE_LOSES_REDIS : MERGE_LOSES_NONE,
                                           "a damaged journal"};
    item->state = item->kept.object;
}

static void prepare(struct page *p, struct item *item)
{
    int64_t newest = item->kept.version > item->redis.version ? item->kept.version : item->redis.version;

    if (item->verdict.action == MERGE_REPLAY)
        replay(p, item);
    else
        item->state = item->kept.object;
    item->version = version_next(newest, p->h->epoch, p->now_ms);
    item->record = begun_record(item);
    item->step = STEP_COMMIT;
}

/* The document's state and version are what shall be. */
static void take_as_it_is(struct item *item, enum step next)
{
    item->state = item->kept.object;
    item->version = item->kept.version;
    item->record = item->kept.record;
    item->step = next;
}

static void decide(struct page *p, struct item *item)
{
    struct merge_case c = case_of(p, item);

    if (item->redis.torn) {
        end_again(p, item);
        return;
    }
    item->verdict = merge_decide(&c);
    if (MUTANT(lww) && item->verdict.action == MERGE_REPLAY)
        item->verdict.action = MERGE_ARCHIVE;
    switch (item->verdict.action) {
    case MERGE_NOTHING:
        end_item(item, HANDOFF_DONE);
        return;
    case MERGE_STALE:
        end_again(p, item);
        return;
    case MERGE_CONFIRM:
        take_as_it_is(item, STEP_CONFIRM);
        return;
    case MERGE_RESTORE: /* no new version: another mover may be about to restore this one */
        take_as_it_is(item, STEP_RESTORE);
        return;
    case MERGE_ARCHIVE:
    case MERGE_REPLAY:
        if (item->redis.bad != NULL &&
            (item->verdict.action == MERGE_REPLAY || item->verdict.loss == MERGE_LOSES_REDIS))
            end_bad(p, item, item->redis.bad);
        else
            prepare(p, item);
        return;
    }
}

/* What the decision would lose is kept before anything is overwritten. */
static enum err keep_loss(struct page *p, struct item *item)
{
    bool redis = item->verdict.loss == MERGE_LOSES_REDIS;
    struct quarantine_entry q = {.object = redis ? item->redis.object : item->kept.object,
                                 .version = redis ? item->redis.version : item->kept.version,
                                 .why = item->verdict.why};
    struct slice key = item->kept.key;

    q.object.key = key;
    enum err e = quarantine_put(p->h->handle, &q);
    if (e == ERR_TOO_LARGE || e == ERR_ARCHIVEBAD)
        end_bad(p, item, "what it would replace can't be kept");
    else if (e == ERR_RACE)
        end_again(p, item);
    else if (e != ERR_NONE)
        return e;
    if (e != ERR_NONE)
        return ERR_NONE;
    p->h->counts->quarantined++;
    log_event(LOG_WARN, "quarantined", LOG_BYTES("key", key.p, key.len), LOG_STR("reason", q.why),
              LOG_STR("store", redis ? "redis" : "archive"), LOG_INT("number", q.number));
    return ERR_NONE;
}

static enum err decide_all(struct page *p)
{
    enum err e = ERR_NONE;

    for (size_t i = 0; i < p->n && e == ERR_NONE; i++) {
        struct item *item = &p->items[i];
        if (item->step == STEP_DECIDE)
            decide(p, item);
        if (item->step == STEP_COMMIT && item->verdict.loss != MERGE_LOSES_NONE)
            e = keep_loss(p, item);
    }
    return e;
}

/* ---- steps 3 and 5: the document ---- */

static enum err commit_sealed(struct page *p, struct item *const *list, struct archive_write *writes,
                              size_t n, enum step next)
{
    enum err *results = arena_get(&p->arena, (n + 1) * sizeof *results);
    enum err e = kept_commit(p->h->handle, writes, n, results);

    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        if (results[i] == ERR_RACE)
            end_again(p, list[i]);
        else if (results[i] != ERR_NONE)
            end_bad(p, list[i], archive_why(p->h->handle));
        else
            list[i]->step = next;
    return e;
}

/* Step 3 replaces what was loaded, step 5 what step 3 has made. */
static enum err commit(struct page *p, enum step now, enum step next, bool dirty)
{
    size_t n, sealed = 0;
    struct item **list = items_at(p, now, &n);
    struct archive_write *writes = arena_get(&p->arena, (n + 1) * sizeof *writes);

    for (size_t i = 0; i < n; i++) {
        struct item *item = list[i];
        struct kept_state s = {&item->state, &item->record, item->version,
                               now == STEP_COMMIT ? item->kept.version : item->version, dirty};
        if (kept_seal(&s, p->now_ms, &writes[sealed]) == ERR_NONE)
            list[sealed++] = item;
        else
            end_bad(p, item, "too large for a document");
    }
    enum err e = commit_sealed(p, list, writes, sealed, next);
    kept_drop(writes, sealed);
    return e;
}

/* ---- step 4: Redis ---- */

static enum err restore(struct page *p)
{
    size_t n;
    struct item **list = items_at(p, STEP_RESTORE, &n);
    struct value_restore *restores = arena_get(&p->arena, (n + 1) * sizeof *restores);

    for (size_t i = 0; i < n; i++)
        restores[i] = (struct value_restore){.object = &list[i]->state,
                                             .expected = list[i]->redis.version,
                                             .version = list[i]->version,
                                             .epoch = list[i]->redis.epoch};
    enum err e = n > 0 ? value_restore(p->h->link, restores, n) : ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        if (restores[i].damaged)
            end_bad(p, list[i], "no command makes such a value");
        else if (!restores[i].done)
            end_again(p, list[i]);
        else
            list[i]->step = STEP_CONFIRM;
    return e;
}

/* What counts is what Redis has now. */
static void close_journals(struct page *p)
{
    for (size_t i = 0; i < p->n; i++) {
        struct record *r = &p->items[i].record;
        if (p->items[i].step != STEP_CONFIRM)
            continue;
        r->redis = true;
        r->tier.level = RECORD_WORKING;
        r->journalled = r->overflowed = false;
        r->base = 0;
        r->writes = NULL;
        r->nwrites = 0;
    }
}

static void count(struct page *p)
{
    struct handoff_counts *c = p->h->counts;
    _Atomic uint64_t *const by_action[] = {
        [MERGE_NOTHING] = &c->equal,    [MERGE_STALE] = &c->equal,      [MERGE_CONFIRM] = &c->kept,
        [MERGE_RESTORE] = &c->restored, [MERGE_ARCHIVE] = &c->restored, [MERGE_REPLAY] = &c->merged};

    c->looked += p->n;
    for (size_t i = 0; i < p->n; i++)
        if (*p->items[i].result == HANDOFF_DONE)
            ++*by_action[p->items[i].verdict.action];
}

static enum err hand_over(struct page *p)
{
    enum err e = look(p);

    if (e == ERR_NONE)
        e = pass_absent(p);
    if (e == ERR_NONE)
        e = read_redis(p);
    if (e == ERR_NONE)
        e = decide_all(p);
    if (e == ERR_NONE)
        e = commit(p, STEP_COMMIT, STEP_RESTORE, true);
    if (e == ERR_NONE)
        e = restore(p);
    close_journals(p);
    if (e == ERR_NONE)
        e = commit(p, STEP_CONFIRM, STEP_OVER, false);
    if (e == ERR_NONE)
        count(p);
    return e;
}

enum err handoff_keys(struct handoff *h, const struct slice *keys, size_t n, enum handoff_result *ret)
{
    struct page p = {.h = h};
    enum err e = ERR_NONE;

    for (size_t i = 0; i < n; i++)
        ret[i] = HANDOFF_DONE; /* until something is in the way */
    arena_init(&p.arena);
    for (size_t at = 0; at < n && e == ERR_NONE; at += p.n) {
        arena_reset(&p.arena);
        p.n = 0;
        p.now_ms = clock_wall_us() / 1000;
        e = load(&p, keys + at, n - at, ret + at);
        if (e == ERR_NONE)
            e = hand_over(&p);
    }
    arena_done(&p.arena);
    return e;
}
