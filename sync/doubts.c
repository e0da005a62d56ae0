#include "sync/doubts.h"

#include "router/marks.h"
#include "sync/reply.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char put_script[] =
    "#!lua flags=allow-oom\n"
    "return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])\n";

static enum err take_int(struct link *l)
{
    int64_t n;
    const redisReply *r = link_get(l);
    enum err e = r == NULL ? ERR_REDISLOST : ERR_NONE;

    if (r != NULL && !reply_int(r, &n)) {
        link_refuse(l, r);
        e = ERR_REDISDOWN;
    }
    link_done(l);
    return e;
}

struct slice doubts_field(char *buf, size_t cap, const char *proxy, uint64_t id)
{
    int n = snprintf(buf, cap, "%s:%" PRIu64, proxy, id);
    return (struct slice){buf, (size_t)n};
}

enum err doubts_put(struct link *l, const char *proxy, uint64_t id, int64_t now_ms)
{
    char field[64], at[24];

    if (!link_is_open(l))
        return ERR_REDISDOWN;
    doubts_field(field, sizeof field, proxy, id);
    snprintf(at, sizeof at, "%" PRId64, now_ms);
    link_say(l, "EVAL", put_script, "1", MARKS_SUSPECT, field, at, NULL);
    return take_int(l);
}

enum err doubts_drop(struct link *l, const struct slice *fields, size_t n)
{
    enum err e = link_is_open(l) ? ERR_NONE : ERR_REDISDOWN;

    for (size_t i = 0; i < n && e == ERR_NONE; i++) {
        struct slice argv[] = {{"HDEL", 4}, {MARKS_SUSPECT, sizeof MARKS_SUSPECT - 1}, fields[i]};
        link_put(l, argv, 3);
        e = take_int(l);
    }
    return e;
}

/* ---- what is left ---- */

static bool names(const redisReply *list, struct slice proxy)
{
    char name[96];

    snprintf(name, sizeof name, " name=" MARKS_CLIENT_NAME "%.*s-", (int)proxy.len, proxy.p);
    return reply_is_text(list) && strstr(list->str, name) != NULL;
}

static struct slice proxy_of(struct slice field)
{
    const char *colon = field.len > 0 ? memchr(field.p, ':', field.len) : NULL;
    return (struct slice){field.p, colon != NULL ? (size_t)(colon - field.p) : 0};
}

static enum err pick(struct link *l, const char *proxy, const redisReply *all, const redisReply *clients,
                     struct arena *a, struct slice **ret_fields, size_t *ret_n)
{
    if (!reply_is_array(all) || !reply_is_text(clients)) {
        link_refuse(l, reply_is_array(all) ? clients : all);
        return ERR_REDISDOWN;
    }
    *ret_fields = arena_get(a, (all->elements + 1) * sizeof **ret_fields);
    for (size_t i = 0; i < all->elements; i++) {
        struct slice field = reply_slice(all->element[i]), of = proxy_of(field);
        bool own = of.len == strlen(proxy) && memcmp(of.p, proxy, of.len) == 0;
        if (own || of.len == 0 || !names(clients, of))
            (*ret_fields)[(*ret_n)++] = arena_copy(a, field);
    }
    return ERR_NONE;
}

enum err doubts_left(struct link *l, const char *proxy, struct arena *a, struct slice **ret_fields,
                     size_t *ret_n)
{
    *ret_n = 0;
    if (!link_is_open(l))
        return ERR_REDISDOWN;
    link_say(l, "HKEYS", MARKS_SUSPECT, NULL);
    link_say(l, "CLIENT", "LIST", NULL);
    const redisReply *all = link_get(l), *clients = all != NULL ? link_get(l) : NULL;
    enum err e = clients == NULL ? ERR_REDISLOST : pick(l, proxy, all, clients, a, ret_fields, ret_n);
    link_done(l);
    return e;
}
