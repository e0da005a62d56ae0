#include "engine/sets.h"
#include "engine/dict.h"
#include "engine/internal.h"
#include "engine/number.h"
#include "engine/pops.h"
#include "engine/sample.h"
#include "engine/scan.h"

#include <stdlib.h>
#include <string.h>

/* Sets: adding, reading and taking out. What combines several is in setops.c. */

#define INTSET_MAX 512 /* Redis's default of set-max-intset-entries */

static struct object *set_of(struct call *c, bool *wrong)
{
    return call_lookup_typed(c, c->argv[1], OBJECT_SET, wrong);
}

void sets_make(struct call *c, struct object *o, size_t expected)
{
    o->type = OBJECT_SET;
    o->encoding = ENC_INTSET;
    o->v.set = dict_new(c->arena, expected);
}

bool sets_add(struct object *o, struct slice member)
{
    int64_t number;
    bool added = dict_set(o->v.set, member, (struct slice){"", 0});

    if (o->v.set->count > INTSET_MAX || !number_int(member, &number))
        o->encoding = ENC_HASHTABLE;
    return added;
}

static int compare_numbers(const void *a, const void *b)
{
    int64_t x = 0, y = 0;

    number_int(((const struct dict_entry *)a)->name, &x);
    number_int(((const struct dict_entry *)b)->name, &y);
    return (x > y) - (x < y);
}

const struct dict_entry *sets_entries(struct call *c, const struct object *o)
{
    const struct dict *d = o->v.set;

    if (o->encoding != ENC_INTSET || d->count == 0)
        return d->entries;
    struct dict_entry *sorted = arena_get(c->arena, d->count * sizeof *sorted);
    memcpy(sorted, d->entries, d->count * sizeof *sorted);
    qsort(sorted, d->count, sizeof *sorted, compare_numbers);
    return sorted;
}

/* After members were taken out of o. */
static void taken(struct call *c, struct object *o)
{
    if (o->v.set->count == 0)
        call_remove(c, o);
    else
        call_changed(c, o);
}

void sets_sadd(struct call *c)
{
    bool wrong;
    int64_t added = 0;
    struct object *o = set_of(c, &wrong);

    if (wrong)
        return;
    if (o == NULL)
        sets_make(c, o = call_place(c, c->argv[1]), c->argc - 2);
    for (size_t i = 2; i < c->argc; i++)
        added += sets_add(o, c->argv[i]);
    if (added > 0)
        call_changed(c, o);
    call_int(c, added);
}

void sets_srem(struct call *c)
{
    bool wrong;
    int64_t gone = 0;
    struct object *o = set_of(c, &wrong);

    if (wrong)
        return;
    for (size_t i = 2; o != NULL && i < c->argc; i++) {
        int64_t at = dict_find(o->v.set, c->argv[i]);
        if (at < 0)
            continue;
        dict_drop_at(o->v.set, (size_t)at);
        gone++;
    }
    if (gone > 0) {
        dict_sweep(o->v.set);
        taken(c, o);
    }
    call_int(c, gone);
}

void sets_scard(struct call *c)
{
    bool wrong;
    struct object *o = set_of(c, &wrong);

    if (!wrong)
        call_int(c, o != NULL ? (int64_t)o->v.set->count : 0);
}

void sets_sismember(struct call *c)
{
    bool wrong;
    struct object *o = set_of(c, &wrong);

    if (!wrong)
        call_int(c, o != NULL && dict_find(o->v.set, c->argv[2]) >= 0);
}

void sets_smismember(struct call *c)
{
    bool wrong;
    struct object *o = set_of(c, &wrong);

    if (wrong)
        return;
    build_array(c->out, c->argc - 2);
    for (size_t i = 2; i < c->argc; i++)
        call_int(c, o != NULL && dict_find(o->v.set, c->argv[i]) >= 0);
}

static void answer_all(struct call *c, const struct object *o)
{
    size_t n = o != NULL ? o->v.set->count : 0;
    const struct dict_entry *entries = o != NULL ? sets_entries(c, o) : NULL;

    build_set(c->out, c->resp, n);
    for (size_t i = 0; i < n; i++)
        call_bulk(c, entries[i].name);
}

void sets_smembers(struct call *c)
{
    bool wrong;
    struct object *o = set_of(c, &wrong);

    if (!wrong)
        answer_all(c, o);
}

void sets_smove(struct call *c)
{
    bool wrong;
    struct object *from = set_of(c, &wrong), *to;

    if (wrong)
        return;
    if (from == NULL) {
        call_int(c, 0);
        return;
    }
    to = call_lookup_typed(c, c->argv[2], OBJECT_SET, &wrong);
    if (wrong)
        return;
    int64_t at = dict_find(from->v.set, c->argv[3]);
    call_int(c, at >= 0);
    if (at < 0 || from == to)
        return;
    dict_remove_at(from->v.set, (size_t)at);
    taken(c, from);
    if (to == NULL)
        sets_make(c, to = call_place(c, c->argv[2]), 1);
    if (sets_add(to, c->argv[3]))
        call_changed(c, to);
}

/* When few stay, Redis moves these to a new set, which may have the small encoding again. */
static void pop_encoding(struct object *o, size_t popped)
{
    int64_t number;
    size_t n = o->v.set->count;

    if (n * 5 > popped || n > INTSET_MAX)
        return;
    for (size_t i = 0; i < n; i++)
        if (!number_int(o->v.set->entries[i].name, &number))
            return;
    o->encoding = ENC_INTSET;
}

static void pop_many(struct call *c, struct object *o, uint64_t count)
{
    size_t n;

    if (o == NULL || count == 0) {
        build_set(c->out, c->resp, 0);
        return;
    }
    if (count >= o->v.set->count) {
        answer_all(c, o);
        call_remove(c, o);
        return;
    }
    size_t *picked = sample_pick(c, (int64_t)count, o->v.set->count, &n);
    build_set(c->out, c->resp, n);
    for (size_t i = 0; i < n; i++) {
        call_bulk(c, o->v.set->entries[picked[i]].name);
        dict_drop_at(o->v.set, picked[i]);
    }
    dict_sweep(o->v.set);
    pop_encoding(o, n);
    call_changed(c, o);
}

void sets_spop(struct call *c)
{
    bool wrong;
    int64_t count = 0;

    if (c->argc > 3) {
        call_syntax_error(c);
        return;
    }
    if (c->argc == 3 && !pops_count_arg(c, 2, &count))
        return;
    struct object *o = set_of(c, &wrong);
    if (wrong)
        return;
    if (c->argc == 3) {
        pop_many(c, o, (uint64_t)count);
    } else if (o == NULL) {
        call_null(c);
    } else {
        size_t at = sample_below(c, o->v.set->count);
        call_bulk(c, o->v.set->entries[at].name);
        dict_remove_at(o->v.set, at);
        taken(c, o);
    }
}

static void random_many(struct call *c, const struct object *o, int64_t count)
{
    size_t n;
    uint64_t bytes = 0;

    if (o == NULL || count == 0) {
        build_array(c->out, 0);
        return;
    }
    size_t *picked = sample_pick(c, count, o->v.set->count, &n);
    if (picked == NULL)
        return;
    const struct dict_entry *entries = sets_entries(c, o);
    for (size_t i = 0; count < 0 && i < n; i++)
        bytes += entries[picked[i]].name.len;
    if (!sample_fits(c, bytes))
        return;
    build_array(c->out, n);
    for (size_t i = 0; i < n; i++)
        call_bulk(c, entries[picked[i]].name);
}

void sets_srandmember(struct call *c)
{
    bool wrong;
    struct sample q = {0};

    if (c->argc > 3) {
        call_syntax_error(c);
        return;
    }
    if (c->argc == 3 && !sample_args(c, NULL, &q))
        return;
    struct object *o = set_of(c, &wrong);
    if (wrong)
        return;
    if (c->argc == 3)
        random_many(c, o, q.count);
    else if (o == NULL)
        call_null(c);
    else
        call_bulk(c, o->v.set->entries[sample_below(c, o->v.set->count)].name);
}

void sets_sscan(struct call *c)
{
    struct scan s;
    struct object *o = scan_begin(c, OBJECT_SET, &s);
    size_t n;

    if (o == NULL)
        return;
    const struct dict_entry *entries = sets_entries(c, o);
    struct scan_names names = {&entries->name, sizeof *entries, o->v.set->count};
    size_t *found = scan_find(c, &s, names, o->encoding == ENC_INTSET, &n);
    scan_reply(c, &s, n);
    for (size_t i = 0; i < n; i++)
        call_bulk(c, entries[found[i]].name);
}
