#include "engine/stream.h"
#include "engine/call.h"

#include <string.h>

#define FIRST_CAP 8

/* ---- ids ---- */

int stream_id_compare(struct stream_id a, struct stream_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return (a.seq > b.seq) - (a.seq < b.seq);
}

bool stream_id_next(struct stream_id *id)
{
    if (stream_id_compare(*id, STREAM_ID_MAX) == 0)
        return false;
    if (++id->seq == 0)
        id->ms++;
    return true;
}

bool stream_id_previous(struct stream_id *id)
{
    if (stream_id_compare(*id, STREAM_ID_NONE) == 0)
        return false;
    if (id->seq-- == 0)
        id->ms--;
    return true;
}

/* ---- entries ---- */

struct stream *stream_new(struct arena *a)
{
    struct stream *s = arena_get(a, sizeof *s);

    s->arena = a;
    return s;
}

/* Room for one item more in an array of n. */
static void *grown(struct arena *a, void *items, size_t n, size_t *cap, size_t size)
{
    if (n < *cap)
        return items;
    *cap = n < FIRST_CAP ? FIRST_CAP : n * 2;
    return arena_grow(a, items, n * size, *cap * size);
}

void stream_append(struct stream *s, struct stream_entry entry)
{
    s->entries = grown(s->arena, s->entries, s->start + s->count, &s->cap, sizeof *s->entries);
    s->entries[s->start + s->count++] = entry;
}

size_t stream_seek(const struct stream *s, struct stream_id id)
{
    size_t low = 0, high = s->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stream_id_compare(stream_at(s, middle)->id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct stream_id stream_first_id(const struct stream *s)
{
    return s->count > 0 ? stream_at(s, 0)->id : STREAM_ID_NONE;
}

static struct stream_entry *find(const struct stream *s, struct stream_id id)
{
    size_t at = stream_seek(s, id);

    return at < s->count && stream_id_compare(stream_at(s, at)->id, id) == 0 ? stream_at(s, at) : NULL;
}

const struct stream_entry *stream_find(const struct stream *s, struct stream_id id)
{
    return find(s, id);
}

void stream_drop(struct stream *s, size_t n)
{
    s->start += n;
    s->count -= n;
}

/* Entries are marked first, by npairs 0, and taken out in one go: the ids may be many. */
size_t stream_delete(struct stream *s, const struct stream_id *ids, size_t n)
{
    size_t deleted = 0, kept = 0;

    for (size_t i = 0; i < n; i++) {
        struct stream_entry *e = find(s, ids[i]);
        if (e == NULL || e->npairs == 0)
            continue;
        e->npairs = 0;
        deleted++;
        if (stream_id_compare(ids[i], s->max_deleted_id) > 0)
            s->max_deleted_id = ids[i];
    }
    if (deleted == 0)
        return 0;
    for (size_t i = 0; i < s->count; i++)
        if (stream_at(s, i)->npairs > 0)
            *stream_at(s, kept++) = *stream_at(s, i);
    s->count = kept;
    return deleted;
}

/* ---- groups ---- */

struct stream_group *stream_group_find(struct stream *s, struct slice name)
{
    for (size_t i = 0; i < s->ngroups; i++)
        if (slice_equal(s->groups[i].name, name))
            return &s->groups[i];
    return NULL;
}

struct stream_group *stream_group_add(struct stream *s, struct slice name)
{
    size_t at = 0;

    if (stream_group_find(s, name) != NULL)
        return NULL;
    s->groups = grown(s->arena, s->groups, s->ngroups, &s->groups_cap, sizeof *s->groups);
    while (at < s->ngroups && slice_compare(s->groups[at].name, name) < 0)
        at++;
    memmove(&s->groups[at + 1], &s->groups[at], (s->ngroups++ - at) * sizeof *s->groups);
    s->groups[at] = (struct stream_group){.name = name, .entries_read = -1};
    return &s->groups[at];
}

void stream_group_remove(struct stream *s, struct stream_group *g)
{
    size_t at = (size_t)(g - s->groups);

    memmove(g, g + 1, (--s->ngroups - at) * sizeof *g);
}

/* Whether an entry from this id on is known to have been deleted: counting across it would go wrong. */
static bool is_broken_from(const struct stream *s, struct stream_id id)
{
    if (s->count == 0 || stream_id_compare(s->max_deleted_id, STREAM_ID_NONE) == 0)
        return false;
    if (stream_id_compare(stream_first_id(s), s->max_deleted_id) > 0)
        return false;
    return stream_id_compare(id, s->max_deleted_id) <= 0;
}

int64_t stream_distance(const struct stream *s, struct stream_id id)
{
    int to_last = stream_id_compare(id, s->last_id);
    struct stream_id first = stream_first_id(s);

    if (s->entries_added == 0)
        return 0;
    if (to_last == 0 || (s->count == 0 && to_last < 0))
        return (int64_t)s->entries_added;
    if (to_last > 0)
        return -1;
    if (stream_id_compare(s->max_deleted_id, STREAM_ID_NONE) != 0 &&
        stream_id_compare(s->max_deleted_id, first) >= 0)
        return -1;
    int to_first = stream_id_compare(id, first);
    if (to_first > 0)
        return -1;
    return (int64_t)(s->entries_added - s->count + (to_first == 0));
}

void stream_group_advance(const struct stream *s, struct stream_group *g, struct stream_id id)
{
    if (g->entries_read != -1 && !is_broken_from(s, id))
        g->entries_read++;
    else if (s->entries_added != 0)
        g->entries_read = stream_distance(s, id);
    g->last_id = id;
}

int64_t stream_group_lag(const struct stream *s, const struct stream_group *g, bool *ret_known)
{
    int64_t read = g->entries_read;

    *ret_known = true;
    if (s->entries_added == 0)
        return 0;
    if (read == -1 || is_broken_from(s, g->last_id))
        read = stream_distance(s, g->last_id);
    *ret_known = read != -1;
    return *ret_known ? (int64_t)(s->entries_added - (uint64_t)read) : -1;
}

/* ---- consumers ---- */

int64_t stream_consumer_find(const struct stream_group *g, struct slice name)
{
    for (size_t i = 0; i < g->nconsumers; i++)
        if (slice_equal(g->consumers[i].name, name))
            return (int64_t)i;
    return -1;
}

uint32_t stream_consumer_add(struct stream *s, struct stream_group *g, struct slice name, int64_t now_ms)
{
    size_t at = 0;

    g->consumers = grown(s->arena, g->consumers, g->nconsumers, &g->consumers_cap, sizeof *g->consumers);
    while (at < g->nconsumers && slice_compare(g->consumers[at].name, name) < 0)
        at++;
    memmove(&g->consumers[at + 1], &g->consumers[at], (g->nconsumers++ - at) * sizeof *g->consumers);
    g->consumers[at] = (struct stream_consumer){name, now_ms};
    for (size_t i = 0; i < g->npending; i++)
        if (g->pending[i].consumer >= at && g->pending[i].consumer != STREAM_NOBODY)
            g->pending[i].consumer++;
    return (uint32_t)at;
}

size_t stream_consumer_remove(struct stream_group *g, uint32_t position)
{
    size_t before = g->npending;

    for (size_t i = 0; i < g->npending; i++) {
        struct stream_pending *p = &g->pending[i];
        if (p->consumer == position)
            p->consumer = STREAM_NOBODY;
        else if (p->consumer > position)
            p->consumer--;
    }
    stream_pending_sweep(g);
    memmove(&g->consumers[position], &g->consumers[position + 1],
            (--g->nconsumers - position) * sizeof *g->consumers);
    return before - g->npending;
}

/* ---- pending entries ---- */

size_t stream_pending_seek(const struct stream_group *g, struct stream_id id)
{
    size_t low = 0, high = g->npending;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (stream_id_compare(g->pending[middle].id, id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool is_pending_at(const struct stream_group *g, size_t at, struct stream_id id)
{
    return at < g->npending && stream_id_compare(g->pending[at].id, id) == 0;
}

struct stream_pending *stream_pending_find(struct stream_group *g, struct stream_id id)
{
    size_t at = stream_pending_seek(g, id);

    return is_pending_at(g, at, id) ? &g->pending[at] : NULL;
}

struct stream_pending *stream_pending_add(struct stream *s, struct stream_group *g, struct stream_id id)
{
    size_t at = stream_pending_seek(g, id);

    if (is_pending_at(g, at, id))
        return &g->pending[at];
    g->pending = grown(s->arena, g->pending, g->npending, &g->pending_cap, sizeof *g->pending);
    memmove(&g->pending[at + 1], &g->pending[at], (g->npending++ - at) * sizeof *g->pending);
    g->pending[at] = (struct stream_pending){.id = id, .consumer = STREAM_NOBODY};
    return &g->pending[at];
}

void stream_pending_sweep(struct stream_group *g)
{
    size_t kept = 0;

    for (size_t i = 0; i < g->npending; i++)
        if (g->pending[i].consumer != STREAM_NOBODY)
            g->pending[kept++] = g->pending[i];
    g->npending = kept;
}
