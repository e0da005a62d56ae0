#include "engine/internal.h"
#include "engine/number.h"
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
    if (c->argc == 3 && (!number_int(c->argv[2], &count) || count < 0)) {
        call_error(c, "ERR value is out of range, must be positive");
        return;
    }
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

/* The first of n keys from argument `arg` on that holds a sorted set. NULL: none and nil was answered, or
 * another type and the error was. */
static struct object *first_zset(struct call *c, size_t arg, size_t n)
{
    bool wrong = false;

    for (size_t i = 0; i < n && !wrong; i++) {
        struct object *o = call_lookup_typed(c, c->argv[arg + i], OBJECT_ZSET, &wrong);
        if (o != NULL)
            return o;
    }
    if (!wrong)
        call_null_array(c);
    return NULL;
}

static void blocking_pop(struct call *c, bool highest)
{
    if (!call_timeout_arg(c, c->argc - 1))
        return;
    struct object *o = first_zset(c, 1, c->argc - 2);
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

struct multi_pop {
    size_t first, keys; /* arguments */
    int64_t count;
    bool highest;
};

static bool natural_arg(struct call *c, size_t arg, int64_t *ret, const char *error)
{
    if (number_int(c->argv[arg], ret) && *ret > 0)
        return true;
    call_error(c, error);
    return false;
}

/* "numkeys key … MIN|MAX [COUNT n]" from argument `arg` on. False: wrong, answered. */
static bool multi_pop_args(struct call *c, size_t arg, struct multi_pop *q)
{
    int64_t keys;

    if (!natural_arg(c, arg, &keys, "ERR numkeys should be greater than 0"))
        return false;
    if ((uint64_t)keys >= c->argc - arg - 1) {
        call_syntax_error(c);
        return false;
    }
    *q = (struct multi_pop){.first = arg + 1, .keys = (size_t)keys, .count = 1};
    size_t end = q->first + q->keys, options = c->argc - end - 1;
    q->highest = call_is(c, end, "max");
    bool good = q->highest || call_is(c, end, "min");
    if (good && options >= 2 && call_is(c, end + 1, "count")) {
        if (!natural_arg(c, end + 2, &q->count, "ERR count should be greater than 0"))
            return false;
        options -= 2;
    }
    if (good && options == 0)
        return true;
    call_syntax_error(c);
    return false;
}

static void multi_pop(struct call *c, const struct multi_pop *q)
{
    struct object *o = first_zset(c, q->first, q->keys);

    if (o == NULL)
        return;
    size_t n = at_most(o, q->count);
    build_array(c->out, 2);
    call_bulk(c, o->key);
    build_array(c->out, n);
    take(c, o, q->highest, n, true);
}

void zsets_zmpop(struct call *c)
{
    struct multi_pop q;

    if (multi_pop_args(c, 1, &q))
        multi_pop(c, &q);
}

/* As in Redis, the timeout is looked at last. */
void zsets_bzmpop(struct call *c)
{
    struct multi_pop q;

    if (multi_pop_args(c, 2, &q) && call_timeout_arg(c, 1))
        multi_pop(c, &q);
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
        zsets_answer(c, rows, n, false, q->scores);
}

void zsets_zrandmember(struct call *c)
{
    bool wrong, many = c->argc > 2;
    struct sample q = {0};

    if (many && !sample_args(c, true, &q))
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
    size_t n = 0;

    if (o == NULL)
        return;
    const struct zset *z = o->v.zset;
    size_t *found = arena_get(c->arena, z->count * sizeof *found);
    scan_page(&s, z->count, o->encoding == ENC_LISTPACK);
    for (size_t i = 0; i < z->count; i++)
        if (scan_takes(&s, z->rows[i].member))
            found[n++] = i;
    scan_reply(c, &s, 2 * n);
    for (size_t i = 0; i < n; i++) {
        char text[NUMBER_TEXT];
        call_bulk(c, z->rows[found[i]].member);
        call_bulk(c, (struct slice){text, print_score(o, z->rows[found[i]].score, text)});
    }
}
