#include "engine/bytes.h"
#include "engine/internal.h"
#include "engine/number.h"

#include <string.h>

/* Bits count from the most significant one of the first byte. */
static int bit_at(struct slice s, uint64_t bit)
{
    return bit / 8 < s.len ? (uint8_t)s.p[bit / 8] >> (7 - bit % 8) & 1 : 0;
}

static struct slice bytes_of(const struct object *o)
{
    return o == NULL ? (struct slice){"", 0} : o->v.string;
}

void bits_setbit(struct call *c)
{
    uint64_t bit;
    int64_t value;
    bool wrong;

    if (!bytes_bit_offset(c, 2, 0, &bit))
        return;
    if (!number_int(c->argv[3], &value) || (value != 0 && value != 1)) {
        call_error(c, "ERR bit is not an integer or out of range");
        return;
    }
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);
    if (wrong)
        return;
    int before = bit_at(bytes_of(o), bit);
    if (o == NULL)
        o = call_place(c, c->argv[1]);
    if (o->type == OBJECT_NONE || o->encoding != ENC_RAW || bit / 8 >= o->v.string.len || before != value) {
        char *p = bytes_edit(c, o, bit / 8 + 1);
        uint8_t mask = (uint8_t)(1u << (7 - bit % 8));
        p[bit / 8] = (char)(value != 0 ? (uint8_t)p[bit / 8] | mask : (uint8_t)p[bit / 8] & ~mask);
    }
    call_int(c, before);
}

void bits_getbit(struct call *c)
{
    uint64_t bit;
    bool wrong;

    if (!bytes_bit_offset(c, 2, 0, &bit))
        return;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);
    if (!wrong)
        call_int(c, bit_at(bytes_of(o), bit));
}

/* The bits [first, last] of s; last < first: none. */
struct range {
    int64_t first, last;
};

/* Unit of the range at argument arg: 1 for BIT, 8 for BYTE, 8 when the argument is not there. */
static bool read_unit(struct call *c, size_t arg, int64_t *ret)
{
    *ret = 8;
    if (c->argc <= arg || call_is(c, arg, "BYTE"))
        return true;
    *ret = 1;
    if (call_is(c, arg, "BIT"))
        return true;
    call_syntax_error(c);
    return false;
}

/* Numbers as the client gave them, in units of `unit` bits, to bits of a string of len bytes. */
static struct range range_of(struct range r, int64_t unit, size_t len)
{
    int64_t total = (int64_t)len * 8 / unit;

    if (r.first < 0)
        r.first = r.first + total < 0 ? 0 : r.first + total;
    if (r.last < 0)
        r.last = r.last + total < 0 ? 0 : r.last + total;
    if (r.last >= total)
        r.last = total - 1;
    if (r.first > r.last)
        return (struct range){0, -1};
    return (struct range){r.first * unit, r.last * unit + unit - 1};
}

static int64_t count_bytes(struct slice s)
{
    int64_t n = 0;
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        uint64_t word;
        memcpy(&word, s.p + i, 8);
        n += __builtin_popcountll(word);
    }
    for (; i < s.len; i++)
        n += __builtin_popcount((uint8_t)s.p[i]);
    return n;
}

static int64_t count_bits(struct slice s, struct range r)
{
    if (r.last < r.first)
        return 0;
    size_t from = (size_t)r.first / 8, to = (size_t)r.last / 8;
    uint8_t before = (uint8_t) ~(0xffu >> r.first % 8), behind = (uint8_t)(0x7fu >> r.last % 8);

    return count_bytes((struct slice){s.p + from, to - from + 1}) -
           __builtin_popcount((uint8_t)s.p[from] & before) - __builtin_popcount((uint8_t)s.p[to] & behind);
}

void bits_bitcount(struct call *c)
{
    struct range r;
    int64_t unit;
    bool wrong;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);

    if (wrong)
        return;
    if (o == NULL) {
        call_int(c, 0); /* whatever the other arguments are */
        return;
    }
    if (c->argc == 2) {
        call_int(c, count_bytes(o->v.string));
        return;
    }
    if (c->argc != 4 && c->argc != 5) {
        call_syntax_error(c);
        return;
    }
    if (!call_int_arg(c, 2, &r.first) || !call_int_arg(c, 3, &r.last))
        return;
    if (r.first < 0 && r.last < 0 && r.first > r.last)
        call_int(c, 0); /* the unit is not looked at */
    else if (read_unit(c, 4, &unit))
        call_int(c, count_bits(o->v.string, range_of(r, unit, o->v.string.len)));
}

/* The first bit with this value in the range, or -1. Whole bytes of the other value are stepped over. */
static int64_t find_bit(struct slice s, int value, struct range r)
{
    uint8_t none = value != 0 ? 0 : 0xff;

    for (int64_t at = r.first; at <= r.last;) {
        if (at % 8 == 0 && (uint8_t)s.p[at / 8] == none)
            at += 8;
        else if (bit_at(s, (uint64_t)at) == value)
            return at;
        else
            at++;
    }
    return -1;
}

static bool read_range(struct call *c, struct range *r, int64_t *unit)
{
    *r = (struct range){0, -1};
    *unit = 8;
    if (c->argc == 3)
        return true;
    if (c->argc > 6) {
        call_syntax_error(c);
        return false;
    }
    return call_int_arg(c, 3, &r->first) && read_unit(c, 5, unit) &&
           (c->argc == 4 || call_int_arg(c, 4, &r->last));
}

void bits_bitpos(struct call *c)
{
    struct range r;
    int64_t value, unit;
    bool wrong;

    if (!call_int_arg(c, 2, &value))
        return;
    if (value != 0 && value != 1) {
        call_error(c, "ERR The bit argument must be 1 or 0.");
        return;
    }
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);
    if (wrong)
        return;
    if (o == NULL) {
        call_int(c, value != 0 ? -1 : 0);
        return;
    }
    if (!read_range(c, &r, &unit))
        return;
    r = range_of(r, unit, o->v.string.len);
    int64_t found = find_bit(o->v.string, (int)value, r);
    /* Without an end, the string counts as followed by zeros. */
    if (found < 0 && value == 0 && c->argc < 5 && r.first <= r.last)
        found = (int64_t)o->v.string.len * 8;
    call_int(c, found);
}

typedef void (*combine_fn)(uint8_t *into, const uint8_t *from, size_t n);

static void combine_and(uint8_t *into, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        into[i] &= from[i];
}

static void combine_or(uint8_t *into, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        into[i] |= from[i];
}

static void combine_xor(uint8_t *into, const uint8_t *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        into[i] ^= from[i];
}

static const struct operation {
    const char *name;
    combine_fn combine; /* NULL: inverts its only source */
    bool shrinks;       /* bytes that a source lacks, taken as zeros, change the result */
} operations[] = {
    {"AND", combine_and, true},
    {"OR", combine_or, false},
    {"XOR", combine_xor, false},
    {"NOT", NULL, false},
};

static const struct operation *read_operation(struct call *c)
{
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        if (!call_is(c, 1, operations[i].name))
            continue;
        if (operations[i].combine != NULL || c->argc == 4)
            return &operations[i];
        call_error(c, "ERR BITOP NOT must be called with a single source key.");
        return NULL;
    }
    call_syntax_error(c);
    return NULL;
}

/* The bytes of the source keys, from argument 3 on, and the length of the longest. */
static bool read_sources(struct call *c, struct slice *sources, size_t *ret_len)
{
    bool wrong;

    *ret_len = 0;
    for (size_t i = 3; i < c->argc; i++) {
        struct object *o = call_lookup_typed(c, c->argv[i], OBJECT_STRING, &wrong);
        if (wrong)
            return false;
        sources[i - 3] = bytes_of(o);
        if (sources[i - 3].len > *ret_len)
            *ret_len = sources[i - 3].len;
    }
    return true;
}

static uint8_t *combine_all(struct call *c, const struct operation *op, const struct slice *sources,
                            size_t len)
{
    uint8_t *result = arena_get(c->arena, len);

    memcpy(result, sources[0].p, sources[0].len);
    for (size_t i = 0; op->combine == NULL && i < len; i++)
        result[i] = (uint8_t)~result[i];
    for (size_t i = 1; i < c->argc - 3; i++) {
        op->combine(result, (const uint8_t *)sources[i].p, sources[i].len);
        if (op->shrinks)
            memset(result + sources[i].len, 0, len - sources[i].len);
    }
    return result;
}

void bits_bitop(struct call *c)
{
    const struct operation *op = read_operation(c);
    size_t len;

    if (op == NULL)
        return;
    struct slice *sources = arena_get(c->arena, (c->argc - 3) * sizeof *sources);
    if (!read_sources(c, sources, &len))
        return;
    struct object *o = call_lookup(c, c->argv[2]);
    if (len > 0) {
        uint8_t *result = combine_all(c, op, sources, len);
        o = call_place(c, c->argv[2]);
        bytes_replace(c, o, (struct slice){(const char *)result, len});
        o->encoding = ENC_RAW;
    } else if (o != NULL) {
        call_remove(c, o);
    }
    call_int(c, (int64_t)len);
}
