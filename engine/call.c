#include "engine/call.h"
#include "engine/number.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

bool slice_equal(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

int slice_compare(struct slice a, struct slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* Handlers ask for keys mostly in the order in which they were loaded: the search begins where the last one
 * ended, and need not go far where there is a better way to find the others. Returns count when it is none. */
static size_t find_key(struct keyspace *keys, struct slice key)
{
    size_t near = keys->find != NULL && keys->count > 2 ? 2 : keys->count, at = keys->hint;

    for (size_t i = 0; i < near; i++, at++) {
        if (at >= keys->count)
            at = 0;
        if (slice_equal(keys->objects[at].key, key)) {
            keys->hint = at;
            return at;
        }
    }
    at = keys->find != NULL ? keys->find(keys->find_ctx, key) : keys->count;
    if (at < keys->count)
        keys->hint = at;
    return at;
}

static struct object *place_of(struct keyspace *keys, struct slice key)
{
    size_t at = find_key(keys, key);

    if (at >= keys->count)
        abort(); /* the executor did not load a key that the command names */
    return &keys->objects[at];
}

bool call_loaded(struct call *c, struct slice key)
{
    return find_key(c->keys, key) < c->keys->count;
}

static bool is_expired(const struct call *c, const struct object *o)
{
    return o->expire_ms >= 0 && c->now_ms > o->expire_ms;
}

static void empty(struct object *o)
{
    o->type = OBJECT_NONE;
    o->encoding = 0;
    o->expire_ms = -1;
    memset(&o->v, 0, sizeof o->v);
}

struct object *call_lookup(struct call *c, struct slice key)
{
    struct object *o = place_of(c->keys, key);

    return o->type == OBJECT_NONE || is_expired(c, o) ? NULL : o;
}

const struct object *call_fetch(struct call *c, struct slice key)
{
    if (call_loaded(c, key))
        return call_lookup(c, key);
    if (c->fetch == NULL)
        return NULL;
    struct object *o = arena_get(c->arena, sizeof *o);
    c->fetch(c->fetch_ctx, key, o);
    return o->type == OBJECT_NONE || is_expired(c, o) ? NULL : o;
}

struct object *call_lookup_typed(struct call *c, struct slice key, enum object_type type, bool *wrong)
{
    struct object *o = call_lookup(c, key);

    *wrong = o != NULL && o->type != type;
    if (*wrong) {
        call_error(c, "WRONGTYPE Operation against a key holding the wrong kind of value");
        return NULL;
    }
    return o;
}

struct object *call_place(struct call *c, struct slice key)
{
    struct object *o = place_of(c->keys, key);

    if (o->type == OBJECT_NONE || is_expired(c, o))
        empty(o);
    return o;
}

void call_remove(struct call *c, struct object *o)
{
    empty(o);
    call_changed(c, o);
}

void call_changed(struct call *c, struct object *o)
{
    o->changed = true;
}

void call_error(struct call *c, const char *line)
{
    size_t n = strlen(line), kept = n;

    while (kept > 0 && (line[kept - 1] == '\r' || line[kept - 1] == '\n'))
        kept--;
    if (kept < n) {
        char *copy = arena_get(c->arena, kept + 1);
        memcpy(copy, line, kept);
        line = copy;
    }
    build_error(c->out, line);
    c->failed = true;
}

void call_errorf(struct call *c, const char *format, ...)
{
    va_list ap, again;

    va_start(ap, format);
    va_copy(again, ap);
    size_t n = (size_t)vsnprintf(NULL, 0, format, ap) + 1;
    va_end(ap);
    char *line = arena_get(c->arena, n);
    vsnprintf(line, n, format, again);
    va_end(again);
    call_error(c, line);
}

void call_ok(struct call *c)
{
    build_status(c->out, "OK");
}

void call_int(struct call *c, int64_t value)
{
    build_int(c->out, value);
}

void call_bulk(struct call *c, struct slice s)
{
    build_bulk(c->out, s.p, s.len);
}

void call_null(struct call *c)
{
    build_null(c->out, c->resp);
}

void call_null_array(struct call *c)
{
    build_null_array(c->out, c->resp);
}

void call_double(struct call *c, double value)
{
    char text[NUMBER_TEXT];
    size_t n = number_print_double(text, value);

    build_double(c->out, c->resp, text, n);
}

void call_syntax_error(struct call *c)
{
    call_error(c, "ERR syntax error");
}

bool call_int_arg(struct call *c, size_t arg, int64_t *ret)
{
    if (number_int(c->argv[arg], ret))
        return true;
    call_error(c, "ERR value is not an integer or out of range");
    return false;
}

bool call_double_arg(struct call *c, size_t arg, double *ret, const char *error)
{
    if (number_double(c->argv[arg], ret))
        return true;
    call_error(c, error != NULL ? error : "ERR value is not a valid float");
    return false;
}

/* Seconds. What is above -1 ms rounds up to 0; what milliseconds in 64 bits cannot hold counts as negative,
 * as Redis's cast makes it. */
bool call_timeout_arg(struct call *c, size_t arg)
{
    long double seconds;

    if (!number_long_double(c->argv[arg], &seconds)) {
        call_error(c, "ERR timeout is not a float or out of range");
        return false;
    }
    long double ms = ceill(seconds * 1000.0L);
    if (ms >= 0 && ms < 0x1p63L)
        return true;
    call_error(c, "ERR timeout is negative");
    return false;
}

bool call_is(const struct call *c, size_t arg, const char *word)
{
    struct slice s = c->argv[arg];
    size_t n = s.len == 0 ? 0 : strnlen(s.p, s.len);

    return n == strlen(word) && (n == 0 || strncasecmp(s.p, word, n) == 0);
}
