#include "sync/demote.h"

#include "base/clock.h"
#include "sync/kept.h"
#include "sync/sync.h"
#include "sync/value.h"

#include <assert.h>

struct leaver {
    struct demotion *of;
    struct kept kept;
    struct record record; /* of the document that says so */
    size_t bytes;
    bool out; /* it has been told where it is */
};

struct group {
    const struct moves_stores *s;
    struct arena *a;
    struct leaver *leavers;
    size_t n;
    int64_t now_ms, epoch;
};

static const char in_use[] = "it is in use";

/* ---- ends ---- */

static void settle(struct group *g, struct leaver *l, bool away, const char *why)
{
    struct warm_key k = {.key = l->of->key,
                         .policy = l->of->policy,
                         .tier = l->of->tier.level,
                         .expire_ms = l->kept.object.expire_ms,
                         .bytes = l->bytes,
                         .facts = &l->of->tier};

    l->out = true;
    l->of->why = why;
    warm_settle(g->s->warm, &k, away);
}

/* Those that nobody knows better of. */
static void settle_rest(struct group *g, bool away, const char *why)
{
    for (size_t i = 0; i < g->n; i++)
        if (!g->leavers[i].out)
            settle(g, &g->leavers[i], away, why);
}

/* ---- who may go ---- */

static bool is_awaited(const struct group *g, struct slice key)
{
    const struct sync_ops *ops = g->s->ops;
    return ops->is_awaited != NULL && ops->is_awaited(ops->ctx, key);
}

/* False: nobody leaves. */
static bool gather(struct group *g, struct demotion *keys, size_t n)
{
    const struct sync_ops *ops = g->s->ops;
    bool *announced = arena_get(g->a, n + 1);

    for (size_t i = 0; i < n; i++) {
        keys[i].why = in_use;
        announced[i] = warm_announce(g->s->warm, keys[i].key);
    }
    bool quiet = ops->fence == NULL || ops->fence(ops->ctx, g->s->go_on, g->s->ctx);
    for (size_t i = 0; i < n; i++) {
        if (!announced[i])
            continue;
        if (!quiet || is_awaited(g, keys[i].key))
            warm_call_off(g->s->warm, keys[i].key);
        else if (warm_leave(g->s->warm, keys[i].key))
            g->leavers[g->n++].of = &keys[i];
    }
    return g->n > 0;
}

static const char *trouble_of(const struct kept *k, int64_t redis)
{
    if (k->damaged != NULL)
        return k->damaged;
    if (k->version == 0 || k->dead)
        return "the archive does not have it";
    if (!k->record.redis || k->record.journalled || k->dirty)
        return "the stores are not equal yet";
    return k->version != redis ? "the archive does not have its newest state yet" : NULL;
}

static struct slice *keys_of(struct group *g)
{
    struct slice *keys = arena_get(g->a, (g->n + 1) * sizeof *keys);

    for (size_t i = 0; i < g->n; i++)
        keys[i] = g->leavers[i].of->key;
    return keys;
}

static void keep_those(struct group *g)
{
    size_t n = 0;

    for (size_t i = 0; i < g->n; i++)
        if (!g->leavers[i].out)
            g->leavers[n++] = g->leavers[i];
    g->n = n;
}

/* The documents are read first: a version that Redis still has then was the newest. */
static enum err look(struct group *g)
{
    struct kept *kept = arena_get(g->a, (g->n + 1) * sizeof *kept);
    int64_t *versions = arena_get(g->a, (g->n + 1) * sizeof *versions);
    enum err e = kept_load(g->s->handle, keys_of(g), g->n, g->a, g->now_ms, kept);

    if (e == ERR_NONE)
        e = value_epoch(g->s->link, &g->epoch);
    if (e == ERR_NONE && (g->epoch <= 0 || g->epoch > g->s->epoch))
        e = ERR_REDISDOWN;
    if (e == ERR_NONE)
        e = value_versions(g->s->link, keys_of(g), g->n, versions);
    for (size_t i = 0; e == ERR_NONE && i < g->n; i++) {
        const char *why = trouble_of(&kept[i], versions[i]);
        g->leavers[i].kept = kept[i];
        g->leavers[i].record = kept[i].record;
        g->leavers[i].record.tier = g->leavers[i].of->tier;
        if (why != NULL)
            settle(g, &g->leavers[i], false, why);
    }
    keep_those(g);
    return e;
}

/* ---- step 1: the documents ---- */

static enum err seal(struct group *g, struct leaver *l, struct archive_write *ret)
{
    struct kept_state state = {&l->kept.object, &l->record, l->kept.version, l->kept.version, false};
    enum err e = kept_seal(&state, g->now_ms, ret);

    if (e == ERR_NONE)
        l->bytes = ret->doc->len;
    return e;
}

static enum err write_documents(struct group *g)
{
    struct archive_write *writes = arena_get(g->a, (g->n + 1) * sizeof *writes);
    enum err *results = arena_get(g->a, (g->n + 1) * sizeof *results);
    size_t n = 0;

    for (size_t i = 0; i < g->n; i++)
        if (seal(g, &g->leavers[i], &writes[n]) == ERR_NONE)
            n++;
        else
            settle(g, &g->leavers[i], false, "its document would be too large");
    keep_those(g);
    enum err e = kept_commit(g->s->handle, writes, n, results);
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        if (results[i] != ERR_NONE)
            settle(g, &g->leavers[i], false, in_use);
    kept_drop(writes, n);
    keep_those(g);
    return e;
}

/* ---- step 2: Redis ---- */

static enum err take_out(struct group *g)
{
    struct value_restore *restores = arena_get(g->a, (g->n + 1) * sizeof *restores);
    struct object *gone = arena_get(g->a, (g->n + 1) * sizeof *gone);

    for (size_t i = 0; i < g->n; i++) {
        gone[i] = (struct object){.key = g->leavers[i].of->key, .expire_ms = -1};
        restores[i] = (struct value_restore){.object = &gone[i],
                                             .expected = g->leavers[i].kept.version,
                                             .version = g->leavers[i].kept.version,
                                             .epoch = g->epoch};
    }
    enum err e = g->n > 0 ? value_restore(g->s->link, restores, g->n) : ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < g->n; i++)
        settle(g, &g->leavers[i], restores[i].done, restores[i].done ? NULL : in_use);
    return e;
}

/* Before the first key leaves. */
static enum err note(const struct moves_stores *s)
{
    bson_t *doc = BCON_NEW("_id", BCON_UTF8(DEMOTE_NOTE));
    enum err e = archive_control_set(s->handle, DEMOTE_NOTE, 0, 1, doc);

    bson_destroy(doc);
    return e == ERR_RACE ? ERR_NONE : e; /* it is there */
}

enum err demote_keys(const struct moves_stores *s, struct arena *a, struct demotion *keys, size_t n)
{
    struct group g = {.s = s, .a = a, .now_ms = clock_wall_us() / 1000};

    assert(n <= DEMOTE_MOST);
    g.leavers = arena_get(a, (n + 1) * sizeof *g.leavers);
    if (!gather(&g, keys, n))
        return ERR_NONE;
    enum err e = note(s);
    if (e == ERR_NONE)
        e = look(&g);
    if (e == ERR_NONE)
        e = write_documents(&g);
    bool begun = e == ERR_NONE;
    if (begun)
        e = take_out(&g);
    settle_rest(&g, begun, "a store has failed");
    return e;
}

/* ---- deeper ---- */

enum err demote_deeper(const struct moves_stores *s, struct arena *a, struct demotion *keys, size_t n)
{
    struct group g = {.s = s, .a = a, .now_ms = clock_wall_us() / 1000, .n = n};
    struct kept *kept = arena_get(a, (n + 1) * sizeof *kept);

    g.leavers = arena_get(a, (n + 1) * sizeof *g.leavers);
    for (size_t i = 0; i < n; i++)
        g.leavers[i].of = &keys[i];
    enum err e = n > 0 ? kept_load(s->handle, keys_of(&g), n, a, g.now_ms, kept) : ERR_NONE;
    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        struct leaver *l = &g.leavers[i];
        l->kept = kept[i];
        l->record = kept[i].record;
        l->record.tier = keys[i].tier;
        keys[i].why = kept[i].record.tier.level == RECORD_WORKING ? in_use : trouble_of(&kept[i], kept[i].version);
        l->out = keys[i].why != NULL;
    }
    keep_those(&g);
    if (e == ERR_NONE)
        e = write_documents(&g);
    for (size_t i = 0; e == ERR_NONE && i < g.n; i++) {
        const struct leaver *l = &g.leavers[i];
        warm_add(s->warm, &(struct warm_key){l->of->key, l->of->policy, l->of->tier.level, l->kept.object.expire_ms, l->bytes, &l->of->tier});
    }
    return e;
}
