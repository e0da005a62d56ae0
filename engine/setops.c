#include "engine/dict.h"
#include "engine/internal.h"
#include "engine/number.h"
#include "engine/sets.h"

#include <stdlib.h>

/* Sets: intersection, union and difference. */

struct inputs {
    struct object **sets; /* NULL where there is no such key */
    size_t count, missing;
};

/* The sets named by n arguments from `arg` on. False: one is something else, answered. */
static bool read_inputs(struct call *c, size_t arg, size_t n, struct inputs *in)
{
    bool wrong;

    *in = (struct inputs){.sets = arena_get(c->arena, n * sizeof *in->sets), .count = n};
    for (size_t i = 0; i < n; i++) {
        in->sets[i] = call_lookup_typed(c, c->argv[arg + i], OBJECT_SET, &wrong);
        if (wrong)
            return false;
        in->missing += in->sets[i] == NULL;
    }
    return true;
}

static bool in_all(struct object *const *sets, size_t n, struct slice member)
{
    for (size_t i = 0; i < n; i++)
        if (dict_find(sets[i]->v.set, member) < 0)
            return false;
    return true;
}

static bool in_any(struct object *const *sets, size_t n, struct slice member)
{
    for (size_t i = 0; i < n; i++)
        if (sets[i] != NULL && dict_find(sets[i]->v.set, member) >= 0)
            return true;
    return false;
}

static int compare_sizes(const void *a, const void *b)
{
    size_t x = (*(struct object *const *)a)->v.set->count, y = (*(struct object *const *)b)->v.set->count;

    return (x > y) - (x < y);
}

/* At most `most` members that are in all. */
static void intersect(struct call *c, struct inputs *in, size_t most, struct object *into)
{
    if (in->missing > 0)
        return;
    qsort(in->sets, in->count, sizeof(*in->sets), compare_sizes);
    const struct dict_entry *entries = sets_entries(c, in->sets[0]);
    for (size_t i = 0; i < in->sets[0]->v.set->count && into->v.set->count < most; i++)
        if (in_all(in->sets + 1, in->count - 1, entries[i].name))
            sets_add(into, entries[i].name);
}

static void intersect_all(struct call *c, struct inputs *in, struct object *into)
{
    intersect(c, in, SIZE_MAX, into);
}

static void unite(struct call *c, struct inputs *in, struct object *into)
{
    for (size_t i = 0; i < in->count; i++)
        for (size_t m = 0; in->sets[i] != NULL && m < in->sets[i]->v.set->count; m++)
            sets_add(into, in->sets[i]->v.set->entries[m].name);
}

static void subtract(struct call *c, struct inputs *in, struct object *into)
{
    const struct object *first = in->sets[0];

    for (size_t m = 0; first != NULL && m < first->v.set->count; m++)
        if (!in_any(in->sets + 1, in->count - 1, first->v.set->entries[m].name))
            sets_add(into, first->v.set->entries[m].name);
}

typedef void (*combine_fn)(struct call *c, struct inputs *in, struct object *into);

static void combine(struct call *c, combine_fn fn)
{
    struct inputs in;
    struct object result;

    if (!read_inputs(c, 1, c->argc - 1, &in))
        return;
    sets_make(c, &result, 0);
    fn(c, &in, &result);
    const struct dict_entry *entries = sets_entries(c, &result);
    build_set(c->out, c->resp, result.v.set->count);
    for (size_t i = 0; i < result.v.set->count; i++)
        call_bulk(c, entries[i].name);
}

static void combine_and_store(struct call *c, combine_fn fn)
{
    struct inputs in;
    struct object result;

    if (!read_inputs(c, 2, c->argc - 2, &in))
        return;
    sets_make(c, &result, 0);
    fn(c, &in, &result);
    struct object *o = call_place(c, c->argv[1]);
    if (o->type != OBJECT_NONE || result.v.set->count > 0)
        call_remove(c, o);
    if (result.v.set->count > 0) {
        o->type = OBJECT_SET;
        o->encoding = result.encoding;
        o->v.set = result.v.set;
    }
    call_int(c, (int64_t)result.v.set->count);
}

void sets_sinter(struct call *c)
{
    combine(c, intersect_all);
}

void sets_sunion(struct call *c)
{
    combine(c, unite);
}

void sets_sdiff(struct call *c)
{
    combine(c, subtract);
}

void sets_sinterstore(struct call *c)
{
    combine_and_store(c, intersect_all);
}

void sets_sunionstore(struct call *c)
{
    combine_and_store(c, unite);
}

void sets_sdiffstore(struct call *c)
{
    combine_and_store(c, subtract);
}

/* "[LIMIT n]", maybe again; 0: none. */
static bool limit_arg(struct call *c, size_t arg, int64_t *ret)
{
    for (; arg < c->argc; arg += 2) {
        if (arg + 1 == c->argc || !call_is(c, arg, "limit")) {
            call_syntax_error(c);
            return false;
        }
        if (!number_int(c->argv[arg + 1], ret) || *ret < 0) {
            call_error(c, "ERR LIMIT can't be negative");
            return false;
        }
    }
    return true;
}

void sets_sintercard(struct call *c)
{
    int64_t keys, limit = 0;
    struct inputs in;
    struct object result;

    if (!number_int(c->argv[1], &keys) || keys < 1) {
        call_error(c, "ERR numkeys should be greater than 0");
        return;
    }
    if ((uint64_t)keys > c->argc - 2) {
        call_error(c, "ERR Number of keys can't be greater than number of args");
        return;
    }
    if (!limit_arg(c, 2 + (size_t)keys, &limit) || !read_inputs(c, 2, (size_t)keys, &in))
        return;
    sets_make(c, &result, 0);
    intersect(c, &in, limit > 0 ? (size_t)limit : SIZE_MAX, &result);
    call_int(c, (int64_t)result.v.set->count);
}
