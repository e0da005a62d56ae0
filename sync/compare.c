#include "sync/compare.h"

#include "base/clock.h"
#include "engine/document.h"
#include "router/marks.h"
#include "sync/digest.h"
#include "sync/link.h"
#include "sync/value.h"

#include <hiredis/hiredis.h>
#include <string.h>

/* What one store has of a key. */
struct side {
    bool there;
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

static bool get_flag(struct link *l, bool *ret)
{
    const redisReply *r = link_get(l);

    if (r == NULL)
        return false;
    if (r->type != REDIS_REPLY_INTEGER) {
        link_refuse(l, r);
        return false;
    }
    *ret = r->integer == 1;
    return true;
}

static enum err look_for(const struct moves_stores *s, struct compared *keys, struct side *redis, size_t n)
{
    bool ok = true;

    for (size_t i = 0; i < n; i++) {
        put_one(s->link, "EXISTS", NULL, keys[i].key);
        put_one(s->link, "SISMEMBER", MARKS_DIRTY, keys[i].key);
    }
    for (size_t i = 0; ok && i < n; i++)
        ok = get_flag(s->link, &redis[i].there) && get_flag(s->link, &keys[i].owed);
    link_done(s->link);
    return ok ? ERR_NONE : ERR_REDISDOWN;
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

static void decode(struct arena *a, const struct archive_found *found, bool deep, struct side *ret)
{
    struct object o;
    const char *why;
    bson_t doc;

    if (found->version == 0)
        return;
    if (!bson_init_static(&doc, (const uint8_t *)found->doc.p, found->doc.len) ||
        document_decode(&doc, a, &o, &why) != ERR_NONE) {
        ret->unsure = true;
        return;
    }
    bool over = o.expire_ms >= 0 && o.expire_ms <= clock_wall_us() / 1000;
    ret->there = o.type != OBJECT_NONE && !over;
    ret->digest = deep && ret->there ? digest_object(&o) : 0;
}

static enum err load(const struct moves_stores *s, struct arena *a, const struct slice *names,
                     struct compared *keys, struct side *archive, size_t n, bool deep)
{
    struct archive_found *found = arena_get(a, n * sizeof *found);
    enum err e = archive_load(s->handle, names, n, a, found);

    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        keys[i].archive = found[i].version;
        decode(a, &found[i], deep, &archive[i]);
    }
    return e;
}

static bool equal(const struct compared *k, const struct side *redis, const struct side *archive, bool deep)
{
    if (redis->unsure || archive->unsure)
        return false;
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
