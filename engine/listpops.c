#include "engine/internal.h"
#include "engine/list.h"
#include "engine/pops.h"

/* Lists: taking elements out at the ends, and moving them from list to list. The blocking commands are here
 * in the form that never waits, as in a transaction: nil when there is nothing. Waiting is the executor's. */

/* After elements were taken from o. */
static void taken(struct call *c, struct object *o)
{
    if (o->v.list->count == 0)
        call_remove(c, o);
    else
        call_changed(c, o);
}

/* Answers up to `most` elements as an array, in the order in which they are taken. */
static void take_many(struct call *c, struct object *o, bool at_head, uint64_t most)
{
    struct list *l = o->v.list;
    size_t n = most < l->count ? (size_t)most : l->count;

    build_array(c->out, n);
    for (size_t i = 0; i < n; i++)
        call_bulk(c, list_pop(l, at_head));
    if (n > 0)
        taken(c, o);
}

static void pop(struct call *c, bool at_head, const char *arity_error)
{
    bool wrong, counted = c->argc == 3;
    int64_t count = 0;

    if (c->argc > 3) {
        call_error(c, arity_error);
        return;
    }
    if (counted && !pops_count_arg(c, 2, &count))
        return;
    struct object *o = call_lookup_typed(c, c->argv[1], OBJECT_LIST, &wrong);
    if (wrong)
        return;
    if (o == NULL && counted) {
        call_null_array(c);
    } else if (o == NULL) {
        call_null(c);
    } else if (counted) {
        take_many(c, o, at_head, (uint64_t)count);
    } else {
        call_bulk(c, list_pop(o->v.list, at_head));
        taken(c, o);
    }
}

void lists_lpop(struct call *c)
{
    pop(c, true, "ERR wrong number of arguments for 'lpop' command");
}

void lists_rpop(struct call *c)
{
    pop(c, false, "ERR wrong number of arguments for 'rpop' command");
}

/* LEFT or RIGHT; anything else is answered. */
static bool end_arg(struct call *c, size_t arg, bool *ret_at_head)
{
    *ret_at_head = call_is(c, arg, "left");
    if (*ret_at_head || call_is(c, arg, "right"))
        return true;
    call_syntax_error(c);
    return false;
}

static void move(struct call *c, bool from_head, bool to_head)
{
    bool wrong;
    struct object *from = call_lookup_typed(c, c->argv[1], OBJECT_LIST, &wrong);

    if (wrong)
        return;
    if (from == NULL) {
        call_null(c);
        return;
    }
    call_lookup_typed(c, c->argv[2], OBJECT_LIST, &wrong);
    if (wrong)
        return;
    struct object *to = call_place(c, c->argv[2]);
    struct slice item = list_pop(from->v.list, from_head);
    list_push(list_make(c->arena, to), item, to_head);
    call_changed(c, to);
    taken(c, from); /* never the last one when both are the same list: it was put back */
    call_bulk(c, item);
}

void lists_lmove(struct call *c)
{
    bool from_head, to_head;

    if (end_arg(c, 3, &from_head) && end_arg(c, 4, &to_head))
        move(c, from_head, to_head);
}

void lists_blmove(struct call *c)
{
    bool from_head, to_head;

    if (end_arg(c, 3, &from_head) && end_arg(c, 4, &to_head) && call_timeout_arg(c, 5))
        move(c, from_head, to_head);
}

void lists_rpoplpush(struct call *c)
{
    move(c, false, true);
}

void lists_brpoplpush(struct call *c)
{
    if (call_timeout_arg(c, 3))
        move(c, false, true);
}

static void blocking_pop(struct call *c, bool at_head)
{
    if (!call_timeout_arg(c, c->argc - 1))
        return;
    struct object *o = pops_first(c, 1, c->argc - 2, OBJECT_LIST);
    if (o == NULL)
        return;
    build_array(c->out, 2);
    call_bulk(c, o->key);
    call_bulk(c, list_pop(o->v.list, at_head));
    taken(c, o);
}

void lists_blpop(struct call *c)
{
    blocking_pop(c, true);
}

void lists_brpop(struct call *c)
{
    blocking_pop(c, false);
}

static bool many_args(struct call *c, size_t arg, struct pops_many *q)
{
    return pops_many_args(c, arg, "left", "right", q);
}

static void pop_many(struct call *c, const struct pops_many *q)
{
    struct object *o = pops_first(c, q->first, q->keys, OBJECT_LIST);

    if (o == NULL)
        return;
    build_array(c->out, 2);
    call_bulk(c, o->key);
    take_many(c, o, !q->high, (uint64_t)q->count);
}

void lists_lmpop(struct call *c)
{
    struct pops_many q;

    if (many_args(c, 1, &q))
        pop_many(c, &q);
}

/* As in Redis, the timeout is looked at last. */
void lists_blmpop(struct call *c)
{
    struct pops_many q;

    if (many_args(c, 2, &q) && call_timeout_arg(c, 1))
        pop_many(c, &q);
}
