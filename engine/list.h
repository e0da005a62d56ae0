/* engine/list — a sequence of elements with room at both ends.
 * Threads: one. */
#ifndef ENGINE_LIST_H
#define ENGINE_LIST_H

#include "engine/arena.h"
#include "engine/object.h"

#include <stdbool.h>
#include <stdint.h>

struct list {
    struct slice *items; /* items[start, start + count) */
    size_t start, count, cap;
    struct arena *arena;
};

struct list *list_new(struct arena *a, size_t expected);
/* The list of o; a key that does not exist becomes an empty one. */
struct list *list_make(struct arena *a, struct object *o);
void list_push(struct list *l, struct slice item, bool at_head);
struct slice list_pop(struct list *l, bool at_head); /* not empty */
void list_insert(struct list *l, size_t position, struct slice item);
/* Removes n elements from position on. */
void list_remove(struct list *l, size_t position, size_t n);
/* Removes those equal to item, at most `most` of them, from the head or from the tail on. Returns how many went. */
size_t list_remove_equal(struct list *l, struct slice item, size_t most, bool from_tail);
static inline struct slice *list_at(const struct list *l, size_t position)
{
    return &l->items[l->start + position];
}

#endif
