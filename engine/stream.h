/* engine/stream — entries by id, consumer groups, and what they owe.
 * Source:     redis.io/docs/data-types/streams; XINFO's numbers as redis-server 7.0.15 tells them.
 * Invariants: entries are sorted by id; ids are unique and not above last_id. Groups and consumers are kept in the order of
 *             their names. An empty stream exists all the same.
 * Threads:    one. */
#ifndef ENGINE_STREAM_H
#define ENGINE_STREAM_H

#include "engine/arena.h"

#include <stdbool.h>
#include <stdint.h>

struct stream_id {
    uint64_t ms, seq;
};

struct stream_entry {
    struct stream_id id;
    struct slice *pairs; /* field, value, field, value … */
    uint32_t npairs;     /* slices, fields and values counted; never 0 */
};

struct stream_pending {
    struct stream_id id;
    uint32_t consumer;      /* position in group->consumers */
    int64_t delivered_ms;
    uint64_t deliveries;
};

struct stream_consumer {
    struct slice name;
    int64_t seen_ms;
};

struct stream_group {
    struct slice name;
    struct stream_id last_id;
    int64_t entries_read; /* -1: not known */
    struct stream_consumer *consumers;
    size_t nconsumers, consumers_cap;
    struct stream_pending *pending; /* sorted by id */
    size_t npending, pending_cap;
};

struct stream {
    struct arena *arena;
    struct stream_entry *entries;
    size_t start, count, cap; /* entries[start, start + count): trims at the head are cheap */
    struct stream_id last_id, max_deleted_id;
    uint64_t entries_added;
    struct stream_group *groups;
    size_t ngroups, groups_cap;
};

#define STREAM_ID_MAX  ((struct stream_id){UINT64_MAX, UINT64_MAX})
#define STREAM_ID_NONE ((struct stream_id){0, 0}) /* below all ids that entries can have */

struct stream *stream_new(struct arena *a);
void stream_append(struct stream *s, struct stream_entry entry);
/* Position of the first entry with an id >= id. */
size_t stream_seek(const struct stream *s, struct stream_id id);
int stream_id_compare(struct stream_id a, struct stream_id b);
struct stream_group *stream_group_find(struct stream *s, struct slice name);

/* The id after or before; false: there is none, and *id stays. */
bool stream_id_next(struct stream_id *id);
bool stream_id_previous(struct stream_id *id);
static inline struct stream_entry *stream_at(const struct stream *s, size_t position)
{
    return &s->entries[s->start + position];
}
/* The first entry's id; STREAM_ID_NONE when there is no entry. */
struct stream_id stream_first_id(const struct stream *s);
/* The entry, or NULL. */
const struct stream_entry *stream_find(const struct stream *s, struct stream_id id);
/* Drops the first n entries. */
void stream_drop(struct stream *s, size_t n);
/* Takes the ids that exist out, and remembers the highest of them in max_deleted_id. Returns how many went. */
size_t stream_delete(struct stream *s, const struct stream_id *ids, size_t n);

/* A new group; NULL: the name is taken. Names are kept as they are, here and below. */
struct stream_group *stream_group_add(struct stream *s, struct slice name);
void stream_group_remove(struct stream *s, struct stream_group *g);
/* How many entries were added up to this id, deleted ones counted; -1: can't be told. */
int64_t stream_distance(const struct stream *s, struct stream_id id);
/* The entry was given to the group: moves last_id and entries_read. */
void stream_group_advance(const struct stream *s, struct stream_group *g, struct stream_id id);
/* How many entries the group has not read; -1 with *ret_known false: can't be told. A lag may be negative, too. */
int64_t stream_group_lag(const struct stream *s, const struct stream_group *g, bool *ret_known);

/* The consumer's position, or -1. */
int64_t stream_consumer_find(const struct stream_group *g, struct slice name);
/* The name is new. Returns its position; those behind it move by one. */
uint32_t stream_consumer_add(struct stream *s, struct stream_group *g, struct slice name, int64_t now_ms);
/* With all that it owes; returns how many entries that were. */
size_t stream_consumer_remove(struct stream_group *g, uint32_t position);

/* Position of the first pending entry with an id >= id. */
size_t stream_pending_seek(const struct stream_group *g, struct stream_id id);
/* NULL: nobody owes this id. */
struct stream_pending *stream_pending_find(struct stream_group *g, struct stream_id id);
/* The pending entry of this id, made when there is none: then its consumer is STREAM_NOBODY, and the caller sets it. */
struct stream_pending *stream_pending_add(struct stream *s, struct stream_group *g, struct stream_id id);
/* For many at once: an entry whose consumer was set to STREAM_NOBODY goes with the sweep. */
#define STREAM_NOBODY UINT32_MAX
void stream_pending_sweep(struct stream_group *g);

#endif
