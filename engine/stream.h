/* engine/stream — entries by id, consumer groups, and what they owe.
 * Source:     redis.io/docs/data-types/streams; XINFO's numbers as redis-server 7.0.15 tells them.
 * Invariants: entries are sorted by id; ids are unique and not above last_id.
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
    uint32_t npairs;     /* slices, fields and values counted */
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

struct stream *stream_new(struct arena *a);
void stream_append(struct stream *s, struct stream_entry entry);
/* Position of the first entry with an id >= id. */
size_t stream_seek(const struct stream *s, struct stream_id id);
int stream_id_compare(struct stream_id a, struct stream_id b);
struct stream_group *stream_group_find(struct stream *s, struct slice name);

#endif
