#include "sync/commands.h"

#include "base/decimal.h"
#include "base/few.h"
#include "engine/dict.h"
#include "engine/list.h"
#include "engine/number.h"
#include "engine/stream.h"
#include "engine/zset.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define PIECE    500 /* elements of one command: Redis is not held up for long, and parses no huge array */
#define FEW      64
#define TEXT     48 /* of a score or an id */
#define FRAME    16 /* around an argument, about */
#define WORD(w)  ((struct slice){w, sizeof(w) - 1})
#define NO_GROUP WORD("cvp")

/* A command that grows. */
struct maker {
    struct link *l;
    struct slice key;
    struct slice *argv, few_argv[FEW];
    size_t argc, cap, head; /* head: arguments that each piece begins with */
    char texts[PIECE][TEXT];
    size_t ntexts;
};

static void add(struct maker *m, struct slice word)
{
    m->argv = few_grow(m->argv, &m->cap, m->argc + 1, sizeof *m->argv, m->few_argv);
    m->argv[m->argc++] = word;
}

static void begin(struct maker *m, struct slice verb)
{
    m->argc = m->ntexts = 0;
    add(m, verb);
    add(m, m->key);
    m->head = m->argc;
}

static void end(struct maker *m)
{
    if (m->argc > 0)
        link_put(m->l, m->argv, m->argc);
    m->argc = 0;
}

/* After each element: full pieces are put, and what is left in the end. */
static void piece(struct maker *m, size_t at, size_t count)
{
    if ((at + 1) % PIECE != 0 && at + 1 != count)
        return;
    link_put(m->l, m->argv, m->argc);
    m->argc = m->head;
    m->ntexts = 0;
}

static void add_text(struct maker *m, const char *text, size_t n)
{
    char *to = m->texts[m->ntexts++];

    memcpy(to, text, n);
    add(m, (struct slice){to, n});
}

static void add_int(struct maker *m, int64_t value)
{
    char text[DECIMAL_MAX];

    add_text(m, text, decimal_print(text, value));
}

static void add_score(struct maker *m, double score)
{
    char text[NUMBER_TEXT];

    add_text(m, text, number_print_double(text, score));
}

static void add_id(struct maker *m, struct stream_id id)
{
    char text[TEXT];

    add_text(m, text, (size_t)snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, id.ms, id.seq));
}

/* ---- all types but streams ---- */

static void make_string(struct maker *m, struct slice value)
{
    begin(m, WORD("SET"));
    add(m, value);
    end(m);
}

static void make_list(struct maker *m, const struct list *list)
{
    begin(m, WORD("RPUSH"));
    for (size_t i = 0; i < list->count; i++) {
        add(m, *list_at(list, i));
        piece(m, i, list->count);
    }
}

static void make_hash(struct maker *m, const struct dict *d)
{
    begin(m, WORD("HSET"));
    for (size_t i = 0; i < d->count; i++) {
        add(m, d->entries[i].name);
        add(m, d->entries[i].value);
        piece(m, i, d->count);
    }
}

static void make_set(struct maker *m, const struct dict *d)
{
    begin(m, WORD("SADD"));
    for (size_t i = 0; i < d->count; i++) {
        add(m, d->entries[i].name);
        piece(m, i, d->count);
    }
}

static bool is_minus_zero(double score)
{
    return score == 0 && signbit(score);
}

/* -0 comes last: the small form that a sorted set begins in would make it 0. */
static void make_zset(struct maker *m, const struct zset *z)
{
    size_t n = 0;

    begin(m, WORD("ZADD"));
    for (int last = 0; last <= 1; last++)
        for (size_t i = 0; i < z->count; i++) {
            if (is_minus_zero(z->rows[i].score) != last)
                continue;
            add_score(m, z->rows[i].score);
            add(m, z->rows[i].member);
            piece(m, n++, z->count);
        }
}

/* ---- streams ---- */

/* Pending entries that the stream no longer has. XCLAIM would not take them, so they are put in for as long as it needs. */
struct ghosts {
    struct stream_id *ids; /* sorted, unique */
    size_t count;
};

static int by_id(const void *a, const void *b)
{
    return stream_id_compare(*(const struct stream_id *)a, *(const struct stream_id *)b);
}

static struct ghosts ghosts_of(const struct stream *s)
{
    struct ghosts g = {0};
    size_t most = 1, unique = 0;

    for (size_t i = 0; i < s->ngroups; i++)
        most += s->groups[i].npending;
    g.ids = malloc(most * sizeof *g.ids);
    if (g.ids == NULL)
        abort();
    for (size_t i = 0; i < s->ngroups; i++)
        for (size_t j = 0; j < s->groups[i].npending; j++)
            if (stream_find(s, s->groups[i].pending[j].id) == NULL)
                g.ids[g.count++] = s->groups[i].pending[j].id;
    qsort(g.ids, g.count, sizeof *g.ids, by_id);
    for (size_t i = 0; i < g.count; i++)
        if (i == 0 || stream_id_compare(g.ids[i], g.ids[unique - 1]) != 0)
            g.ids[unique++] = g.ids[i];
    g.count = unique;
    return g;
}

static void add_entry(struct maker *m, struct stream_id id, const struct slice *pairs, size_t npairs)
{
    begin(m, WORD("XADD"));
    add_id(m, id);
    for (size_t i = 0; i < npairs; i++)
        add(m, pairs[i]);
    end(m);
}

static void make_entries(struct maker *m, const struct stream *s, const struct ghosts *g)
{
    static const struct slice nothing[] = {{"", 0}, {"", 0}};
    size_t at = 0, ghost = 0;

    while (at < s->count || ghost < g->count) {
        const struct stream_entry *e = at < s->count ? stream_at(s, at) : NULL;
        if (e == NULL || (ghost < g->count && stream_id_compare(g->ids[ghost], e->id) < 0)) {
            add_entry(m, g->ids[ghost++], nothing, 2);
        } else {
            add_entry(m, e->id, e->pairs, e->npairs);
            at++;
        }
    }
}

/* Trimmed ones go by a trim, which unlike XDEL leaves no trace in max-deleted-entry-id. */
static void drop_ghosts(struct maker *m, const struct stream *s, const struct ghosts *g)
{
    struct stream_id first = s->count > 0 ? stream_first_id(s) : STREAM_ID_MAX;
    size_t trimmed = 0;

    while (trimmed < g->count && stream_id_compare(g->ids[trimmed], first) < 0)
        trimmed++;
    if (trimmed > 0) {
        begin(m, WORD("XTRIM"));
        add(m, WORD("MINID"));
        add_id(m, first);
        end(m);
    }
    for (size_t i = trimmed; i < g->count; i++) {
        begin(m, WORD("XDEL"));
        add_id(m, g->ids[i]);
        end(m);
    }
}

static void group_command(struct maker *m, struct slice what, struct slice group)
{
    m->argc = m->ntexts = 0;
    add(m, WORD("XGROUP"));
    add(m, what);
    add(m, m->key);
    add(m, group);
}

static bool same_delivery(const struct stream_pending *a, const struct stream_pending *b)
{
    return a->consumer == b->consumer && a->delivered_ms == b->delivered_ms && a->deliveries == b->deliveries;
}

/* As many from `at` on as one XCLAIM can say. Returns where the next one begins. */
static size_t make_claim(struct maker *m, const struct stream_group *g, size_t at)
{
    const struct stream_pending *first = &g->pending[at];

    begin(m, WORD("XCLAIM"));
    add(m, g->name);
    add(m, g->consumers[first->consumer].name);
    add(m, WORD("0"));
    do
        add_id(m, g->pending[at++].id);
    while (at < g->npending && m->ntexts < PIECE - 2 && same_delivery(first, &g->pending[at]));
    add(m, WORD("TIME"));
    add_int(m, first->delivered_ms);
    add(m, WORD("RETRYCOUNT"));
    add_int(m, (int64_t)first->deliveries);
    add(m, WORD("FORCE"));
    add(m, WORD("JUSTID"));
    end(m);
    return at;
}

static void make_group(struct maker *m, const struct stream_group *g)
{
    group_command(m, WORD("CREATE"), g->name);
    add_id(m, g->last_id);
    add(m, WORD("MKSTREAM"));
    add(m, WORD("ENTRIESREAD"));
    add_int(m, g->entries_read);
    end(m);
    for (size_t i = 0; i < g->nconsumers; i++) {
        group_command(m, WORD("CREATECONSUMER"), g->name);
        add(m, g->consumers[i].name);
        end(m);
    }
    for (size_t i = 0; i < g->npending;)
        i = make_claim(m, g, i);
}

/* A stream that is empty and has no groups is what the removal of a group leaves. */
static void make_empty(struct maker *m)
{
    group_command(m, WORD("CREATE"), NO_GROUP);
    add(m, WORD("0"));
    add(m, WORD("MKSTREAM"));
    end(m);
    group_command(m, WORD("DESTROY"), NO_GROUP);
    end(m);
}

static void make_stream(struct maker *m, const struct stream *s)
{
    struct ghosts ghosts = ghosts_of(s);

    make_entries(m, s, &ghosts);
    for (size_t i = 0; i < s->ngroups; i++)
        make_group(m, &s->groups[i]);
    if (s->count + s->ngroups == 0)
        make_empty(m);
    drop_ghosts(m, s, &ghosts);
    free(ghosts.ids);
    begin(m, WORD("XSETID"));
    add_id(m, s->last_id);
    add(m, WORD("ENTRIESADDED"));
    add_int(m, (int64_t)s->entries_added);
    add(m, WORD("MAXDELETEDID"));
    add_id(m, s->max_deleted_id);
    end(m);
}

/* ---- which is which ---- */

static void make_value(struct maker *m, const struct object *o)
{
    switch ((enum object_type)o->type) {
    case OBJECT_NONE:
        return;
    case OBJECT_STRING:
        make_string(m, o->v.string);
        return;
    case OBJECT_LIST:
        make_list(m, o->v.list);
        return;
    case OBJECT_HASH:
        make_hash(m, o->v.hash);
        return;
    case OBJECT_SET:
        make_set(m, o->v.set);
        return;
    case OBJECT_ZSET:
        make_zset(m, o->v.zset);
        return;
    case OBJECT_STREAM:
        make_stream(m, o->v.stream);
    }
}

void commands_put(struct link *l, const struct object *o)
{
    struct maker m;

    m.l = l;
    m.key = o->key;
    m.argv = m.few_argv;
    m.cap = FEW;
    make_value(&m, o);
    if (o->type != OBJECT_NONE && o->expire_ms >= 0) {
        begin(&m, WORD("PEXPIREAT"));
        add_int(&m, o->expire_ms);
        end(&m);
    }
    if (m.argv != m.few_argv)
        free(m.argv);
}

/* ---- sizes ---- */

static size_t list_size(const struct list *list)
{
    size_t n = 0;

    for (size_t i = 0; i < list->count; i++)
        n += FRAME + list_at(list, i)->len;
    return n;
}

static size_t dict_size(const struct dict *d)
{
    size_t n = 0;

    for (size_t i = 0; i < d->count; i++)
        n += 2 * FRAME + d->entries[i].name.len + d->entries[i].value.len;
    return n;
}

static size_t zset_size(const struct zset *z)
{
    size_t n = 0;

    for (size_t i = 0; i < z->count; i++)
        n += 3 * FRAME + z->rows[i].member.len;
    return n;
}

static size_t stream_size(const struct stream *s, size_t key)
{
    size_t n = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct stream_entry *e = stream_at(s, i);
        n += 4 * FRAME + key;
        for (size_t j = 0; j < e->npairs; j++)
            n += FRAME + e->pairs[j].len;
    }
    for (size_t i = 0; i < s->ngroups; i++)
        n += s->groups[i].nconsumers * (8 * FRAME + key) + s->groups[i].npending * 8 * FRAME;
    return n;
}

size_t commands_size(const struct object *o)
{
    switch ((enum object_type)o->type) {
    case OBJECT_NONE:
        return 0;
    case OBJECT_STRING:
        return o->v.string.len;
    case OBJECT_LIST:
        return list_size(o->v.list);
    case OBJECT_HASH:
    case OBJECT_SET:
        return dict_size(o->v.hash);
    case OBJECT_ZSET:
        return zset_size(o->v.zset);
    case OBJECT_STREAM:
        return stream_size(o->v.stream, o->key.len);
    }
    return 0;
}
