#include "engine/streamnodes.h"
#include "engine/call.h"
#include "engine/number.h"

#define NODE_ENTRIES 100
#define NODE_BYTES   4096
#define EMPTY_BYTES  7 /* a listpack's header and end */
#define SMALL_INT    2 /* what an int from 0 to 127 takes */
#define ID_BYTES     16

/* ---- sizes in a listpack: the encoding, and its length again behind it ---- */

static size_t with_back_length(size_t n)
{
    return n + 1 + (n > 127) + (n >= 16383) + (n >= 2097151) + (n >= 268435455);
}

static size_t int_bytes(int64_t value)
{
    static const struct {
        int64_t least, most;
        size_t bytes;
    } sizes[] = {
        {0, 127, 1},
        {-4096, 4095, 2},
        {INT16_MIN, INT16_MAX, 3},
        {-(1 << 23), (1 << 23) - 1, 4},
        {INT32_MIN, INT32_MAX, 5},
    };

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (value >= sizes[i].least && value <= sizes[i].most)
            return with_back_length(sizes[i].bytes);
    return with_back_length(9);
}

static size_t text_bytes(struct slice s)
{
    int64_t value;

    if (number_int(s, &value))
        return int_bytes(value);
    return with_back_length(s.len + (s.len < 64 ? 1 : s.len < 4096 ? 2 : 5));
}

/* ---- nodes ---- */

/* A node begins with the field names of its first entry; entries with the same names leave them out. */
static size_t head_bytes(const struct stream_entry *first)
{
    size_t n = EMPTY_BYTES + 2 * SMALL_INT + int_bytes(first->npairs / 2) + SMALL_INT;

    for (size_t i = 0; i < first->npairs; i += 2)
        n += text_bytes(first->pairs[i]);
    return n;
}

static bool has_same_fields(const struct stream_entry *a, const struct stream_entry *b)
{
    if (a->npairs != b->npairs)
        return false;
    for (size_t i = 0; i < a->npairs; i += 2)
        if (!slice_equal(a->pairs[i], b->pairs[i]))
            return false;
    return true;
}

static size_t entry_bytes(const struct stream_entry *e, const struct stream_entry *first)
{
    bool same = has_same_fields(e, first);
    size_t fields = e->npairs / 2;
    size_t n = SMALL_INT + int_bytes((int64_t)(e->id.ms - first->id.ms)) +
               int_bytes((int64_t)(e->id.seq - first->id.seq));

    n += same ? int_bytes((int64_t)fields + 3)
              : int_bytes((int64_t)fields) + int_bytes(2 * (int64_t)fields + 4);
    for (size_t i = same ? 1 : 0; i < e->npairs; i += same ? 2 : 1)
        n += text_bytes(e->pairs[i]);
    return n;
}

static size_t payload(const struct stream_entry *e)
{
    size_t n = 0;

    for (size_t i = 0; i < e->npairs; i++)
        n += e->pairs[i].len;
    return n;
}

size_t stream_node_length(const struct stream *s, size_t from)
{
    const struct stream_entry *first = stream_at(s, from);
    size_t bytes = head_bytes(first) + entry_bytes(first, first), n = 1;

    for (; n < NODE_ENTRIES && from + n < s->count; n++) {
        const struct stream_entry *e = stream_at(s, from + n);
        if (bytes + payload(e) >= NODE_BYTES)
            break;
        bytes += entry_bytes(e, first);
    }
    return n;
}

/* ---- the tree ---- */

static uint8_t id_byte(struct stream_id id, size_t i)
{
    uint64_t half = i < 8 ? id.ms : id.seq;

    return (uint8_t)(half >> (8 * (7 - i % 8)));
}

/* How many bytes two ids begin with in common. */
static size_t common(struct stream_id a, struct stream_id b)
{
    size_t n = 0;

    while (n < ID_BYTES && id_byte(a, n) == id_byte(b, n))
        n++;
    return n;
}

/* Keys in order, walked with the stack of the branches that the last one passed, shallow ones first. A key's
 * leaf counts one, each chain of bytes without a branch one, each branch one. */
struct tree {
    size_t branches[ID_BYTES];
    size_t depth, nodes, keys;
    struct stream_id last;
};

/* The chain below a branch at `top`, down to `bottom`. */
static size_t chain(size_t top, size_t bottom)
{
    return bottom > top + 1;
}

static void tree_add(struct tree *t, struct stream_id id)
{
    size_t at = common(t->last, id), end = ID_BYTES;

    t->last = id;
    if (t->keys++ == 0) {
        t->nodes = 2; /* one chain and its leaf */
        return;
    }
    while (t->depth > 0 && t->branches[t->depth - 1] > at)
        end = t->branches[--t->depth];
    size_t chain_start = t->depth == 0 ? 0 : t->branches[t->depth - 1] + 1;
    t->nodes += 1 + (at + 1 < ID_BYTES); /* the new leaf and what leads to it */
    if (t->depth > 0 && t->branches[t->depth - 1] == at)
        return;
    t->nodes += (chain_start < at) + 1 + chain(at, end) - (chain_start < end);
    t->branches[t->depth++] = at;
}

void stream_node_counts(const struct stream *s, size_t *ret_keys, size_t *ret_nodes)
{
    struct tree t = {.nodes = 1};

    for (size_t i = 0; i < s->count; i += stream_node_length(s, i))
        tree_add(&t, stream_at(s, i)->id);
    *ret_keys = t.keys;
    *ret_nodes = t.nodes;
}
