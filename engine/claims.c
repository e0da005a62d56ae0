#include "engine/internal.h"
#include "engine/number.h"
#include "engine/streamargs.h"

/* Pending entries that change hands: XCLAIM, XAUTOCLAIM. */

#define NOT_GIVEN (-1)

struct claim {
    struct object *o;
    struct stream_group *group;
    struct slice name;
    int64_t consumer; /* -1: not looked up yet: one that gets nothing is not made */
    int64_t idle_ms, delivered_ms, deliveries;
    bool force, only_ids;
    struct stream_id last_id;
    struct stream_id *taken, *gone; /* claimed; deleted from the stream, and from the group now */
    size_t ntaken, ngone;
};

static bool idle_arg(struct call *c, const char *error, struct claim *cl)
{
    if (!number_int(c->argv[4], &cl->idle_ms)) {
        call_error(c, error);
        return false;
    }
    cl->idle_ms = cl->idle_ms < 0 ? 0 : cl->idle_ms;
    return true;
}

static bool find_group(struct call *c, struct claim *cl)
{
    bool wrong;

    cl->o = stream_lookup(c, 1, &wrong);
    if (wrong)
        return false;
    cl->group = stream_group_of(c, cl->o, 1, 2);
    return cl->group != NULL;
}

static void forget(struct call *c, struct claim *cl, struct stream_pending *p)
{
    cl->gone[cl->ngone++] = p->id;
    p->consumer = STREAM_NOBODY;
    call_changed(c, cl->o);
}

/* Adding the consumer does not move pending entries: p stays valid. */
static void take(struct call *c, struct claim *cl, struct stream_pending *p)
{
    if (cl->consumer < 0)
        cl->consumer = stream_consumer_see(c, cl->o->v.stream, cl->group, cl->name);
    p->consumer = (uint32_t)cl->consumer;
    p->delivered_ms = cl->delivered_ms;
    if (cl->deliveries >= 0)
        p->deliveries = (uint64_t)cl->deliveries;
    else if (!cl->only_ids)
        p->deliveries++;
    cl->taken[cl->ntaken++] = p->id;
    call_changed(c, cl->o);
}

static void reply_taken(struct call *c, const struct claim *cl)
{
    build_array(c->out, cl->ntaken);
    for (size_t i = 0; i < cl->ntaken; i++)
        if (cl->only_ids)
            stream_reply_id(c, cl->taken[i]);
        else
            stream_reply_entry(c, stream_find(cl->o->v.stream, cl->taken[i]));
}

static bool is_fresh(const struct call *c, const struct claim *cl, const struct stream_pending *p)
{
    return cl->idle_ms != 0 && stream_idle(c, p->delivered_ms) < cl->idle_ms;
}

/* ---- XCLAIM ---- */

static bool number_option(struct call *c, size_t *at, const char *word, int64_t *ret, bool *ret_ok)
{
    if (*at + 1 >= c->argc || !call_is(c, *at, word))
        return false;
    *ret_ok = number_int(c->argv[++*at], ret);
    if (!*ret_ok)
        call_errorf(c, "ERR Invalid %s option argument for XCLAIM", word);
    return true;
}

static bool claim_option(struct call *c, size_t *at, struct claim *cl)
{
    bool ok = true;

    if (call_is(c, *at, "FORCE")) {
        cl->force = true;
    } else if (call_is(c, *at, "JUSTID")) {
        cl->only_ids = true;
    } else if (number_option(c, at, "IDLE", &cl->delivered_ms, &ok)) {
        cl->delivered_ms = stream_idle(c, cl->delivered_ms);
    } else if (*at + 1 < c->argc && call_is(c, *at, "LASTID")) {
        ok = stream_id_arg(c, ++*at, 0, &cl->last_id);
    } else if (!number_option(c, at, "TIME", &cl->delivered_ms, &ok) &&
               !number_option(c, at, "RETRYCOUNT", &cl->deliveries, &ok)) {
        call_errorf(c, "ERR Unrecognized XCLAIM option '%.*s'", STREAM_TEXT(c->argv[*at]));
        ok = false;
    }
    return ok;
}

/* The ids end where the first argument is none; *ret_n of them. */
static bool claim_args(struct call *c, struct claim *cl, struct stream_id **ret, size_t *ret_n)
{
    size_t i = 5;

    *ret = arena_get(c->arena, c->argc * sizeof **ret);
    while (i < c->argc && stream_id_parse(c->argv[i], 0, &(*ret)[i - 5]))
        i++;
    *ret_n = i - 5;
    for (; i < c->argc; i++)
        if (!claim_option(c, &i, cl))
            return false;
    if (cl->delivered_ms < 0 || cl->delivered_ms > c->now_ms)
        cl->delivered_ms = c->now_ms;
    return true;
}

static void claim_id(struct call *c, struct claim *cl, struct stream_id id)
{
    struct stream *s = cl->o->v.stream;
    struct stream_pending *p = stream_pending_find(cl->group, id);
    bool is_new = p == NULL || p->consumer == STREAM_NOBODY;

    if (stream_find(s, id) == NULL) {
        if (!is_new)
            forget(c, cl, p);
        return;
    }
    if (is_new ? !cl->force : is_fresh(c, cl, p))
        return;
    if (is_new) {
        p = stream_pending_add(s, cl->group, id);
        p->deliveries = 1;
    }
    take(c, cl, p);
}

void claims_xclaim(struct call *c)
{
    struct claim cl = {
        .consumer = -1, .delivered_ms = NOT_GIVEN, .deliveries = NOT_GIVEN, .name = c->argv[3]};
    struct stream_id *ids;
    size_t n;

    if (!find_group(c, &cl) || !idle_arg(c, "ERR Invalid min-idle-time argument for XCLAIM", &cl) ||
        !claim_args(c, &cl, &ids, &n))
        return;
    if (stream_id_compare(cl.last_id, cl.group->last_id) > 0) {
        cl.group->last_id = cl.last_id;
        call_changed(c, cl.o);
    }
    cl.taken = arena_get(c->arena, n * sizeof *cl.taken);
    cl.gone = arena_get(c->arena, n * sizeof *cl.gone);
    for (size_t i = 0; i < n; i++)
        claim_id(c, &cl, ids[i]);
    stream_pending_sweep(cl.group);
    reply_taken(c, &cl);
}

/* ---- XAUTOCLAIM ---- */

#define DEFAULT_COUNT 100
#define ATTEMPTS      10 /* entries looked at for each one that may be claimed */
#define MOST_COUNT    (INT64_MAX / 16)
#define MEMORY_COUNT  ((int64_t)1 << 42) /* from here on Redis finds no memory for the ids */

static bool auto_options(struct call *c, struct claim *cl, int64_t *ret_count)
{
    *ret_count = DEFAULT_COUNT;
    for (size_t i = 6; i < c->argc; i++) {
        if (call_is(c, i, "justid")) {
            cl->only_ids = true;
            continue;
        }
        if (i + 1 >= c->argc || !call_is(c, i, "count")) {
            call_syntax_error(c);
            return false;
        }
        if (!number_int(c->argv[++i], ret_count) || *ret_count < 1 || *ret_count > MOST_COUNT) {
            call_error(c, "ERR COUNT must be > 0");
            return false;
        }
    }
    return true;
}

/* Returns the position where the next call goes on. */
static size_t claim_some(struct call *c, struct claim *cl, struct stream_id from, int64_t count)
{
    struct stream_group *g = cl->group;
    size_t at = stream_pending_seek(g, from);
    int64_t attempts = count * ATTEMPTS;

    cl->taken = arena_get(c->arena, (g->npending - at) * sizeof *cl->taken);
    cl->gone = arena_get(c->arena, (g->npending - at) * sizeof *cl->gone);
    for (; at < g->npending && attempts > 0 && count > 0; at++, attempts--) {
        struct stream_pending *p = &g->pending[at];
        bool is_gone = stream_find(cl->o->v.stream, p->id) == NULL;
        if (is_gone)
            forget(c, cl, p);
        else if (is_fresh(c, cl, p))
            continue;
        else
            take(c, cl, p);
        count--;
    }
    return at;
}

static void reply_auto(struct call *c, struct claim *cl, size_t next)
{
    struct stream_group *g = cl->group;

    build_array(c->out, 3);
    stream_reply_id(c, next < g->npending ? g->pending[next].id : STREAM_ID_NONE);
    reply_taken(c, cl);
    build_array(c->out, cl->ngone);
    for (size_t i = 0; i < cl->ngone; i++)
        stream_reply_id(c, cl->gone[i]);
}

void claims_xautoclaim(struct call *c)
{
    struct claim cl = {
        .consumer = -1, .delivered_ms = c->now_ms, .deliveries = NOT_GIVEN, .name = c->argv[3]};
    struct stream_id from;
    int64_t count;

    if (!idle_arg(c, "ERR Invalid min-idle-time argument for XAUTOCLAIM", &cl) ||
        !stream_from_arg(c, 5, &from) || !auto_options(c, &cl, &count) || !find_group(c, &cl))
        return;
    if (count >= MEMORY_COUNT) {
        call_error(c, "ERR Insufficient memory, failed allocating transient memory, COUNT too high.");
        return;
    }
    size_t next = claim_some(c, &cl, from, count);
    reply_auto(c, &cl, next);
    stream_pending_sweep(cl.group);
}
