#include "engine/internal.h"
#include "engine/streamargs.h"
#include "engine/streamnodes.h"

/* Streams without groups: adding, deleting, trimming, ranges. */

/* ---- trimming ---- */

#define DEFAULT_LIMIT 10000 /* of approximate trims: 100 nodes of 100 entries */

struct trim {
    enum { TRIM_NONE, TRIM_MAXLEN, TRIM_MINID } by;
    bool approximate, limited;
    int64_t maxlen, limit; /* limit 0: none */
    struct stream_id minid;
};

struct adding {
    struct trim trim;
    bool no_make, has_id, has_seq;
    struct stream_id id;
};

static bool refuse(struct call *c, const char *error)
{
    call_error(c, error);
    return false;
}

/* MAXLEN or MINID at *at, with its "~" or "="; leaves *at on the last argument it took. */
static bool strategy_arg(struct call *c, size_t *at, struct trim *t)
{
    bool by_id = call_is(c, *at, "minid");

    if (t->by != TRIM_NONE)
        return refuse(c, "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
    t->approximate = *at + 2 < c->argc && call_is(c, *at + 1, "~");
    *at += t->approximate || (*at + 2 < c->argc && call_is(c, *at + 1, "=")) ? 2 : 1;
    t->by = by_id ? TRIM_MINID : TRIM_MAXLEN;
    if (by_id)
        return stream_id_arg(c, *at, 0, &t->minid);
    if (!call_int_arg(c, *at, &t->maxlen))
        return false;
    return t->maxlen >= 0 || refuse(c, "ERR The MAXLEN argument must be >= 0.");
}

static bool limit_arg(struct call *c, size_t arg, struct trim *t)
{
    t->limited = true;
    if (!call_int_arg(c, arg, &t->limit))
        return false;
    return t->limit >= 0 || refuse(c, "ERR The LIMIT argument must be >= 0.");
}

/* One of the options that XADD and XTRIM share; *ret_taken false: it is none. */
static bool trim_option(struct call *c, size_t *at, struct trim *t, bool *ret_taken)
{
    bool more = *at + 1 < c->argc;

    *ret_taken = true;
    if (more && (call_is(c, *at, "maxlen") || call_is(c, *at, "minid")))
        return strategy_arg(c, at, t);
    if (more && call_is(c, *at, "limit"))
        return limit_arg(c, ++*at, t);
    *ret_taken = false;
    return true;
}

static bool trim_check(struct call *c, struct trim *t, bool needed)
{
    if (t->limit != 0 && t->by == TRIM_NONE)
        return refuse(c, "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
    if (needed && t->by == TRIM_NONE)
        return refuse(c, "ERR syntax error, XTRIM must be called with at least one trimming strategy");
    if (t->limited && !t->approximate)
        return refuse(c, "ERR syntax error, LIMIT cannot be used without the special ~ option");
    if (!t->limited && t->approximate)
        t->limit = DEFAULT_LIMIT;
    return true;
}

/* How many entries at the head are too many. */
static size_t surplus(const struct stream *s, const struct trim *t)
{
    if (t->by == TRIM_MINID)
        return stream_seek(s, t->minid);
    return (uint64_t)t->maxlen < s->count ? s->count - (size_t)t->maxlen : 0;
}

static size_t trim(struct stream *s, const struct trim *t)
{
    size_t most = t->by == TRIM_NONE ? 0 : surplus(s, t), n = 0;

    if (!t->approximate) {
        stream_drop(s, most);
        return most;
    }
    while (n < most) {
        size_t node = stream_node_length(s, n);
        if (n + node > most || (t->limit != 0 && n + node > (uint64_t)t->limit))
            break;
        n += node;
    }
    stream_drop(s, n);
    return n;
}

void streams_xtrim(struct call *c)
{
    struct trim t = {.by = TRIM_NONE};
    bool wrong, taken;

    for (size_t i = 2; i < c->argc; i++) {
        if (!trim_option(c, &i, &t, &taken))
            return;
        if (!taken) {
            call_syntax_error(c);
            return;
        }
    }
    if (!trim_check(c, &t, true))
        return;
    struct object *o = stream_lookup(c, 1, &wrong);
    if (wrong)
        return;
    size_t n = o == NULL ? 0 : trim(o->v.stream, &t);
    if (n > 0)
        call_changed(c, o);
    call_int(c, (int64_t)n);
}

/* ---- adding ---- */

/* The options and the id; *at is the first field then. */
static bool add_args(struct call *c, struct adding *a, size_t *at)
{
    size_t i = 2;
    bool taken;

    for (; i < c->argc && !call_is(c, i, "*"); i++) {
        if (!trim_option(c, &i, &a->trim, &taken))
            return false;
        if (taken)
            continue;
        if (call_is(c, i, "nomkstream")) {
            a->no_make = true;
            continue;
        }
        if (!stream_new_id_arg(c, i, &a->id, &a->has_seq))
            return false;
        a->has_id = true;
        break;
    }
    *at = i + 1;
    if (!trim_check(c, &a->trim, false))
        return false;
    if (*at >= c->argc || (c->argc - *at) % 2 != 0)
        return refuse(c, "ERR wrong number of arguments for 'xadd' command");
    if (a->has_id && a->has_seq && stream_id_compare(a->id, STREAM_ID_NONE) == 0)
        return refuse(c, "ERR The ID specified in XADD must be greater than 0-0");
    return true;
}

/* The id of the new entry. */
static bool choose_id(struct call *c, const struct adding *a, struct stream_id last, struct stream_id *ret)
{
    struct stream_id id = a->id;

    if (stream_id_compare(last, STREAM_ID_MAX) == 0)
        return refuse(c, "ERR The stream has exhausted the last possible ID, unable to add more items");
    if (!a->has_id) {
        id = (struct stream_id){(uint64_t)c->now_ms, 0};
        if (id.ms <= last.ms) {
            id = last;
            stream_id_next(&id);
        }
    } else if (!a->has_seq && id.ms == last.ms) {
        id.seq = last.seq + 1;
        if (id.seq == 0)
            return refuse(c, "ERR Elements are too large to be stored"); /* Redis's words for no id left */
    }
    if (stream_id_compare(id, last) <= 0)
        return refuse(c, "ERR The ID specified in XADD is equal or smaller than the target stream top item");
    *ret = id;
    return true;
}

static void append(struct call *c, struct stream *s, struct stream_id id, size_t first_field)
{
    uint32_t n = (uint32_t)(c->argc - first_field);
    struct slice *pairs = arena_get(c->arena, n * sizeof *pairs);

    for (size_t i = 0; i < n; i++)
        pairs[i] = c->argv[first_field + i];
    stream_append(s, (struct stream_entry){id, pairs, n});
    s->last_id = id;
    s->entries_added++;
}

void streams_xadd(struct call *c)
{
    struct adding a = {.has_id = false};
    struct stream_id id;
    size_t fields;
    bool wrong;

    if (!add_args(c, &a, &fields))
        return;
    struct object *o = stream_lookup(c, 1, &wrong);
    if (wrong)
        return;
    if (o == NULL && a.no_make) {
        call_null(c);
        return;
    }
    if (!choose_id(c, &a, o != NULL ? o->v.stream->last_id : STREAM_ID_NONE, &id))
        return;
    if (o == NULL)
        o = stream_make(c, 1);
    append(c, o->v.stream, id, fields);
    trim(o->v.stream, &a.trim);
    call_changed(c, o);
    stream_reply_id(c, id);
}

void streams_xdel(struct call *c)
{
    struct stream_id *ids;
    bool wrong;
    struct object *o = stream_lookup(c, 1, &wrong);

    if (wrong)
        return;
    if (o == NULL) {
        call_int(c, 0);
        return;
    }
    if (!stream_ids_arg(c, 2, &ids))
        return;
    size_t n = stream_delete(o->v.stream, ids, c->argc - 2);
    if (n > 0)
        call_changed(c, o);
    call_int(c, (int64_t)n);
}

/* ---- XSETID ---- */

struct setting {
    struct stream_id id, max_deleted;
    int64_t added; /* -1: as it is */
};

static bool set_option(struct call *c, size_t at, struct setting *set)
{
    bool more = at + 1 < c->argc;

    if (more && call_is(c, at, "entriesadded")) {
        if (!call_int_arg(c, at + 1, &set->added))
            return false;
        return set->added >= 0 || refuse(c, "ERR entries_added must be positive");
    }
    if (!more || !call_is(c, at, "maxdeletedid")) {
        call_syntax_error(c);
        return false;
    }
    if (!stream_id_arg(c, at + 1, 0, &set->max_deleted))
        return false;
    return stream_id_compare(set->id, set->max_deleted) >= 0 ||
           refuse(c, "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
}

static bool set_check(struct call *c, const struct stream *s, const struct setting *set)
{
    if (s->count == 0)
        return true;
    if (stream_id_compare(set->id, stream_at(s, s->count - 1)->id) < 0)
        return refuse(c, "ERR The ID specified in XSETID is smaller than the target stream top item");
    if (set->added != -1 && s->count > (uint64_t)set->added)
        return refuse(c,
                      "ERR The entries_added specified in XSETID is smaller than the target stream length");
    return true;
}

void streams_xsetid(struct call *c)
{
    struct setting set = {.added = -1};
    bool wrong;

    if (!stream_id_arg(c, 2, 0, &set.id))
        return;
    for (size_t i = 3; i < c->argc; i += 2)
        if (!set_option(c, i, &set))
            return;
    struct object *o = stream_lookup(c, 1, &wrong);
    if (wrong)
        return;
    if (o == NULL) {
        call_error(c, "ERR no such key");
        return;
    }
    struct stream *s = o->v.stream;
    if (!set_check(c, s, &set))
        return;
    s->last_id = set.id;
    if (set.added != -1)
        s->entries_added = (uint64_t)set.added;
    if (stream_id_compare(set.max_deleted, STREAM_ID_NONE) != 0)
        s->max_deleted_id = set.max_deleted;
    call_changed(c, o);
    call_ok(c);
}

/* ---- reading ---- */

void streams_xlen(struct call *c)
{
    bool wrong;
    struct object *o = stream_lookup(c, 1, &wrong);

    if (!wrong)
        call_int(c, o == NULL ? 0 : (int64_t)o->v.stream->count);
}

/* COUNT n, repeated or not; -1: not given. */
static bool count_arg(struct call *c, size_t at, int64_t *ret)
{
    *ret = -1;
    for (; at < c->argc; at += 2) {
        if (at + 1 >= c->argc || !call_is(c, at, "count")) {
            call_syntax_error(c);
            return false;
        }
        if (!call_int_arg(c, at + 1, ret))
            return false;
        if (*ret < 0)
            *ret = 0;
    }
    return true;
}

static void range_reply(struct call *c, const struct stream *s, size_t from, size_t n, bool reverse)
{
    build_array(c->out, n);
    for (size_t i = 0; i < n; i++)
        stream_reply_entry(c, stream_at(s, reverse ? from - i : from + i));
}

static void range(struct call *c, bool reverse)
{
    struct stream_id from, to;
    int64_t most;
    bool wrong;

    if (!stream_from_arg(c, reverse ? 3 : 2, &from) || !stream_to_arg(c, reverse ? 2 : 3, &to) ||
        !count_arg(c, 4, &most))
        return;
    struct object *o = stream_lookup(c, 1, &wrong);
    if (wrong)
        return;
    if (o == NULL || most == 0) {
        o == NULL ? build_array(c->out, 0) : call_null_array(c);
        return;
    }
    const struct stream *s = o->v.stream;
    size_t first = stream_seek(s, from), end = stream_id_next(&to) ? stream_seek(s, to) : s->count;
    size_t n = end > first ? end - first : 0;
    if (most > 0 && (uint64_t)most < n)
        n = (size_t)most;
    range_reply(c, s, reverse ? end - 1 : first, n, reverse);
}

void streams_xrange(struct call *c)
{
    range(c, false);
}

void streams_xrevrange(struct call *c)
{
    range(c, true);
}
