#include "engine/streamargs.h"
#include "engine/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ID_TEXT 128 /* no id is written longer */

enum special { SPECIAL_NONE, SPECIAL_EDGES, SPECIAL_SEQ }; /* beside plain ids: "-" and "+"; "ms-*" */

/* What number_int refuses may still pass as strtoull reads it: blanks, a sign, zeros in front. */
static bool parse_u64(const char *text, uint64_t *ret)
{
    int64_t value;
    char *end;

    if (number_int((struct slice){text, strlen(text)}, &value)) {
        *ret = (uint64_t)value;
        return value >= 0;
    }
    errno = 0;
    *ret = strtoull(text, &end, 10);
    return errno == 0 && *text != '\0' && *end == '\0';
}

/* id->seq holds what a missing one is; left as it is, together with *ret_star, when the text has none. */
static bool parse(struct slice s, enum special special, struct stream_id *id, bool *ret_star)
{
    char text[ID_TEXT];

    *ret_star = false;
    if (s.len >= sizeof text)
        return false;
    if (s.len > 0)
        memcpy(text, s.p, s.len);
    text[s.len] = '\0';
    if (strcmp(text, "-") == 0 || strcmp(text, "+") == 0) {
        *id = text[0] == '-' ? STREAM_ID_NONE : STREAM_ID_MAX;
        return special == SPECIAL_EDGES;
    }
    char *seq = strchr(text, '-');
    if (seq != NULL)
        *seq++ = '\0';
    if (!parse_u64(text, &id->ms))
        return false;
    *ret_star = seq != NULL && special == SPECIAL_SEQ && strcmp(seq, "*") == 0;
    return seq == NULL || *ret_star || parse_u64(seq, &id->seq);
}

static bool answer_bad_id(struct call *c)
{
    call_error(c, "ERR Invalid stream ID specified as stream command argument");
    return false;
}

bool stream_id_parse(struct slice s, uint64_t missing_seq, struct stream_id *ret)
{
    bool star;

    ret->seq = missing_seq;
    return parse(s, SPECIAL_NONE, ret, &star);
}

bool stream_id_arg(struct call *c, size_t arg, uint64_t missing_seq, struct stream_id *ret)
{
    return stream_id_parse(c->argv[arg], missing_seq, ret) || answer_bad_id(c);
}

bool stream_new_id_arg(struct call *c, size_t arg, struct stream_id *ret, bool *ret_has_seq)
{
    bool star;

    ret->seq = 0;
    if (!parse(c->argv[arg], SPECIAL_SEQ, ret, &star))
        return answer_bad_id(c);
    *ret_has_seq = !star;
    return true;
}

bool stream_edge_arg(struct call *c, size_t arg, struct stream_id *ret)
{
    bool star;

    ret->seq = 0;
    return parse(c->argv[arg], SPECIAL_EDGES, ret, &star) || answer_bad_id(c);
}

/* step: to the neighbour, when the end itself is excluded. */
static bool interval_arg(struct call *c, size_t arg, struct stream_id *ret, bool (*step)(struct stream_id *),
                         const char *error)
{
    struct slice s = c->argv[arg];
    bool star, excludes = s.len > 1 && s.p[0] == '(';

    if (excludes)
        s = (struct slice){s.p + 1, s.len - 1};
    if (!parse(s, excludes ? SPECIAL_NONE : SPECIAL_EDGES, ret, &star))
        return answer_bad_id(c);
    if (!excludes || step(ret))
        return true;
    call_error(c, error);
    return false;
}

bool stream_from_arg(struct call *c, size_t arg, struct stream_id *ret)
{
    ret->seq = 0;
    return interval_arg(c, arg, ret, stream_id_next, "ERR invalid start ID for the interval");
}

bool stream_to_arg(struct call *c, size_t arg, struct stream_id *ret)
{
    ret->seq = UINT64_MAX;
    return interval_arg(c, arg, ret, stream_id_previous, "ERR invalid end ID for the interval");
}

bool stream_ids_arg(struct call *c, size_t first, struct stream_id **ret)
{
    *ret = arena_get(c->arena, (c->argc - first) * sizeof **ret);
    for (size_t i = first; i < c->argc; i++)
        if (!stream_id_arg(c, i, 0, &(*ret)[i - first]))
            return false;
    return true;
}

struct object *stream_lookup(struct call *c, size_t arg, bool *wrong)
{
    return call_lookup_typed(c, c->argv[arg], OBJECT_STREAM, wrong);
}

struct object *stream_make(struct call *c, size_t arg)
{
    struct object *o = call_place(c, c->argv[arg]);

    o->type = OBJECT_STREAM;
    o->encoding = ENC_STREAM;
    o->v.stream = stream_new(c->arena);
    call_changed(c, o);
    return o;
}

uint32_t stream_consumer_see(struct call *c, struct stream *s, struct stream_group *g, struct slice name)
{
    int64_t at = stream_consumer_find(g, name);

    if (at < 0)
        return stream_consumer_add(s, g, name, c->now_ms);
    g->consumers[at].seen_ms = c->now_ms;
    return (uint32_t)at;
}

struct stream_group *stream_group_of(struct call *c, struct object *o, size_t key, size_t group)
{
    struct stream_group *g = o == NULL ? NULL : stream_group_find(o->v.stream, c->argv[group]);

    if (g == NULL)
        call_errorf(c, "NOGROUP No such key '%.*s' or consumer group '%.*s'", STREAM_TEXT(c->argv[key]),
                    STREAM_TEXT(c->argv[group]));
    return g;
}

void stream_reply_id(struct call *c, struct stream_id id)
{
    char text[48];
    int n = snprintf(text, sizeof text, "%" PRIu64 "-%" PRIu64, id.ms, id.seq);

    build_bulk(c->out, text, (size_t)n);
}

void stream_reply_entry(struct call *c, const struct stream_entry *e)
{
    build_array(c->out, 2);
    stream_reply_id(c, e->id);
    build_array(c->out, e->npairs);
    for (size_t i = 0; i < e->npairs; i++)
        call_bulk(c, e->pairs[i]);
}

void stream_reply_entries(struct call *c, const struct stream *s, size_t from, size_t n)
{
    build_array(c->out, n);
    for (size_t i = from; i < from + n; i++)
        stream_reply_entry(c, stream_at(s, i));
}

void stream_reply_lines(struct call *c, const char *const *lines, size_t n)
{
    build_array(c->out, n);
    for (size_t i = 0; i < n; i++)
        build_status(c->out, lines[i]);
}
