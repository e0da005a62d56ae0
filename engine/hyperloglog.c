#include "engine/bytes.h"
#include "engine/cardinality.h"
#include "engine/internal.h"

#include <string.h>

/* A HyperLogLog is a string, in the form that Redis gives it, so that what was copied out of a Redis counts
 * on here:
 *
 *   "HYLL" | 0 dense, 1 sparse | 3 unused | count, 8 bytes little-endian, its top bit set: not known |
 * registers
 *
 * Dense: 2^14 registers of 6 bits, from the low bit up. Sparse: runs of equal registers,
 *
 *   00nnnnnn           n + 1 zeros
 *   01nnnnnn nnnnnnnn  n + 1 zeros
 *   1vvvvvnn           n + 1 times v + 1
 *
 * Reading a count is a read: unlike Redis, PFCOUNT does not write what it computed into the string. */
#define HEADER        16
#define REGISTER_BITS 6
#define DENSE_BYTES   (HEADER + CARDINALITY_REGISTERS * REGISTER_BITS / 8)
#define SPARSE_BYTES  3000 /* a longer string becomes dense: Redis's default of hll-sparse-max-bytes */
#define SPARSE_VALUE  32   /* so does one with a larger value */
#define SPARSE_REPEAT 4    /* the longest run of a value that isn't zero */
#define SPARSE_ZEROS  64   /* the longest run of zeros in one byte */
#define JOIN_RUNS     5    /* how many runs Redis looks at to join some after a change */

#define HASH_SEED     0xadc83b19u

enum { FORM_DENSE, FORM_SPARSE };

/* A run of a sparse one. */
struct run {
    uint16_t length;
    uint8_t value;
    uint8_t bytes; /* of its code */
};

/* A HyperLogLog being changed: as registers or as runs. */
struct sketch {
    char header[HEADER];
    uint8_t *registers; /* NULL: sparse */
    struct run *runs;
    size_t nruns, cap;
    size_t bytes; /* of the sparse code */
    bool cut;     /* the code ends in the first byte of a run that takes two; it stays */
    char rest;    /* that byte */
};

static struct run run_make(uint8_t value, unsigned length)
{
    return (struct run){(uint16_t)length, value, value == 0 && length > SPARSE_ZEROS ? 2 : 1};
}

/* The run whose code begins at p, with n bytes left. False: the code is cut off. */
static bool run_read(const uint8_t *p, size_t n, struct run *ret)
{
    if ((p[0] & 0x80) != 0)
        *ret = (struct run){(uint16_t)((p[0] & 3) + 1), (uint8_t)((p[0] >> 2 & 31) + 1), 1};
    else if ((p[0] & 0x40) == 0)
        *ret = (struct run){(uint16_t)(p[0] + 1), 0, 1};
    else if (n > 1)
        *ret = (struct run){(uint16_t)(((p[0] & 63) << 8 | p[1]) + 1), 0, 2};
    else
        return false;
    return true;
}

static void run_write(uint8_t *p, struct run r)
{
    unsigned n = r.length - 1u;

    if (r.value != 0) {
        *p = (uint8_t)(0x80 | (r.value - 1u) << 2 | n);
    } else if (r.bytes == 1) {
        *p = (uint8_t)n;
    } else {
        p[0] = (uint8_t)(0x40 | n >> 8);
        p[1] = (uint8_t)n;
    }
}

static uint8_t dense_get(const uint8_t *dense, unsigned i)
{
    unsigned bit = i * REGISTER_BITS, shift = bit % 8;
    unsigned two = dense[bit / 8] | (shift > 8 - REGISTER_BITS ? (unsigned)dense[bit / 8 + 1] << 8 : 0);

    return (uint8_t)(two >> shift & (CARDINALITY_VALUES - 1));
}

static void dense_put(uint8_t *dense, unsigned i, uint8_t value)
{
    unsigned bit = i * REGISTER_BITS;

    for (unsigned b = 0; b < REGISTER_BITS; b++, bit++)
        if ((value >> b & 1) != 0)
            dense[bit / 8] |= (uint8_t)(1u << bit % 8);
}

/* Raises registers to those of a sparse code. False: its runs don't make up CARDINALITY_REGISTERS. */
static bool sparse_read(struct slice code, uint8_t *registers)
{
    const uint8_t *p = (const uint8_t *)code.p;
    size_t at = 0;

    for (size_t i = 0; i < code.len;) {
        struct run r;
        if (!run_read(p + i, code.len - i, &r))
            return false;
        if (at + r.length > CARDINALITY_REGISTERS)
            return false;
        for (size_t k = at; r.value != 0 && k < at + r.length; k++)
            if (registers[k] < r.value)
                registers[k] = r.value;
        at += r.length;
        i += r.bytes;
    }
    return at == CARDINALITY_REGISTERS;
}

static bool is_sparse(struct slice s)
{
    return s.p[4] == FORM_SPARSE;
}

static struct slice body_of(struct slice s)
{
    return (struct slice){s.p + HEADER, s.len - HEADER};
}

/* Raises registers to those of s. */
static bool merge(struct slice s, uint8_t *registers)
{
    const uint8_t *dense = (const uint8_t *)s.p + HEADER;

    if (is_sparse(s))
        return sparse_read(body_of(s), registers);
    for (unsigned i = 0; i < CARDINALITY_REGISTERS; i++) {
        uint8_t value = dense_get(dense, i);
        if (registers[i] < value)
            registers[i] = value;
    }
    return true;
}

/* Whether the string looks like a HyperLogLog; if not, the error was answered. */
static bool is_sketch(struct call *c, const struct object *o)
{
    struct slice s = o->v.string;

    if (o->encoding != ENC_INT && s.len >= HEADER && memcmp(s.p, "HYLL", 4) == 0 &&
        (is_sparse(s) || (s.p[4] == FORM_DENSE && s.len == DENSE_BYTES)))
        return true;
    call_error(c, "WRONGTYPE Key is not a valid HyperLogLog string value.");
    return false;
}

static void corrupt(struct call *c)
{
    call_error(c, "INVALIDOBJ Corrupted HLL object detected");
}

/* NULL and not *wrong: no such key. NULL and *wrong: an error was answered. */
static struct object *lookup(struct call *c, size_t arg, bool *wrong)
{
    struct object *o = call_lookup_typed(c, c->argv[arg], OBJECT_STRING, wrong);

    if (o == NULL || is_sketch(c, o))
        return o;
    *wrong = true;
    return NULL;
}

static void sketch_add_run(struct call *c, struct sketch *s, struct run r)
{
    if (s->nruns == s->cap) {
        size_t cap = s->cap == 0 ? 64 : s->cap * 2;
        s->runs = arena_grow(c->arena, s->runs, s->cap * sizeof r, cap * sizeof r);
        s->cap = cap;
    }
    s->runs[s->nruns++] = r;
    s->bytes += r.bytes;
}

/* o: NULL for a new one. */
static void sketch_open(struct call *c, struct sketch *s, const struct object *o)
{
    *s = (struct sketch){.header = {'H', 'Y', 'L', 'L', FORM_SPARSE}};
    if (o == NULL) {
        sketch_add_run(c, s, run_make(0, CARDINALITY_REGISTERS));
        return;
    }
    struct slice body = body_of(o->v.string);
    const uint8_t *p = (const uint8_t *)body.p;
    memcpy(s->header, o->v.string.p, HEADER);
    if (!is_sparse(o->v.string)) {
        s->registers = arena_get(c->arena, CARDINALITY_REGISTERS);
        (void)merge(o->v.string, s->registers);
        return;
    }
    for (size_t i = 0; i < body.len;) {
        struct run r;
        if (!run_read(p + i, body.len - i, &r)) {
            s->cut = true;
            s->rest = body.p[i];
            s->bytes++;
            return;
        }
        sketch_add_run(c, s, r);
        i += r.bytes;
    }
}

/* Registers instead of runs. False: the runs don't make up CARDINALITY_REGISTERS. */
static bool sketch_make_dense(struct call *c, struct sketch *s)
{
    size_t at = 0;

    if (s->registers != NULL)
        return true;
    s->registers = arena_get(c->arena, CARDINALITY_REGISTERS);
    for (size_t i = 0; i < s->nruns; i++) {
        struct run r = s->runs[i];
        if (at + r.length > CARDINALITY_REGISTERS)
            return false;
        if (r.value != 0)
            memset(s->registers + at, r.value, r.length);
        at += r.length;
    }
    s->header[4] = FORM_DENSE;
    return at == CARDINALITY_REGISTERS && !s->cut;
}

/* Joins equal neighbours, from one run on, as far as Redis does: strings are to have the same bytes. */
static void sketch_join(struct sketch *s, size_t at)
{
    for (unsigned looks = 0; looks < JOIN_RUNS && at + 1 < s->nruns; looks++) {
        struct run *a = &s->runs[at], *b = a + 1;
        if (a->value == 0 || a->value != b->value || a->length + b->length > SPARSE_REPEAT) {
            at++;
            continue;
        }
        b->length = (uint16_t)(a->length + b->length);
        s->bytes -= a->bytes;
        s->nruns--;
        memmove(a, b, (s->nruns - at) * sizeof *a);
    }
}

enum raise { RAISE_NOTHING, RAISE_DONE, RAISE_CORRUPT };

static enum raise raise_dense(struct sketch *s, unsigned i, uint8_t value)
{
    if (s->registers[i] >= value)
        return RAISE_NOTHING;
    s->registers[i] = value;
    return RAISE_DONE;
}

static enum raise raise_as_dense(struct call *c, struct sketch *s, unsigned i, uint8_t value)
{
    return sketch_make_dense(c, s) ? raise_dense(s, i, value) : RAISE_CORRUPT;
}

/* Splits the run at `at` around one register, its `before`-th, which gets the value. False: too long for a
 * sparse one. */
static bool sketch_split(struct call *c, struct sketch *s, size_t at, unsigned before, uint8_t value)
{
    struct run old = s->runs[at], parts[3];
    unsigned behind = old.length - before - 1u;
    size_t n = 0, bytes = 0;

    if (before > 0)
        parts[n++] = run_make(old.value, before);
    parts[n++] = run_make(value, 1);
    if (behind > 0)
        parts[n++] = run_make(old.value, behind);
    for (size_t i = 0; i < n; i++)
        bytes += parts[i].bytes;
    if (bytes > old.bytes && HEADER + s->bytes + bytes - old.bytes > SPARSE_BYTES)
        return false;
    for (size_t i = 1; i < n; i++)
        sketch_add_run(c, s, old); /* makes room; overwritten at once */
    memmove(s->runs + at + n, s->runs + at + 1, (s->nruns - at - n) * sizeof old);
    memcpy(s->runs + at, parts, n * sizeof old);
    s->bytes += bytes - n * old.bytes;
    return true;
}

static enum raise raise_sparse(struct call *c, struct sketch *s, unsigned i, uint8_t value)
{
    size_t at = 0;
    unsigned first = 0;

    if (value > SPARSE_VALUE)
        return raise_as_dense(c, s, i, value);
    for (; at < s->nruns && first + s->runs[at].length <= i; at++)
        first += s->runs[at].length;
    if (at == s->nruns)
        return RAISE_CORRUPT;
    if (s->runs[at].value >= value)
        return RAISE_NOTHING;
    if (!sketch_split(c, s, at, i - first, value))
        return raise_as_dense(c, s, i, value);
    sketch_join(s, at > 0 ? at - 1 : 0);
    return RAISE_DONE;
}

static enum raise sketch_raise(struct call *c, struct sketch *s, unsigned i, uint8_t value)
{
    return s->registers != NULL ? raise_dense(s, i, value) : raise_sparse(c, s, i, value);
}

/* Writes the string. When registers changed, the count that it holds is no longer known. */
static void sketch_close(struct call *c, struct sketch *s, struct object *o, bool changed)
{
    size_t n = s->registers != NULL ? DENSE_BYTES : HEADER + s->bytes;
    char *p = arena_get(c->arena, n);
    uint8_t *body = (uint8_t *)p + HEADER;

    if (changed)
        s->header[HEADER - 1] = (char)(s->header[HEADER - 1] | 0x80);
    memcpy(p, s->header, HEADER);
    for (unsigned i = 0; s->registers != NULL && i < CARDINALITY_REGISTERS; i++)
        dense_put(body, i, s->registers[i]);
    for (size_t i = 0; s->registers == NULL && i < s->nruns; body += s->runs[i++].bytes)
        run_write(body, s->runs[i]);
    if (s->registers == NULL && s->cut)
        p[n - 1] = s->rest;
    bytes_store(c, o, (struct slice){p, n});
    o->encoding = ENC_RAW;
}

void hyperloglog_add(struct call *c)
{
    struct sketch s;
    bool wrong, changed;
    struct object *o = lookup(c, 1, &wrong);

    if (wrong)
        return;
    sketch_open(c, &s, o);
    changed = o == NULL;
    for (size_t i = 2; i < c->argc; i++) {
        uint8_t value;
        unsigned at = cardinality_register(c->argv[i], &value);
        enum raise raised = sketch_raise(c, &s, at, value);
        if (raised == RAISE_CORRUPT) {
            corrupt(c);
            return;
        }
        changed = changed || raised == RAISE_DONE;
    }
    /* Redis makes the string a raw one even when nothing changes. */
    if (changed || o->encoding != ENC_RAW)
        sketch_close(c, &s, call_place(c, c->argv[1]), changed);
    call_int(c, changed);
}

/* The count that the string itself holds, when it holds one. */
static bool known_count(struct slice s, int64_t *ret)
{
    uint64_t count = 0;

    for (size_t i = HEADER; i-- > HEADER - 8;)
        count = count << 8 | (uint8_t)s.p[i];
    *ret = (int64_t)count;
    return *ret >= 0;
}

static void count_one(struct call *c, const struct object *o)
{
    uint8_t registers[CARDINALITY_REGISTERS] = {0};
    int64_t count;

    if (known_count(o->v.string, &count))
        call_int(c, count);
    else if (!merge(o->v.string, registers))
        corrupt(c);
    else
        call_int(c, cardinality_estimate(registers));
}

/* Raises registers to those of all keys from argument 1 on. False: an error was answered. */
static bool merge_keys(struct call *c, uint8_t *registers, bool *ret_dense)
{
    *ret_dense = false;
    for (size_t i = 1; i < c->argc; i++) {
        bool wrong;
        struct object *o = lookup(c, i, &wrong);
        if (wrong)
            return false;
        if (o == NULL)
            continue;
        *ret_dense = *ret_dense || !is_sparse(o->v.string);
        if (!merge(o->v.string, registers)) {
            corrupt(c);
            return false;
        }
    }
    return true;
}

void hyperloglog_count(struct call *c)
{
    uint8_t registers[CARDINALITY_REGISTERS] = {0};
    bool wrong, dense;

    if (c->argc > 2) {
        if (merge_keys(c, registers, &dense))
            call_int(c, cardinality_estimate(registers));
        return;
    }
    struct object *o = lookup(c, 1, &wrong);
    if (o != NULL)
        count_one(c, o);
    else if (!wrong)
        call_int(c, 0);
}

void hyperloglog_merge(struct call *c)
{
    uint8_t registers[CARDINALITY_REGISTERS] = {0};
    struct sketch s;
    bool dense;

    if (!merge_keys(c, registers, &dense))
        return;
    sketch_open(c, &s, call_lookup(c, c->argv[1]));
    if (dense && !sketch_make_dense(c, &s)) {
        corrupt(c);
        return;
    }
    for (unsigned i = 0; i < CARDINALITY_REGISTERS; i++)
        if (registers[i] > 0)
            (void)sketch_raise(c, &s, i, registers[i]);
    sketch_close(c, &s, call_place(c, c->argv[1]), true);
    call_ok(c);
}
