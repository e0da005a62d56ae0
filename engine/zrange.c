#include "engine/internal.h"
#include "engine/number.h"
#include "engine/zsets.h"

#include <string.h>

/* Sorted sets: ranges by rank, by score and by member; reading, counting, storing and removing them. */

enum by { BY_UNSAID, BY_RANK, BY_SCORE, BY_LEX };

/* One end of a range. */
struct bound {
    double score;
    struct slice member;
    int endless; /* members only: -1 before all, 1 behind all */
    bool exclusive;
};

struct range {
    enum by by;
    int64_t first, last;   /* ranks */
    struct bound min, max; /* the others */
};

struct span {
    size_t from, n;
};

/* ---- the ends ---- */

static bool score_bound(struct slice s, struct bound *ret)
{
    ret->exclusive = s.len > 0 && s.p[0] == '(';
    if (ret->exclusive)
        s = (struct slice){s.p + 1, s.len - 1};
    return number_bound(s, &ret->score);
}

/* "-" and "+" end at a NUL, the others don't. */
static bool lex_bound(struct slice s, struct bound *ret)
{
    char kind = s.len > 0 ? s.p[0] : '\0';

    if (kind == '[' || kind == '(') {
        *ret = (struct bound){.member = {s.p + 1, s.len - 1}, .exclusive = kind == '('};
        return true;
    }
    *ret = (struct bound){.endless = kind == '-' ? -1 : 1, .exclusive = true};
    return (kind == '-' || kind == '+') && (s.len == 1 || s.p[1] == '\0');
}

/* The range between two arguments, as r->by says. False: it is none, answered. */
static bool read_range(struct call *c, size_t min, size_t max, struct range *r)
{
    const char *error;

    if (r->by == BY_RANK)
        return call_int_arg(c, min, &r->first) && call_int_arg(c, max, &r->last);
    if (r->by == BY_SCORE) {
        if (score_bound(c->argv[min], &r->min) && score_bound(c->argv[max], &r->max))
            return true;
        error = "ERR min or max is not a float";
    } else {
        if (lex_bound(c->argv[min], &r->min) && lex_bound(c->argv[max], &r->max))
            return true;
        error = "ERR min or max not valid string range item";
    }
    call_error(c, error);
    return false;
}

/* Where a row lies as seen from a bound: below 0, at it 0, or above. */
static int compare(enum by by, const struct zset_row *row, const struct bound *b)
{
    if (by == BY_SCORE)
        return (row->score > b->score) - (row->score < b->score);
    return b->endless != 0 ? -b->endless : slice_compare(row->member, b->member);
}

static bool reaches(const struct range *r, const struct zset_row *row)
{
    int order = compare(r->by, row, &r->min);

    return order > 0 || (order == 0 && !r->min.exclusive);
}

static bool within(const struct range *r, const struct zset_row *row)
{
    int order = compare(r->by, row, &r->max);

    return order < 0 || (order == 0 && !r->max.exclusive);
}

/* A range of members that cannot hold any. It matters when scores differ, where rows are not in the order of
 * members and a search might find some. */
static bool is_empty(const struct range *r)
{
    int order;

    if (r->by == BY_SCORE)
        order = (r->min.score > r->max.score) - (r->min.score < r->max.score);
    else if (r->min.endless != 0 || r->max.endless != 0)
        order = r->min.endless == r->max.endless ? 0 : r->min.endless < 0 || r->max.endless > 0 ? -1 : 1;
    else
        order = slice_compare(r->min.member, r->max.member);
    return order > 0 || (order == 0 && (r->min.exclusive || r->max.exclusive));
}

static struct span span_of_ranks(const struct zset *z, const struct range *r, bool backwards)
{
    int64_t count = (int64_t)z->count, first = r->first, last = r->last;

    if (first < 0)
        first = first + count < 0 ? 0 : first + count;
    if (last < 0)
        last += count;
    if (last >= count)
        last = count - 1;
    if (first > last)
        return (struct span){0, 0};
    size_t n = (size_t)(last - first + 1);
    return (struct span){backwards ? z->count - (size_t)first - n : (size_t)first, n};
}

/* With different scores the members are in no order, and Redis promises nothing for ranges of them; this is
 * what its small encoding does: from the first row that reaches the range to the one that leaves it. Rows that
 * LIMIT skips are not looked at. */
static struct span span_of(const struct zset *z, const struct range *r, bool backwards, size_t skip)
{
    size_t from = 0, to = z->count;

    if (r->by == BY_RANK)
        return span_of_ranks(z, r, backwards);
    if (to == 0 || is_empty(r) || !reaches(r, &z->rows[to - 1]) || !within(r, &z->rows[0]))
        return (struct span){0, 0};
    if (backwards) {
        while (!within(r, &z->rows[to - 1]))
            to--;
        if (!reaches(r, &z->rows[to - 1]) || skip >= to)
            return (struct span){0, 0};
        to -= skip;
        for (from = to; from > 0 && reaches(r, &z->rows[from - 1]);)
            from--;
    } else {
        while (!reaches(r, &z->rows[from]))
            from++;
        if (!within(r, &z->rows[from]) || skip >= z->count - from)
            return (struct span){0, 0};
        from += skip;
        for (to = from; to < z->count && within(r, &z->rows[to]);)
            to++;
    }
    return (struct span){from, to - from};
}

/* ---- reading ---- */

struct query {
    struct range range;
    bool backwards, any_direction, scores;
    int64_t offset, limit; /* limit < 0: all */
};

static bool query_option(struct call *c, size_t *arg, bool store, struct query *q)
{
    size_t left = c->argc - *arg - 1;

    if (!store && call_is(c, *arg, "withscores")) {
        q->scores = true;
    } else if (left >= 2 && call_is(c, *arg, "limit")) {
        if (!call_int_arg(c, *arg + 1, &q->offset) || !call_int_arg(c, *arg + 2, &q->limit))
            return false;
        *arg += 2;
    } else if (q->any_direction && call_is(c, *arg, "rev")) {
        q->backwards = true;
        q->any_direction = false;
    } else if (q->range.by == BY_UNSAID && call_is(c, *arg, "bylex")) {
        q->range.by = BY_LEX;
    } else if (q->range.by == BY_UNSAID && call_is(c, *arg, "byscore")) {
        q->range.by = BY_SCORE;
    } else {
        call_syntax_error(c);
        return false;
    }
    return true;
}

/* "key min max [options]" from argument `arg` on. */
static bool query_args(struct call *c, size_t arg, bool store, struct query *q)
{
    for (size_t i = arg + 3; i < c->argc; i++)
        if (!query_option(c, &i, store, q))
            return false;
    if (q->range.by == BY_UNSAID)
        q->range.by = BY_RANK;
    if (q->limit != -1 && q->range.by == BY_RANK) {
        call_error(c,
                   "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
        return false;
    }
    if (q->scores && q->range.by == BY_LEX) {
        call_error(c, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    bool swapped = q->backwards && q->range.by != BY_RANK;
    return read_range(c, arg + 1 + swapped, arg + 2 - swapped, &q->range);
}

/* What LIMIT leaves. Ranges of ranks know it only as LIMIT n -1, which does nothing. A negative offset skips all. */
static struct span limited(const struct zset *z, const struct query *q)
{
    struct span s = span_of(z, &q->range, q->backwards, q->offset < 0 ? SIZE_MAX : (size_t)q->offset);

    if (q->range.by == BY_RANK || q->limit < 0 || (uint64_t)q->limit >= s.n)
        return s;
    size_t n = (size_t)q->limit;
    return (struct span){q->backwards ? s.from + s.n - n : s.from, n};
}

static void store_span(struct call *c, const struct zset *z, struct span s)
{
    struct zset_row *rows = arena_get(c->arena, s.n * sizeof *rows);

    if (s.n > 0)
        memcpy(rows, z->rows + s.from, s.n * sizeof *rows);
    zsets_store(c, c->argv[1], rows, s.n);
    call_int(c, (int64_t)s.n);
}

static void run(struct call *c, struct query q, bool store)
{
    bool wrong;
    size_t arg = store ? 2 : 1;

    q.limit = -1;
    if (!query_args(c, arg, store, &q))
        return;
    struct object *o = call_lookup_typed(c, c->argv[arg], OBJECT_ZSET, &wrong);
    if (wrong)
        return;
    const struct zset *z = o != NULL ? o->v.zset : zset_new(c->arena, 0);
    struct span s = limited(z, &q);
    if (store)
        store_span(c, z, s);
    else
        zsets_answer(c, s.n > 0 ? z->rows + s.from : NULL, s.n, q.backwards, q.scores);
}

void zsets_zrange(struct call *c)
{
    run(c, (struct query){.any_direction = true}, false);
}

void zsets_zrangestore(struct call *c)
{
    run(c, (struct query){.any_direction = true}, true);
}

void zsets_zrevrange(struct call *c)
{
    run(c, (struct query){.range.by = BY_RANK, .backwards = true}, false);
}

void zsets_zrangebyscore(struct call *c)
{
    run(c, (struct query){.range.by = BY_SCORE}, false);
}

void zsets_zrevrangebyscore(struct call *c)
{
    run(c, (struct query){.range.by = BY_SCORE, .backwards = true}, false);
}

void zsets_zrangebylex(struct call *c)
{
    run(c, (struct query){.range.by = BY_LEX}, false);
}

void zsets_zrevrangebylex(struct call *c)
{
    run(c, (struct query){.range.by = BY_LEX, .backwards = true}, false);
}

/* ---- counting and removing ---- */

static void whole_span(struct call *c, enum by by, bool removing)
{
    bool wrong;
    struct range r = {.by = by};

    if (!read_range(c, 2, 3, &r))
        return;
    struct object *o = zsets_of(c, &wrong);
    if (wrong)
        return;
    struct span s = o != NULL ? span_of(o->v.zset, &r, false, 0) : (struct span){0, 0};
    if (removing)
        zsets_remove(c, o, s.from, s.n);
    call_int(c, (int64_t)s.n);
}

void zsets_zcount(struct call *c)
{
    whole_span(c, BY_SCORE, false);
}

void zsets_zlexcount(struct call *c)
{
    whole_span(c, BY_LEX, false);
}

void zsets_zremrangebyrank(struct call *c)
{
    whole_span(c, BY_RANK, true);
}

void zsets_zremrangebyscore(struct call *c)
{
    whole_span(c, BY_SCORE, true);
}

void zsets_zremrangebylex(struct call *c)
{
    whole_span(c, BY_LEX, true);
}
