#include "engine/internal.h"
#include "engine/number.h"
#include "engine/streamargs.h"

/* Consumer groups: XGROUP, XACK, XPENDING. */

/* ---- XGROUP ---- */

struct options {
    bool make;
    int64_t read; /* -1: not known */
};

static void bad_subcommand(struct call *c)
{
    call_errorf(c, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try XGROUP HELP.",
                c->argv[1].len > 128 ? 128 : (int)c->argv[1].len, c->argv[1].p);
}

/* Those of CREATE, or of SETID, which does not make streams. */
static bool options(struct call *c, bool can_make, struct options *ret)
{
    *ret = (struct options){.read = -1};
    for (size_t i = 5; i < c->argc; i++) {
        if (can_make && call_is(c, i, "mkstream")) {
            ret->make = true;
            continue;
        }
        if (i + 1 >= c->argc || !call_is(c, i, "entriesread")) {
            bad_subcommand(c);
            return false;
        }
        if (!call_int_arg(c, ++i, &ret->read))
            return false;
        if (ret->read < -1) {
            call_error(c, "ERR value for ENTRIESREAD must be positive or -1");
            return false;
        }
    }
    return true;
}

/* The stream; one that may be missing is NULL then. False: answered. */
static bool find_stream(struct call *c, bool may_miss, struct object **ret)
{
    bool wrong;

    *ret = stream_lookup(c, 2, &wrong);
    if (*ret == NULL && !wrong && !may_miss)
        call_error(c, "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may "
                      "want to use the MKSTREAM option to create an empty stream automatically.");
    return !wrong && (*ret != NULL || may_miss);
}

static struct stream_group *find_group(struct call *c, struct object **ret)
{
    if (!find_stream(c, false, ret))
        return NULL;
    struct stream_group *g = stream_group_find((*ret)->v.stream, c->argv[3]);
    if (g == NULL)
        call_errorf(c, "NOGROUP No such consumer group '%.*s' for key name '%.*s'", STREAM_TEXT(c->argv[3]),
                    STREAM_TEXT(c->argv[2]));
    return g;
}

void groups_create(struct call *c)
{
    struct options opt;
    struct object *o;
    struct stream_id id = STREAM_ID_NONE;

    if (!options(c, true, &opt) || !find_stream(c, opt.make, &o))
        return;
    if (c->argc > 8) {
        bad_subcommand(c);
        return;
    }
    if (call_is(c, 4, "$"))
        id = o != NULL ? o->v.stream->last_id : id;
    else if (!stream_id_arg(c, 4, 0, &id))
        return;
    if (o != NULL && stream_group_find(o->v.stream, c->argv[3]) != NULL) {
        call_error(c, "BUSYGROUP Consumer Group name already exists");
        return;
    }
    if (o == NULL)
        o = stream_make(c, 2);
    struct stream_group *g = stream_group_add(o->v.stream, c->argv[3]);
    g->last_id = id;
    g->entries_read = opt.read;
    call_changed(c, o);
    call_ok(c);
}

void groups_setid(struct call *c)
{
    struct options opt;
    struct object *o;
    struct stream_id id;

    if (!options(c, false, &opt))
        return;
    struct stream_group *g = find_group(c, &o);
    if (g == NULL)
        return;
    if (c->argc != 5 && c->argc != 7) {
        bad_subcommand(c);
        return;
    }
    if (call_is(c, 4, "$"))
        id = o->v.stream->last_id;
    else if (!stream_edge_arg(c, 4, &id))
        return;
    g->last_id = id;
    g->entries_read = opt.read;
    call_changed(c, o);
    call_ok(c);
}

void groups_destroy(struct call *c)
{
    struct object *o;

    if (!find_stream(c, false, &o))
        return;
    struct stream_group *g = stream_group_find(o->v.stream, c->argv[3]);
    if (g != NULL) {
        stream_group_remove(o->v.stream, g);
        call_changed(c, o);
    }
    call_int(c, g != NULL);
}

void groups_createconsumer(struct call *c)
{
    struct object *o;
    struct stream_group *g = find_group(c, &o);

    if (g == NULL)
        return;
    bool is_new = stream_consumer_find(g, c->argv[4]) < 0;
    if (is_new) {
        stream_consumer_add(o->v.stream, g, c->argv[4], c->now_ms);
        call_changed(c, o);
    }
    call_int(c, is_new);
}

void groups_delconsumer(struct call *c)
{
    struct object *o;
    struct stream_group *g = find_group(c, &o);

    if (g == NULL)
        return;
    int64_t at = stream_consumer_find(g, c->argv[4]);
    if (at < 0) {
        call_int(c, 0);
        return;
    }
    call_changed(c, o);
    call_int(c, (int64_t)stream_consumer_remove(g, (uint32_t)at));
}

/* Clients compare it with the server's, line for line. */
void groups_help(struct call *c)
{
    static const char *const lines[] = {
        "XGROUP <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CREATE <key> <groupname> <id|$> [option]",
        "    Create a new consumer group. Options are:",
        "    * MKSTREAM",
        "      Create the empty stream if it does not exist.",
        "    * ENTRIESREAD entries_read",
        "      Set the group's entries_read counter (internal use).",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Create a new consumer in the specified group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Remove the specified consumer.",
        "DESTROY <key> <groupname>",
        "    Remove the specified group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Set the current group ID and entries_read counter.",
        "HELP",
        "    Prints this help.",
    };

    stream_reply_lines(c, lines, sizeof lines / sizeof *lines);
}

/* ---- XACK ---- */

void groups_xack(struct call *c)
{
    struct stream_id *ids;
    bool wrong;
    struct object *o = stream_lookup(c, 1, &wrong);

    if (wrong)
        return;
    struct stream_group *g = o == NULL ? NULL : stream_group_find(o->v.stream, c->argv[2]);
    if (g == NULL) {
        call_int(c, 0);
        return;
    }
    if (!stream_ids_arg(c, 3, &ids))
        return;
    size_t before = g->npending;
    for (size_t i = 3; i < c->argc; i++) {
        struct stream_pending *p = stream_pending_find(g, ids[i - 3]);
        if (p != NULL)
            p->consumer = STREAM_NOBODY;
    }
    stream_pending_sweep(g);
    if (g->npending < before)
        call_changed(c, o);
    call_int(c, (int64_t)(before - g->npending));
}

/* ---- XPENDING ---- */

struct span {
    struct stream_id from, to;
    int64_t count, idle_ms; /* at least so long ago; 0: any */
    size_t consumer_arg;    /* 0: everybody's */
};

static bool span_args(struct call *c, struct span *ret)
{
    size_t at = 3;

    *ret = (struct span){.count = 0};
    if (call_is(c, at, "idle")) {
        if (!call_int_arg(c, at + 1, &ret->idle_ms))
            return false;
        if (c->argc < 8) {
            call_syntax_error(c);
            return false;
        }
        at += 2;
    }
    if (!call_int_arg(c, at + 2, &ret->count) || !stream_from_arg(c, at, &ret->from) ||
        !stream_to_arg(c, at + 1, &ret->to))
        return false;
    ret->consumer_arg = at + 3 < c->argc ? at + 3 : 0;
    return true;
}

static void reply_summary(struct call *c, const struct stream_group *g)
{
    size_t *owes = arena_get(c->arena, g->nconsumers * sizeof *owes), n = 0;
    char text[24];

    build_array(c->out, 4);
    call_int(c, (int64_t)g->npending);
    if (g->npending == 0) {
        call_null(c);
        call_null(c);
        call_null_array(c);
        return;
    }
    stream_reply_id(c, g->pending[0].id);
    stream_reply_id(c, g->pending[g->npending - 1].id);
    for (size_t i = 0; i < g->npending; i++)
        n += owes[g->pending[i].consumer]++ == 0;
    build_array(c->out, n);
    for (size_t i = 0; i < g->nconsumers; i++) {
        if (owes[i] == 0)
            continue;
        build_array(c->out, 2);
        call_bulk(c, g->consumers[i].name);
        build_bulk(c->out, text, number_print_int(text, (int64_t)owes[i]));
    }
}

/* Positions of the pending entries that the span asks for. */
static size_t collect(struct call *c, const struct stream_group *g, const struct span *span, int64_t consumer,
                      size_t **ret)
{
    size_t first = stream_pending_seek(g, span->from), n = 0;

    *ret = arena_get(c->arena, (g->npending - first) * sizeof **ret);
    for (size_t i = first; i < g->npending && (int64_t)n < span->count; i++) {
        const struct stream_pending *p = &g->pending[i];
        if (stream_id_compare(p->id, span->to) > 0)
            break;
        bool is_theirs = consumer < 0 || p->consumer == consumer;
        if (is_theirs && (span->idle_ms == 0 || stream_idle(c, p->delivered_ms) >= span->idle_ms))
            (*ret)[n++] = i;
    }
    return n;
}

static void reply_span(struct call *c, const struct stream_group *g, const struct span *span)
{
    int64_t consumer = -1, idle;
    size_t *at;

    if (span->consumer_arg != 0) {
        consumer = stream_consumer_find(g, c->argv[span->consumer_arg]);
        if (consumer < 0) {
            build_array(c->out, 0);
            return;
        }
    }
    size_t n = collect(c, g, span, consumer, &at);
    build_array(c->out, n);
    for (size_t i = 0; i < n; i++) {
        const struct stream_pending *p = &g->pending[at[i]];
        build_array(c->out, 4);
        stream_reply_id(c, p->id);
        call_bulk(c, g->consumers[p->consumer].name);
        idle = stream_idle(c, p->delivered_ms);
        call_int(c, idle < 0 ? 0 : idle);
        call_int(c, (int64_t)p->deliveries);
    }
}

void groups_xpending(struct call *c)
{
    struct span span;
    bool wrong;

    if (c->argc != 3 && (c->argc < 6 || c->argc > 9)) {
        call_syntax_error(c);
        return;
    }
    if (c->argc > 3 && !span_args(c, &span))
        return;
    struct object *o = stream_lookup(c, 1, &wrong);
    if (wrong)
        return;
    struct stream_group *g = stream_group_of(c, o, 1, 2);
    if (g == NULL)
        return;
    if (c->argc == 3)
        reply_summary(c, g);
    else
        reply_span(c, g, &span);
}
