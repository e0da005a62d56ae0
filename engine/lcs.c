#include "engine/bytes.h"
#include "engine/internal.h"

#include <string.h>

struct options {
    bool len, idx, with_len;
    int64_t min_len;
};

/* A stretch of bytes that both strings have, in a from a_at and in b from b_at on. */
struct match {
    size_t a_at, b_at, len;
};

struct matches {
    struct match *items;
    size_t count, cap;
};

/* What is known about two strings once their table was computed. */
struct table {
    struct slice a, b;
    uint8_t
        *up; /* a bit a cell: the way to the longest subsequence leads to the shorter a; NULL: not wanted */
    uint32_t best; /* its length */
};

static bool read_options(struct call *c, struct options *ret)
{
    *ret = (struct options){.min_len = 0};
    for (size_t i = 3; i < c->argc; i++) {
        if (call_is(c, i, "IDX")) {
            ret->idx = true;
        } else if (call_is(c, i, "LEN")) {
            ret->len = true;
        } else if (call_is(c, i, "WITHMATCHLEN")) {
            ret->with_len = true;
        } else if (call_is(c, i, "MINMATCHLEN") && i + 1 < c->argc) {
            if (!call_int_arg(c, ++i, &ret->min_len))
                return false;
        } else {
            call_syntax_error(c);
            return false;
        }
    }
    if (ret->idx && ret->len)
        call_error(c, "ERR If you want both the length and indexes, please just use IDX.");
    return !c->failed;
}

/* Redis keeps 4 bytes a cell and refuses when that is too much; we need less, but refuse the same strings. */
static bool is_allowed(struct call *c, size_t a_len, size_t b_len)
{
    if ((uint64_t)(a_len + 1) * (b_len + 1) <= BYTES_MAX / sizeof(uint32_t))
        return true;
    call_error(c, "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
    return false;
}

/* Fills t->up row by row of a; of the lengths only the current row is kept. */
static void compute(struct call *c, struct table *t, bool want_way)
{
    size_t cell = 0;

    if (t->a.len == 0 || t->b.len == 0)
        return;
    uint32_t *row = arena_get(c->arena, (t->b.len + 1) * sizeof *row);
    t->up = want_way ? arena_get(c->arena, t->a.len * t->b.len / 8 + 1) : NULL;
    for (size_t i = 0; i < t->a.len; i++) {
        uint32_t diagonal = 0;
        for (size_t j = 0; j < t->b.len; j++, cell++) {
            uint32_t above = row[j + 1], left = row[j];
            if (t->a.p[i] == t->b.p[j])
                row[j + 1] = diagonal + 1;
            else if (above <= left)
                row[j + 1] = left;
            else if (want_way)
                t->up[cell / 8] |= (uint8_t)(1u << cell % 8);
            diagonal = above;
        }
    }
    t->best = row[t->b.len];
}

static bool goes_up(const struct table *t, size_t i, size_t j)
{
    size_t cell = i * t->b.len + j;

    return (t->up[cell / 8] >> cell % 8 & 1) != 0;
}

static void matches_add(struct call *c, struct matches *m, struct match one)
{
    if (m->count == m->cap) {
        size_t cap = m->cap == 0 ? 16 : m->cap * 2;
        m->items = arena_grow(c->arena, m->items, m->cap * sizeof *m->items, cap * sizeof *m->items);
        m->cap = cap;
    }
    m->items[m->count++] = one;
}

/* The stretches of the subsequence, the last one first. */
static struct matches walk_back(struct call *c, const struct table *t)
{
    struct matches m = {NULL, 0, 0};
    size_t i = t->a.len, j = t->b.len;

    while (i > 0 && j > 0) {
        size_t n = 0;
        while (n < i && n < j && t->a.p[i - n - 1] == t->b.p[j - n - 1])
            n++;
        if (n > 0) {
            i -= n;
            j -= n;
            matches_add(c, &m, (struct match){i, j, n});
        } else if (goes_up(t, i - 1, j - 1)) {
            i--;
        } else {
            j--;
        }
    }
    return m;
}

static void answer_range(struct call *c, size_t at, size_t len)
{
    build_array(c->out, 2);
    call_int(c, (int64_t)at);
    call_int(c, (int64_t)(at + len - 1));
}

static void answer_matches(struct call *c, const struct table *t, struct matches m, struct options o)
{
    size_t shown = 0;

    for (size_t i = 0; i < m.count; i++)
        shown += (int64_t)m.items[i].len >= o.min_len;
    build_map(c->out, c->resp, 2);
    build_text(c->out, "matches");
    build_array(c->out, shown);
    for (size_t i = 0; i < m.count; i++) {
        struct match one = m.items[i];
        if ((int64_t)one.len < o.min_len)
            continue;
        build_array(c->out, o.with_len ? 3 : 2);
        answer_range(c, one.a_at, one.len);
        answer_range(c, one.b_at, one.len);
        if (o.with_len)
            call_int(c, (int64_t)one.len);
    }
    build_text(c->out, "len");
    call_int(c, t->best);
}

static void answer_text(struct call *c, const struct table *t, struct matches m)
{
    char *text = arena_get(c->arena, t->best);
    size_t n = 0;

    for (size_t i = m.count; i-- > 0; n += m.items[i].len)
        memcpy(text + n, t->a.p + m.items[i].a_at, m.items[i].len);
    call_bulk(c, (struct slice){text, n});
}

static struct slice text_of(const struct object *o)
{
    return o == NULL ? (struct slice){"", 0} : o->v.string;
}

void lcs_lcs(struct call *c)
{
    struct object *a = call_lookup(c, c->argv[1]), *b = call_lookup(c, c->argv[2]);
    struct options o;

    if ((a != NULL && a->type != OBJECT_STRING) || (b != NULL && b->type != OBJECT_STRING)) {
        call_error(c, "ERR The specified keys must contain string values");
        return;
    }
    struct table t = {text_of(a), text_of(b), NULL, 0};
    if (!read_options(c, &o) || !is_allowed(c, t.a.len, t.b.len))
        return;
    compute(c, &t, !o.len);
    if (o.len)
        call_int(c, t.best);
    else if (o.idx)
        answer_matches(c, &t, walk_back(c, &t), o);
    else
        answer_text(c, &t, walk_back(c, &t));
}
