#include "sync/compare.h"

#include "base/clock.h"
#include "router/marks.h"
#include "sync/digest.h"
#include "sync/kept.h"
#include "sync/link.h"
#include "sync/value.h"

#include <hiredis/hiredis.h>
#include <string.h>

#define TOGETHER 512 /* keys of one EXISTS */

/* What one store has of a key. */
struct side {
    bool there;
    bool away;   /* it is demoted: Redis does not have it, on purpose */
    bool unsure; /* it could not be read: it is no other's equal */
    uint64_t digest;
};

/* ---- Redis ---- */

static void put_one(struct link *l, const char *verb, const char *set, struct slice key)
{
    struct slice argv[] = {{verb, strlen(verb)}, {set, set == NULL ? 0 : strlen(set)}, key};

    if (set == NULL)
        argv[1] = key;
    link_put(l, argv, set == NULL ? 2 : 3);
}

static enum err get_number(struct link *l, size_t *ret)
{
    const redisReply *r = link_get(l);

    if (r == NULL)
        return ERR_REDISLOST;
    if (r->type != REDIS_REPLY_INTEGER) {
        link_refuse(l, r);
        return ERR_REDISDOWN;
    }
    *ret = (size_t)r->integer;
    return ERR_NONE;
}

static enum err get_flag(struct link *l, bool *ret)
{
    size_t n = 0;
    enum err e = get_number(l, &n);

    *ret = n == 1;
    return e;
}

static enum err look_for(const struct moves_stores *s, struct compared *keys, struct side *redis, size_t n)
{
    enum err e = ERR_NONE;

    for (size_t i = 0; i < n; i++) {
        put_one(s->link, "EXISTS", NULL, keys[i].key);
        put_one(s->link, "SISMEMBER", MARKS_DIRTY, keys[i].key);
    }
    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        e = get_flag(s->link, &redis[i].there);
        if (e == ERR_NONE)
            e = get_flag(s->link, &keys[i].owed);
    }
    link_done(s->link);
    return e;
}

static enum err count_present(struct link *l, const struct slice *keys, size_t n, size_t *ret)
{
    struct slice argv[1 + TOGETHER] = {{"EXISTS", 6}};

    memcpy(argv + 1, keys, n * sizeof *keys);
    link_put(l, argv, 1 + n);
    enum err e = get_number(l, ret);
    link_done(l);
    return e;
}

static enum err tell_present(struct link *l, const struct slice *keys, size_t n, bool *ret)
{
    size_t there = 0;
    enum err e = count_present(l, keys, n, &there);

    for (size_t i = 0; i < n; i++)
        ret[i] = there == n;
    if (e != ERR_NONE || there == 0 || there == n)
        return e;
    for (size_t i = 0; i < n; i++)
        put_one(l, "EXISTS", NULL, keys[i]);
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        e = get_flag(l, &ret[i]);
    link_done(l);
    return e;
}

enum err compare_presence(struct link *l, const struct slice *keys, size_t n, bool *ret)
{
    enum err e = ERR_NONE;

    for (size_t i = 0; i < n && e == ERR_NONE; i += TOGETHER)
        e = tell_present(l, keys + i, n - i < TOGETHER ? n - i : TOGETHER, ret + i);
    return e;
}

static enum err read_values(const struct moves_stores *s, struct arena *a, const struct slice *names,
                            struct compared *keys, struct side *redis, size_t n)
{
    struct redis_state *states = arena_get(a, n * sizeof *states);
    enum err e = value_read(s->link, names, n, a, states);

    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        keys[i].redis = states[i].version;
        redis[i].unsure = states[i].torn || states[i].bad != NULL;
        redis[i].there = redis[i].unsure || states[i].object.type != OBJECT_NONE;
        redis[i].digest = digest_object(&states[i].object);
    }
    return e;
}

static enum err read_versions(const struct moves_stores *s, struct arena *a, const struct slice *names,
                              struct compared *keys, size_t n)
{
    int64_t *versions = arena_get(a, n * sizeof *versions);
    enum err e = value_versions(s->link, names, n, versions);

    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        keys[i].redis = versions[i];
    return e;
}

/* ---- the archive ---- */

static enum err load(const struct moves_stores *s, struct arena *a, const struct slice *names,
                     struct compared *keys, struct side *archive, size_t n, bool deep)
{
    struct kept *kept = arena_get(a, n * sizeof *kept);
    enum err e = kept_load(s->handle, names, n, a, clock_wall_us() / 1000, kept);

    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        keys[i].archive = kept[i].version;
        archive[i].unsure = kept[i].damaged != NULL;
        archive[i].there = !kept[i].dead;
        archive[i].away = kept[i].record.tier.level != RECORD_WORKING;
        archive[i].digest = deep && !archive[i].unsure ? digest_object(&kept[i].object) : 0;
    }
    return e;
}

static bool equal(const struct compared *k, const struct side *redis, const struct side *archive, bool deep)
{
    if (redis->unsure || archive->unsure)
        return false;
    if (archive->away && !redis->there)
        return k->redis <= k->archive; /* a repair would take it for deleted */
    if (!redis->there || !archive->there)
        return redis->there == archive->there;
    return deep ? redis->digest == archive->digest : k->redis == k->archive;
}

enum err compare_keys(const struct moves_stores *s, struct arena *a, struct compared *keys, size_t n,
                      bool deep)
{
    struct slice *names = arena_get(a, n * sizeof *names);
    struct side *redis = arena_get(a, n * sizeof *redis), *archive = arena_get(a, n * sizeof *archive);

    for (size_t i = 0; i < n; i++)
        names[i] = keys[i].key;
    enum err e = look_for(s, keys, redis, n);
    if (e == ERR_NONE)
        e = deep ? read_values(s, a, names, keys, redis, n) : read_versions(s, a, names, keys, n);
    if (e == ERR_NONE)
        e = load(s, a, names, keys, archive, n, deep);
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        keys[i].same = equal(&keys[i], &redis[i], &archive[i], deep);
    return e;
}
