#include "engine/bytes.h"
#include "engine/internal.h"
#include "engine/number.h"

#include <string.h>

/* Holds the sum of any two values that a field may hold. */
__extension__ typedef __int128 wide;

enum overflow { OVERFLOW_WRAP, OVERFLOW_SAT, OVERFLOW_FAIL };
enum verb { VERB_GET, VERB_SET, VERB_INCRBY };

struct operation {
    enum verb verb;
    enum overflow overflow;
    bool is_signed;
    unsigned bits; /* 1 to 64 */
    uint64_t at;   /* first bit */
    int64_t value; /* of SET and INCRBY */
};

struct program {
    struct operation *items;
    size_t count;
    bool writes;
    uint64_t bytes; /* that a string needs for all writes */
};

static const char *const overflow_words[] = {"WRAP", "SAT", "FAIL"};

static const struct verb_row {
    const char *word;
    size_t args;
} verbs[] = {
    [VERB_GET] = {"GET", 2},
    [VERB_SET] = {"SET", 3},
    [VERB_INCRBY] = {"INCRBY", 3},
};

static bool read_overflow(struct call *c, size_t arg, enum overflow *ret)
{
    for (unsigned i = 0; i < sizeof overflow_words / sizeof *overflow_words; i++) {
        if (call_is(c, arg, overflow_words[i])) {
            *ret = (enum overflow)i;
            return true;
        }
    }
    call_error(c, "ERR Invalid OVERFLOW type specified");
    return false;
}

/* "u1" to "u63", "i1" to "i64". */
static bool read_type(struct call *c, size_t arg, struct operation *op)
{
    struct slice s = c->argv[arg];
    int64_t bits;

    if (s.len > 0 && (s.p[0] == 'i' || s.p[0] == 'u')) {
        struct slice digits = {s.p + 1, strnlen(s.p + 1, s.len - 1)}; /* Redis reads up to a NUL */
        op->is_signed = s.p[0] == 'i';
        if (number_int(digits, &bits) && bits >= 1 && bits <= (op->is_signed ? 64 : 63)) {
            op->bits = (unsigned)bits;
            return true;
        }
    }
    call_error(
        c,
        "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
    return false;
}

static bool read_verb(struct call *c, size_t arg, enum verb *ret)
{
    for (unsigned i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (call_is(c, arg, verbs[i].word) && c->argc - arg - 1 >= verbs[i].args) {
            *ret = (enum verb)i;
            return true;
        }
    }
    call_syntax_error(c);
    return false;
}

static bool read_operation(struct call *c, size_t arg, struct operation *op, struct program *p)
{
    if (!read_verb(c, arg, &op->verb) || !read_type(c, arg + 1, op) ||
        !bytes_bit_offset(c, arg + 2, op->bits, &op->at))
        return false;
    if (op->verb == VERB_GET)
        return true;
    p->writes = true;
    if ((op->at + op->bits - 1) / 8 + 1 > p->bytes)
        p->bytes = (op->at + op->bits - 1) / 8 + 1;
    return call_int_arg(c, arg + 3, &op->value);
}

static bool read_program(struct call *c, struct program *p)
{
    enum overflow overflow = OVERFLOW_WRAP;

    *p = (struct program){arena_get(c->arena, c->argc * sizeof *p->items), 0, false, 0};
    for (size_t i = 2; i < c->argc;) {
        struct operation *op = &p->items[p->count];
        if (call_is(c, i, "OVERFLOW") && i + 1 < c->argc) {
            if (!read_overflow(c, i + 1, &overflow))
                return false;
            i += 2;
            continue;
        }
        op->overflow = overflow;
        if (!read_operation(c, i, op, p))
            return false;
        i += verbs[op->verb].args + 1;
        p->count++;
    }
    return true;
}

/* The field's bits, sign extended when it is signed; what lies behind the end of s is zero. */
static int64_t field_get(struct slice s, const struct operation *op)
{
    uint64_t value = 0;

    for (uint64_t bit = op->at; bit < op->at + op->bits; bit++) {
        uint8_t byte = bit / 8 < s.len ? (uint8_t)s.p[bit / 8] : 0;
        value = value << 1 | (byte >> (7 - bit % 8) & 1);
    }
    if (op->is_signed && op->bits < 64 && (value >> (op->bits - 1) & 1) != 0)
        value |= UINT64_MAX << op->bits;
    return (int64_t)value;
}

static void field_set(char *p, const struct operation *op, uint64_t value)
{
    for (uint64_t bit = op->at + op->bits; bit-- > op->at; value >>= 1) {
        uint8_t mask = (uint8_t)(1u << (7 - bit % 8));
        p[bit / 8] = (char)((value & 1) != 0 ? (uint8_t)p[bit / 8] | mask : (uint8_t)p[bit / 8] & ~mask);
    }
}

/* What the field can hold. */
static void limits_of(const struct operation *op, wide *least, wide *most)
{
    *least = op->is_signed ? -((wide)1 << (op->bits - 1)) : 0;
    *most = ((wide)1 << (op->is_signed ? op->bits - 1 : op->bits)) - 1;
}

/* Makes wanted fit into the field, as OVERFLOW says. False: it must not be written. */
static bool fit(const struct operation *op, wide wanted, uint64_t *ret)
{
    wide least, most;

    limits_of(op, &least, &most);
    *ret = (uint64_t)wanted; /* field_set takes the low bits: this wraps */
    if (wanted >= least && wanted <= most)
        return true;
    /* Redis's own subtraction overflows for a SET far below the least, which so becomes the most. */
    bool high = wanted > most || (op->verb == VERB_SET && most - wanted > INT64_MAX);
    if (op->overflow == OVERFLOW_SAT)
        *ret = (uint64_t)(high ? most : least);
    return op->overflow != OVERFLOW_FAIL;
}

/* Answers one operation; p: the string's bytes, to be written. */
static void apply(struct call *c, char *p, size_t len, const struct operation *op)
{
    int64_t before = field_get((struct slice){p, len}, op);
    wide wanted = op->value;
    uint64_t after;

    /* SET of an unsigned field takes a negative number for the large one with the same bits. */
    if (op->verb == VERB_INCRBY)
        wanted += before;
    else if (!op->is_signed)
        wanted = (uint64_t)op->value;
    if (!fit(op, wanted, &after)) {
        call_null(c);
        return;
    }
    field_set(p, op, after);
    call_int(c, op->verb == VERB_SET ? before : field_get((struct slice){p, len}, op));
}

static void run(struct call *c, struct object *o, const struct program *p)
{
    struct slice s = o != NULL && o->type == OBJECT_STRING ? o->v.string : (struct slice){"", 0};
    char *bytes = p->writes ? bytes_edit(c, o, p->bytes) : NULL;

    if (p->writes)
        s = o->v.string;
    build_array(c->out, p->count);
    for (size_t i = 0; i < p->count; i++) {
        if (p->items[i].verb == VERB_GET)
            call_int(c, field_get(s, &p->items[i]));
        else
            apply(c, bytes, s.len, &p->items[i]);
    }
}

static void bitfield(struct call *c, bool read_only)
{
    struct program p;
    bool wrong;

    if (!read_program(c, &p))
        return;
    if (p.writes && read_only) {
        call_error(c, "ERR BITFIELD_RO only supports the GET subcommand");
        return;
    }
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);
    if (!wrong)
        run(c, p.writes && o == NULL ? call_place(c, c->argv[1]) : o, &p);
}

void bitfield_bitfield(struct call *c)
{
    bitfield(c, false);
}

void bitfield_bitfield_ro(struct call *c)
{
    bitfield(c, true);
}
