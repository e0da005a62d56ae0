#include "sync/moves.h"

#include "base/clock.h"
#include "sync/moves_state.h"
#include "sync/suspects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct move_row rows[] = {
    [MOVE_BACKFILL] = {"backfill", 0, backfill_step},
    [MOVE_DRAIN] = {"drain", NO_SCAN, drain_step},
    [MOVE_VERIFY] = {"verify", 1, verify_step},
    [MOVE_TTL_AUDIT] = {"ttl-audit", 0, audit_step},
    [MOVE_TIER] = {"tier", 0, tier_step},
};
static const char *const states[] = {"waiting", "running", "done", "aborted", "failed", "interrupted"};

#define KINDS (sizeof rows / sizeof rows[0])

struct moves *moves_new(void)
{
    struct moves *m = calloc(1, sizeof *m);

    if (m == NULL)
        abort();
    pthread_mutex_init(&m->lock, NULL);
    return m;
}

/* What it needs to go on. */
static void forget(struct move *mv)
{
    suspects_free(mv->at.place.suspects);
    mv->at.place.suspects = NULL;
}

/* One that is done never goes on; others may. */
void moves_rest(struct move *mv)
{
    page_done(&mv->at.page);
    page_init(&mv->at.page);
    if (mv->report.state == MOVE_DONE)
        forget(mv);
}

void moves_free(struct moves *own_m)
{
    if (own_m == NULL)
        return;
    for (size_t i = 0; i < own_m->n; i++) {
        moves_rest(own_m->list[i]);
        forget(own_m->list[i]);
        free(own_m->list[i]);
    }
    pthread_mutex_destroy(&own_m->lock);
    free(own_m);
}

/* ---- orders ---- */

bool moves_is_over(const struct move *mv)
{
    return mv->report.state != MOVE_WAITING && mv->report.state != MOVE_RUNNING;
}

static const char *why_not(const struct move_order *o)
{
    if ((size_t)o->kind >= KINDS)
        return "no such kind of move";
    if (o->policy[0] == '\0')
        return "it needs the name of a policy";
    if (o->rate < 0)
        return "the rate can't be negative";
    if (o->repair && o->kind != MOVE_VERIFY && o->kind != MOVE_TTL_AUDIT)
        return "only verify and ttl-audit can repair";
    if (o->deep && o->kind != MOVE_VERIFY)
        return "only verify can be deep";
    return NULL;
}

/* The lock is held. */
static struct move *same_as(struct moves *m, const struct move_order *o)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct move_order *other = &m->list[i]->report.order;
        if (!moves_is_over(m->list[i]) && other->kind == o->kind && strcmp(other->policy, o->policy) == 0)
            return m->list[i];
    }
    return NULL;
}

/* The lock is held. False: all moves that are kept are still to be done. */
static bool make_room(struct moves *m)
{
    if (m->n < MOVES_KEPT)
        return true;
    for (size_t i = 0; i < m->n; i++) {
        if (moves_is_over(m->list[i]) && !m->list[i]->at_work) {
            forget(m->list[i]);
            free(m->list[i]);
            memmove(&m->list[i], &m->list[i + 1], (--m->n - i) * sizeof m->list[0]);
            return true;
        }
    }
    return false;
}

/* The lock is held. */
static uint64_t add(struct moves *m, const struct move_order *o)
{
    struct move *mv = calloc(1, sizeof *mv);

    if (mv == NULL)
        abort();
    mv->report = (struct move_report){.id = ++m->last_id, .order = *o, .total = -1, .eta_s = -1};
    mv->saved.report = mv->report;
    mv->at.tally.total = -1;
    page_init(&mv->at.page);
    m->list[m->n++] = mv;
    m->changed = true;
    return mv->report.id;
}

uint64_t moves_order(struct moves *m, const struct move_order *order, char *why, size_t why_cap)
{
    const char *reason = why_not(order);
    uint64_t id = 0;

    if (reason != NULL) {
        snprintf(why, why_cap, "%s", reason);
        return 0;
    }
    pthread_mutex_lock(&m->lock);
    struct move *same = same_as(m, order);
    if (same != NULL)
        snprintf(why, why_cap, "move %llu does that already", (unsigned long long)same->report.id);
    else if (!make_room(m))
        snprintf(why, why_cap, "%d moves are waiting already", MOVES_KEPT);
    else
        id = add(m, order);
    pthread_mutex_unlock(&m->lock);
    return id;
}

void moves_end(struct moves *m, struct move *mv, enum move_state state)
{
    struct move_report *r = &mv->report;

    m->changed = true;
    r->state = state;
    r->ended_us = clock_wall_us();
    r->eta_s = state == MOVE_DONE ? 0 : -1;
    if (r->started_us != 0 && r->ended_us > r->started_us)
        r->rate = (double)r->done * 1e6 / (double)(r->ended_us - r->started_us);
    if (state == MOVE_DONE) {
        r->total = r->done;
        r->why[0] = '\0';
    }
    if (!mv->at_work)
        moves_rest(mv);
}

bool moves_abort(struct moves *m, uint64_t id)
{
    bool found = false;

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n && !found; i++) {
        found = m->list[i]->report.id == id && !moves_is_over(m->list[i]);
        if (found)
            moves_end(m, m->list[i], MOVE_ABORTED);
    }
    pthread_mutex_unlock(&m->lock);
    return found;
}

/* The lock is held. Why this one can't go on; NULL: it can. What was done since by a newer one of the kind would be done again, and a
 * backfill from before a time without dual writes has passed keys that were written since. */
static const char *why_no_resume(struct moves *m, const struct move *mv)
{
    const struct move_report *r = &mv->report;

    if (!moves_is_over(mv))
        return "it is not over";
    if (r->state == MOVE_DONE)
        return "it is done";
    for (size_t i = m->n; i-- > 0 && m->list[i] != mv;) {
        const struct move_report *other = &m->list[i]->report;
        if (other->order.kind == r->order.kind && strcmp(other->order.policy, r->order.policy) == 0)
            return "there is a newer one of the kind";
    }
    return NULL;
}

/* The lock is held. */
static void wait_again(struct moves *m, struct move *mv)
{
    struct move_report *r = &mv->report;

    m->changed = true;

    r->state = MOVE_WAITING;
    r->ended_us = 0;
    r->rate = 0;
    r->why[0] = '\0';
}

bool moves_resume(struct moves *m, uint64_t id, char *why, size_t why_cap)
{
    const char *reason = "there is no such move";

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n; i++) {
        if (m->list[i]->report.id != id)
            continue;
        reason = why_no_resume(m, m->list[i]);
        if (reason == NULL)
            wait_again(m, m->list[i]);
    }
    pthread_mutex_unlock(&m->lock);
    if (reason != NULL)
        snprintf(why, why_cap, "move %llu can't go on: %s", (unsigned long long)id, reason);
    return reason == NULL;
}

struct move *moves_next(struct moves *m)
{
    struct move *first = NULL;

    for (size_t i = 0; i < m->n; i++) {
        if (m->list[i]->report.state == MOVE_RUNNING)
            return m->list[i];
        if (first == NULL && m->list[i]->report.state == MOVE_WAITING)
            first = m->list[i];
    }
    return first;
}

bool moves_any(struct moves *m)
{
    pthread_mutex_lock(&m->lock);
    bool any = moves_next(m) != NULL;
    pthread_mutex_unlock(&m->lock);
    return any;
}

bool moves_filled(struct moves *m, const char *policy)
{
    pthread_mutex_lock(&m->lock);
    bool filled = !m->unknown, last = true;
    for (size_t i = 0; i < m->nelsewhere; i++)
        filled &= strcmp(m->elsewhere[i], policy) != 0;
    for (size_t i = 0; i < m->n; i++) {
        const struct move_report *r = &m->list[i]->report;
        if (r->order.kind == MOVE_BACKFILL && strcmp(r->order.policy, policy) == 0)
            last = r->state == MOVE_DONE;
    }
    pthread_mutex_unlock(&m->lock);
    return filled && last;
}

static struct move_report report_of(const struct moves *m, const struct move *mv, const struct move *next)
{
    struct move_report r = mv->report;

    if (mv == next && m->held[0] != '\0') {
        memcpy(r.why, m->held, sizeof r.why);
        r.rate = 0;
        r.eta_s = -1;
    }
    return r;
}

size_t moves_report(struct moves *m, struct move_report *ret, size_t cap)
{
    pthread_mutex_lock(&m->lock);
    const struct move *next = moves_next(m);
    size_t n = m->n < cap ? m->n : cap;
    for (size_t i = 0; i < n; i++)
        ret[i] = report_of(m, m->list[m->n - 1 - i], next);
    pthread_mutex_unlock(&m->lock);
    return n;
}

void moves_hold(struct moves *m, const char *why)
{
    pthread_mutex_lock(&m->lock);
    snprintf(m->held, sizeof m->held, "%s", why);
    pthread_mutex_unlock(&m->lock);
}

const struct move_row *moves_row(enum move_kind kind)
{
    return &rows[kind];
}

/* ---- what outlives the process ---- */

void moves_await(struct moves *m)
{
    pthread_mutex_lock(&m->lock);
    m->unknown = true;
    pthread_mutex_unlock(&m->lock);
}

bool moves_unsaved(struct moves *m, bool *ret_urgent)
{
    pthread_mutex_lock(&m->lock);
    bool any = m->changed || m->progressed;
    *ret_urgent = m->changed;
    pthread_mutex_unlock(&m->lock);
    return any;
}

size_t moves_save(struct moves *m, struct move_saved *ret)
{
    size_t n = 0;

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n; i++) {
        const struct move *mv = m->list[i];
        if (mv->report.state == MOVE_DONE)
            continue;
        ret[n] = mv->saved;
        ret[n].report.state = mv->report.state;
        ret[n].report.ended_us = mv->report.ended_us;
        memcpy(ret[n].report.why, mv->report.why, sizeof ret[n].report.why);
        n++;
    }
    m->changed = m->progressed = false;
    pthread_mutex_unlock(&m->lock);
    return n;
}

void moves_resave(struct moves *m)
{
    pthread_mutex_lock(&m->lock);
    m->changed = true;
    pthread_mutex_unlock(&m->lock);
}

/* The lock is held. */
static bool has_id(const struct moves *m, uint64_t id)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->list[i]->report.id == id)
            return true;
    return false;
}

/* The lock is held. It stands before those of this process, since it is older. */
static void bring(struct moves *m, const struct move_saved *s, size_t at)
{
    const struct move_report *was = &s->report;
    bool same_id = was->id != 0 && !has_id(m, was->id);
    uint64_t last = m->last_id;
    struct move *mv;

    add(m, &was->order);
    mv = m->list[m->n - 1];
    memmove(&m->list[at + 1], &m->list[at], (m->n - 1 - at) * sizeof m->list[0]);
    m->list[at] = mv;
    uint64_t id = same_id ? was->id : mv->report.id;
    m->last_id = id > last ? id : last;
    mv->report = *was;
    mv->report.id = id;
    mv->report.rate = 0;
    mv->report.eta_s = -1;
    if (!moves_is_over(mv)) {
        mv->report.state = MOVE_INTERRUPTED;
        mv->report.ended_us = clock_wall_us();
        snprintf(mv->report.why, sizeof mv->report.why, "the process has ended");
    }
    mv->at.place = s->place;
    mv->at.tally = (struct move_tally){.done = was->done, .total = was->total, .found = was->found, .repaired = was->repaired};
    memcpy(mv->at.tally.examples, was->examples, sizeof mv->at.tally.examples);
    mv->saved = *s;
    mv->saved.report.id = id;
}

void moves_bring(struct moves *m, const struct move_saved *list, size_t n)
{
    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < n && make_room(m); i++)
        bring(m, &list[i], i < m->n ? i : m->n);
    m->unknown = false;
    pthread_mutex_unlock(&m->lock);
}

void moves_elsewhere(struct moves *m, char (*policies)[64], size_t n)
{
    pthread_mutex_lock(&m->lock);
    m->nelsewhere = n < MOVES_KEPT ? n : MOVES_KEPT;
    memcpy(m->elsewhere, policies, m->nelsewhere * sizeof m->elsewhere[0]);
    pthread_mutex_unlock(&m->lock);
}

uint64_t moves_interrupted(struct moves *m, enum move_kind kind, const char *policy)
{
    uint64_t id = 0;

    pthread_mutex_lock(&m->lock);
    for (size_t i = 0; i < m->n; i++) {
        const struct move_report *r = &m->list[i]->report;
        if (r->order.kind == kind && strcmp(r->order.policy, policy) == 0)
            id = r->state == MOVE_INTERRUPTED ? r->id : 0;
    }
    pthread_mutex_unlock(&m->lock);
    return id;
}

/* ---- words ---- */

const char *move_kind_name(enum move_kind k)
{
    return rows[k].name;
}

const char *move_state_name(enum move_state s)
{
    return states[s];
}

bool move_state_parse(const char *text, enum move_state *ret)
{
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        if (strcmp(text, states[i]) == 0) {
            *ret = (enum move_state)i;
            return true;
        }
    }
    return false;
}

bool move_kind_parse(const char *text, enum move_kind *ret)
{
    for (size_t i = 0; i < KINDS; i++) {
        if (strcasecmp(text, rows[i].name) == 0) {
            *ret = (enum move_kind)i;
            return true;
        }
    }
    return false;
}
