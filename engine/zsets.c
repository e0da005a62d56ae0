#include "engine/zsets.h"
#include "engine/internal.h"

#include <math.h>

/* Sorted sets: adding, removing, scores and ranks. */

/* Redis's defaults of zset-max-listpack-entries and zset-max-listpack-value. */
#define SMALL_ROWS  128
#define SMALL_BYTES 64

struct object *zsets_of(struct call *c, bool *wrong)
{
    return call_lookup_typed(c, c->argv[1], OBJECT_ZSET, wrong);
}

static void make(struct call *c, struct object *o)
{
    o->type = OBJECT_ZSET;
    o->encoding = ENC_LISTPACK;
    o->v.zset = zset_new(c->arena, 0);
}

/* The small encoding has integers and so no -0. */
static double kept_score(const struct object *o, double score)
{
    return o->encoding == ENC_LISTPACK && score == 0 ? 0 : score;
}

bool zsets_put(struct call *c, struct object *o, struct slice member, double score)
{
    if (o->type == OBJECT_NONE)
        make(c, o);
    int64_t at = zset_find(o->v.zset, member);
    call_changed(c, o);
    if (at < 0 && (o->v.zset->count >= SMALL_ROWS || member.len > SMALL_BYTES))
        o->encoding = ENC_SKIPLIST;
    if (at < 0 || o->v.zset->rows[at].score != score)
        zset_set(o->v.zset, member, kept_score(o, score));
    return at < 0;
}

void zsets_store(struct call *c, struct slice key, struct zset_row *rows, size_t n)
{
    struct object *o = call_place(c, key);

    if (o->type != OBJECT_NONE || n > 0)
        call_remove(c, o);
    if (n == 0)
        return;
    make(c, o);
    zset_sort(rows, n);
    for (size_t i = 0; i < n; i++)
        if (n > SMALL_ROWS || rows[i].member.len > SMALL_BYTES)
            o->encoding = ENC_SKIPLIST;
    for (size_t i = 0; i < n; i++)
        zset_append(o->v.zset, rows[i].member, kept_score(o, rows[i].score));
}

void zsets_remove(struct call *c, struct object *o, size_t from, size_t n)
{
    if (n == 0)
        return;
    if (n == o->v.zset->count) {
        call_remove(c, o);
        return;
    }
    zset_remove_range(o->v.zset, from, n);
    call_changed(c, o);
}

void zsets_answer_row(struct call *c, const struct zset_row *row, struct zsets_pairs pairs)
{
    if (pairs.nested)
        build_array(c->out, 2);
    call_bulk(c, row->member);
    if (pairs.scores)
        call_double(c, row->score);
}

void zsets_answer(struct call *c, const struct zset_row *rows, size_t n, bool backwards, bool scores)
{
    struct zsets_pairs pairs = {scores, scores && c->resp == RESP3};

    build_array(c->out, scores && !pairs.nested ? 2 * n : n);
    for (size_t i = 0; i < n; i++)
        zsets_answer_row(c, &rows[backwards ? n - 1 - i : i], pairs);
}

/* ---- ZADD ---- */

/* The options from argument 2 on; returns the first argument behind them. */
static size_t add_options(struct call *c, struct zsets_add *how)
{
    const struct {
        const char *word;
        bool *flag;
    } options[] = {
        {"nx", &how->nx}, {"xx", &how->xx}, {"ch", &how->ch},
        {"gt", &how->gt}, {"lt", &how->lt}, {"incr", &how->incr},
    };

    for (size_t arg = 2; arg < c->argc; arg++) {
        size_t i = 0;
        while (i < sizeof options / sizeof *options && !call_is(c, arg, options[i].word))
            i++;
        if (i == sizeof options / sizeof *options)
            return arg;
        *options[i].flag = true;
    }
    return c->argc;
}

static bool check_options(struct call *c, const struct zsets_add *how, size_t arguments)
{
    if (arguments % 2 != 0 || arguments == 0)
        call_syntax_error(c);
    else if (how->nx && how->xx)
        call_error(c, "ERR XX and NX options at the same time are not compatible");
    else if ((how->gt && how->nx) || (how->lt && how->nx) || (how->gt && how->lt))
        call_error(c, "ERR GT, LT, and/or NX options at the same time are not compatible");
    else if (how->incr && arguments > 2)
        call_error(c, "ERR INCR option supports a single increment-element pair");
    else
        return true;
    return false;
}

enum outcome { NOTHING, ADDED, UPDATED, SAME, NOT_A_NUMBER };

/* *score becomes what the member has now. */
static enum outcome add_one(struct call *c, struct object *o, const struct zsets_add *how,
                            struct slice member, double *score)
{
    int64_t at = o->type == OBJECT_NONE ? -1 : zset_find(o->v.zset, member);

    if (at < 0) {
        if (how->xx)
            return NOTHING;
        zsets_put(c, o, member, *score);
        return ADDED;
    }
    double old = o->v.zset->rows[at].score;
    if (how->nx)
        return NOTHING;
    if (how->incr)
        *score += old;
    if (isnan(*score))
        return NOT_A_NUMBER;
    if ((how->lt && *score >= old) || (how->gt && *score <= old))
        return NOTHING;
    if (*score == old)
        return SAME;
    zsets_put(c, o, member, *score);
    return UPDATED;
}

void zsets_add_all(struct call *c, const struct zsets_add *how, const double *scores,
                   const struct slice *members, size_t n)
{
    bool wrong;
    int64_t counts[NOT_A_NUMBER + 1] = {0};
    double score = 0;
    struct object *o = zsets_of(c, &wrong);

    if (wrong)
        return;
    if (o == NULL)
        o = call_place(c, c->argv[1]);
    for (size_t i = 0; i < n; i++) {
        score = scores[i];
        counts[add_one(c, o, how, members[i], &score)]++;
    }
    if (counts[NOT_A_NUMBER] > 0) /* only with INCR, which has one pair */
        call_error(c, "ERR resulting score is not a number (NaN)");
    else if (!how->incr)
        call_int(c, counts[ADDED] + (how->ch ? counts[UPDATED] : 0));
    else if (counts[NOTHING] > 0)
        call_null(c);
    else
        call_double(c, score);
}

static void add(struct call *c, bool incr)
{
    struct zsets_add how = {.incr = incr};
    size_t first = add_options(c, &how);

    if (!check_options(c, &how, c->argc - first))
        return;
    size_t n = (c->argc - first) / 2;
    double *scores = arena_get(c->arena, n * sizeof *scores);
    struct slice *members = arena_get(c->arena, n * sizeof *members);
    for (size_t i = 0; i < n; i++) {
        if (!call_double_arg(c, first + 2 * i, &scores[i], NULL))
            return;
        members[i] = c->argv[first + 2 * i + 1];
    }
    zsets_add_all(c, &how, scores, members, n);
}

void zsets_zadd(struct call *c)
{
    add(c, false);
}

void zsets_zincrby(struct call *c)
{
    add(c, true);
}

/* ---- one by one ---- */

void zsets_zrem(struct call *c)
{
    bool wrong;
    int64_t gone = 0;
    struct object *o = zsets_of(c, &wrong);

    if (wrong)
        return;
    for (size_t i = 2; o != NULL && o->type == OBJECT_ZSET && i < c->argc; i++) {
        int64_t at = zset_find(o->v.zset, c->argv[i]);
        if (at < 0)
            continue;
        zsets_remove(c, o, (size_t)at, 1);
        gone++;
    }
    call_int(c, gone);
}

void zsets_zcard(struct call *c)
{
    bool wrong;
    struct object *o = zsets_of(c, &wrong);

    if (!wrong)
        call_int(c, o != NULL ? (int64_t)o->v.zset->count : 0);
}

static void answer_score(struct call *c, const struct object *o, struct slice member)
{
    int64_t at = o != NULL ? zset_find(o->v.zset, member) : -1;

    if (at >= 0)
        call_double(c, o->v.zset->rows[at].score);
    else
        call_null(c);
}

void zsets_zscore(struct call *c)
{
    bool wrong;
    struct object *o = zsets_of(c, &wrong);

    if (!wrong)
        answer_score(c, o, c->argv[2]);
}

void zsets_zmscore(struct call *c)
{
    bool wrong;
    struct object *o = zsets_of(c, &wrong);

    if (wrong)
        return;
    build_array(c->out, c->argc - 2);
    for (size_t i = 2; i < c->argc; i++)
        answer_score(c, o, c->argv[i]);
}

static void rank(struct call *c, bool from_end)
{
    bool wrong;
    struct object *o = zsets_of(c, &wrong);

    if (wrong)
        return;
    int64_t at = o != NULL ? zset_find(o->v.zset, c->argv[2]) : -1;
    if (at < 0)
        call_null(c);
    else
        call_int(c, from_end ? (int64_t)o->v.zset->count - 1 - at : at);
}

void zsets_zrank(struct call *c)
{
    rank(c, false);
}

void zsets_zrevrank(struct call *c)
{
    rank(c, true);
}
