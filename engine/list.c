#include "engine/list.h"
#include "engine/call.h"

#include <string.h>

struct list *list_new(struct arena *a, size_t expected)
{
    struct list *l = arena_get(a, sizeof *l);

    l->arena = a;
    l->cap = expected;
    if (expected > 0)
        l->items = arena_get(a, expected * sizeof *l->items);
    return l;
}

struct list *list_make(struct arena *a, struct object *o)
{
    if (o->type == OBJECT_NONE) {
        o->type = OBJECT_LIST;
        o->encoding = ENC_QUICKLIST;
        o->v.list = list_new(a, 0);
    }
    return o->v.list;
}

static void move(struct list *l, struct slice *to)
{
    if (l->count > 0)
        memmove(to, l->items + l->start, l->count * sizeof *to);
}

/* Makes room for one more at an end. The free places are shared between both ends, or all given to the tail
 * when that is where the list grows: most lists only grow there. */
static void make_room(struct list *l, bool at_head)
{
    size_t cap = l->cap;
    struct slice *items = l->items;

    if (at_head ? l->start > 0 : l->start + l->count < cap)
        return;
    if (l->count + l->count / 4 + 1 >= cap) { /* too full: moving within it would happen again too soon */
        cap = cap < 8 ? 16 : 2 * cap;
        items = arena_get(l->arena, cap * sizeof *items);
    }
    size_t start = at_head ? (cap - l->count + 1) / 2 : l->start > 0 ? (cap - l->count) / 4 : 0;
    move(l, items + start);
    l->items = items;
    l->start = start;
    l->cap = cap;
}

void list_push(struct list *l, struct slice item, bool at_head)
{
    make_room(l, at_head);
    l->start -= at_head;
    l->items[at_head ? l->start : l->start + l->count] = item;
    l->count++;
}

struct slice list_pop(struct list *l, bool at_head)
{
    struct slice item = *list_at(l, at_head ? 0 : l->count - 1);

    l->start += at_head;
    l->count--;
    return item;
}

void list_insert(struct list *l, size_t position, struct slice item)
{
    bool at_head = position < l->count / 2; /* the shorter part moves */

    make_room(l, at_head);
    struct slice *first = l->items + l->start;
    if (at_head) {
        memmove(first - 1, first, position * sizeof *first);
        l->start--;
    } else {
        memmove(first + position + 1, first + position, (l->count - position) * sizeof *first);
    }
    l->count++;
    *list_at(l, position) = item;
}

void list_remove(struct list *l, size_t position, size_t n)
{
    size_t behind = l->count - position - n;
    struct slice *first = l->items + l->start;

    if (n == 0)
        return;
    if (position < behind) {
        memmove(first + n, first, position * sizeof *first);
        l->start += n;
    } else {
        memmove(first + position, first + position + n, behind * sizeof *first);
    }
    l->count -= n;
}

size_t list_remove_equal(struct list *l, struct slice item, size_t most, bool from_tail)
{
    size_t kept = 0, n = l->count;

    for (size_t i = 0; i < n; i++) {
        struct slice *at = list_at(l, from_tail ? n - 1 - i : i);
        if (n - l->count < most && slice_equal(*at, item)) {
            l->count--;
            continue;
        }
        /* What is kept closes up towards the end where the walk began. */
        l->items[l->start + (from_tail ? n - 1 - kept : kept)] = *at;
        kept++;
    }
    if (from_tail)
        l->start += n - l->count;
    return n - l->count;
}
