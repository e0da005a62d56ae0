#include "engine/internal.h"
#include "engine/list.h"
#include "engine/number.h"

/* Lists: adding, reading and changing in place. What takes elements out at the ends is in listpops.c. */

static struct object *list_of(struct call *c, bool *wrong)
{
    return call_lookup_typed(c, c->argv[1], OBJECT_LIST, wrong);
}

static void push(struct call *c, bool at_head, bool only_existing)
{
    bool wrong;
    struct object *o = list_of(c, &wrong);

    if (wrong)
        return;
    if (o == NULL) {
        if (only_existing) {
            call_int(c, 0);
            return;
        }
        o = call_place(c, c->argv[1]);
    }
    struct list *l = list_make(c->arena, o);
    for (size_t i = 2; i < c->argc; i++)
        list_push(l, c->argv[i], at_head);
    call_changed(c, o);
    call_int(c, (int64_t)l->count);
}

void lists_lpush(struct call *c)
{
    push(c, true, false);
}

void lists_rpush(struct call *c)
{
    push(c, false, false);
}

void lists_lpushx(struct call *c)
{
    push(c, true, true);
}

void lists_rpushx(struct call *c)
{
    push(c, false, true);
}

void lists_llen(struct call *c)
{
    bool wrong;
    struct object *o = list_of(c, &wrong);

    if (!wrong)
        call_int(c, o != NULL ? (int64_t)o->v.list->count : 0);
}

/* The position that an index means, which counts from the end when it is negative. */
static bool position_of(const struct list *l, int64_t index, size_t *ret)
{
    if (index < 0)
        index += (int64_t)l->count;
    if (index < 0 || index >= (int64_t)l->count)
        return false;
    *ret = (size_t)index;
    return true;
}

void lists_lindex(struct call *c)
{
    bool wrong;
    int64_t index;
    size_t position;
    struct object *o = list_of(c, &wrong);

    if (wrong)
        return;
    if (o == NULL) {
        call_null(c);
        return;
    }
    if (!call_int_arg(c, 2, &index))
        return;
    if (position_of(o->v.list, index, &position))
        call_bulk(c, *list_at(o->v.list, position));
    else
        call_null(c);
}

void lists_lset(struct call *c)
{
    bool wrong;
    int64_t index;
    size_t position;
    struct object *o = list_of(c, &wrong);

    if (wrong)
        return;
    if (o == NULL) {
        call_error(c, "ERR no such key");
        return;
    }
    if (!call_int_arg(c, 2, &index))
        return;
    if (!position_of(o->v.list, index, &position)) {
        call_error(c, "ERR index out of range");
        return;
    }
    *list_at(o->v.list, position) = c->argv[3];
    call_changed(c, o);
    call_ok(c);
}

void lists_linsert(struct call *c)
{
    bool wrong, after = call_is(c, 2, "after");

    if (!after && !call_is(c, 2, "before")) {
        call_syntax_error(c);
        return;
    }
    struct object *o = list_of(c, &wrong);
    if (wrong)
        return;
    if (o == NULL) {
        call_int(c, 0);
        return;
    }
    struct list *l = o->v.list;
    for (size_t i = 0; i < l->count; i++) {
        if (!slice_equal(*list_at(l, i), c->argv[3]))
            continue;
        list_insert(l, i + after, c->argv[4]);
        call_changed(c, o);
        call_int(c, (int64_t)l->count);
        return;
    }
    call_int(c, -1);
}

/* Arguments 2 and 3: the first and the last element, as far as the list has them. False: not integers,
 * answered. */
static bool range_args(struct call *c, int64_t *ret_first, int64_t *ret_last)
{
    return call_int_arg(c, 2, ret_first) && call_int_arg(c, 3, ret_last);
}

/* Makes [first, last] positions of the list; returns how many elements that is. */
static size_t clip(const struct list *l, int64_t *first, int64_t last)
{
    int64_t count = (int64_t)l->count;

    if (*first < 0)
        *first = *first + count < 0 ? 0 : *first + count;
    if (last < 0)
        last += count;
    if (last >= count)
        last = count - 1;
    return *first > last ? 0 : (size_t)(last - *first + 1);
}

void lists_lrange(struct call *c)
{
    bool wrong;
    int64_t first, last;

    if (!range_args(c, &first, &last))
        return;
    struct object *o = list_of(c, &wrong);
    if (wrong)
        return;
    size_t n = o != NULL ? clip(o->v.list, &first, last) : 0;
    build_array(c->out, n);
    for (size_t i = 0; i < n; i++)
        call_bulk(c, *list_at(o->v.list, (size_t)first + i));
}

/* A write even when nothing goes: so Redis tells those who watch the key. */
void lists_ltrim(struct call *c)
{
    bool wrong;
    int64_t first, last;

    if (!range_args(c, &first, &last))
        return;
    struct object *o = list_of(c, &wrong);
    if (wrong)
        return;
    if (o != NULL) {
        struct list *l = o->v.list;
        size_t n = clip(l, &first, last);
        if (n == 0) {
            call_remove(c, o);
        } else {
            l->start += (size_t)first;
            l->count = n;
            call_changed(c, o);
        }
    }
    call_ok(c);
}

void lists_lrem(struct call *c)
{
    bool wrong;
    int64_t count;

    if (!call_int_arg(c, 2, &count))
        return;
    struct object *o = list_of(c, &wrong);
    if (wrong)
        return;
    size_t removed = 0;
    if (o != NULL) {
        uint64_t most = count == 0 ? UINT64_MAX : count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
        removed = list_remove_equal(o->v.list, c->argv[3], most, count < 0);
    }
    if (removed > 0 && o->v.list->count == 0)
        call_remove(c, o);
    else if (removed > 0)
        call_changed(c, o);
    call_int(c, (int64_t)removed);
}

struct lpos {
    int64_t rank, count, maxlen; /* count -1: one position, not an array of them; 0: all */
};

static bool lpos_rank(struct call *c, size_t arg, struct lpos *q)
{
    if (!call_int_arg(c, arg, &q->rank))
        return false;
    if (q->rank == 0)
        call_error(c, "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or "
                      "use negative to start from the end of the list");
    return q->rank != 0;
}

/* These two tell everything that is wrong with the number in the same words. */
static bool lpos_natural(struct call *c, size_t arg, int64_t *ret, const char *error)
{
    if (number_int(c->argv[arg], ret) && *ret >= 0)
        return true;
    call_error(c, error);
    return false;
}

static bool lpos_options(struct call *c, struct lpos *q)
{
    for (size_t i = 3; i < c->argc; i += 2) {
        bool more = i + 1 < c->argc, good = false;
        if (more && call_is(c, i, "rank"))
            good = lpos_rank(c, i + 1, q);
        else if (more && call_is(c, i, "count"))
            good = lpos_natural(c, i + 1, &q->count, "ERR COUNT can't be negative");
        else if (more && call_is(c, i, "maxlen"))
            good = lpos_natural(c, i + 1, &q->maxlen, "ERR MAXLEN can't be negative");
        else
            call_syntax_error(c);
        if (!good)
            return false;
    }
    return true;
}

/* Writes the positions to found, which has room for all; returns how many there are. */
static size_t lpos_search(const struct list *l, struct slice item, const struct lpos *q, int64_t *found)
{
    bool backwards = q->rank < 0;
    uint64_t skip = (backwards ? 0 - (uint64_t)q->rank : (uint64_t)q->rank) - 1;
    size_t n = 0, most = q->count < 0 ? 1 : q->count == 0 ? SIZE_MAX : (size_t)q->count;

    if (q->rank == INT64_MIN) { /* it has no positive counterpart: Redis skips none then, and counts none */
        skip = 0;
        most = q->count < 0 ? 1 : SIZE_MAX;
    }
    for (size_t i = 0; i < l->count && n < most && (q->maxlen == 0 || i < (size_t)q->maxlen); i++) {
        size_t position = backwards ? l->count - 1 - i : i;
        if (!slice_equal(*list_at(l, position), item))
            continue;
        if (skip > 0)
            skip--;
        else
            found[n++] = (int64_t)position;
    }
    return n;
}

void lists_lpos(struct call *c)
{
    bool wrong;
    struct lpos q = {.rank = 1, .count = -1};
    int64_t *found = NULL;
    size_t n = 0;

    if (!lpos_options(c, &q))
        return;
    struct object *o = list_of(c, &wrong);
    if (wrong)
        return;
    if (o != NULL) {
        found = arena_get(c->arena, o->v.list->count * sizeof *found);
        n = lpos_search(o->v.list, c->argv[2], &q, found);
    }
    if (q.count >= 0)
        build_array(c->out, n);
    else if (n == 0)
        call_null(c);
    for (size_t i = 0; i < n; i++)
        call_int(c, found[i]);
}
