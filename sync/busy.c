#include "sync/busy.h"

#include "base/mutant.h"
#include "router/marks.h"
#include "sync/reply.h"

#include <hiredis/hiredis.h>
#include <stdio.h>

#define PIECE    512 /* claims that go back at once */
#define REMOVED  128 /* keys that leave a set with one command */
#define NAME_CAP 64

static struct slice text(const char *s)
{
    return (struct slice){s, strlen(s)};
}

static struct slice set_of(const char *proxy, char buf[NAME_CAP])
{
    snprintf(buf, NAME_CAP, MARKS_BUSY "%s", proxy);
    return text(MUTANT(skip_claim) ? MARKS_DIRTY : buf);
}

/* ---- replies ---- */

static enum err refused(struct link *l, const redisReply *r)
{
    link_refuse(l, r);
    return ERR_REDISDOWN;
}

static enum err get_int(struct link *l, int64_t *ret)
{
    const redisReply *r = link_get(l);

    if (r == NULL)
        return ERR_REDISLOST;
    return reply_int(r, ret) ? ERR_NONE : refused(l, r);
}

/* A reply that is a list of texts becomes keys in the arena. */
static enum err copy_keys(struct link *l, const redisReply *r, struct arena *a, struct slice **ret_keys,
                          size_t *ret_n)
{
    if (!reply_is_array(r))
        return refused(l, r);
    struct slice *keys = arena_get(a, (r->elements + 1) * sizeof *keys);
    for (size_t i = 0; i < r->elements; i++) {
        if (!reply_is_text(r->element[i]))
            return refused(l, r->element[i]);
        keys[i] = arena_copy(a, reply_slice(r->element[i]));
    }
    *ret_keys = keys;
    *ret_n = r->elements;
    return ERR_NONE;
}

static enum err draw(struct link *l, struct slice set, size_t limit, struct arena *a, struct slice **ret_keys,
                     size_t *ret_n)
{
    char count[24];

    snprintf(count, sizeof count, "%zu", limit);
    link_put(l, (struct slice[]){text("SRANDMEMBER"), set, text(count)}, 3);
    const redisReply *r = link_get(l);
    enum err e = r == NULL ? ERR_REDISLOST : copy_keys(l, r, a, ret_keys, ret_n);
    link_done(l);
    return e;
}

/* ---- moves from set to set ---- */

/* moved may be NULL. */
static enum err move(struct link *l, struct slice from, struct slice to, const struct slice *keys, size_t n,
                     bool *moved)
{
    enum err e = link_is_open(l) ? ERR_NONE : ERR_REDISDOWN;
    int64_t did;

    for (size_t i = 0; i < n; i++)
        link_put(l, (struct slice[]){text("SMOVE"), from, to, keys[i]}, 4);
    for (size_t i = 0; i < n && e == ERR_NONE; i++) {
        e = get_int(l, &did);
        if (e == ERR_NONE && moved != NULL)
            moved[i] = did == 1;
    }
    link_done(l);
    return e;
}

enum err busy_take(struct link *l, const char *proxy, size_t limit, struct arena *a, struct slice **ret_keys,
                   size_t *ret_n)
{
    char name[NAME_CAP];
    struct slice *keys = NULL;
    size_t n = 0, taken = 0;

    if (!link_is_open(l))
        return ERR_REDISDOWN;
    enum err e = draw(l, text(MARKS_DIRTY), limit, a, &keys, &n);
    bool *moved = arena_get(a, n + 1);
    if (e == ERR_NONE)
        e = move(l, text(MARKS_DIRTY), set_of(proxy, name), keys, n, moved);
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        if (moved[i])
            keys[taken++] = keys[i];
    if (e == ERR_NONE) {
        *ret_keys = keys;
        *ret_n = taken;
    }
    return e;
}

enum err busy_take_these(struct link *l, const char *proxy, const struct slice *keys, size_t n)
{
    char name[NAME_CAP];
    return move(l, text(MARKS_DIRTY), set_of(proxy, name), keys, n, NULL);
}

/* Those that are done leave the set, many with one command. Returns how many commands were put. */
static size_t put_done(struct link *l, struct slice set, const struct slice *keys, const bool *done, size_t n)
{
    struct slice argv[2 + REMOVED] = {text("SREM"), set};
    size_t argc = 2, commands = 0;

    for (size_t i = 0; i < n; i++) {
        if (done[i])
            argv[argc++] = keys[i];
        if (argc == 2 + REMOVED || (i + 1 == n && argc > 2)) {
            link_put(l, argv, argc);
            commands++;
            argc = 2;
        }
    }
    return commands;
}

enum err busy_settle(struct link *l, const char *proxy, const struct slice *keys, const bool *done, size_t n)
{
    char name[NAME_CAP];
    struct slice set = set_of(proxy, name);
    enum err e = link_is_open(l) ? ERR_NONE : ERR_REDISDOWN;
    size_t commands = put_done(l, set, keys, done, n);
    int64_t did;

    for (size_t i = 0; i < n; i++)
        if (!done[i]) {
            link_put(l, (struct slice[]){text("SMOVE"), set, text(MARKS_DIRTY), keys[i]}, 4);
            commands++;
        }
    for (size_t i = 0; i < commands && e == ERR_NONE; i++)
        e = get_int(l, &did);
    link_done(l);
    return e;
}

/* ---- what was left ---- */

static enum err empty_out(struct link *l, struct slice set)
{
    struct arena a;
    struct slice *keys = NULL;
    size_t n = 1;
    enum err e = ERR_NONE;

    arena_init(&a);
    while (e == ERR_NONE && n > 0) {
        arena_reset(&a);
        e = draw(l, set, PIECE, &a, &keys, &n);
        if (e == ERR_NONE)
            e = move(l, set, text(MARKS_DIRTY), keys, n, NULL);
    }
    arena_done(&a);
    return e;
}

/* A page of the names of all busy sets. */
static enum err scan(struct link *l, struct arena *a, struct slice *cursor, struct slice **ret_sets,
                     size_t *ret_n)
{
    link_put(l,
             (struct slice[]){text("SCAN"), *cursor, text("MATCH"), text(MARKS_BUSY "*"), text("COUNT"),
                              text("1000")},
             6);
    const redisReply *r = link_get(l);
    enum err e = r == NULL ? ERR_REDISLOST : ERR_NONE;
    if (e == ERR_NONE && (!reply_is_array(r) || r->elements != 2 || !reply_is_text(r->element[0])))
        e = refused(l, r);
    if (e == ERR_NONE)
        e = copy_keys(l, r->element[1], a, ret_sets, ret_n);
    if (e == ERR_NONE)
        *cursor = arena_copy(a, reply_slice(r->element[0]));
    link_done(l);
    return e;
}

enum err busy_recover(struct link *l)
{
    struct slice cursor = text("0"), *sets = NULL;
    struct arena a;
    size_t n = 0;
    enum err e = link_is_open(l) ? ERR_NONE : ERR_REDISDOWN;

    arena_init(&a);
    do {
        if (e == ERR_NONE)
            e = scan(l, &a, &cursor, &sets, &n);
        for (size_t i = 0; e == ERR_NONE && i < n; i++)
            e = empty_out(l, sets[i]);
    } while (e == ERR_NONE && !slice_is(cursor, "0"));
    arena_done(&a);
    return e;
}

enum err busy_left(struct link *l, int64_t *ret)
{
    if (!link_is_open(l))
        return ERR_REDISDOWN;
    link_say(l, "SCARD", MARKS_DIRTY, NULL);
    enum err e = get_int(l, ret);
    link_done(l);
    return e;
}
