#include "engine/internal.h"
#include "engine/dict.h"
#include "engine/list.h"
#include "engine/number.h"
#include "engine/zset.h"

#include <stdlib.h>
#include <string.h>

/* BY and GET patterns name other keys, one for each element. Which, is not known before the value is read,
 * and the archive loads all keys of a command at once: patterns are refused. What is left of them: BY without
 * a '*' means "don't sort", GET without one finds nothing, GET # is the element. */
struct plan {
    bool descending, alpha, unsorted;
    int64_t from, count; /* LIMIT; count < 0: all */
    const struct slice *gets;
    size_t ngets;
    const struct slice *store; /* the key; NULL: answer the elements */
};

struct item {
    struct slice text;
    double score;
};

struct items {
    struct item *at;
    size_t count;
};

/* ---- options ---- */

/* Whether the pattern, which ends at a NUL, has a place for the element. */
static bool is_pattern(struct slice s)
{
    size_t n = s.len == 0 ? 0 : strnlen(s.p, s.len);

    return n > 0 && memchr(s.p, '*', n) != NULL;
}

static bool is_element(struct slice s)
{
    return s.len > 0 && s.p[0] == '#' && (s.len == 1 || s.p[1] == '\0');
}

static void option_asc(struct call *c, size_t arg, struct plan *p)
{
    p->descending = false;
}

static void option_desc(struct call *c, size_t arg, struct plan *p)
{
    p->descending = true;
}

static void option_alpha(struct call *c, size_t arg, struct plan *p)
{
    p->alpha = true;
}

static void option_limit(struct call *c, size_t arg, struct plan *p)
{
    if (call_int_arg(c, arg + 1, &p->from))
        call_int_arg(c, arg + 2, &p->count);
}

static void option_store(struct call *c, size_t arg, struct plan *p)
{
    p->store = &c->argv[arg + 1];
}

/* Once the values decide nothing, a later BY with a pattern would not bring the sorting back. */
static void option_by(struct call *c, size_t arg, struct plan *p)
{
    p->unsorted |= !is_pattern(c->argv[arg + 1]);
}

static void option_get(struct call *c, size_t arg, struct plan *p)
{
    struct slice *gets =
        arena_grow(c->arena, p->gets, p->ngets * sizeof *gets, (p->ngets + 1) * sizeof *gets);

    gets[p->ngets++] = c->argv[arg + 1];
    p->gets = gets;
}

static const struct option {
    const char *word;
    size_t values;
    void (*take)(struct call *c, size_t arg, struct plan *p);
} options[] = {
    {"asc", 0, option_asc},     {"desc", 0, option_desc},   {"alpha", 0, option_alpha},
    {"limit", 2, option_limit}, {"store", 1, option_store}, {"by", 1, option_by},
    {"get", 1, option_get},
};

static const struct option *find_option(const struct call *c, size_t arg, bool read_only)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (call_is(c, arg, options[i].word) && arg + options[i].values < c->argc &&
            !(read_only && options[i].take == option_store))
            return &options[i];
    return NULL;
}

static bool read_options(struct call *c, bool read_only, struct plan *p)
{
    bool patterns = false;

    *p = (struct plan){.count = -1};
    for (size_t i = 2; i < c->argc && !c->failed; i++) {
        const struct option *o = find_option(c, i, read_only);
        if (o == NULL) {
            call_syntax_error(c);
            return false;
        }
        o->take(c, i, p);
        patterns |= (o->take == option_by || o->take == option_get) && is_pattern(c->argv[i + 1]);
        i += o->values;
    }
    if (!c->failed && patterns)
        call_error(c, "ERR BY and GET patterns are not supported by the archive");
    return !c->failed;
}

/* ---- the elements ---- */

static struct slice element(const struct object *o, size_t i)
{
    if (o->type == OBJECT_LIST)
        return *list_at(o->v.list, i);
    return o->type == OBJECT_SET ? o->v.set->entries[i].name : o->v.zset->rows[i].member;
}

static size_t elements(const struct object *o)
{
    if (o->type == OBJECT_LIST)
        return o->v.list->count;
    return o->type == OBJECT_SET ? o->v.set->count : o->v.zset->count;
}

/* Unsorted lists and sorted sets keep their order, or turn it round for DESC. */
static struct items gather(struct call *c, const struct object *o, const struct plan *p)
{
    struct items items = {NULL, o == NULL ? 0 : elements(o)};
    bool backwards = p->unsorted && p->descending && items.count > 0 && o->type != OBJECT_SET;

    items.at = arena_get(c->arena, items.count * sizeof *items.at);
    for (size_t i = 0; i < items.count; i++)
        items.at[i].text = element(o, backwards ? items.count - 1 - i : i);
    return items;
}

static bool score_all(struct call *c, struct items items)
{
    for (size_t i = 0; i < items.count; i++) {
        if (!number_sortable(items.at[i].text, &items.at[i].score)) {
            call_error(c, "ERR One or more scores can't be converted into double");
            return false;
        }
    }
    return true;
}

/* Scores are all 0 when texts decide. */
static int compare(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int order = (x->score > y->score) - (x->score < y->score);

    return order != 0 ? order : slice_compare(x->text, y->text);
}

static int compare_descending(const void *a, const void *b)
{
    return compare(b, a);
}

static bool sort(struct call *c, const struct plan *p, struct items items)
{
    if (p->unsorted)
        return true;
    if (!p->alpha && !score_all(c, items))
        return false;
    if (items.count > 1)
        qsort(items.at, items.count, sizeof *items.at, p->descending ? compare_descending : compare);
    return true;
}

static struct items limit(const struct plan *p, struct items items)
{
    uint64_t from = p->from < 0 ? 0 : (uint64_t)p->from;

    if (from > items.count)
        from = items.count;
    items.at += from;
    items.count -= from;
    if (p->count >= 0 && (uint64_t)p->count < items.count)
        items.count = (size_t)p->count;
    return items;
}

/* ---- the result ---- */

static void answer(struct call *c, const struct plan *p, struct items items)
{
    build_array(c->out, items.count * (p->ngets > 0 ? p->ngets : 1));
    for (size_t i = 0; i < items.count; i++) {
        if (p->ngets == 0)
            call_bulk(c, items.at[i].text);
        for (size_t g = 0; g < p->ngets; g++) {
            if (is_element(p->gets[g]))
                call_bulk(c, items.at[i].text);
            else
                call_null(c);
        }
    }
}

/* The key becomes a list of what would have been answered, "" for nil; nothing removes it. */
static void store(struct call *c, const struct plan *p, struct items items)
{
    struct object *o = call_place(c, *p->store);
    struct list *l = list_new(c->arena, items.count * (p->ngets > 0 ? p->ngets : 1));

    for (size_t i = 0; i < items.count; i++) {
        if (p->ngets == 0)
            list_push(l, items.at[i].text, false);
        for (size_t g = 0; g < p->ngets; g++)
            list_push(l, is_element(p->gets[g]) ? items.at[i].text : (struct slice){"", 0}, false);
    }
    if (l->count > 0 || o->type != OBJECT_NONE)
        call_remove(c, o);
    if (l->count > 0) {
        o->type = OBJECT_LIST;
        o->encoding = ENC_QUICKLIST;
        o->v.list = l;
    }
    call_int(c, (int64_t)l->count);
}

static bool is_sortable(const struct object *o)
{
    return o->type == OBJECT_LIST || o->type == OBJECT_SET || o->type == OBJECT_ZSET;
}

static void run(struct call *c, bool read_only)
{
    struct plan p;
    bool wrong;

    if (!read_options(c, read_only, &p))
        return;
    struct object *o = call_lookup(c, c->argv[1]);
    if (o != NULL && !is_sortable(o)) {
        call_lookup_typed(c, c->argv[1], OBJECT_LIST, &wrong); /* answers the error */
        return;
    }
    /* A set has no order of its own: what is stored is at least always the same. */
    if (o != NULL && o->type == OBJECT_SET && p.unsorted && p.store != NULL) {
        p.unsorted = false;
        p.alpha = true;
    }
    struct items items = gather(c, o, &p);
    if (!sort(c, &p, items))
        return;
    items = limit(&p, items);
    if (p.store != NULL)
        store(c, &p, items);
    else
        answer(c, &p, items);
}

void sort_sort(struct call *c)
{
    run(c, false);
}

void sort_sort_ro(struct call *c)
{
    run(c, true);
}
