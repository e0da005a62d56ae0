#include "engine/internal.h"
#include "engine/number.h"
#include "engine/streamargs.h"

/* XREAD and XREADGROUP in the form that never waits, as in a transaction: nil when there is nothing. Waiting
 * is the executor's. */

struct reading {
    bool by_group, noack;
    int64_t count; /* 0: all */
    struct slice group, consumer;
    size_t group_arg;        /* 0: not given */
    size_t first, streams;   /* argv of the first key, number of keys */
    struct stream_id *after; /* by key; STREAM_ID_MAX: what the group has not seen */
};

/* ---- arguments ---- */

static bool refuse(struct call *c, const char *error)
{
    call_error(c, error);
    return false;
}

/* Checked only. */
static bool timeout_arg(struct call *c, size_t arg)
{
    int64_t ms;

    if (!number_int(c->argv[arg], &ms))
        return refuse(c, "ERR timeout is not an integer or out of range");
    if (ms < 0)
        return refuse(c, "ERR timeout is negative");
    return true;
}

static bool streams_arg(struct call *c, size_t first, struct reading *r)
{
    size_t n = c->argc - first;

    if (n % 2 != 0)
        return refuse(
            c, "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.");
    r->first = first;
    r->streams = n / 2;
    return true;
}

/* The option at *at; leaves *at on its last argument. */
static bool option(struct call *c, size_t *at, struct reading *r)
{
    size_t more = c->argc - *at - 1;

    if (more >= 1 && call_is(c, *at, "block"))
        return timeout_arg(c, ++*at);
    if (more >= 1 && call_is(c, *at, "count")) {
        if (!call_int_arg(c, ++*at, &r->count))
            return false;
        r->count = r->count < 0 ? 0 : r->count;
        return true;
    }
    if (more >= 2 && call_is(c, *at, "group")) {
        r->group_arg = *at + 1;
        *at += 2;
        return r->by_group || refuse(c, "ERR The GROUP option is only supported by XREADGROUP. You called "
                                        "XREAD instead.");
    }
    if (call_is(c, *at, "noack")) {
        r->noack = true;
        return r->by_group || refuse(c, "ERR The NOACK option is only supported by XREADGROUP. You called "
                                        "XREAD instead.");
    }
    call_syntax_error(c);
    return false;
}

static bool options(struct call *c, struct reading *r)
{
    for (size_t i = 1; i < c->argc && r->first == 0; i++) {
        bool last = i + 1 < c->argc && call_is(c, i, "streams");
        if (last ? !streams_arg(c, i + 1, r) : !option(c, &i, r))
            return false;
    }
    if (r->first == 0) {
        call_syntax_error(c);
        return false;
    }
    if (r->by_group && r->group_arg == 0)
        return refuse(c, "ERR Missing GROUP option for XREADGROUP");
    if (r->by_group) {
        r->group = c->argv[r->group_arg];
        r->consumer = c->argv[r->group_arg + 1];
    }
    return true;
}

static bool group_exists(struct call *c, const struct reading *r, const struct object *o, struct slice key)
{
    if (o != NULL && stream_group_find(o->v.stream, r->group) != NULL)
        return true;
    call_errorf(c, "NOGROUP No such key '%.*s' or consumer group '%.*s' in XREADGROUP with GROUP option",
                STREAM_TEXT(key), STREAM_TEXT(r->group));
    return false;
}

static bool after_arg(struct call *c, struct reading *r, size_t i)
{
    size_t key = r->first + i, arg = key + r->streams;
    bool wrong;

    /* Whoever loads keys may take a group called "streams" for the keyword; then the keys are others. */
    if (!call_loaded(c, c->argv[key])) {
        call_syntax_error(c);
        return false;
    }
    const struct object *o = stream_lookup(c, key, &wrong);
    if (wrong || (r->by_group && !group_exists(c, r, o, c->argv[key])))
        return false;
    if (call_is(c, arg, "$")) {
        r->after[i] = o != NULL ? o->v.stream->last_id : STREAM_ID_NONE;
        return !r->by_group ||
               refuse(c, "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the "
                         "history of this consumer by specifying a proper ID, or use the > ID to get new "
                         "messages. The $ ID would just return an empty result set.");
    }
    if (call_is(c, arg, ">")) {
        r->after[i] = STREAM_ID_MAX;
        return r->by_group || refuse(c, "ERR The > ID can be specified only when calling XREADGROUP using "
                                        "the GROUP <group> <consumer> option.");
    }
    return stream_id_arg(c, arg, 0, &r->after[i]);
}

/* ---- replies ---- */

static size_t bounded(const struct reading *r, size_t n)
{
    return r->count > 0 && (uint64_t)r->count < n ? (size_t)r->count : n;
}

static void begin_stream(struct call *c, size_t key)
{
    if (c->resp == RESP2)
        build_array(c->out, 2);
    call_bulk(c, c->argv[key]);
}

static bool read_plain(struct call *c, const struct reading *r, size_t i)
{
    struct object *o = call_lookup(c, c->argv[r->first + i]);
    struct stream_id from = r->after[i];

    if (o == NULL || !stream_id_next(&from))
        return false;
    const struct stream *s = o->v.stream;
    size_t at = stream_seek(s, from);
    if (at == s->count)
        return false;
    begin_stream(c, r->first + i);
    stream_reply_entries(c, s, at, bounded(r, s->count - at));
    return true;
}

static void deliver(struct call *c, struct stream *s, struct stream_group *g, struct stream_id id,
                    uint32_t consumer)
{
    struct stream_pending *p = stream_pending_add(s, g, id);

    p->consumer = consumer;
    p->delivered_ms = c->now_ms;
    p->deliveries = 1;
}

/* Entries that the group has not seen: now they are the consumer's. Nobody is made to get nothing. */
static bool read_news(struct call *c, const struct reading *r, size_t i, struct object *o,
                      struct stream_group *g)
{
    struct stream *s = o->v.stream;
    struct stream_id from = g->last_id;
    size_t at = stream_id_next(&from) ? stream_seek(s, from) : s->count;

    if (at == s->count)
        return false;
    uint32_t consumer = stream_consumer_see(c, s, g, r->consumer);
    size_t n = bounded(r, s->count - at);
    call_changed(c, o);
    begin_stream(c, r->first + i);
    stream_reply_entries(c, s, at, n);
    for (size_t k = at; k < at + n; k++) {
        stream_group_advance(s, g, stream_at(s, k)->id);
        if (!r->noack)
            deliver(c, s, g, stream_at(s, k)->id, consumer);
    }
    return true;
}

static void reply_pending(struct call *c, const struct stream *s, struct stream_pending *p)
{
    const struct stream_entry *e = stream_find(s, p->id);

    if (e == NULL) { /* deleted, but never acknowledged */
        build_array(c->out, 2);
        stream_reply_id(c, p->id);
        call_null_array(c);
        return;
    }
    stream_reply_entry(c, e);
    p->delivered_ms = c->now_ms;
    p->deliveries++;
}

/* What the consumer was given before and has not acknowledged. */
static void read_history(struct call *c, const struct reading *r, size_t i, struct stream_group *g,
                         const struct stream *s, uint32_t consumer)
{
    struct stream_id from = r->after[i];
    size_t first = stream_id_next(&from) ? stream_pending_seek(g, from) : g->npending, n = 0;

    for (size_t k = first; k < g->npending; k++)
        n += g->pending[k].consumer == consumer;
    n = bounded(r, n);
    begin_stream(c, r->first + i);
    build_array(c->out, n);
    for (size_t k = first; n > 0; k++)
        if (g->pending[k].consumer == consumer) {
            reply_pending(c, s, &g->pending[k]);
            n--;
        }
}

static bool read_by_group(struct call *c, const struct reading *r, size_t i)
{
    struct object *o = call_lookup(c, c->argv[r->first + i]);
    struct stream *s = o->v.stream;
    struct stream_group *g = stream_group_find(s, r->group);

    if (stream_id_compare(r->after[i], STREAM_ID_MAX) == 0)
        return read_news(c, r, i, o, g);
    uint32_t consumer = stream_consumer_see(c, s, g, r->consumer);
    call_changed(c, o);
    read_history(c, r, i, g, s, consumer);
    return true;
}

/* How many streams have something to say is known only at the end: the reply grows beside out. */
static void reply(struct call *c, const struct reading *r)
{
    struct chain *out = c->out, body;
    size_t n = 0;

    chain_init(&body, out->pool);
    c->out = &body;
    for (size_t i = 0; i < r->streams; i++)
        n += r->by_group ? read_by_group(c, r, i) : read_plain(c, r, i);
    c->out = out;
    if (n == 0)
        call_null_array(c);
    else if (c->resp == RESP2)
        build_array(out, n);
    else
        build_map(out, c->resp, n);
    chain_move(out, &body);
}

static void read_streams(struct call *c, struct reading *r)
{
    if (!options(c, r))
        return;
    r->after = arena_get(c->arena, r->streams * sizeof *r->after);
    for (size_t i = 0; i < r->streams; i++)
        if (!after_arg(c, r, i))
            return;
    reply(c, r);
}

void streamreads_xread(struct call *c)
{
    read_streams(c, &(struct reading){.by_group = false});
}

void streamreads_xreadgroup(struct call *c)
{
    read_streams(c, &(struct reading){.by_group = true});
}
