#include "sync/digest.h"

#include "engine/dict.h"
#include "engine/list.h"
#include "engine/stream.h"
#include "engine/zset.h"

#include <stddef.h>

static uint64_t of_bytes(struct slice s, uint64_t h)
{
    return dict_hash(s, h);
}

static uint64_t of_number(uint64_t n, uint64_t h)
{
    return dict_hash((struct slice){(const char *)&n, sizeof n}, h);
}

static uint64_t of_list(const struct list *l, uint64_t h)
{
    for (size_t i = 0; i < l->count; i++)
        h = of_bytes(*list_at(l, i), h);
    return h;
}

/* A sum, since Redis keeps no order of them. */
static uint64_t of_dict(const struct dict *d, uint64_t h)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < d->count; i++)
        sum += of_bytes(d->entries[i].value, of_bytes(d->entries[i].name, h));
    return of_number(sum, h);
}

static uint64_t of_zset(const struct zset *z, uint64_t h)
{
    for (size_t i = 0; i < z->count; i++) {
        double score = z->rows[i].score + 0.0; /* -0 is 0 */
        h = of_bytes(z->rows[i].member, h);
        h = of_bytes((struct slice){(const char *)&score, sizeof score}, h);
    }
    return h;
}

static uint64_t of_id(struct stream_id id, uint64_t h)
{
    return of_number(id.seq, of_number(id.ms, h));
}

static uint64_t of_group(const struct stream_group *g, uint64_t h)
{
    h = of_id(g->last_id, of_bytes(g->name, h));
    for (size_t i = 0; i < g->npending; i++) {
        h = of_id(g->pending[i].id, h);
        h = of_bytes(g->consumers[g->pending[i].consumer].name, h);
    }
    return h;
}

static uint64_t of_stream(const struct stream *s, uint64_t h)
{
    h = of_id(s->last_id, of_number(s->count, h));
    for (size_t i = 0; i < s->count; i++) {
        const struct stream_entry *e = stream_at(s, i);
        h = of_number(e->npairs, of_id(e->id, h));
        for (uint32_t k = 0; k < e->npairs; k++)
            h = of_bytes(e->pairs[k], h);
    }
    for (size_t i = 0; i < s->ngroups; i++)
        h = of_group(&s->groups[i], h);
    return h;
}

uint64_t digest_object(const struct object *o)
{
    uint64_t h = of_number((uint64_t)o->expire_ms, o->type);

    switch ((enum object_type)o->type) {
    case OBJECT_NONE:
        return 0;
    case OBJECT_STRING:
        return of_bytes(o->v.string, h);
    case OBJECT_LIST:
        return of_list(o->v.list, h);
    case OBJECT_HASH:
        return of_dict(o->v.hash, h);
    case OBJECT_SET:
        return of_dict(o->v.set, h);
    case OBJECT_ZSET:
        return of_zset(o->v.zset, h);
    case OBJECT_STREAM:
        return of_stream(o->v.stream, h);
    }
    return 0;
}
