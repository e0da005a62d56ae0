#include "engine/dict.h"
#include "engine/internal.h"
#include "engine/number.h"
#include "engine/zsets.h"

#include <math.h>
#include <stdlib.h>

/* Sorted sets: union, intersection and difference. Sets may take part; their members have the score 1. */

enum operation { UNION, INTER, DIFF, INTERCARD };
enum aggregate { SUM, MIN, MAX };

struct input {
    const struct object *o; /* NULL: no such key */
    double weight;
};

struct query {
    enum operation operation;
    enum aggregate aggregate;
    struct input *inputs;
    size_t count;
    bool store, scores;
    int64_t limit; /* of INTERCARD; 0: none */
};

/* ---- arguments ---- */

static bool read_inputs(struct call *c, size_t arg, struct query *q)
{
    bool wrong;

    q->inputs = arena_get(c->arena, q->count * sizeof *q->inputs);
    for (size_t i = 0; i < q->count; i++) {
        const struct object *o = call_lookup(c, c->argv[arg + i]);
        if (o != NULL && o->type != OBJECT_SET && o->type != OBJECT_ZSET) {
            call_lookup_typed(c, c->argv[arg + i], OBJECT_ZSET, &wrong); /* answers the error */
            return false;
        }
        q->inputs[i] = (struct input){o, 1};
    }
    return true;
}

static bool take_weights(struct call *c, size_t arg, struct query *q)
{
    for (size_t i = 0; i < q->count; i++)
        if (!call_double_arg(c, arg + 1 + i, &q->inputs[i].weight, "ERR weight value is not a float"))
            return false;
    return true;
}

static bool take_aggregate(struct call *c, size_t arg, struct query *q)
{
    static const char *const words[] = {[SUM] = "sum", [MIN] = "min", [MAX] = "max"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (call_is(c, arg + 1, words[i])) {
            q->aggregate = (enum aggregate)i;
            return true;
        }
    call_syntax_error(c);
    return false;
}

static bool take_limit(struct call *c, size_t arg, struct query *q)
{
    if (number_int(c->argv[arg + 1], &q->limit) && q->limit >= 0)
        return true;
    call_error(c, "ERR LIMIT can't be negative");
    return false;
}

/* One option at *arg, which moves behind it. */
static bool take_option(struct call *c, size_t *arg, struct query *q)
{
    size_t at = *arg, left = c->argc - at - 1;
    bool combines = q->operation == UNION || q->operation == INTER;

    if (combines && left >= q->count && call_is(c, at, "weights")) {
        *arg += 1 + q->count;
        return take_weights(c, at, q);
    }
    if (combines && left >= 1 && call_is(c, at, "aggregate")) {
        *arg += 2;
        return take_aggregate(c, at, q);
    }
    if (q->operation == INTERCARD && left >= 1 && call_is(c, at, "limit")) {
        *arg += 2;
        return take_limit(c, at, q);
    }
    if (!q->store && q->operation != INTERCARD && call_is(c, at, "withscores")) {
        *arg += 1;
        q->scores = true;
        return true;
    }
    call_syntax_error(c);
    return false;
}

/* "numkeys key … [options]" from argument `arg` on. */
static bool read_query(struct call *c, size_t arg, const char *name, struct query *q)
{
    int64_t keys;

    if (!call_int_arg(c, arg, &keys))
        return false;
    if (keys < 1) {
        call_errorf(c, "ERR at least 1 input key is needed for '%s' command", name);
        return false;
    }
    if ((uint64_t)keys > c->argc - arg - 1) {
        call_syntax_error(c);
        return false;
    }
    q->count = (size_t)keys;
    if (!read_inputs(c, arg + 1, q))
        return false;
    for (arg += 1 + q->count; arg < c->argc;)
        if (!take_option(c, &arg, q))
            return false;
    return true;
}

/* ---- members of inputs ---- */

static size_t size_of(const struct input *in)
{
    if (in->o == NULL)
        return 0;
    return in->o->type == OBJECT_SET ? in->o->v.set->count : in->o->v.zset->count;
}

static struct zset_row row_at(const struct input *in, size_t i)
{
    if (in->o->type == OBJECT_SET)
        return (struct zset_row){in->o->v.set->entries[i].name, 1};
    return in->o->v.zset->rows[i];
}

static bool find(const struct input *in, struct slice member, double *ret_score)
{
    if (in->o == NULL)
        return false;
    *ret_score = 1;
    if (in->o->type == OBJECT_SET)
        return dict_find(in->o->v.set, member) >= 0;
    int64_t at = zset_find(in->o->v.zset, member);
    if (at >= 0)
        *ret_score = in->o->v.zset->rows[at].score;
    return at >= 0;
}

static int compare_sizes(const void *a, const void *b)
{
    size_t x = size_of(a), y = size_of(b);

    return (x > y) - (x < y);
}

/* ---- the operations ---- */

struct rows {
    struct zset_row *at;
    size_t count;
};

/* inf * 0, and inf - inf, count as 0. */
static double without_nan(double x)
{
    return isnan(x) ? 0 : x;
}

static double aggregated(enum aggregate how, double so_far, double score)
{
    switch (how) {
    case SUM:
        return without_nan(so_far + score);
    case MIN:
        return score < so_far ? score : so_far;
    case MAX:
        return score > so_far ? score : so_far;
    }
    return so_far;
}

static struct rows unite(struct call *c, const struct query *q)
{
    size_t most = 0;

    for (size_t i = 0; i < q->count; i++)
        most += size_of(&q->inputs[i]);
    struct rows rows = {arena_get(c->arena, most * sizeof *rows.at), 0};
    struct dict *known = dict_new(c->arena, most); /* its positions are those of rows */
    for (size_t i = 0; i < q->count; i++)
        for (size_t m = 0; m < size_of(&q->inputs[i]); m++) {
            struct zset_row row = row_at(&q->inputs[i], m);
            int64_t at = dict_find(known, row.member);
            row.score = without_nan(row.score * q->inputs[i].weight);
            if (at >= 0) {
                rows.at[at].score = aggregated(q->aggregate, rows.at[at].score, row.score);
                continue;
            }
            dict_append(known, row.member, (struct slice){"", 0});
            rows.at[rows.count++] = row;
        }
    return rows;
}

/* Whether the others have the member of row, too; its score becomes the aggregate. */
static bool in_all(const struct query *q, struct zset_row *row)
{
    double score;

    for (size_t i = 1; i < q->count; i++) {
        if (!find(&q->inputs[i], row->member, &score))
            return false;
        row->score = aggregated(q->aggregate, row->score, score * q->inputs[i].weight);
    }
    return true;
}

static struct rows intersect(struct call *c, const struct query *q)
{
    const struct input *first = &q->inputs[0];
    size_t n = size_of(first), most = q->limit > 0 && (uint64_t)q->limit < n ? (size_t)q->limit : n;
    struct rows rows = {arena_get(c->arena, n * sizeof *rows.at), 0};

    for (size_t m = 0; m < n && rows.count < most; m++) {
        struct zset_row row = row_at(first, m);
        row.score = without_nan(row.score * first->weight);
        if (in_all(q, &row))
            rows.at[rows.count++] = row;
    }
    return rows;
}

static struct rows subtract(struct call *c, const struct query *q)
{
    double score;
    size_t n = size_of(&q->inputs[0]);
    struct rows rows = {arena_get(c->arena, n * sizeof *rows.at), 0};

    for (size_t m = 0; m < n; m++) {
        struct zset_row row = row_at(&q->inputs[0], m);
        bool found = false;
        for (size_t i = 1; i < q->count && !found; i++)
            found = find(&q->inputs[i], row.member, &score);
        if (!found)
            rows.at[rows.count++] = row;
    }
    return rows;
}

/* The smallest input goes first, as in Redis: sums of doubles depend on the order. */
static struct rows combine(struct call *c, const struct query *q)
{
    if (q->operation == DIFF)
        return subtract(c, q);
    qsort(q->inputs, q->count, sizeof *q->inputs, compare_sizes);
    return q->operation == UNION ? unite(c, q) : intersect(c, q);
}

static void run(struct call *c, struct query q, const char *name)
{
    if (!read_query(c, q.store ? 2 : 1, name, &q))
        return;
    struct rows rows = combine(c, &q);
    if (q.store) {
        zsets_store(c, c->argv[1], rows.at, rows.count);
        call_int(c, (int64_t)rows.count);
    } else if (q.operation == INTERCARD) {
        call_int(c, (int64_t)rows.count);
    } else {
        zset_sort(rows.at, rows.count);
        zsets_answer(c, rows.at, rows.count, false, q.scores);
    }
}

void zsets_zunion(struct call *c)
{
    run(c, (struct query){.operation = UNION}, "zunion");
}

void zsets_zinter(struct call *c)
{
    run(c, (struct query){.operation = INTER}, "zinter");
}

void zsets_zdiff(struct call *c)
{
    run(c, (struct query){.operation = DIFF}, "zdiff");
}

void zsets_zintercard(struct call *c)
{
    run(c, (struct query){.operation = INTERCARD}, "zintercard");
}

void zsets_zunionstore(struct call *c)
{
    run(c, (struct query){.operation = UNION, .store = true}, "zunionstore");
}

void zsets_zinterstore(struct call *c)
{
    run(c, (struct query){.operation = INTER, .store = true}, "zinterstore");
}

void zsets_zdiffstore(struct call *c)
{
    run(c, (struct query){.operation = DIFF, .store = true}, "zdiffstore");
}
