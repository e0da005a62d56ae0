/* CATCHUP's pass: all documents by version, page by page; then those that are dirty, again and again until there are none. */
#include "sync/compare.h"
#include "sync/internal.h"
#include "sync/value.h"

#define CLEAN 2 /* passes over the dirty ones that must find nothing, in a row */

void pass_begin(struct side *t, struct pass *pass)
{
    *pass = (struct pass){.filter = ARCHIVE_ALL};
    warm_scan_begin(t->sync->warm);
    t->sync->pass_done = 0;
    t->sync->pass_total = -1;
}

/* A page_want. */
static bool wants(void *side, struct slice key)
{
    const struct side *t = side;
    const struct policy_conf *policy = policy_find(t->policies, key);

    return policy != NULL && side_is_redis(t, policy);
}

static struct slice *names_of(struct page *p)
{
    struct slice *names = arena_get(&p->arena, p->n * sizeof *names);

    for (size_t i = 0; i < p->n; i++)
        names[i] = p->entries[i].key;
    return names;
}

/* A key that was demoted stays out of a Redis that knows nothing of it: it gets its version again, and nothing else. stays[i]: so it is. */
static enum err leave_out(struct side *t, struct page *p, const int64_t *versions, bool *stays)
{
    struct value_restore *outs = arena_get(&p->arena, p->n * sizeof *outs);
    struct object *gone = arena_get(&p->arena, p->n * sizeof *gone);
    size_t *from = arena_get(&p->arena, p->n * sizeof *from), n = 0;
    bool *there = arena_get(&p->arena, p->n * sizeof *there);
    struct slice *keys = arena_get(&p->arena, p->n * sizeof *keys);
    int64_t epoch = 0;

    for (size_t i = 0; i < p->n; i++) {
        if (p->entries[i].tier == RECORD_WORKING || p->entries[i].dirty || versions[i] != 0)
            continue;
        keys[n] = p->entries[i].key;
        from[n++] = i;
    }
    enum err e = n > 0 ? compare_presence(t->link, keys, n, there) : ERR_NONE;
    if (e == ERR_NONE && n > 0)
        e = value_epoch(t->link, &epoch);
    for (size_t i = 0; i < n; i++) {
        gone[i] = (struct object){.key = keys[i], .expire_ms = -1};
        /* -1 fits nothing: what Redis has there without a version is looked at closely */
        outs[i] = (struct value_restore){.object = &gone[i],
                                         .expected = there[i] || epoch != t->epoch ? -1 : 0,
                                         .version = p->entries[from[i]].version,
                                         .epoch = epoch};
    }
    if (e == ERR_NONE && n > 0)
        e = value_restore(t->link, outs, n);
    for (size_t i = 0; e == ERR_NONE && i < n; i++)
        stays[from[i]] = outs[i].done;
    return e;
}

/* The page's keys that Redis does not have as the archive has them. */
static enum err choose(struct side *t, struct page *p, struct slice *keys, size_t *ret_n)
{
    int64_t *versions = arena_get(&p->arena, p->n * sizeof *versions);
    bool *stays = arena_get(&p->arena, p->n * sizeof *stays);
    enum err e = value_versions(t->link, keys, p->n, versions);
    size_t n = 0;

    tiering_see(t, p->entries, p->n);
    if (e == ERR_NONE)
        e = leave_out(t, p, versions, stays);
    for (size_t i = 0; e == ERR_NONE && i < p->n; i++) {
        if (p->entries[i].dirty || (versions[i] != p->entries[i].version && !stays[i]))
            keys[n++] = keys[i];
    }
    *ret_n = n;
    return e;
}

static enum err hand_over(struct side *t, struct pass *pass, struct page *p, const struct slice *keys,
                          size_t n)
{
    enum handoff_result *results = arena_get(&p->arena, n * sizeof *results);
    enum err e = side_handoff(t, keys, n, results);

    for (size_t i = 0; e == ERR_NONE && i < n; i++) {
        pass->found |=
            results[i] != HANDOFF_BAD; /* those stay the archive's: there is no use in waiting for them */
        pass->unfinished |= results[i] == HANDOFF_AGAIN;
    }
    return e;
}

/* This pass is over: which one is next? */
static void turn_over(struct side *t, struct pass *pass)
{
    if (pass->filter == ARCHIVE_ALL && !pass->unfinished)
        warm_scan_end(t->sync->warm);
    if (pass->filter == ARCHIVE_ALL)
        t->sync->pass_total = t->sync->pass_done;
    else
        pass->clean = pass->found ? 0 : pass->clean + 1;
    if (pass->unfinished) {
        pass_begin(t, pass);
        return;
    }
    pass->filter = ARCHIVE_DIRTY;
    pass->hash = 0;
    pass->found = false;
    pass->over = pass->clean >= CLEAN;
}

static void count(struct sync *s, const struct pass *pass, const struct page *p, int64_t hash)
{
    if (pass->filter != ARCHIVE_ALL)
        return;
    s->pass_done += (int64_t)p->looked;
    if (hash > 0)
        s->pass_total = (int64_t)((double)s->pass_done / page_hash_progress(hash));
}

enum err pass_step(struct side *t, struct pass *pass, struct page *page)
{
    int64_t hash = pass->hash;
    size_t n = 0;
    enum err e = page_of_archive(page, t->handle, pass->filter, &hash, SYNC_BATCH, wants, t);

    if (e != ERR_NONE)
        return e;
    struct slice *keys = names_of(page);
    if (page->n > 0)
        e = choose(t, page, keys, &n);
    if (e == ERR_NONE && n > 0)
        e = hand_over(t, pass, page, keys, n);
    if (e != ERR_NONE || !side_goes_on(t))
        return e;
    count(t->sync, pass, page, hash);
    pass->hash = hash;
    if (hash < 0)
        turn_over(t, pass);
    return ERR_NONE;
}
