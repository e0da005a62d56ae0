#include "engine/dict.h"
#include "engine/geo.h"
#include "engine/internal.h"
#include "engine/zsets.h"

#include <stdlib.h>

/* Places: GEOSEARCH and the older GEORADIUS commands, which ask the same in other words. */

enum kind { RADIUS, BY_MEMBER, SEARCH, SEARCH_STORE };

struct query {
    enum kind kind;
    bool read_only;
    const struct object *o; /* NULL: no such key */
    struct geohash_shape shape;
    double metres; /* of the unit */
    bool coord, dist, hash, any, store_dist;
    bool from_member, from_point, by_radius, by_box;
    int order;     /* 1 nearest first, -1 farthest first */
    int64_t count; /* 0: all */
    const struct slice *store;
};

struct found {
    struct zset_row row;
    struct geohash_point point;
    double distance;
};

struct founds {
    struct found *at;
    size_t count, cap;
};

/* ---- arguments ---- */

static bool member_arg(struct call *c, size_t arg, struct query *q)
{
    if (q->o == NULL || geo_member(q->o, c->argv[arg], &q->shape.center))
        return true;
    call_error(c, "ERR could not decode requested zset member");
    return false;
}

static bool radius_args(struct call *c, size_t arg, struct query *q)
{
    double radius;

    if (!call_double_arg(c, arg, &radius, "ERR need numeric radius"))
        return false;
    if (radius < 0) {
        call_error(c, "ERR radius cannot be negative");
        return false;
    }
    if (!geo_unit_arg(c, arg + 1, &q->metres))
        return false;
    q->shape.box = false;
    q->shape.radius = radius * q->metres;
    return true;
}

static bool box_args(struct call *c, size_t arg, struct query *q)
{
    double width, height;

    if (!call_double_arg(c, arg, &width, "ERR need numeric width") ||
        !call_double_arg(c, arg + 1, &height, "ERR need numeric height"))
        return false;
    if (width < 0 || height < 0) {
        call_error(c, "ERR height or width cannot be negative");
        return false;
    }
    if (!geo_unit_arg(c, arg + 2, &q->metres))
        return false;
    q->shape.box = true;
    q->shape.width = width * q->metres;
    q->shape.height = height * q->metres;
    return true;
}

static bool count_arg(struct call *c, size_t arg, struct query *q)
{
    if (!call_int_arg(c, arg, &q->count))
        return false;
    if (q->count <= 0)
        call_error(c, "ERR COUNT must be > 0");
    return q->count > 0;
}

static bool flag_option(struct call *c, size_t arg, struct query *q)
{
    const struct {
        const char *word;
        bool *flag;
    } flags[] = {{"withdist", &q->dist}, {"withhash", &q->hash}, {"withcoord", &q->coord}, {"any", &q->any}};

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (call_is(c, arg, flags[i].word)) {
            *flags[i].flag = true;
            return true;
        }
    if (!call_is(c, arg, "asc") && !call_is(c, arg, "desc"))
        return false;
    q->order = call_is(c, arg, "asc") ? 1 : -1;
    return true;
}

/* Where GEOSEARCH searches; *ret_taken arguments behind the word, 0: it is none of these. */
static bool search_option(struct call *c, size_t arg, size_t left, struct query *q, size_t *ret_taken)
{
    if (left >= 1 && !q->from_point && call_is(c, arg, "frommember")) {
        *ret_taken = 1;
        q->from_member = true;
        return member_arg(c, arg + 1, q);
    }
    if (left >= 2 && !q->from_member && call_is(c, arg, "fromlonlat")) {
        *ret_taken = 2;
        q->from_point = true;
        return geo_point_arg(c, arg + 1, &q->shape.center);
    }
    if (left >= 2 && !q->by_box && call_is(c, arg, "byradius")) {
        *ret_taken = 2;
        q->by_radius = true;
        return radius_args(c, arg + 1, q);
    }
    if (left >= 3 && !q->by_radius && call_is(c, arg, "bybox")) {
        *ret_taken = 3;
        q->by_box = true;
        return box_args(c, arg + 1, q);
    }
    return true;
}

/* Where GEORADIUS stores. */
static bool store_option(struct call *c, size_t arg, size_t left, struct query *q)
{
    bool dist = call_is(c, arg, "storedist");

    if (q->read_only || left == 0 || (!dist && !call_is(c, arg, "store")))
        return false;
    q->store = &c->argv[arg + 1];
    q->store_dist = dist;
    return true;
}

static bool option(struct call *c, size_t *arg, struct query *q)
{
    bool search = q->kind == SEARCH || q->kind == SEARCH_STORE;
    size_t at = *arg, left = c->argc - at - 1, taken = 0;

    if (flag_option(c, at, q))
        return true;
    if (left >= 1 && call_is(c, at, "count")) {
        *arg += 1;
        return count_arg(c, at + 1, q);
    }
    if (!search && store_option(c, at, left, q)) {
        *arg += 1;
        return true;
    }
    if (search && !search_option(c, at, left, q, &taken))
        return false;
    *arg += taken;
    if (taken > 0)
        return true;
    if (q->kind == SEARCH_STORE && call_is(c, at, "storedist")) {
        q->store_dist = true;
        return true;
    }
    call_syntax_error(c);
    return false;
}

static bool check(struct call *c, const struct query *q)
{
    bool search = q->kind == SEARCH || q->kind == SEARCH_STORE;
    int name = (int)c->argv[0].len;

    if (q->store != NULL && (q->dist || q->hash || q->coord))
        call_errorf(c, "ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                    q->kind == SEARCH_STORE ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
    else if (search && !q->from_member && !q->from_point)
        call_errorf(c, "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %.*s", name,
                    c->argv[0].p);
    else if (search && !q->by_radius && !q->by_box)
        call_errorf(c, "ERR exactly one of BYRADIUS and BYBOX can be specified for %.*s", name, c->argv[0].p);
    else if (q->any && q->count == 0)
        call_error(c, "ERR the ANY argument requires COUNT argument");
    else
        return true;
    return false;
}

/* The arguments in front of the options; *ret_arg: the first behind them. Without a key GEORADIUSBYMEMBER
 * doesn't look at its own. */
static bool fixed_args(struct call *c, struct query *q, size_t *ret_arg)
{
    switch (q->kind) {
    case RADIUS:
        *ret_arg = 6;
        return geo_point_arg(c, 2, &q->shape.center) && radius_args(c, 4, q);
    case BY_MEMBER:
        *ret_arg = 5;
        return q->o == NULL || (member_arg(c, 2, q) && radius_args(c, 3, q));
    case SEARCH:
        *ret_arg = 2;
        return true;
    case SEARCH_STORE:
        *ret_arg = 3;
        q->store = &c->argv[1];
        return true;
    }
    return false;
}

static bool read_query(struct call *c, struct query *q)
{
    bool wrong;
    size_t arg;

    q->metres = 1;
    q->o = call_lookup_typed(c, c->argv[q->kind == SEARCH_STORE ? 2 : 1], OBJECT_ZSET, &wrong);
    if (wrong || !fixed_args(c, q, &arg))
        return false;
    for (; arg < c->argc; arg++)
        if (!option(c, &arg, q))
            return false;
    if (q->count > 0 && q->order == 0 && !q->any)
        q->order = 1; /* the nearest ones */
    return check(c, q);
}

/* ---- searching ---- */

static void found_add(struct call *c, struct founds *f, struct found one)
{
    if (f->count == f->cap) {
        size_t cap = f->cap < 16 ? 16 : 2 * f->cap;
        f->at = arena_grow(c->arena, f->at, f->cap * sizeof *f->at, cap * sizeof *f->at);
        f->cap = cap;
    }
    f->at[f->count++] = one;
}

static size_t first_from(const struct zset *z, double score)
{
    size_t low = 0, high = z->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (z->rows[middle].score < score)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct founds search(struct call *c, const struct query *q)
{
    const struct zset *z = q->o->v.zset;
    struct geohash_scores cells[GEOHASH_NEARBY];
    unsigned n = geohash_cover(&q->shape, cells);
    size_t most = q->any ? (size_t)q->count : SIZE_MAX;
    struct founds f = {0};

    for (unsigned i = 0; i < n; i++)
        for (size_t at = first_from(z, cells[i].from);
             f.count < most && at < z->count && z->rows[at].score < cells[i].to; at++) {
            struct found one = {.row = z->rows[at], .point = geohash_decode(z->rows[at].score)};
            if (geohash_within(&q->shape, one.point, &one.distance))
                found_add(c, &f, one);
        }
    return f;
}

static int compare_near(const void *a, const void *b)
{
    double x = ((const struct found *)a)->distance, y = ((const struct found *)b)->distance;

    return (x > y) - (x < y);
}

static int compare_far(const void *a, const void *b)
{
    return compare_near(b, a);
}

static void answer(struct call *c, const struct query *q, const struct found *at, size_t n)
{
    size_t extras = (size_t)q->dist + q->hash + q->coord;

    build_array(c->out, n);
    for (size_t i = 0; i < n; i++) {
        if (extras > 0)
            build_array(c->out, 1 + extras);
        call_bulk(c, at[i].row.member);
        if (q->dist)
            geo_answer_distance(c, at[i].distance / q->metres);
        if (q->hash)
            call_int(c, (int64_t)at[i].row.score);
        if (q->coord)
            geo_answer_point(c, at[i].point);
    }
}

/* A coarse grid may find a place twice. */
static void store(struct call *c, const struct query *q, const struct found *at, size_t n)
{
    struct dict *known = dict_new(c->arena, n);
    struct zset_row *rows = arena_get(c->arena, n * sizeof *rows);
    size_t stored = 0;

    for (size_t i = 0; i < n; i++) {
        if (!dict_set(known, at[i].row.member, (struct slice){"", 0}))
            continue;
        rows[stored] = at[i].row;
        if (q->store_dist)
            rows[stored].score = at[i].distance / q->metres;
        stored++;
    }
    zsets_store(c, *q->store, rows, stored);
    call_int(c, (int64_t)n);
}

static void run(struct call *c, struct query q)
{
    struct founds f = {0};

    if (!read_query(c, &q))
        return;
    if (q.o != NULL)
        f = search(c, &q);
    if (q.order != 0 && f.count > 1)
        qsort(f.at, f.count, sizeof *f.at, q.order > 0 ? compare_near : compare_far);
    size_t n = q.count > 0 && (uint64_t)q.count < f.count ? (size_t)q.count : f.count;
    if (q.store != NULL)
        store(c, &q, f.at, n);
    else
        answer(c, &q, f.at, n);
}

void geo_geosearch(struct call *c)
{
    run(c, (struct query){.kind = SEARCH});
}

void geo_geosearchstore(struct call *c)
{
    run(c, (struct query){.kind = SEARCH_STORE});
}

void geo_georadius(struct call *c)
{
    run(c, (struct query){.kind = RADIUS});
}

void geo_georadius_ro(struct call *c)
{
    run(c, (struct query){.kind = RADIUS, .read_only = true});
}

void geo_georadiusbymember(struct call *c)
{
    run(c, (struct query){.kind = BY_MEMBER});
}

void geo_georadiusbymember_ro(struct call *c)
{
    run(c, (struct query){.kind = BY_MEMBER, .read_only = true});
}
