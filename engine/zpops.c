#include "engine/internal.h"
#include "engine/number.h"
#include "engine/pops.h"
#include "engine/sample.h"
#include "engine/scan.h"
#include "engine/zsets.h"

#include <math.h>

/* Sorted sets: taking members out at the ends, and what answers a part: ZRANDMEMBER, ZSCAN. The blocking
 * commands are here in the form that never waits, as in a transaction: nil when there is nothing. */

/* Answers up to `most` rows from one end, without an array around them, and takes them out. */
static void take(struct call *c, struct object *o, bool highest, size_t n, bool nested)
{
    const struct zset *z = o->v.zset;

    for (size_t i = 0; i < n; i++)
        zsets_answer_row(c, &z->rows[highest ? z->count - 1 - i : i], (struct zsets_pairs){true, nested});
    zsets_remove(c, o, highest ? z->count - n : 0, n);
}

static size_t at_most(const struct object *o, int64_t count)
{
    return (uint64_t)count < o->v.zset->count ? (size_t)count : o->v.zset->count;
}

static void pop(struct call *c, bool highest)
{
    bool wrong, nested = c->resp == RESP3 && c->argc == 3;
    int64_t count = 1;

    if (c->argc > 3) {
        call_syntax_error(c);
        return;
    }
    if (c->argc == 3 && !pops_count_arg(c, 2, &count))
        return;
    struct object *o = zsets_of(c, &wrong);
    if (wrong)
        return;
    size_t n = o != NULL ? at_most(o, count) : 0;
    build_array(c->out, nested ? n : 2 * n);
    if (n > 0)
        take(c, o, highest, n, nested);
}

void zsets_zpopmin(struct call *c)
{
    pop(c, false);
}

void zsets_zpopmax(struct call *c)
{
    pop(c, true);
}

static void blocking_pop(struct call *c, bool highest)
{
    if (!call_timeout_arg(c, c->argc - 1))
        return;
    struct object *o = pops_first(c, 1, c->argc - 2, OBJECT_ZSET);
    if (o == NULL)
        return;
    build_array(c->out, 3);
    call_bulk(c, o->key);
    take(c, o, highest, 1, false);
}

void zsets_bzpopmin(struct call *c)
{
    blocking_pop(c, false);
}

void zsets_bzpopmax(struct call *c)
{
    blocking_pop(c, true);
}

static bool many_args(struct call *c, size_t arg, struct pops_many *q)
{
    return pops_many_args(c, arg, "min", "max", q);
}

static void pop_many(struct call *c, const struct pops_many *q)
{
    struct object *o = pops_first(c, q->first, q->keys, OBJECT_ZSET);

    if (o == NULL)
        return;
    size_t n = at_most(o, q->count);
    build_array(c->out, 2);
    call_bulk(c, o->key);
    build_array(c->out, n);
    take(c, o, q->high, n, true);
}

void zsets_zmpop(struct call *c)
{
    struct pops_many q;

    if (many_args(c, 1, &q))
        pop_many(c, &q);
}

/* As in Redis, the timeout is looked at last. */
void zsets_bzmpop(struct call *c)
{
    struct pops_many q;

    if (many_args(c, 2, &q) && call_timeout_arg(c, 1))
        pop_many(c, &q);
}

static void random_many(struct call *c, const struct zset *z, const struct sample *q)
{
    size_t n;
    uint64_t bytes = 0;
    size_t *picked = sample_pick(c, q->count, z->count, &n);

    if (picked == NULL)
        return;
    struct zset_row *rows = arena_get(c->arena, n * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        rows[i] = z->rows[picked[i]];
        bytes += q->count < 0 ? rows[i].member.len : 0;
    }
    if (sample_fits(c, bytes))
        zsets_answer(c, rows, n, false, q->pairs);
}

void zsets_zrandmember(struct call *c)
{
    bool wrong, many = c->argc > 2;
    struct sample q = {0};

    if (many && !sample_args(c, "withscores", &q))
        return;
    struct object *o = zsets_of(c, &wrong);
    if (wrong)
        return;
    if (o == NULL && !many)
        call_null(c);
    else if (o == NULL)
        build_array(c->out, 0);
    else if (!many)
        call_bulk(c, o->v.zset->rows[sample_below(c, o->v.zset->count)].member);
    else
        random_many(c, o->v.zset, &q);
}

/* The small encoding has these as integers, and ZSCAN alone shows them as such. */
static size_t print_score(const struct object *o, double score, char *text)
{
    const double most = 0x1p62;

    if (o->encoding == ENC_LISTPACK && score >= -most && score <= most && score == trunc(score))
        return number_print_int(text, (int64_t)score);
    return number_print_double(text, score);
}

void zsets_zscan(struct call *c)
{
    struct scan s;
    struct object *o = scan_begin(c, OBJECT_ZSET, &s);
    size_t n;

    if (o == NULL)
        return;
    const struct zset *z = o->v.zset;
    struct scan_names names = {&z->rows->member, sizeof *z->rows, z->count};
    size_t *found = scan_find(c, &s, names, o->encoding == ENC_LISTPACK, &n);
    scan_reply(c, &s, 2 * n);
    for (size_t i = 0; i < n; i++) {
        char text[NUMBER_TEXT];
        call_bulk(c, z->rows[found[i]].member);
        call_bulk(c, (struct slice){text, print_score(o, z->rows[found[i]].score, text)});
    }
}
