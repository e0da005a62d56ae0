#include "sync/reply.h"

#include "engine/dict.h"
#include "engine/list.h"
#include "engine/number.h"
#include "engine/stream.h"
#include "engine/streamargs.h"
#include "engine/zset.h"

#include <hiredis/hiredis.h>

#define COUNT(table) (sizeof(table) / sizeof *(table))
#define WORDS        8

/* ---- simple replies ---- */

bool reply_is_text(const struct redisReply *r)
{
    return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS;
}

bool reply_is_array(const struct redisReply *r)
{
    return r->type == REDIS_REPLY_ARRAY;
}

struct slice reply_slice(const struct redisReply *r)
{
    return (struct slice){r->str, (size_t)r->len};
}

bool reply_int(const struct redisReply *r, int64_t *ret)
{
    *ret = r->integer;
    return r->type == REDIS_REPLY_INTEGER || (reply_is_text(r) && number_int(reply_slice(r), ret));
}

bool reply_type(const struct redisReply *r, enum object_type *ret)
{
    for (unsigned t = OBJECT_NONE; reply_is_text(r) && t <= OBJECT_STREAM; t++)
        if (slice_is(reply_slice(r), object_type_name(t))) {
            *ret = t;
            return true;
        }
    return false;
}

/* The last row of a type takes every word. */
static const struct {
    enum object_type type;
    const char *word;
    enum object_encoding encoding;
} encodings[] = {
    {OBJECT_STRING, "int", ENC_INT},
    {OBJECT_STRING, "embstr", ENC_EMBSTR},
    {OBJECT_STRING, NULL, ENC_RAW},
    {OBJECT_LIST, NULL, ENC_QUICKLIST},
    {OBJECT_HASH, "hashtable", ENC_HASHTABLE},
    {OBJECT_HASH, NULL, ENC_LISTPACK},
    {OBJECT_SET, "intset", ENC_INTSET},
    {OBJECT_SET, NULL, ENC_HASHTABLE},
    {OBJECT_ZSET, "skiplist", ENC_SKIPLIST},
    {OBJECT_ZSET, NULL, ENC_LISTPACK},
    {OBJECT_STREAM, NULL, ENC_STREAM},
};

bool reply_encoding(const struct redisReply *r, struct object *o)
{
    for (size_t i = 0; reply_is_text(r) && i < COUNT(encodings); i++)
        if (encodings[i].type == o->type &&
            (encodings[i].word == NULL || slice_is(reply_slice(r), encodings[i].word))) {
            o->encoding = encodings[i].encoding;
            return true;
        }
    return false;
}

/* ---- all types but streams ---- */

static bool read_string(const redisReply *r, struct arena *a, struct object *o)
{
    if (!reply_is_text(r))
        return false;
    o->v.string = arena_copy(a, reply_slice(r));
    return true;
}

/* A reply of at least one element, all of them texts, their number a multiple of step. */
static bool is_texts(const redisReply *r, size_t step)
{
    if (!reply_is_array(r) || r->elements == 0 || r->elements % step != 0)
        return false;
    for (size_t i = 0; i < r->elements; i++)
        if (!reply_is_text(r->element[i]))
            return false;
    return true;
}

static struct slice element(const redisReply *r, struct arena *a, size_t i)
{
    return arena_copy(a, reply_slice(r->element[i]));
}

static bool read_list(const redisReply *r, struct arena *a, struct object *o)
{
    if (!is_texts(r, 1))
        return false;
    o->v.list = list_new(a, r->elements);
    for (size_t i = 0; i < r->elements; i++)
        list_push(o->v.list, element(r, a, i), false);
    return true;
}

static bool read_hash(const redisReply *r, struct arena *a, struct object *o)
{
    if (!is_texts(r, 2))
        return false;
    o->v.hash = dict_new(a, r->elements / 2);
    for (size_t i = 0; i < r->elements; i += 2)
        dict_append(o->v.hash, element(r, a, i), element(r, a, i + 1));
    return true;
}

static bool read_set(const redisReply *r, struct arena *a, struct object *o)
{
    if (!is_texts(r, 1))
        return false;
    o->v.set = dict_new(a, r->elements);
    for (size_t i = 0; i < r->elements; i++)
        dict_append(o->v.set, element(r, a, i), (struct slice){"", 0});
    return true;
}

static bool read_zset(const redisReply *r, struct arena *a, struct object *o)
{
    double score;

    if (!is_texts(r, 2))
        return false;
    o->v.zset = zset_new(a, r->elements / 2);
    for (size_t i = 0; i < r->elements; i += 2) {
        if (!number_double(reply_slice(r->element[i + 1]), &score))
            return false;
        zset_append(o->v.zset, element(r, a, i), score);
    }
    return true;
}

/* ---- streams: XINFO STREAM FULL ---- */

/* The value behind a name in an array of names and values; NULL: there is none. */
static const redisReply *field(const redisReply *map, const char *name)
{
    for (size_t i = 0; reply_is_array(map) && i + 1 < map->elements; i += 2)
        if (reply_is_text(map->element[i]) && slice_is(reply_slice(map->element[i]), name))
            return map->element[i + 1];
    return NULL;
}

static bool int_field(const redisReply *map, const char *name, int64_t *ret)
{
    const redisReply *r = field(map, name);

    return r != NULL && reply_int(r, ret);
}

static const redisReply *array_field(const redisReply *map, const char *name)
{
    const redisReply *r = field(map, name);

    return r != NULL && reply_is_array(r) ? r : NULL;
}

static bool to_id(const redisReply *r, struct stream_id *ret)
{
    return r != NULL && reply_is_text(r) && stream_id_parse(reply_slice(r), 0, ret);
}

static bool text_field(const redisReply *map, const char *name, struct arena *a, struct slice *ret)
{
    const redisReply *r = field(map, name);

    if (r == NULL || !reply_is_text(r))
        return false;
    *ret = arena_copy(a, reply_slice(r));
    return true;
}

/* [id, [field, value …]] */
static bool read_entry(const redisReply *r, struct arena *a, struct stream *s)
{
    struct stream_entry e = {0};

    if (!reply_is_array(r) || r->elements != 2 || !to_id(r->element[0], &e.id) || !is_texts(r->element[1], 2))
        return false;
    e.npairs = (uint32_t)r->element[1]->elements;
    e.pairs = arena_get(a, e.npairs * sizeof *e.pairs);
    for (size_t i = 0; i < e.npairs; i++)
        e.pairs[i] = element(r->element[1], a, i);
    stream_append(s, e);
    return true;
}

static bool read_consumers(const redisReply *r, struct arena *a, struct stream *s, struct stream_group *g)
{
    const redisReply *consumers = array_field(r, "consumers");
    struct slice name;
    int64_t seen_ms;

    for (size_t i = 0; consumers != NULL && i < consumers->elements; i++) {
        if (!text_field(consumers->element[i], "name", a, &name) ||
            !int_field(consumers->element[i], "seen-time", &seen_ms))
            return false;
        stream_consumer_add(s, g, name, seen_ms);
    }
    return consumers != NULL;
}

/* [[id, consumer, time, deliveries] …] */
static bool read_pending(const redisReply *r, struct stream *s, struct stream_group *g)
{
    const redisReply *all = array_field(r, "pel");
    struct stream_id id;
    int64_t delivered_ms, deliveries, consumer;

    if (all == NULL) /* the name depends on the release */
        all = array_field(r, "pending");
    for (size_t i = 0; all != NULL && i < all->elements; i++) {
        const redisReply *p = all->element[i];
        if (!reply_is_array(p) || p->elements != 4 || !to_id(p->element[0], &id) ||
            !reply_is_text(p->element[1]) || !reply_int(p->element[2], &delivered_ms) ||
            !reply_int(p->element[3], &deliveries))
            return false;
        consumer = stream_consumer_find(g, reply_slice(p->element[1]));
        if (consumer < 0)
            return false;
        *stream_pending_add(s, g, id) = (struct stream_pending){.id = id,
                                                                .consumer = (uint32_t)consumer,
                                                                .delivered_ms = delivered_ms,
                                                                .deliveries = (uint64_t)deliveries};
    }
    return all != NULL;
}

static bool read_group(const redisReply *r, struct arena *a, struct stream *s)
{
    struct slice name;
    struct stream_id last;

    if (!text_field(r, "name", a, &name) || !to_id(field(r, "last-delivered-id"), &last))
        return false;
    struct stream_group *g = stream_group_add(s, name);
    if (g == NULL)
        return false;
    g->last_id = last;
    if (!int_field(r, "entries-read", &g->entries_read)) /* nil: not known */
        g->entries_read = -1;
    return read_consumers(r, a, s, g) && read_pending(r, s, g);
}

static bool read_stream(const redisReply *r, struct arena *a, struct object *o)
{
    const redisReply *entries = array_field(r, "entries"), *groups = array_field(r, "groups");
    struct stream *s = stream_new(a);
    int64_t added;

    o->v.stream = s;
    if (entries == NULL || groups == NULL || !to_id(field(r, "last-generated-id"), &s->last_id) ||
        !to_id(field(r, "max-deleted-entry-id"), &s->max_deleted_id) ||
        !int_field(r, "entries-added", &added))
        return false;
    s->entries_added = (uint64_t)added;
    for (size_t i = 0; i < entries->elements; i++)
        if (!read_entry(entries->element[i], a, s))
            return false;
    for (size_t i = 0; i < groups->elements; i++)
        if (!read_group(groups->element[i], a, s))
            return false;
    return true;
}

/* ---- which is which ---- */

#define KEY "" /* the key's place in a command */
static const struct {
    const char *words[WORDS];
    bool (*read)(const redisReply *r, struct arena *a, struct object *o);
} readings[] = {
    [OBJECT_STRING] = {{"GET", KEY}, read_string},
    [OBJECT_LIST] = {{"LRANGE", KEY, "0", "-1"}, read_list},
    [OBJECT_HASH] = {{"HGETALL", KEY}, read_hash},
    [OBJECT_SET] = {{"SMEMBERS", KEY}, read_set},
    [OBJECT_ZSET] = {{"ZRANGE", KEY, "0", "-1", "WITHSCORES"}, read_zset},
    [OBJECT_STREAM] = {{"XINFO", "STREAM", KEY, "FULL", "COUNT", "0"}, read_stream},
};

void reply_ask(struct link *l, enum object_type type, struct slice key)
{
    struct slice argv[WORDS];
    size_t n = 0;

    for (const char *word; (word = readings[type].words[n]) != NULL; n++)
        argv[n] = word[0] == '\0' ? key : (struct slice){word, strlen(word)};
    link_put(l, argv, n);
}

bool reply_value(const struct redisReply *r, struct arena *a, struct object *o)
{
    return readings[o->type].read(r, a, o);
}
