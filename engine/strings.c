#include "engine/bytes.h"
#include "engine/internal.h"
#include "engine/number.h"

#include <math.h>
#include <string.h>

/* The words behind SET and GETEX. */
enum {
    W_NX = 1 << 0,
    W_XX = 1 << 1,
    W_GET = 1 << 2,
    W_KEEPTTL = 1 << 3,
    W_PERSIST = 1 << 4,
    W_EX = 1 << 5,
    W_PX = 1 << 6,
    W_EXAT = 1 << 7,
    W_PXAT = 1 << 8,
};
#define W_RELATIVE (W_EX | W_PX)
#define W_SECONDS  (W_EX | W_EXAT)
#define W_TIMES    (W_EX | W_PX | W_EXAT | W_PXAT)
#define W_EXPIRY   (W_KEEPTTL | W_PERSIST | W_TIMES)
#define W_SET      (W_NX | W_XX | W_GET | W_KEEPTTL | W_TIMES)
#define W_GETEX    (W_PERSIST | W_TIMES)

static const struct word {
    const char *text;
    unsigned flag;
    unsigned excludes; /* a word may stand twice, but not beside one of these */
} words[] = {
    {"NX", W_NX, W_XX},
    {"XX", W_XX, W_NX},
    {"GET", W_GET, 0},
    {"KEEPTTL", W_KEEPTTL, W_EXPIRY & ~W_KEEPTTL},
    {"PERSIST", W_PERSIST, W_EXPIRY & ~W_PERSIST},
    {"EX", W_EX, W_EXPIRY & ~W_EX},
    {"PX", W_PX, W_EXPIRY & ~W_PX},
    {"EXAT", W_EXAT, W_EXPIRY & ~W_EXAT},
    {"PXAT", W_PXAT, W_EXPIRY & ~W_PXAT},
};

struct options {
    unsigned flags;  /* W_… */
    size_t time_arg; /* the argument behind EX and its like; the last one counts */
};

static const struct word *word_at(const struct call *c, size_t arg, unsigned allowed)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if ((words[i].flag & allowed) != 0 && call_is(c, arg, words[i].text))
            return &words[i];
    return NULL;
}

static bool read_options(struct call *c, size_t from, unsigned allowed, struct options *ret)
{
    *ret = (struct options){0, 0};
    for (size_t i = from; i < c->argc; i++) {
        const struct word *w = word_at(c, i, allowed);
        if (w == NULL || (ret->flags & w->excludes) != 0 || ((w->flag & W_TIMES) != 0 && i + 1 == c->argc)) {
            call_syntax_error(c);
            return false;
        }
        ret->flags |= w->flag;
        if ((w->flag & W_TIMES) != 0)
            ret->time_arg = ++i;
    }
    return true;
}

/* When the key is to expire, in ms since 1970. verb: as the error names the command. */
static bool read_time(struct call *c, const char *verb, struct options o, int64_t *ret)
{
    int64_t value, base = (o.flags & W_RELATIVE) != 0 ? c->now_ms : 0;
    int64_t unit = (o.flags & W_SECONDS) != 0 ? 1000 : 1;

    if (!call_int_arg(c, o.time_arg, &value))
        return false;
    if (value <= 0 || value > INT64_MAX / unit || value * unit > INT64_MAX - base) {
        call_errorf(c, "ERR invalid expire time in '%s' command", verb);
        return false;
    }
    *ret = value * unit + base;
    return true;
}

static void answer_string(struct call *c, const struct object *o)
{
    if (o == NULL)
        call_null(c);
    else
        call_bulk(c, o->v.string);
}

void strings_get(struct call *c)
{
    bool wrong;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);

    if (!wrong)
        answer_string(c, o);
}

void strings_set(struct call *c)
{
    struct options opt;
    int64_t expire_ms = -1;
    bool wrong, get, exists;

    if (!read_options(c, 3, W_SET, &opt))
        return;
    if ((opt.flags & W_TIMES) != 0 && !read_time(c, "set", opt, &expire_ms))
        return;
    get = (opt.flags & W_GET) != 0;
    exists = call_lookup(c, c->argv[1]) != NULL;
    if (get) {
        struct object *old = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);
        if (wrong)
            return;
        answer_string(c, old);
    }
    if ((opt.flags & (exists ? W_NX : W_XX)) != 0) {
        if (!get)
            call_null(c);
        return;
    }
    struct object *o = call_place(c, c->argv[1]);
    if ((opt.flags & W_KEEPTTL) == 0)
        o->expire_ms = expire_ms;
    bytes_store(c, o, c->argv[2]);
    if (!get)
        call_ok(c);
}

static void set_for(struct call *c, const char *verb, unsigned unit)
{
    struct options opt = {unit, 2};
    int64_t expire_ms;

    if (!read_time(c, verb, opt, &expire_ms))
        return;
    struct object *o = call_place(c, c->argv[1]);
    o->expire_ms = expire_ms;
    bytes_store(c, o, c->argv[3]);
    call_ok(c);
}

void strings_setex(struct call *c)
{
    set_for(c, "setex", W_EX);
}

void strings_psetex(struct call *c)
{
    set_for(c, "psetex", W_PX);
}

void strings_setnx(struct call *c)
{
    bool exists = call_lookup(c, c->argv[1]) != NULL;

    if (!exists)
        bytes_replace(c, call_place(c, c->argv[1]), c->argv[2]);
    call_int(c, !exists);
}

void strings_getset(struct call *c)
{
    bool wrong;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);

    if (wrong)
        return;
    answer_string(c, o);
    bytes_replace(c, call_place(c, c->argv[1]), c->argv[2]);
}

void strings_getdel(struct call *c)
{
    bool wrong;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);

    if (wrong)
        return;
    answer_string(c, o);
    if (o != NULL)
        call_remove(c, o);
}

static void expire_at(struct call *c, struct object *o, int64_t expire_ms)
{
    if (o->expire_ms == expire_ms)
        return;
    o->expire_ms = expire_ms;
    call_changed(c, o);
}

void strings_getex(struct call *c)
{
    struct options opt;
    int64_t expire_ms = -1;
    bool wrong;

    if (!read_options(c, 2, W_GETEX, &opt))
        return;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);
    if (wrong)
        return;
    /* Redis reads the time only when there is something to give it to. */
    if (o != NULL && (opt.flags & W_TIMES) != 0 && !read_time(c, "getex", opt, &expire_ms))
        return;
    answer_string(c, o);
    if (o == NULL || opt.flags == 0)
        return;
    if ((opt.flags & (W_EXAT | W_PXAT)) != 0 && expire_ms <= c->now_ms)
        call_remove(c, o);
    else
        expire_at(c, o, expire_ms);
}

void strings_mget(struct call *c)
{
    build_array(c->out, c->argc - 1);
    for (size_t i = 1; i < c->argc; i++) {
        struct object *o = call_lookup(c, c->argv[i]);
        answer_string(c, o != NULL && o->type == OBJECT_STRING ? o : NULL);
    }
}

static bool is_paired(struct call *c, const char *error)
{
    if (c->argc % 2 == 1)
        return true;
    call_error(c, error);
    return false;
}

static void set_pairs(struct call *c)
{
    for (size_t i = 1; i < c->argc; i += 2)
        bytes_replace(c, call_place(c, c->argv[i]), c->argv[i + 1]);
}

void strings_mset(struct call *c)
{
    if (!is_paired(c, "ERR wrong number of arguments for 'mset' command"))
        return;
    set_pairs(c);
    call_ok(c);
}

void strings_msetnx(struct call *c)
{
    if (!is_paired(c, "ERR wrong number of arguments for 'msetnx' command"))
        return;
    for (size_t i = 1; i < c->argc; i += 2) {
        if (call_lookup(c, c->argv[i]) != NULL) {
            call_int(c, 0);
            return;
        }
    }
    set_pairs(c);
    call_int(c, 1);
}

void strings_append(struct call *c)
{
    struct slice more = c->argv[2];
    bool wrong;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);

    if (wrong)
        return;
    if (o == NULL) {
        bytes_replace(c, call_place(c, c->argv[1]), more);
        call_int(c, (int64_t)more.len);
        return;
    }
    size_t len = o->v.string.len;
    if (!bytes_fit(c, len, more.len))
        return;
    char *p = bytes_edit(c, o, len + more.len);
    if (more.len > 0)
        memcpy(p + len, more.p, more.len);
    call_int(c, (int64_t)(len + more.len));
}

void strings_strlen(struct call *c)
{
    bool wrong;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);

    if (!wrong)
        call_int(c, o == NULL ? 0 : (int64_t)o->v.string.len);
}

void strings_setrange(struct call *c)
{
    struct slice part = c->argv[3];
    int64_t offset;
    bool wrong;

    if (!call_int_arg(c, 2, &offset))
        return;
    if (offset < 0) {
        call_error(c, "ERR offset is out of range");
        return;
    }
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);
    if (wrong)
        return;
    if (part.len == 0) {
        call_int(c, o == NULL ? 0 : (int64_t)o->v.string.len);
        return;
    }
    if (!bytes_fit(c, (uint64_t)offset, part.len))
        return;
    if (o == NULL)
        o = call_place(c, c->argv[1]);
    memcpy(bytes_edit(c, o, (size_t)offset + part.len) + offset, part.p, part.len);
    call_int(c, (int64_t)o->v.string.len);
}

/* The bytes from first to last, both counted from the end when negative. */
static struct slice range_of(struct slice s, int64_t first, int64_t last)
{
    int64_t len = (int64_t)s.len;

    if (first < 0 && last < 0 && first > last)
        return (struct slice){NULL, 0};
    if (first < 0)
        first = first + len < 0 ? 0 : first + len;
    if (last < 0)
        last = last + len < 0 ? 0 : last + len;
    if (last >= len)
        last = len - 1;
    if (first > last)
        return (struct slice){NULL, 0};
    return (struct slice){s.p + first, (size_t)(last - first) + 1};
}

/* SUBSTR is its older name. */
void strings_getrange(struct call *c)
{
    int64_t first, last;
    bool wrong;

    if (!call_int_arg(c, 2, &first) || !call_int_arg(c, 3, &last))
        return;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);
    if (!wrong)
        call_bulk(c, o == NULL ? (struct slice){NULL, 0} : range_of(o->v.string, first, last));
}

static void add_int(struct call *c, int64_t by)
{
    int64_t value = 0;
    bool wrong;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);

    if (wrong)
        return;
    if (o != NULL && !number_int(o->v.string, &value)) {
        call_error(c, "ERR value is not an integer or out of range");
        return;
    }
    if (__builtin_add_overflow(value, by, &value)) {
        call_error(c, "ERR increment or decrement would overflow");
        return;
    }
    char *text = arena_get(c->arena, 24);
    size_t n = number_print_int(text, value);
    bytes_store(c, call_place(c, c->argv[1]), (struct slice){text, n});
    call_int(c, value);
}

void strings_incr(struct call *c)
{
    add_int(c, 1);
}

void strings_decr(struct call *c)
{
    add_int(c, -1);
}

void strings_incrby(struct call *c)
{
    int64_t by;

    if (call_int_arg(c, 2, &by))
        add_int(c, by);
}

void strings_decrby(struct call *c)
{
    int64_t by;

    if (!call_int_arg(c, 2, &by))
        return;
    if (by == INT64_MIN)
        call_error(c, "ERR decrement would overflow");
    else
        add_int(c, -by);
}

void strings_incrbyfloat(struct call *c)
{
    long double value = 0, by;
    char text[NUMBER_TEXT];
    bool wrong;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_STRING, &wrong);

    if (wrong)
        return;
    if ((o != NULL && !number_long_double(o->v.string, &value)) || !number_long_double(c->argv[2], &by)) {
        call_error(c, "ERR value is not a valid float");
        return;
    }
    value += by;
    if (isnan(value) || isinf(value)) {
        call_error(c, "ERR increment would produce NaN or Infinity");
        return;
    }
    struct slice s = arena_copy(c->arena, (struct slice){text, number_print_human(text, value)});
    o = call_place(c, c->argv[1]);
    bytes_store(c, o, s);
    if (o->encoding == ENC_INT)
        o->encoding = ENC_EMBSTR; /* Redis looks for an integer only in what a client sends */
    call_bulk(c, s);
}
