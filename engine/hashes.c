#include "engine/dict.h"
#include "engine/internal.h"
#include "engine/number.h"

#include <math.h>

/* Hashes: reading and writing fields. HRANDFIELD and HSCAN are in hashpages.c. */

/* Redis's defaults of hash-max-listpack-entries and hash-max-listpack-value. */
#define SMALL_FIELDS 512
#define SMALL_BYTES  64

static struct object *hash_of(struct call *c, bool *wrong)
{
    return call_lookup_typed(c, c->argv[1], OBJECT_HASH, wrong);
}

/* The place of a hash that will be written to. It is not made here, so that a command that fails leaves no
 * empty one behind. NULL: another type, answered. */
static struct object *hash_place(struct call *c)
{
    bool wrong;
    struct object *o = hash_of(c, &wrong);

    if (wrong)
        return NULL;
    return o != NULL ? o : call_place(c, c->argv[1]);
}

static void make(struct call *c, struct object *o, size_t expected)
{
    if (o->type != OBJECT_NONE)
        return;
    o->type = OBJECT_HASH;
    o->encoding = ENC_LISTPACK;
    o->v.hash = dict_new(c->arena, expected);
}

static const struct slice *value_of(const struct object *o, struct slice field)
{
    int64_t at = o != NULL && o->type == OBJECT_HASH ? dict_find(o->v.hash, field) : -1;

    return at >= 0 ? &o->v.hash->entries[at].value : NULL;
}

/* Sets a field of a hash that may not exist yet. True: it is new. */
static bool set_field(struct call *c, struct object *o, struct slice field, struct slice value)
{
    make(c, o, 0);
    bool added = dict_set(o->v.hash, field, value);
    if (field.len > SMALL_BYTES || value.len > SMALL_BYTES || o->v.hash->count > SMALL_FIELDS)
        o->encoding = ENC_HASHTABLE;
    call_changed(c, o);
    return added;
}

/* "key field value …"; -1 when it failed and was answered, else the number of new fields. */
static int64_t set_fields(struct call *c, const char *arity_error)
{
    int64_t added = 0;

    if (c->argc % 2 != 0) {
        call_error(c, arity_error);
        return -1;
    }
    struct object *o = hash_place(c);
    if (o == NULL)
        return -1;
    make(c, o, (c->argc - 2) / 2);
    for (size_t i = 2; i < c->argc; i += 2)
        added += set_field(c, o, c->argv[i], c->argv[i + 1]);
    return added;
}

void hashes_hset(struct call *c)
{
    int64_t added = set_fields(c, "ERR wrong number of arguments for 'hset' command");

    if (added >= 0)
        call_int(c, added);
}

void hashes_hmset(struct call *c)
{
    if (set_fields(c, "ERR wrong number of arguments for 'hmset' command") >= 0)
        call_ok(c);
}

void hashes_hsetnx(struct call *c)
{
    struct object *o = hash_place(c);

    if (o == NULL)
        return;
    bool absent = value_of(o, c->argv[2]) == NULL;
    if (absent)
        set_field(c, o, c->argv[2], c->argv[3]);
    call_int(c, absent);
}

static void bulk_or_null(struct call *c, const struct slice *value)
{
    if (value != NULL)
        call_bulk(c, *value);
    else
        call_null(c);
}

void hashes_hget(struct call *c)
{
    bool wrong;
    struct object *o = hash_of(c, &wrong);

    if (!wrong)
        bulk_or_null(c, value_of(o, c->argv[2]));
}

void hashes_hmget(struct call *c)
{
    bool wrong;
    struct object *o = hash_of(c, &wrong);

    if (wrong)
        return;
    build_array(c->out, c->argc - 2);
    for (size_t i = 2; i < c->argc; i++)
        bulk_or_null(c, value_of(o, c->argv[i]));
}

void hashes_hexists(struct call *c)
{
    bool wrong;
    struct object *o = hash_of(c, &wrong);

    if (!wrong)
        call_int(c, value_of(o, c->argv[2]) != NULL);
}

void hashes_hstrlen(struct call *c)
{
    bool wrong;
    struct object *o = hash_of(c, &wrong);

    if (wrong)
        return;
    const struct slice *value = value_of(o, c->argv[2]);
    call_int(c, value != NULL ? (int64_t)value->len : 0);
}

void hashes_hlen(struct call *c)
{
    bool wrong;
    struct object *o = hash_of(c, &wrong);

    if (!wrong)
        call_int(c, o != NULL ? (int64_t)o->v.hash->count : 0);
}

void hashes_hdel(struct call *c)
{
    bool wrong;
    size_t gone = 0;
    struct object *o = hash_of(c, &wrong);

    if (wrong)
        return;
    for (size_t i = 2; o != NULL && i < c->argc; i++) {
        int64_t at = dict_find(o->v.hash, c->argv[i]);
        if (at < 0)
            continue;
        dict_drop_at(o->v.hash, (size_t)at);
        gone++;
    }
    if (gone > 0) {
        dict_sweep(o->v.hash);
        if (o->v.hash->count == 0)
            call_remove(c, o);
        else
            call_changed(c, o);
    }
    call_int(c, (int64_t)gone);
}

static void answer_all(struct call *c, bool names, bool values)
{
    bool wrong;
    struct object *o = hash_of(c, &wrong);

    if (wrong)
        return;
    size_t n = o != NULL ? o->v.hash->count : 0;
    if (names && values)
        build_map(c->out, c->resp, n);
    else
        build_array(c->out, n);
    for (size_t i = 0; i < n; i++) {
        if (names)
            call_bulk(c, o->v.hash->entries[i].name);
        if (values)
            call_bulk(c, o->v.hash->entries[i].value);
    }
}

void hashes_hkeys(struct call *c)
{
    answer_all(c, true, false);
}

void hashes_hvals(struct call *c)
{
    answer_all(c, false, true);
}

void hashes_hgetall(struct call *c)
{
    answer_all(c, true, true);
}

void hashes_hincrby(struct call *c)
{
    int64_t by, value = 0;
    char text[24];

    if (!call_int_arg(c, 3, &by))
        return;
    struct object *o = hash_place(c);
    if (o == NULL)
        return;
    const struct slice *old = value_of(o, c->argv[2]);
    if (old != NULL && !number_int(*old, &value)) {
        call_error(c, "ERR hash value is not an integer");
        return;
    }
    if (__builtin_add_overflow(value, by, &value)) {
        call_error(c, "ERR increment or decrement would overflow");
        return;
    }
    size_t n = number_print_int(text, value);
    set_field(c, o, c->argv[2], arena_copy(c->arena, (struct slice){text, n}));
    call_int(c, value);
}

void hashes_hincrbyfloat(struct call *c)
{
    long double by, value = 0;
    char text[NUMBER_TEXT];

    if (!number_long_double(c->argv[3], &by)) {
        call_error(c, "ERR value is not a valid float");
        return;
    }
    if (isinf(by)) {
        call_error(c, "ERR value is NaN or Infinity");
        return;
    }
    struct object *o = hash_place(c);
    if (o == NULL)
        return;
    const struct slice *old = value_of(o, c->argv[2]);
    if (old != NULL && !number_long_double(*old, &value)) {
        call_error(c, "ERR hash value is not a float");
        return;
    }
    value += by;
    if (isnan(value) || isinf(value)) {
        call_error(c, "ERR increment would produce NaN or Infinity");
        return;
    }
    struct slice sum = arena_copy(c->arena, (struct slice){text, number_print_human(text, value)});
    set_field(c, o, c->argv[2], sum);
    call_bulk(c, sum);
}
