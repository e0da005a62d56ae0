#include "engine/object.h"
#include "engine/arena.h"
#include "engine/dict.h"
#include "engine/list.h"
#include "engine/stream.h"
#include "engine/zset.h"

#include <string.h>

static const char *const type_names[] = {
    [OBJECT_NONE] = "none", [OBJECT_STRING] = "string", [OBJECT_LIST] = "list",     [OBJECT_HASH] = "hash",
    [OBJECT_SET] = "set",   [OBJECT_ZSET] = "zset",     [OBJECT_STREAM] = "stream",
};

static const char *const encoding_names[ENC_COUNT] = {
    [ENC_RAW] = "raw",           [ENC_EMBSTR] = "embstr",
    [ENC_INT] = "int",           [ENC_QUICKLIST] = "quicklist",
    [ENC_LISTPACK] = "listpack", [ENC_HASHTABLE] = "hashtable",
    [ENC_INTSET] = "intset",     [ENC_SKIPLIST] = "skiplist",
    [ENC_STREAM] = "stream",
};

const char *object_type_name(enum object_type t)
{
    return type_names[t];
}

const char *object_encoding_name(enum object_encoding e)
{
    return encoding_names[e];
}

static void *twin(struct arena *a, const void *p, size_t n)
{
    void *copy = arena_get(a, n);

    if (n > 0)
        memcpy(copy, p, n);
    return copy;
}

static struct list *own_list(const struct list *from, struct arena *a)
{
    struct list *l = list_new(a, from->count);

    for (size_t i = 0; i < from->count; i++)
        list_push(l, *list_at(from, i), false);
    return l;
}

static struct dict *own_dict(const struct dict *from, struct arena *a)
{
    struct dict *d = dict_new(a, from->count);

    for (size_t i = 0; i < from->count; i++)
        dict_append(d, from->entries[i].name, from->entries[i].value);
    return d;
}

static struct zset *own_zset(const struct zset *from, struct arena *a)
{
    struct zset *z = zset_new(a, from->count);

    for (size_t i = 0; i < from->count; i++)
        zset_append(z, from->rows[i].member, from->rows[i].score);
    return z;
}

static struct stream *own_stream(const struct stream *from, struct arena *a)
{
    struct stream *s = twin(a, from, sizeof *s);

    s->arena = a;
    s->entries = twin(a, from->entries + from->start, from->count * sizeof *s->entries);
    s->start = 0;
    s->cap = s->count;
    s->groups = twin(a, from->groups, from->ngroups * sizeof *s->groups);
    s->groups_cap = s->ngroups;
    for (struct stream_group *g = s->groups; g < s->groups + s->ngroups; g++) {
        g->consumers = twin(a, g->consumers, g->nconsumers * sizeof *g->consumers);
        g->consumers_cap = g->nconsumers;
        g->pending = twin(a, g->pending, g->npending * sizeof *g->pending);
        g->pending_cap = g->npending;
    }
    return s;
}

int64_t object_count(const struct object *o)
{
    switch ((enum object_type)o->type) {
    case OBJECT_NONE:
        return 0;
    case OBJECT_STRING:
        return 1;
    case OBJECT_LIST:
        return (int64_t)o->v.list->count;
    case OBJECT_HASH:
        return (int64_t)o->v.hash->count;
    case OBJECT_SET:
        return (int64_t)o->v.set->count;
    case OBJECT_ZSET:
        return (int64_t)o->v.zset->count;
    case OBJECT_STREAM:
        return (int64_t)o->v.stream->count;
    }
    return 0;
}

void object_own(struct object *o, struct arena *a)
{
    switch ((enum object_type)o->type) {
    case OBJECT_NONE:
        break;
    case OBJECT_STRING:
        o->v.string = arena_copy(a, o->v.string);
        break;
    case OBJECT_LIST:
        o->v.list = own_list(o->v.list, a);
        break;
    case OBJECT_HASH:
        o->v.hash = own_dict(o->v.hash, a);
        break;
    case OBJECT_SET:
        o->v.set = own_dict(o->v.set, a);
        break;
    case OBJECT_ZSET:
        o->v.zset = own_zset(o->v.zset, a);
        break;
    case OBJECT_STREAM:
        o->v.stream = own_stream(o->v.stream, a);
        break;
    }
}
