/* The moves that bring the archive up to date: every key of Redis gets a mark, and every one that only the archive has; all marks
 * are carried. */
#include "sync/move.h"

#include "base/clock.h"
#include "base/version.h"
#include "engine/object.h"
#include "executor/record.h"
#include "router/marks.h"
#include "sync/compare.h"
#include "sync/value.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>

#define MOST_MARKS 10000 /* that wait for the copier before more are made: Redis has to hold them */
#define ROUND      512
#define REST       512 /* marks: one round's. While clients write there are always some */

enum stage { MARK, MARK_GONE, FIRST_ROUND, CARRY };

/* ---- carrying ---- */

/* What a round of the copier has done. */
struct round {
    size_t claimed, failed, left;
};

static enum err carry(struct move_at *at, struct round *ret)
{
    struct copier *c = at->stores->copier;
    uint64_t claimed = atomic_load(&c->counts->claimed), failed = atomic_load(&c->counts->failed);
    enum err e = copier_round(c, ROUND, &ret->left);

    ret->claimed = (size_t)(atomic_load(&c->counts->claimed) - claimed);
    ret->failed = (size_t)(atomic_load(&c->counts->failed) - failed);
    return e;
}

/* All marks that there were at the beginning have been claimed once: what is left is new, or can't be carried. */
static enum move_step judge(struct move_at *at, const struct round *r)
{
    struct move_tally *t = &at->tally;
    bool stuck = r->claimed == r->failed;

    if (r->left == 0)
        return STEP_OVER;
    snprintf(t->why, sizeof t->why, "%zu marks are left", r->left);
    if (at->place.owed > 0 || (r->left > REST && !stuck))
        return r->claimed == 0 ? STEP_WAIT : STEP_MORE;
    if (r->failed > 0) {
        snprintf(t->why, sizeof t->why, "%zu of the marks left can't be carried; the log says why",
                 r->failed);
        return STEP_BAD;
    }
    return r->left > REST ? STEP_WAIT : STEP_OVER;
}

static enum err drain(struct move_at *at, enum move_step *ret, struct round *r)
{
    enum err e = carry(at, r);

    if (e != ERR_NONE)
        return e;
    if (at->place.stage == FIRST_ROUND) {
        at->place.owed = (int64_t)(r->claimed + r->left);
        at->place.stage = CARRY;
    }
    at->place.owed -= (int64_t)r->claimed;
    *ret = judge(at, r);
    return ERR_NONE;
}

enum err drain_step(struct move_at *at, enum move_step *ret)
{
    struct round r;

    if (at->place.stage == MARK)
        at->place.stage = FIRST_ROUND;
    enum err e = drain(at, ret, &r);
    if (e != ERR_NONE)
        return e;
    at->tally.done += (int64_t)(r.claimed - r.failed);
    at->tally.total = at->tally.done + (int64_t)r.left;
    return ERR_NONE;
}

/* ---- marking ---- */

static enum err count_marks(struct move_at *at, int64_t *ret)
{
    struct link *l = at->stores->link;
    enum err e = ERR_REDISDOWN;

    link_say(l, "SCARD", MARKS_DIRTY, NULL);
    const redisReply *r = link_get(l);
    if (r != NULL && r->type == REDIS_REPLY_INTEGER) {
        *ret = r->integer;
        e = ERR_NONE;
    } else if (r != NULL) {
        link_refuse(l, r);
    }
    link_done(l);
    return e;
}

/* The version grows though the value does not change: writes that left no mark (without dual writes) have not raised it, so that
 * equal versions would prove nothing. */
static enum err mark_page(struct move_at *at)
{
    struct page *p = &at->page;
    struct marking *m = arena_get(&p->arena, p->n * sizeof *m);
    int64_t fresh = version_make(at->stores->epoch, clock_wall_us() / 1000);

    for (size_t i = 0; i < p->n; i++)
        m[i] = (struct marking){.key = p->entries[i].key, .fresh = fresh, .raise = 1};
    return marking_do(at->stores->link, m, p->n);
}

static enum err mark(struct move_at *at)
{
    uint64_t next;
    enum err e = move_page(at, &next);

    if (e == ERR_NONE)
        e = mark_page(at);
    if (e != ERR_NONE)
        return e;
    if (!move_paged(at, next)) {
        at->place.stage = MARK_GONE;
        at->place.hash = 0; /* an earlier run of the move may have left its end there */
    }
    return ERR_NONE;
}

static enum err raise_versions(struct move_at *at, const struct archive_entry **of, struct slice *keys,
                               size_t n)
{
    struct marking *m = arena_get(&at->page.arena, n * sizeof *m);
    int64_t *versions = arena_get(&at->page.arena, n * sizeof *versions);
    enum err e = value_versions(at->stores->link, keys, n, versions);

    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        int64_t r = versions[i], higher = r > of[i]->version ? r : of[i]->version;
        int64_t next = version_next(higher, at->stores->epoch, clock_wall_us() / 1000);
        m[i] = (struct marking){.key = keys[i], .fresh = next - 1, .raise = r > 0 ? next - r : 1};
    }
    return e == ERR_NONE ? marking_do(at->stores->link, m, n) : e;
}

/* Of those that live in the archive. */
static enum err mark_absent(struct move_at *at)
{
    struct page *p = &at->page;
    const struct archive_entry **of = arena_get(&p->arena, p->n * sizeof *of);
    struct slice *keys = arena_get(&p->arena, p->n * sizeof *keys);
    bool *there = arena_get(&p->arena, p->n * sizeof *there);
    size_t live = 0, absent = 0;

    for (size_t i = 0; i < p->n; i++) {
        if (p->entries[i].type == OBJECT_NONE || p->entries[i].tier != RECORD_WORKING)
            continue; /* a demoted key is absent on purpose: marked, it would become a tombstone */
        of[live] = &p->entries[i];
        keys[live++] = p->entries[i].key;
    }
    enum err e = live > 0 ? compare_presence(at->stores->link, keys, live, there) : ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < live; i++) {
        if (there[i])
            continue;
        of[absent] = of[i];
        keys[absent++] = keys[i];
    }
    return e == ERR_NONE && absent > 0 ? raise_versions(at, of, keys, absent) : e;
}

/* A key that was deleted without dual writes has left no mark, and would rise again when the archive acts. */
static enum err mark_gone(struct move_at *at)
{
    int64_t hash = at->place.hash;
    enum err e =
        page_of_archive(&at->page, at->stores->handle, ARCHIVE_ALL, &hash, at->limit, move_wants, at);

    at->looked = at->page.looked;
    if (e == ERR_NONE)
        e = mark_absent(at);
    if (e != ERR_NONE)
        return e;
    at->place.hash = hash;
    if (hash < 0)
        at->place.stage = FIRST_ROUND;
    return ERR_NONE;
}

enum err backfill_step(struct move_at *at, enum move_step *ret)
{
    struct round r;
    int64_t marks;

    if (at->place.stage >= FIRST_ROUND)
        return drain(at, ret, &r);
    enum err e = count_marks(at, &marks);
    if (e != ERR_NONE)
        return e;
    if (marks + (int64_t)at->limit <= MOST_MARKS)
        return at->place.stage == MARK ? mark(at) : mark_gone(at);
    e = carry(at, &r);
    snprintf(at->tally.why, sizeof at->tally.why, "%" PRId64 " marks wait for the copier", marks);
    if (e == ERR_NONE && r.claimed == r.failed)
        *ret = STEP_WAIT;
    return e;
}
