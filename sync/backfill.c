/* The moves that bring the archive up to date: every key of Redis gets a mark; all marks are carried. */
#include "sync/move.h"

#include "base/clock.h"
#include "base/version.h"
#include "router/marks.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#define MOST_MARKS 10000 /* that wait for the copier before more are made: Redis has to hold them */
#define ROUND      512
#define REST       512 /* marks: one round's. While clients write there are always some */

enum stage { MARK, FIRST_ROUND, CARRY };

/* ---- carrying ---- */

/* A round of the copier; *ret_carried: marks that are gone, *ret_left: those that are there. */
static enum err carry(struct move_at *at, size_t *ret_carried, size_t *ret_left)
{
    const struct moves_stores *s = at->stores;
    uint64_t before = atomic_load(&s->copier->counts->unmarked);
    enum err e = copier_round(s->copier, ROUND, ret_left);

    *ret_carried = (size_t)(atomic_load(&s->copier->counts->unmarked) - before);
    return e;
}

/* Until as many are carried as there were at the beginning, and what is left is what clients have written since. */
static enum err drain(struct move_at *at, enum move_step *ret, size_t *ret_carried, size_t *ret_left)
{
    enum err e = carry(at, ret_carried, ret_left);
    if (e != ERR_NONE)
        return e;
    if (at->place.stage == FIRST_ROUND) {
        at->place.owed = (int64_t)(*ret_carried + *ret_left);
        at->place.stage = CARRY;
    }
    at->place.owed -= (int64_t)*ret_carried;
    if (*ret_left == 0 || (at->place.owed <= 0 && *ret_left <= REST)) {
        *ret = STEP_OVER;
        return ERR_NONE;
    }
    snprintf(at->tally.why, sizeof at->tally.why, "%zu marks are left", *ret_left);
    if (*ret_carried == 0)
        *ret = STEP_WAIT;
    return ERR_NONE;
}

enum err drain_step(struct move_at *at, enum move_step *ret)
{
    size_t carried, left;

    if (at->place.stage == MARK)
        at->place.stage = FIRST_ROUND;
    enum err e = drain(at, ret, &carried, &left);
    if (e != ERR_NONE)
        return e;
    at->tally.done += (int64_t)carried;
    at->tally.total = at->tally.done + (int64_t)left;
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
    at->place.cursor = next;
    move_done(at, at->page.n, next == 0 ? 1 : page_progress(next));
    if (next == 0)
        at->place.stage = FIRST_ROUND;
    return ERR_NONE;
}

enum err backfill_step(struct move_at *at, enum move_step *ret)
{
    size_t carried, left;
    int64_t marks;

    if (at->place.stage != MARK)
        return drain(at, ret, &carried, &left);
    enum err e = count_marks(at, &marks);
    if (e != ERR_NONE)
        return e;
    if (marks + (int64_t)at->limit <= MOST_MARKS)
        return mark(at);
    e = carry(at, &carried, &left);
    snprintf(at->tally.why, sizeof at->tally.why, "%zu marks wait for the copier", left);
    if (e == ERR_NONE && carried == 0)
        *ret = STEP_WAIT;
    return e;
}
