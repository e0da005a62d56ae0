/* engine/streamargs — what the stream commands share: ids as arguments, ids and entries as replies.
 * Threads: one.          Used by: streams, streamreads, groups, claims, streaminfo, and executor/blocking for ids. */
#ifndef ENGINE_STREAMARGS_H
#define ENGINE_STREAMARGS_H

#include "engine/call.h"
#include "engine/stream.h"

/* ms-seq, or ms alone, when seq is missing_seq. "-" and "+" are no ids. On failure the error was answered. */
bool stream_id_arg(struct call *c, size_t arg, uint64_t missing_seq, struct stream_id *ret);
/* Also ms-*, with *ret_has_seq false and seq 0. */
bool stream_new_id_arg(struct call *c, size_t arg, struct stream_id *ret, bool *ret_has_seq);
/* "-" and "+" are the lowest and the highest. */
bool stream_edge_arg(struct call *c, size_t arg, struct stream_id *ret);
/* The same as stream_id_arg, but nothing is answered. */
bool stream_id_parse(struct slice s, uint64_t missing_seq, struct stream_id *ret);
/* The ends of an interval, both included; in arguments "(" in front excludes. */
bool stream_from_arg(struct call *c, size_t arg, struct stream_id *ret);
bool stream_to_arg(struct call *c, size_t arg, struct stream_id *ret);
/* The ids from this argument on, all or none. */
bool stream_ids_arg(struct call *c, size_t first, struct stream_id **ret);

/* The stream at this argument. NULL: no such key, or *wrong: answered. */
struct object *stream_lookup(struct call *c, size_t arg, bool *wrong);
/* Makes an empty stream of a key that does not exist. */
struct object *stream_make(struct call *c, size_t arg);
/* The consumer of this name, made when it is new, was here now. Returns its position. */
uint32_t stream_consumer_see(struct call *c, struct stream *s, struct stream_group *g, struct slice name);
/* The group. NULL: NOGROUP was answered, for a key that may not exist (o NULL). */
struct stream_group *stream_group_of(struct call *c, struct object *o, size_t key, size_t group);
/* How long ago that was; negative: the clock went back. */
static inline int64_t stream_idle(const struct call *c, int64_t then_ms)
{
    return (int64_t)((uint64_t)c->now_ms - (uint64_t)then_ms);
}
void stream_reply_id(struct call *c, struct stream_id id);
void stream_reply_entry(struct call *c, const struct stream_entry *e);
/* entries[from, from + n) as an array. */
void stream_reply_entries(struct call *c, const struct stream *s, size_t from, size_t n);
void stream_reply_lines(struct call *c, const char *const *lines, size_t n);
/* printf's arguments for "%.*s" */
#define STREAM_TEXT(s) (int)(s).len, (s).p

#endif
