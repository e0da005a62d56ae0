#include "engine/internal.h"
#include "engine/streamargs.h"
#include "engine/streamnodes.h"

/* XINFO: what there is to know about a stream. */

#define DEFAULT_COUNT 10 /* of XINFO STREAM FULL */

static struct object *find_stream(struct call *c)
{
    bool wrong;
    struct object *o = stream_lookup(c, 2, &wrong);

    if (o == NULL && !wrong)
        call_error(c, "ERR no such key");
    return o;
}

static void field_int(struct call *c, const char *name, int64_t value)
{
    build_text(c->out, name);
    call_int(c, value);
}

static void field_id(struct call *c, const char *name, struct stream_id id)
{
    build_text(c->out, name);
    stream_reply_id(c, id);
}

static void field_bulk(struct call *c, const char *name, struct slice value)
{
    build_text(c->out, name);
    call_bulk(c, value);
}

/* How many entries each consumer owes. */
static size_t *count_owed(struct call *c, const struct stream_group *g)
{
    size_t *owes = arena_get(c->arena, g->nconsumers * sizeof *owes);

    for (size_t i = 0; i < g->npending; i++)
        owes[g->pending[i].consumer]++;
    return owes;
}

/* ---- XINFO CONSUMERS, GROUPS ---- */

void streaminfo_consumers(struct call *c)
{
    struct object *o = find_stream(c);

    if (o == NULL)
        return;
    const struct stream_group *g = stream_group_find(o->v.stream, c->argv[3]);
    if (g == NULL) {
        call_errorf(c, "NOGROUP No such consumer group '%.*s' for key name '%.*s'", STREAM_TEXT(c->argv[3]),
                    STREAM_TEXT(c->argv[2]));
        return;
    }
    const size_t *owes = count_owed(c, g);
    build_array(c->out, g->nconsumers);
    for (size_t i = 0; i < g->nconsumers; i++) {
        int64_t idle = stream_idle(c, g->consumers[i].seen_ms);
        build_map(c->out, c->resp, 3);
        field_bulk(c, "name", g->consumers[i].name);
        field_int(c, "pending", (int64_t)owes[i]);
        field_int(c, "idle", idle < 0 ? 0 : idle);
    }
}

static void progress(struct call *c, const struct stream *s, const struct stream_group *g)
{
    bool known;

    field_id(c, "last-delivered-id", g->last_id);
    build_text(c->out, "entries-read");
    g->entries_read == -1 ? call_null(c) : call_int(c, g->entries_read);
    build_text(c->out, "lag");
    int64_t lag = stream_group_lag(s, g, &known);
    known ? call_int(c, lag) : call_null(c);
}

void streaminfo_groups(struct call *c)
{
    struct object *o = find_stream(c);

    if (o == NULL)
        return;
    const struct stream *s = o->v.stream;
    build_array(c->out, s->ngroups);
    for (size_t i = 0; i < s->ngroups; i++) {
        const struct stream_group *g = &s->groups[i];
        build_map(c->out, c->resp, 6);
        field_bulk(c, "name", g->name);
        field_int(c, "consumers", (int64_t)g->nconsumers);
        field_int(c, "pending", (int64_t)g->npending);
        progress(c, s, g);
    }
}

/* ---- XINFO STREAM ---- */

static void numbers(struct call *c, const struct stream *s)
{
    size_t keys, nodes;

    stream_node_counts(s, &keys, &nodes);
    field_int(c, "length", (int64_t)s->count);
    field_int(c, "radix-tree-keys", (int64_t)keys);
    field_int(c, "radix-tree-nodes", (int64_t)nodes);
    field_id(c, "last-generated-id", s->last_id);
    field_id(c, "max-deleted-entry-id", s->max_deleted_id);
    field_int(c, "entries-added", (int64_t)s->entries_added);
    field_id(c, "recorded-first-entry-id", stream_first_id(s));
}

static void field_entry(struct call *c, const char *name, const struct stream *s, size_t at)
{
    build_text(c->out, name);
    if (s->count == 0)
        call_null(c);
    else
        stream_reply_entry(c, stream_at(s, at));
}

static size_t bounded(size_t n, size_t most)
{
    return most != 0 && most < n ? most : n;
}

static void group_pending(struct call *c, const struct stream_group *g, size_t most)
{
    size_t n = bounded(g->npending, most);

    build_text(c->out, "pending");
    build_array(c->out, n);
    for (size_t i = 0; i < n; i++) {
        const struct stream_pending *p = &g->pending[i];
        build_array(c->out, 4);
        stream_reply_id(c, p->id);
        call_bulk(c, g->consumers[p->consumer].name);
        call_int(c, p->delivered_ms);
        call_int(c, (int64_t)p->deliveries);
    }
}

/* Positions of the pending entries, consumer by consumer; owes says how many each has. */
static size_t *by_consumer(struct call *c, const struct stream_group *g, const size_t *owes)
{
    size_t *positions = arena_get(c->arena, g->npending * sizeof *positions);
    size_t *next = arena_get(c->arena, (g->nconsumers + 1) * sizeof *next);

    for (size_t i = 0; i < g->nconsumers; i++)
        next[i + 1] = next[i] + owes[i];
    for (size_t i = 0; i < g->npending; i++)
        positions[next[g->pending[i].consumer]++] = i;
    return positions;
}

/* pending[at[0 … n)] are what is shown of the owed ones. */
static void consumer_pending(struct call *c, const struct stream_group *g, const size_t *at, size_t n)
{
    build_text(c->out, "pending");
    build_array(c->out, n);
    for (size_t i = 0; i < n; i++) {
        const struct stream_pending *p = &g->pending[at[i]];
        build_array(c->out, 3);
        stream_reply_id(c, p->id);
        call_int(c, p->delivered_ms);
        call_int(c, (int64_t)p->deliveries);
    }
}

static void full_consumers(struct call *c, const struct stream_group *g, size_t most)
{
    const size_t *owes = count_owed(c, g);
    const size_t *at = by_consumer(c, g, owes);

    build_text(c->out, "consumers");
    build_array(c->out, g->nconsumers);
    for (size_t i = 0; i < g->nconsumers; at += owes[i], i++) {
        build_map(c->out, c->resp, 4);
        field_bulk(c, "name", g->consumers[i].name);
        field_int(c, "seen-time", g->consumers[i].seen_ms);
        field_int(c, "pel-count", (int64_t)owes[i]);
        consumer_pending(c, g, at, bounded(owes[i], most));
    }
}

static void full_group(struct call *c, const struct stream *s, const struct stream_group *g, size_t most)
{
    build_map(c->out, c->resp, 7);
    field_bulk(c, "name", g->name);
    progress(c, s, g);
    field_int(c, "pel-count", (int64_t)g->npending);
    group_pending(c, g, most);
    full_consumers(c, g, most);
}

static void full(struct call *c, const struct stream *s, size_t most)
{
    build_map(c->out, c->resp, 9);
    numbers(c, s);
    build_text(c->out, "entries");
    stream_reply_entries(c, s, 0, bounded(s->count, most));
    build_text(c->out, "groups");
    build_array(c->out, s->ngroups);
    for (size_t i = 0; i < s->ngroups; i++)
        full_group(c, s, &s->groups[i], most);
}

/* FULL [COUNT n]. */
static bool full_args(struct call *c, int64_t *ret_count)
{
    *ret_count = DEFAULT_COUNT;
    if ((c->argc != 4 && c->argc != 6) || !call_is(c, 3, "full") ||
        (c->argc == 6 && !call_is(c, 4, "count"))) {
        call_errorf(c, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try XINFO HELP.",
                    STREAM_TEXT(c->argv[1]));
        return false;
    }
    if (c->argc == 6 && !call_int_arg(c, 5, ret_count))
        return false;
    *ret_count = *ret_count < 0 ? DEFAULT_COUNT : *ret_count;
    return true;
}

void streaminfo_stream(struct call *c)
{
    struct object *o = find_stream(c);
    int64_t count;

    if (o == NULL || (c->argc > 3 && !full_args(c, &count)))
        return;
    const struct stream *s = o->v.stream;
    if (c->argc > 3) {
        full(c, s, (size_t)count);
        return;
    }
    build_map(c->out, c->resp, 10);
    numbers(c, s);
    field_int(c, "groups", (int64_t)s->ngroups);
    field_entry(c, "first-entry", s, 0);
    field_entry(c, "last-entry", s, s->count - 1);
}

/* Clients compare it with the server's, line for line. */
void streaminfo_help(struct call *c)
{
    static const char *const lines[] = {
        "XINFO <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
        "CONSUMERS <key> <groupname>",
        "    Show consumers of <groupname>.",
        "GROUPS <key>",
        "    Show the stream consumer groups.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    Show information about the stream.",
        "HELP",
        "    Prints this help.",
    };

    stream_reply_lines(c, lines, sizeof lines / sizeof *lines);
}
