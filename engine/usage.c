/* MEMORY USAGE: what the value would take in a Redis 7.0 on a 64-bit machine, by the sizes of its structures and the classes of its
 * allocator. The archive keeps values otherwise, but an operator compares this number with Redis's, whichever store answers. */
#include "engine/internal.h"

#include "engine/call.h"
#include "engine/dict.h"
#include "engine/list.h"
#include "engine/number.h"
#include "engine/stream.h"
#include "engine/zset.h"

enum {
    ROBJ = 16,
    DICT_ENTRY = 24,
    DICT = 56,
    POINTER = 8,
    QUICKLIST = 40,
    QUICKLIST_NODE = 32,
    LISTPACK_HEAD = 7,
    LISTPACK_MOST = 8192, /* list-max-listpack-size -2 */
    SKIPLIST = 48,        /* zset and zskiplist */
    SKIPLIST_HEADER = 640,
    SKIPLIST_NODE = 48,  /* with the mean number of levels */
    STREAM = 450,        /* stream, its rax and the rax's head */
    STREAM_NODE = 100,   /* of the rax, for each listpack of entries */
    STREAM_ENTRY = 9,    /* ids as differences, flags, counts */
    STREAM_BYTES = 4096, /* stream-node-max-bytes, which the newest listpack has at once; full ones shrink */
    STREAM_COUNT = 100,  /* stream-node-max-entries */
    GROUP = 160,
    CONSUMER = 130,
    PENDING = 70,
};

/* What jemalloc gives for n bytes: steps of 16 up to 128, then four to each doubling. */
static size_t allocated(size_t n)
{
    size_t step = 16;

    if (n <= 8)
        return 8;
    while (n > step * 8)
        step *= 2;
    return (n + step - 1) / step * step;
}

/* A string with its header, which grows with the length. */
static size_t string_size(size_t len)
{
    size_t header = len < 32 ? 1 : len < 256 ? 3 : len < 65536 ? 5 : 9;
    return allocated(header + len + 1);
}

/* An entry of a listpack: a small integer or the bytes, behind a head, before its own length. */
static size_t packed_size(struct slice s)
{
    int64_t value;

    if (s.len <= 20 && number_int(s, &value)) {
        if (value >= 0 && value < 128)
            return 2;
        return value >= -4096 && value < 4096             ? 3
               : value >= INT16_MIN && value <= INT16_MAX ? 4
               : value >= INT32_MIN && value <= INT32_MAX ? 6
                                                          : 10;
    }
    size_t entry = s.len + (s.len < 64 ? 1 : s.len < 4096 ? 2 : 5);
    return entry + (entry < 128 ? 1 : entry < 16384 ? 2 : 3);
}

static size_t table_size(size_t count)
{
    size_t slots = 4;

    while (slots < count)
        slots *= 2;
    return DICT + slots * POINTER;
}

static size_t of_string(const struct object *o)
{
    if (o->encoding == ENC_INT)
        return ROBJ;
    return o->encoding == ENC_EMBSTR ? allocated(ROBJ + 3 + o->v.string.len + 1)
                                     : ROBJ + string_size(o->v.string.len);
}

static size_t of_list(const struct object *o)
{
    size_t size = ROBJ + QUICKLIST, node = LISTPACK_HEAD;

    for (size_t i = 0; i < o->v.list->count; i++) {
        size_t item = packed_size(*list_at(o->v.list, i));
        if (node > LISTPACK_HEAD && node + item > LISTPACK_MOST) {
            size += QUICKLIST_NODE + allocated(node);
            node = LISTPACK_HEAD;
        }
        node += item;
    }
    return size + QUICKLIST_NODE + allocated(node);
}

/* Hashes, and sets, whose values are empty. */
static size_t of_dict(const struct object *o, const struct dict *d, bool values)
{
    size_t packed = LISTPACK_HEAD, strings = 0;

    for (size_t i = 0; i < d->count; i++) {
        const struct dict_entry *e = &d->entries[i];
        packed += packed_size(e->name) + (values ? packed_size(e->value) : 0);
        strings += DICT_ENTRY + string_size(e->name.len) + (values ? string_size(e->value.len) : 0);
    }
    return o->encoding == ENC_LISTPACK ? ROBJ + allocated(packed) : ROBJ + table_size(d->count) + strings;
}

static size_t of_hash(const struct object *o)
{
    return of_dict(o, o->v.hash, true);
}

/* The widest member decides how wide all of an intset are. */
static size_t of_set(const struct object *o)
{
    size_t width = 2;

    if (o->encoding != ENC_INTSET)
        return of_dict(o, o->v.set, false);
    for (size_t i = 0; i < o->v.set->count; i++) {
        int64_t value = 0;
        bool is_int = number_int(o->v.set->entries[i].name, &value);
        if (is_int && (value < INT32_MIN || value > INT32_MAX))
            width = 8;
        else if (is_int && width < 4 && (value < INT16_MIN || value > INT16_MAX))
            width = 4;
    }
    return ROBJ + allocated(8 + width * o->v.set->count);
}

static size_t of_zset(const struct object *o)
{
    const struct zset *z = o->v.zset;
    size_t packed = LISTPACK_HEAD, nodes = 0;

    for (size_t i = 0; i < z->count; i++) {
        int64_t whole = (int64_t)z->rows[i].score;
        bool is_small = (double)whole == z->rows[i].score && whole >= 0 && whole < 128;
        packed += packed_size(z->rows[i].member) + (is_small ? 2 : 10);
        nodes += DICT_ENTRY + SKIPLIST_NODE + string_size(z->rows[i].member.len);
    }
    if (o->encoding == ENC_LISTPACK)
        return ROBJ + allocated(packed);
    return ROBJ + SKIPLIST + SKIPLIST_HEADER + table_size(z->count) + nodes;
}

/* Names of fields are kept once for all entries of a listpack that have the same. */
static bool same_fields(const struct stream_entry *a, const struct stream_entry *b)
{
    bool same = a->npairs == b->npairs;

    for (uint32_t p = 0; same && p < a->npairs; p += 2)
        same = slice_equal(a->pairs[p], b->pairs[p]);
    return same;
}

static size_t of_stream(const struct object *o)
{
    const struct stream *s = o->v.stream;
    const struct stream_entry *first = NULL;
    size_t size = ROBJ + STREAM, node = 0, in_node = 0;

    for (size_t i = 0; i < s->count; i++) {
        const struct stream_entry *e = stream_at(s, i);
        size_t entry = STREAM_ENTRY;
        for (uint32_t p = first != NULL && same_fields(first, e) ? 1 : 0, step = p + 1; p < e->npairs;
             p += step)
            entry += packed_size(e->pairs[p]);
        if (first == NULL || node + entry > STREAM_BYTES || in_node == STREAM_COUNT) {
            size += first == NULL ? 0 : STREAM_NODE + allocated(node);
            first = e;
            node = in_node = 0;
        }
        node += entry;
        in_node++;
    }
    size += s->count == 0 ? 0 : STREAM_NODE + allocated(node > STREAM_BYTES ? node : STREAM_BYTES);
    for (size_t i = 0; i < s->ngroups; i++)
        size += GROUP + s->groups[i].nconsumers * CONSUMER + s->groups[i].npending * PENDING;
    return size;
}

static size_t (*const size_of[])(const struct object *o) = {
    [OBJECT_STRING] = of_string, [OBJECT_LIST] = of_list, [OBJECT_HASH] = of_hash,
    [OBJECT_SET] = of_set,       [OBJECT_ZSET] = of_zset, [OBJECT_STREAM] = of_stream,
};

/* SAMPLES is checked as Redis does; everything is counted, whatever it says. */
static bool options_fit(struct call *c)
{
    for (size_t i = 3; i < c->argc; i += 2) {
        int64_t samples;
        if (!call_is(c, i, "samples") || i + 1 == c->argc) {
            call_syntax_error(c);
            return false;
        }
        if (!call_int_arg(c, i + 1, &samples))
            return false;
        if (samples < 0) {
            call_syntax_error(c);
            return false;
        }
    }
    return true;
}

void usage_memory_usage(struct call *c)
{
    if (!options_fit(c))
        return;
    const struct object *o = call_lookup(c, c->argv[2]);
    if (o == NULL)
        call_null(c);
    else
        call_int(c, (int64_t)(DICT_ENTRY + string_size(o->key.len) + size_of[o->type](o)));
}
