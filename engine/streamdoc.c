#include "engine/streamdoc.h"
#include "engine/dict.h"

#include <stddef.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))

/* ---- shapes ---- */

struct stream_shape {
    struct stream_id last, max_deleted;
    uint64_t added;
    bson_iter_t entries, groups;
};
static const struct record_field stream_fields[] = {
    {"last", offsetof(struct stream_shape, last), RECORD_ID},
    {"maxDel", offsetof(struct stream_shape, max_deleted), RECORD_ID},
    {"added", offsetof(struct stream_shape, added), RECORD_INT},
    {"entries", offsetof(struct stream_shape, entries), RECORD_ARRAY},
    {"groups", offsetof(struct stream_shape, groups), RECORD_ARRAY},
};

struct entry_shape {
    struct stream_id id;
    bson_iter_t pairs;
};
static const struct record_field entry_fields[] = {
    {"id", offsetof(struct entry_shape, id), RECORD_ID},
    {"f", offsetof(struct entry_shape, pairs), RECORD_ARRAY},
};

struct group_shape {
    struct slice name;
    struct stream_id last;
    int64_t read;
    bson_iter_t consumers, pending;
};
static const struct record_field group_fields[] = {
    {"name", offsetof(struct group_shape, name), RECORD_VALUE},
    {"last", offsetof(struct group_shape, last), RECORD_ID},
    {"read", offsetof(struct group_shape, read), RECORD_INT},
    {"consumers", offsetof(struct group_shape, consumers), RECORD_ARRAY},
    {"pending", offsetof(struct group_shape, pending), RECORD_ARRAY},
};

static const struct record_field consumer_fields[] = {
    {"name", offsetof(struct stream_consumer, name), RECORD_VALUE},
    {"seen", offsetof(struct stream_consumer, seen_ms), RECORD_DATE},
};

static const struct record_field pending_fields[] = {
    {"id", offsetof(struct stream_pending, id), RECORD_ID},
    {"c", offsetof(struct stream_pending, consumer), RECORD_POSITION},
    {"at", offsetof(struct stream_pending, delivered_ms), RECORD_DATE},
    {"n", offsetof(struct stream_pending, deliveries), RECORD_INT},
};

/* ---- reading ---- */

static size_t array_count(bson_iter_t it)
{
    size_t n = 0;

    while (bson_iter_next(&it))
        n++;
    return n;
}

static bool read_entry(struct record_reader *r, const bson_iter_t *it, struct stream_entry *ret)
{
    struct entry_shape shape;
    bool ok = true;

    if (!record_read(r, it, entry_fields, COUNT(entry_fields), &shape))
        return false;
    size_t n = array_count(shape.pairs);
    *ret = (struct stream_entry){.id = shape.id, .pairs = arena_get(r->a, n * sizeof *ret->pairs)};
    for (; record_next(r, &shape.pairs, &ok); ret->npairs++)
        if (!record_read_value(&shape.pairs, &ret->pairs[ret->npairs]))
            return record_bad(r, "an entry's field is neither text nor BinData");
    return ok && ((n > 0 && n % 2 == 0) || record_bad(r, "an entry has a field without value"));
}

static bool read_entries(struct record_reader *r, bson_iter_t *it, struct stream *s)
{
    struct stream_entry e;
    struct stream_id before = {0, 0};
    bool ok = true;

    while (record_next(r, it, &ok)) {
        if (!read_entry(r, it, &e))
            return false;
        if (stream_id_compare(before, e.id) >= 0 || stream_id_compare(e.id, s->last_id) > 0)
            return record_bad(r, "entries are not in order");
        stream_append(s, e);
        before = e.id;
    }
    return ok;
}

static bool read_consumers(struct record_reader *r, bson_iter_t *it, struct stream_group *g)
{
    struct dict *names;
    bool ok = true;

    g->consumers_cap = array_count(*it);
    g->consumers = arena_get(r->a, g->consumers_cap * sizeof *g->consumers);
    names = dict_new(r->a, g->consumers_cap);
    for (; record_next(r, it, &ok); g->nconsumers++) {
        struct stream_consumer *c = &g->consumers[g->nconsumers];
        if (!record_read(r, it, consumer_fields, COUNT(consumer_fields), c))
            return false;
        if (!dict_set(names, c->name, (struct slice){"", 0}))
            return record_bad(r, "a consumer stands twice");
    }
    return ok;
}

static bool read_pending(struct record_reader *r, bson_iter_t *it, struct stream_group *g)
{
    bool ok = true;

    g->pending_cap = array_count(*it);
    g->pending = arena_get(r->a, g->pending_cap * sizeof *g->pending);
    for (; record_next(r, it, &ok); g->npending++) {
        struct stream_pending *p = &g->pending[g->npending];
        if (!record_read(r, it, pending_fields, COUNT(pending_fields), p))
            return false;
        if (p->consumer >= g->nconsumers)
            return record_bad(r, "a pending entry is nobody's");
        if (g->npending > 0 && stream_id_compare(p[-1].id, p->id) >= 0)
            return record_bad(r, "pending entries are not in order");
    }
    return ok;
}

static bool read_groups(struct record_reader *r, bson_iter_t *it, struct stream *s)
{
    struct group_shape shape;
    bool ok = true;

    s->groups_cap = array_count(*it);
    s->groups = arena_get(r->a, s->groups_cap * sizeof *s->groups);
    while (record_next(r, it, &ok)) {
        struct stream_group *g = &s->groups[s->ngroups];
        if (!record_read(r, it, group_fields, COUNT(group_fields), &shape))
            return false;
        if (stream_group_find(s, shape.name) != NULL)
            return record_bad(r, "a group stands twice");
        s->ngroups++;
        *g = (struct stream_group){.name = shape.name, .last_id = shape.last, .entries_read = shape.read};
        if (!read_consumers(r, &shape.consumers, g) || !read_pending(r, &shape.pending, g))
            return false;
    }
    return ok;
}

bool streamdoc_read(struct record_reader *r, const bson_iter_t *it, struct stream **ret)
{
    struct stream *s = stream_new(r->a);
    struct stream_shape shape;

    *ret = s;
    if (!record_read(r, it, stream_fields, COUNT(stream_fields), &shape))
        return false;
    s->last_id = shape.last;
    s->max_deleted_id = shape.max_deleted;
    s->entries_added = shape.added;
    return read_entries(r, &shape.entries, s) && read_groups(r, &shape.groups, s);
}

/* ---- writing ---- */

static bool write_pairs(bson_t *entry, const struct stream_entry *e)
{
    struct record_index at;
    bson_t pairs;

    if (!bson_append_array_begin(entry, "f", -1, &pairs))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < e->npairs; i++)
        ok = record_write_value(&pairs, record_index(&at, i), e->pairs[i]);
    return bson_append_array_end(entry, &pairs) && ok;
}

static bool write_entry(bson_t *entries, size_t i, const struct stream_entry *e)
{
    struct entry_shape shape = {.id = e->id};
    struct record_index at;
    bson_t entry;

    if (!bson_append_document_begin(entries, record_index(&at, i), -1, &entry))
        return false;
    bool ok = record_write(&entry, entry_fields, COUNT(entry_fields), &shape) && write_pairs(&entry, e);
    return bson_append_document_end(entries, &entry) && ok;
}

static bool write_consumers(bson_t *group, const struct stream_group *g)
{
    bson_t items;

    if (!bson_append_array_begin(group, "consumers", -1, &items))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < g->nconsumers; i++)
        ok = record_write_item(&items, i, consumer_fields, COUNT(consumer_fields), &g->consumers[i]);
    return bson_append_array_end(group, &items) && ok;
}

static bool write_pending(bson_t *group, const struct stream_group *g)
{
    bson_t items;

    if (!bson_append_array_begin(group, "pending", -1, &items))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < g->npending; i++)
        ok = record_write_item(&items, i, pending_fields, COUNT(pending_fields), &g->pending[i]);
    return bson_append_array_end(group, &items) && ok;
}

static bool write_group(bson_t *groups, size_t i, const struct stream_group *g)
{
    struct group_shape shape = {.name = g->name, .last = g->last_id, .read = g->entries_read};
    struct record_index at;
    bson_t group;

    if (!bson_append_document_begin(groups, record_index(&at, i), -1, &group))
        return false;
    bool ok = record_write(&group, group_fields, COUNT(group_fields), &shape) && write_consumers(&group, g) &&
              write_pending(&group, g);
    return bson_append_document_end(groups, &group) && ok;
}

static bool write_entries(bson_t *v, const struct stream *s)
{
    bson_t items;

    if (!bson_append_array_begin(v, "entries", -1, &items))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < s->count; i++)
        ok = write_entry(&items, i, &s->entries[s->start + i]);
    return bson_append_array_end(v, &items) && ok;
}

static bool write_groups(bson_t *v, const struct stream *s)
{
    bson_t items;

    if (!bson_append_array_begin(v, "groups", -1, &items))
        return false;
    bool ok = true;
    for (size_t i = 0; ok && i < s->ngroups; i++)
        ok = write_group(&items, i, &s->groups[i]);
    return bson_append_array_end(v, &items) && ok;
}

bool streamdoc_write(bson_t *doc, const char *name, const struct stream *s)
{
    struct stream_shape shape = {
        .last = s->last_id, .max_deleted = s->max_deleted_id, .added = s->entries_added};
    bson_t v;

    if (!bson_append_document_begin(doc, name, -1, &v))
        return false;
    bool ok = record_write(&v, stream_fields, COUNT(stream_fields), &shape) && write_entries(&v, s) &&
              write_groups(&v, s);
    return bson_append_document_end(doc, &v) && ok;
}
