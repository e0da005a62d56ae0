#include "engine/internal.h"
#include "engine/dict.h"
#include "engine/list.h"
#include "engine/number.h"
#include "engine/zset.h"

#include <stdlib.h>
#include <string.h>

/* BY and GET patterns name other keys, one for each element: "weight_*", or "user:*->name" for a field of a hash. BY without a
 * '*' means "don't sort", GET without one finds nothing, GET # is the element.
 * Source: redis.io/commands/sort; where that is silent, redis-server 7.0.15. */
struct plan {
    bool descending, alpha, unsorted;
    int64_t from, count; /* LIMIT; count < 0: all */
    const struct slice *by; /* NULL: the elements themselves decide */
    const struct slice *gets;
    size_t ngets;
    const struct slice *store; /* the key; NULL: answer the elements */
};

struct item {
    struct slice text;
    struct slice weight; /* by this texts are compared; p NULL: there is none, which comes first */
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
    p->by = &c->argv[arg + 1];
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
    *p = (struct plan){.count = -1};
    for (size_t i = 2; i < c->argc && !c->failed; i++) {
        const struct option *o = find_option(c, i, read_only);
        if (o == NULL) {
            call_syntax_error(c);
            return false;
        }
        o->take(c, i, p);
        i += o->values;
    }
    return !c->failed;
}

/* ---- patterns ---- */

/* Where the field begins, behind "->"; pattern.len when there is none. An empty one is none. */
static size_t field_of(struct slice pattern, size_t star)
{
    for (size_t i = star + 1; i + 2 < pattern.len && pattern.p[i] != '\0'; i++)
        if (pattern.p[i] == '-' && pattern.p[i + 1] == '>')
            return pattern.p[i + 2] != '\0' ? i + 2 : pattern.len;
    return pattern.len;
}

/* The pattern's key, with the element in place of the first '*'. */
static struct slice key_for(struct call *c, struct slice pattern, size_t star, size_t end, struct slice element)
{
    size_t n = end - 1 + element.len;
    char *key = arena_get(c->arena, n + 1);

    memcpy(key, pattern.p, star);
    if (element.len > 0)
        memcpy(key + star, element.p, element.len);
    memcpy(key + star + element.len, pattern.p + star + 1, end - star - 1);
    return (struct slice){key, n};
}

/* What the pattern finds for an element; p NULL: nothing. */
static struct slice found(struct call *c, struct slice pattern, struct slice element)
{
    static const struct slice nothing = {NULL, 0};

    if (is_element(pattern))
        return element.len > 0 ? element : (struct slice){"", 0};
    if (!is_pattern(pattern))
        return nothing;
    size_t star = (size_t)((const char *)memchr(pattern.p, '*', pattern.len) - pattern.p), field = field_of(pattern, star);
    bool in_hash = field < pattern.len;
    const struct object *o = call_fetch(c, key_for(c, pattern, star, in_hash ? field - 2 : pattern.len, element));
    if (o == NULL || o->type != (in_hash ? OBJECT_HASH : OBJECT_STRING))
        return nothing;
    struct slice value = in_hash ? nothing : o->v.string;
    if (in_hash) {
        int64_t at = dict_find(o->v.hash, (struct slice){pattern.p + field, pattern.len - field});
        if (at < 0)
            return nothing;
        value = o->v.hash->entries[at].value;
    }
    return value.len > 0 ? value : (struct slice){"", 0};
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

/* Without a weight the score is 0. */
static bool score_all(struct call *c, struct items items)
{
    for (size_t i = 0; i < items.count; i++) {
        if (items.at[i].weight.p != NULL && !number_sortable(items.at[i].weight, &items.at[i].score)) {
            call_error(c, "ERR One or more scores can't be converted into double");
            return false;
        }
    }
    return true;
}

/* Scores decide. Among equals, which Redis orders only when scores are compared, the element. */
static int compare(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int order = (x->score > y->score) - (x->score < y->score);

    return order != 0 ? order : slice_compare(x->text, y->text);
}

static int compare_texts(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    bool both = x->weight.p != NULL && y->weight.p != NULL;
    int order = both ? slice_compare(x->weight, y->weight) : (x->weight.p != NULL) - (y->weight.p != NULL);

    return order != 0 ? order : slice_compare(x->text, y->text);
}

static int compare_texts_descending(const void *a, const void *b)
{
    return compare_texts(b, a);
}

static int compare_descending(const void *a, const void *b)
{
    return compare(b, a);
}

static bool sort(struct call *c, const struct plan *p, struct items items)
{
    int (*const orders[2][2])(const void *, const void *) = {{compare, compare_descending},
                                                             {compare_texts, compare_texts_descending}};

    if (p->unsorted)
        return true;
    for (size_t i = 0; i < items.count; i++)
        items.at[i].weight = found(c, p->by != NULL ? *p->by : (struct slice){"#", 1}, items.at[i].text);
    if (!p->alpha && !score_all(c, items))
        return false;
    if (items.count > 1)
        qsort(items.at, items.count, sizeof *items.at, orders[p->alpha][p->descending]);
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
            struct slice value = found(c, p->gets[g], items.at[i].text);
            if (value.p != NULL)
                call_bulk(c, value);
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
        for (size_t g = 0; g < p->ngets; g++) {
            struct slice value = found(c, p->gets[g], items.at[i].text);
            list_push(l, value.p != NULL ? value : (struct slice){"", 0}, false);
        }
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
        p.by = NULL;
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
