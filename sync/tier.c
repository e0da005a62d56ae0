/* The move that puts keys where their age, use and importance say: out of Redis, deeper in the archive, or back. */
#include "sync/move.h"

#include "base/clock.h"
#include "sync/demote.h"
#include "sync/kept.h"
#include "sync/sync.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <string.h>

#define PIECE 128 /* documents loaded, and keys demoted, at once */

enum stage { OF_REDIS, OF_ARCHIVE };

/* ---- of Redis: who leaves ---- */

static enum err take_idle(struct move_at *at, const redisReply *r, int64_t *ret_ms)
{
    if (r == NULL)
        return ERR_REDISLOST;
    *ret_ms = r->type == REDIS_REPLY_INTEGER ? r->integer * 1000 : 0; /* nil: it is gone */
    if (r->type == REDIS_REPLY_ERROR)
        snprintf(at->tally.why, sizeof at->tally.why, "Redis does not tell how old keys are: %.100s", r->str);
    return ERR_NONE;
}

/* idle[i]: for how long Redis has not used the page's key. */
static enum err ask_idle(struct move_at *at, int64_t *idle)
{
    struct page *p = &at->page;
    struct link *l = at->stores->link;
    enum err e = ERR_NONE;

    for (size_t i = 0; i < p->n; i++)
        link_put(l, (struct slice[]){{"OBJECT", 6}, {"IDLETIME", 8}, p->entries[i].key}, 3);
    for (size_t i = 0; e == ERR_NONE && i < p->n; i++)
        e = take_idle(at, link_get(l), &idle[i]);
    link_done(l);
    return e;
}

/* A key that should have left and has not: its time came when it had not been used for tier_warm_after. */
static void stay(struct move_at *at, const struct demotion *d)
{
    struct tiers_seen *seen = &at->place.seen;
    int64_t since_us = (d->tier.seen_ms + at->policy->tier_warm_after) * 1000;

    if (seen->due++ == 0 || since_us < seen->due_since_us)
        seen->due_since_us = since_us;
}

static void report(struct move_at *at, const struct demotion *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (keys[i].why != NULL) {
            stay(at, &keys[i]);
            continue;
        }
        move_found(at, keys[i].key);
        at->place.seen.left++;
        tiers_moved(at->stores->tiers, at->policy->name, RECORD_WORKING, keys[i].tier.level, 1);
    }
}

/* What the rules say of a key whose age would let it go. */
static bool may_go(struct move_at *at, const struct kept *k, struct record_tier *t)
{
    t->accesses = uses_count(at->stores->uses, k->key);
    t->importance = tiers_importance(at->policy, &k->object);
    return k->damaged == NULL && !k->dead && tiers_lets_go(at->policy, t->importance, t->accesses);
}

static enum err demote_some(struct move_at *at, const struct slice *names, const int64_t *idle, size_t n)
{
    struct arena arena;
    int64_t now_ms = clock_wall_us() / 1000;
    size_t chosen = 0;

    arena_init(&arena);
    struct kept *kept = arena_get(&arena, n * sizeof *kept);
    struct demotion *keys = arena_get(&arena, n * sizeof *keys);
    enum err e = kept_load(at->stores->handle, names, n, &arena, now_ms, kept);
    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        struct record_tier t = {.level = (uint8_t)tiers_level(at->policy, idle[i]), .seen_ms = now_ms - idle[i]};
        if (may_go(at, &kept[i], &t))
            keys[chosen++] = (struct demotion){.key = names[i], .policy = at->policy->name, .tier = t};
    }
    if (e == ERR_NONE && chosen > 0)
        e = demote_keys(at->stores, &arena, keys, chosen);
    if (e == ERR_NONE)
        report(at, keys, chosen);
    arena_done(&arena);
    return e;
}

static enum err demote_page(struct move_at *at)
{
    struct page *p = &at->page;
    int64_t *idle = arena_get(&p->arena, (p->n + 1) * sizeof *idle);
    struct slice *names = arena_get(&p->arena, (p->n + 1) * sizeof *names);
    size_t n = 0;
    enum err e = ask_idle(at, idle);

    for (size_t i = 0; e == ERR_NONE && i < p->n; i++) {
        if (tiers_level(at->policy, idle[i]) == RECORD_WORKING)
            continue;
        idle[n] = idle[i];
        names[n++] = p->entries[i].key;
    }
    for (size_t i = 0; e == ERR_NONE && i < n; i += PIECE)
        e = demote_some(at, names + i, idle + i, n - i < PIECE ? n - i : PIECE);
    return e;
}

static enum err of_redis(struct move_at *at)
{
    uint64_t next;
    enum err e = move_page(at, &next);

    if (e == ERR_NONE)
        e = demote_page(at);
    if (e != ERR_NONE)
        return e;
    at->place.seen.keys += (int64_t)at->page.n;
    if (!move_paged(at, next)) {
        tiers_seen(at->stores->tiers, at->policy->name, &at->place.seen);
        at->place.stage = OF_ARCHIVE;
        at->place.before = at->tally.done;
        at->place.hash = 0;
    }
    return ERR_NONE;
}

/* ---- of the archive: who goes deeper, or comes back ---- */

static enum err promote(struct move_at *at, const struct slice *keys, size_t n)
{
    enum handoff_result *results = arena_get(&at->page.arena, (n + 1) * sizeof *results);
    enum err e = n > 0 ? at->stores->hand_over(at->stores->ctx, keys, n, results) : ERR_NONE;

    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        if (results[i] == HANDOFF_DONE)
            move_found(at, keys[i]);
    return e;
}

static enum err deepen(struct move_at *at, struct demotion *keys, size_t n)
{
    enum err e = n > 0 ? demote_deeper(at->stores, &at->page.arena, keys, n) : ERR_NONE;

    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        if (keys[i].why != NULL)
            continue;
        move_found(at, keys[i].key);
        tiers_moved(at->stores->tiers, at->policy->name, RECORD_WARM, RECORD_COLD, 1);
    }
    return e;
}

/* Keys of a page that are away: those whose place is another one now. */
struct settling {
    struct demotion *deeper;
    struct slice *back;
    size_t ndeeper, nback;
};

static void judge(struct move_at *at, struct slice key, struct record_tier t, int64_t now_ms, struct settling *s)
{
    if (tiers_keeps(at->policy, t.importance, t.accesses)) {
        s->back[s->nback++] = key;
    } else if (t.level == RECORD_WARM && tiers_level(at->policy, now_ms - t.seen_ms) == RECORD_COLD) {
        t.level = RECORD_COLD;
        s->deeper[s->ndeeper++] = (struct demotion){.key = key, .policy = at->policy->name, .tier = t};
    }
}

/* Their documents are loaded: once in the life of the process. */
static enum err judge_unknown(struct move_at *at, const struct slice *names, size_t n, int64_t now_ms, struct settling *s)
{
    struct arena *a = &at->page.arena;
    struct kept *kept = arena_get(a, (n + 1) * sizeof *kept);
    enum err e = n > 0 ? kept_load(at->stores->handle, names, n, a, now_ms, kept) : ERR_NONE;

    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        if (kept[i].damaged != NULL || kept[i].dead || kept[i].record.tier.level == RECORD_WORKING)
            continue;
        warm_learn(at->stores->warm, names[i], &kept[i].record.tier);
        judge(at, names[i], kept[i].record.tier, now_ms, s);
    }
    return e;
}

static enum err settle_some(struct move_at *at, const struct slice *names, size_t n)
{
    struct arena *a = &at->page.arena;
    int64_t now_ms = clock_wall_us() / 1000;
    struct slice *unknown = arena_get(a, (n + 1) * sizeof *unknown);
    struct settling s = {.deeper = arena_get(a, (n + 1) * sizeof *s.deeper), .back = arena_get(a, (n + 1) * sizeof *s.back)};
    struct record_tier t;
    size_t nunknown = 0;

    for (size_t i = 0; i < n; i++)
        if (warm_facts(at->stores->warm, names[i], &t))
            judge(at, names[i], t, now_ms, &s);
        else
            unknown[nunknown++] = names[i];
    enum err e = judge_unknown(at, unknown, nunknown, now_ms, &s);
    if (e == ERR_NONE)
        e = deepen(at, s.deeper, s.ndeeper);
    return e == ERR_NONE ? promote(at, s.back, s.nback) : e;
}

static enum err of_archive(struct move_at *at, enum move_step *ret)
{
    struct page *p = &at->page;
    int64_t hash = at->place.hash;
    size_t limit = at->limit < PIECE ? at->limit : PIECE, n = 0;
    enum err e = page_of_archive(p, at->stores->handle, ARCHIVE_ALL, &hash, limit, move_wants, at);
    struct slice *names = arena_get(&p->arena, (p->n + 1) * sizeof *names);

    at->looked = p->looked;
    for (size_t i = 0; e == ERR_NONE && i < p->n; i++)
        if (p->entries[i].tier != RECORD_WORKING && p->entries[i].type != OBJECT_NONE)
            names[n++] = p->entries[i].key;
    if (e == ERR_NONE && n > 0)
        e = settle_some(at, names, n);
    if (e != ERR_NONE)
        return e;
    at->place.hash = hash;
    move_done(at, n, page_hash_progress(hash));
    if (hash < 0) {
        tiers_swept(at->stores->tiers, at->policy->name, clock_wall_us());
        *ret = STEP_OVER;
    }
    return ERR_NONE;
}

enum err tier_step(struct move_at *at, enum move_step *ret)
{
    if (!at->policy->tiers) {
        snprintf(at->tally.why, sizeof at->tally.why, "the policy has no tiers (setting %s.tiers)", at->policy->name);
        *ret = STEP_BAD;
        return ERR_NONE;
    }
    if (!warm_known(at->stores->warm) || !uses_is_loaded(at->stores->uses)) {
        snprintf(at->tally.why, sizeof at->tally.why, "waits until the archive was looked through");
        *ret = STEP_WAIT;
        return ERR_NONE;
    }
    return at->place.stage == OF_REDIS ? of_redis(at) : of_archive(at, ret);
}
