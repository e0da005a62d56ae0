/* The move that compares the stores: first what the archive has with Redis, page by page; then whether Redis has keys that the
 * archive lacks. What looks different becomes a suspect. */
#include "sync/move.h"
#include "sync/suspects.h"

#include "base/clock.h"
#include "base/version.h"
#include "engine/document.h"
#include "executor/record.h"
#include "sync/value.h"

#include <stdio.h>

#define SUSPECTS   4096        /* at a time: the stores may be as different as can be */
#define AGAIN      64          /* of them that are looked at together */
#define PACE       16          /* keys of the first page whose values are loaded */
#define PAGE_BYTES (16u << 20) /* of values; pages that have more get smaller */

enum stage { OF_ARCHIVE, OF_REDIS, REST };

/* Where whole values are loaded: as many keys as have fitted well so far. */
static size_t page_size(const struct move_at *at, bool values)
{
    return values && at->limit > at->place.pace ? at->place.pace : at->limit;
}

static void set_pace(struct move_at *at)
{
    size_t *pace = &at->place.pace, used = at->page.arena.used;

    if (used > PAGE_BYTES && *pace > 1)
        *pace /= 2;
    else if (used < PAGE_BYTES / 4 && *pace < MOVE_PAGE)
        *pace *= 2;
}

/* ---- suspects ---- */

static enum err repair(struct move_at *at, const struct compared *keys, size_t n)
{
    struct marking *m = arena_get(&at->page.arena, n * sizeof *m);
    int64_t now_ms = clock_wall_us() / 1000;

    for (size_t i = 0; i < n; i++) {
        int64_t r = keys[i].redis, higher = r > keys[i].archive ? r : keys[i].archive;
        int64_t next = version_next(higher, at->stores->epoch, now_ms);
        m[i] = (struct marking){.key = keys[i].key, .fresh = next - 1, .raise = r > 0 ? next - r : 1};
    }
    enum err e = marking_do(at->stores->link, m, n);
    if (e == ERR_NONE)
        at->tally.repaired += (int64_t)n;
    return e;
}

/* Another look at suspects; *ret_any: there was one to look at. */
static enum err look_again(struct move_at *at, bool *ret_any)
{
    struct compared found[AGAIN];
    size_t n, looked;

    arena_reset(&at->page.arena);
    enum err e = suspects_look(at->place.suspects, at->stores, &at->page.arena, at->order->deep, AGAIN, found,
                               &n, &looked);
    if (e != ERR_NONE)
        return e;
    *ret_any = looked > 0;
    for (size_t i = 0; i < n; i++)
        move_found(at, found[i].key);
    return n > 0 && at->order->repair ? repair(at, found, n) : ERR_NONE;
}

static void suspect(struct move_at *at, struct slice key, int64_t archive)
{
    suspects_add(at->place.suspects, key, archive);
}

/* ---- pages ---- */

static struct slice *names_of(struct page *p)
{
    struct slice *names = arena_get(&p->arena, p->n * sizeof *names);

    for (size_t i = 0; i < p->n; i++)
        names[i] = p->entries[i].key;
    return names;
}

/* By content: all keys are compared closely at once. */
static enum err check_values(struct move_at *at)
{
    struct page *p = &at->page;
    struct compared *keys = arena_get(&p->arena, p->n * sizeof *keys);

    for (size_t i = 0; i < p->n; i++)
        keys[i].key = p->entries[i].key;
    enum err e = compare_keys(at->stores, &p->arena, keys, p->n, true);
    for (size_t i = 0; e == ERR_NONE && i < p->n; i++) {
        if (!keys[i].same)
            suspect(at, keys[i].key, keys[i].archive);
    }
    return e;
}

static bool is_live(const struct archive_entry *e, int64_t now_ms)
{
    return e->type != OBJECT_NONE && (e->expire_ms < 0 || e->expire_ms > now_ms);
}

/* Those of one kind: live, or dead. A key that somebody has deleted behind the proxy's back has its version still. */
static enum err check_kind(struct move_at *at, bool live)
{
    struct page *p = &at->page;
    struct slice *keys = arena_get(&p->arena, p->n * sizeof *keys);
    const struct archive_entry **of = arena_get(&p->arena, p->n * sizeof *of);
    int64_t *versions = arena_get(&p->arena, p->n * sizeof *versions), now_ms = clock_wall_us() / 1000;
    bool *there = arena_get(&p->arena, p->n * sizeof *there);
    size_t n = 0;

    for (size_t i = 0; i < p->n; i++) {
        if (is_live(&p->entries[i], now_ms) == live) {
            of[n] = &p->entries[i];
            keys[n++] = p->entries[i].key;
        }
    }
    enum err e = value_versions(at->stores->link, keys, n, versions);
    if (e == ERR_NONE)
        e = compare_presence(at->stores->link, keys, n, there);
    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        bool away = of[i]->tier != RECORD_WORKING && !there[i]; /* demoted: absent on purpose */
        if ((there[i] != live && !away) || (live && versions[i] != of[i]->version))
            suspect(at, of[i]->key, of[i]->version);
    }
    return e;
}

static enum err check_versions(struct move_at *at)
{
    enum err e = check_kind(at, true);

    return e == ERR_NONE ? check_kind(at, false) : e;
}

static enum err of_archive(struct move_at *at)
{
    int64_t hash = at->place.hash;
    size_t limit = page_size(at, at->order->deep);
    enum err e = page_of_archive(&at->page, at->stores->handle, ARCHIVE_ALL, &hash, limit, move_wants, at);

    at->looked = at->page.looked;
    if (e == ERR_NONE && at->page.n > 0)
        e = at->order->deep ? check_values(at) : check_versions(at);
    if (e != ERR_NONE)
        return e;
    if (at->order->deep)
        set_pace(at);
    at->place.hash = hash;
    move_done(at, at->page.n, page_hash_progress(hash));
    at->tally.total += at->tally.total; /* Redis has about as many */
    if (hash < 0) {
        at->place.stage = OF_REDIS;
        at->place.before = at->tally.done;
    }
    return ERR_NONE;
}

/* Whether the archive has them at all; their versions have been compared before. When it refuses to read one of them, all are
 * suspects: the closer look takes them one by one. */
static enum err check_presence(struct move_at *at)
{
    struct page *p = &at->page;
    struct archive_found *found = arena_get(&p->arena, p->n * sizeof *found);
    enum err e = archive_load(at->stores->handle, names_of(p), p->n, &p->arena, found);

    if (e != ERR_NONE && e != ERR_ARCHIVEBAD)
        return e;
    for (size_t i = 0; i < p->n; i++) {
        if (e == ERR_ARCHIVEBAD || found[i].version == 0)
            suspect(at, p->entries[i].key, 0);
    }
    return ERR_NONE;
}

static enum err of_redis(struct move_at *at)
{
    uint64_t next;

    at->limit = page_size(at, true);
    enum err e = move_page(at, &next);
    if (e == ERR_NONE && at->page.n > 0)
        e = check_presence(at);
    if (e != ERR_NONE)
        return e;
    set_pace(at);
    if (!move_paged(at, next))
        at->place.stage = REST;
    return ERR_NONE;
}

enum err verify_step(struct move_at *at, enum move_step *ret)
{
    bool any = false;

    if (at->place.suspects == NULL) {
        at->place.suspects = suspects_new();
        at->place.pace = PACE;
    }
    enum err e = look_again(at, &any);
    if (e != ERR_NONE || any)
        return e;
    if (at->place.stage == REST && suspects_count(at->place.suspects) == 0) {
        *ret = STEP_OVER;
        return ERR_NONE;
    }
    if (at->place.stage == REST || suspects_count(at->place.suspects) >= SUSPECTS) {
        snprintf(at->tally.why, sizeof at->tally.why, "looks again at %zu keys",
                 suspects_count(at->place.suspects));
        *ret = STEP_WAIT;
        return ERR_NONE;
    }
    return at->place.stage == OF_ARCHIVE ? of_archive(at) : of_redis(at);
}
