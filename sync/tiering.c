/* Tiers, on the worker's thread: what is away is found in the archive, sweeps are ordered when they are due, operators' keys leave. */
#include "sync/internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "sync/demote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_US 1000000
#define KEEP_US 60000000 /* the use of keys is kept so often */

/* ---- what is away ---- */

void tiering_see(struct side *t, const struct archive_entry *entries, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct archive_entry *e = &entries[i];
        if (e->tier == RECORD_WORKING || e->type == OBJECT_NONE)
            continue;
        const struct policy_conf *policy = policy_find(t->policies, e->key);
        warm_add(t->sync->warm, &(struct warm_key){.key = e->key,
                                                   .policy = policy != NULL ? policy->name : "",
                                                   .tier = e->tier,
                                                   .expire_ms = e->expire_ms});
    }
}

static enum err scan(struct side *t, struct tiering *tiering, struct page *page)
{
    int64_t hash = tiering->hash;

    if (!tiering->begun) {
        warm_scan_begin(t->sync->warm);
        tiering->begun = true;
        hash = 0;
    }
    enum err e = page_of_archive(page, t->handle, ARCHIVE_ALL, &hash, SYNC_BATCH, NULL, NULL);
    if (e != ERR_NONE)
        return e;
    tiering_see(t, page->entries, page->n);
    tiering->hash = hash;
    if (hash < 0)
        warm_scan_end(t->sync->warm);
    return ERR_NONE;
}

/* Whether any key has ever left Redis: before that nobody looks through the archive. */
static enum err any_left(struct side *t, bool *ret)
{
    struct archive_found found = {0};
    struct arena arena;

    arena_init(&arena);
    enum err e = archive_control_get(t->handle, DEMOTE_NOTE, &arena, &found);
    *ret = found.version != 0;
    arena_done(&arena);
    return e;
}

static enum err find_away(struct side *t, struct tiering *tiering, struct page *page)
{
    bool any = true;
    enum err e = tiering->begun ? ERR_NONE : any_left(t, &any);

    if (e != ERR_NONE)
        return e;
    if (any)
        return scan(t, tiering, page);
    warm_scan_begin(t->sync->warm);
    warm_scan_end(t->sync->warm);
    return ERR_NONE;
}

/* ---- sweeps ---- */

static void order_due(struct side *t, struct tiering *tiering)
{
    int64_t now_us = clock_mono_us(), wall_us = clock_wall_us(), every_us = t->settings->tier_every * 1000;
    char why[160];

    if (every_us == 0 || now_us - tiering->looked_us < LOOK_US)
        return;
    tiering->looked_us = now_us;
    for (size_t i = 0; i < t->settings->policy_count; i++) {
        const struct policy_conf *p = &t->settings->policies[i];
        struct move_order order = {.kind = MOVE_TIER};
        int64_t last_us = tiers_last(t->sync->tiers, p->name);
        if (!p->tiers || (last_us != 0 && wall_us - last_us < every_us && wall_us >= last_us))
            continue;
        snprintf(order.policy, sizeof order.policy, "%s", p->name);
        uint64_t id = moves_interrupted(t->sync->moves, MOVE_TIER, p->name);
        if (id != 0 && moves_resume(t->sync->moves, id, why, sizeof why))
            continue;
        (void)moves_order(t->sync->moves, &order, why, sizeof why); /* one that is waiting is as good */
    }
}

/* ---- single keys ---- */

void sync_demote(struct sync *s, int64_t epoch, struct slice key, sync_done done, void *ctx)
{
    struct ask *a = ask_new(&key, 1), **end;

    a->epoch = epoch;
    a->done = done;
    a->ctx = ctx;
    pthread_mutex_lock(&s->lock);
    for (end = &s->leaving; *end != NULL; end = &(*end)->next)
        continue;
    *end = a;
    pthread_cond_signal(&s->worker.call);
    pthread_mutex_unlock(&s->lock);
}

static struct ask *take_all(struct sync *s)
{
    pthread_mutex_lock(&s->lock);
    struct ask *all = s->leaving;
    s->leaving = NULL;
    pthread_mutex_unlock(&s->lock);
    return all;
}

static void tell(struct ask *own_a, enum err e)
{
    own_a->done(own_a->ctx, e);
    free(own_a);
}

void tiering_refuse(struct sync *s, enum err e)
{
    for (struct ask *a = take_all(s), *next; a != NULL; a = next) {
        next = a->next;
        tell(a, e);
    }
}

/* ERR_ARCHIVEBAD: no key that could leave. */
static enum err demote_one(struct side *t, struct slice key)
{
    const struct policy_conf *policy = policy_find(t->policies, key);
    struct moves_stores stores;
    struct arena arena;

    if (policy == NULL || !policy->tiers || !side_is_redis(t, policy) || !warm_known(t->sync->warm))
        return ERR_ARCHIVEBAD;
    tiering_stores(t, &stores);
    arena_init(&arena);
    struct demotion d = {.key = key,
                         .policy = policy->name,
                         .tier = {.level = RECORD_WARM,
                                  .importance = TIERS_NEUTRAL,
                                  .seen_ms = clock_wall_us() / 1000,
                                  .accesses = uses_count(t->sync->uses, key)}};
    enum err e = demote_keys(&stores, &arena, &d, 1);
    if (e == ERR_NONE && d.why == NULL)
        tiers_moved(t->sync->tiers, policy->name, RECORD_WORKING, RECORD_WARM, 1);
    bool left = d.why == NULL;
    arena_done(&arena);
    return e != ERR_NONE || left ? e : ERR_RACE;
}

static enum err demote_asked(struct side *t)
{
    enum err e = ERR_NONE;

    for (struct ask *a = take_all(t->sync), *next; a != NULL; a = next) {
        next = a->next;
        enum err one = a->epoch == t->epoch && e == ERR_NONE ? demote_one(t, a->keys[0]) : ERR_MOVED;
        tell(a, one);
        if (one != ERR_RACE && one != ERR_ARCHIVEBAD && one != ERR_MOVED)
            e = one;
    }
    return e;
}

/* ---- the use of keys ---- */

static enum err keep_uses(struct side *t, struct tiering *tiering)
{
    int64_t now_us = clock_mono_us();

    if (!uses_is_loaded(t->sync->uses)) {
        tiering->kept_us = now_us;
        return warm_active(t->sync->warm) ? uses_load(t->sync->uses, t->handle) : ERR_NONE;
    }
    if (!uses_is_owed(t->sync->uses) || now_us - tiering->kept_us < KEEP_US)
        return ERR_NONE;
    tiering->kept_us = now_us;
    return uses_keep(t->sync->uses, t->handle);
}

void tiering_end(struct side *t)
{
    if (uses_is_owed(t->sync->uses) && uses_keep(t->sync->uses, t->handle) != ERR_NONE)
        log_event(LOG_WARN, "uses_not_kept", LOG_STR("reason", archive_why(t->handle)));
}

/* ---- the worker's step ---- */

enum err tiering_step(struct side *t, struct tiering *tiering, struct page *page, bool *ret_any)
{
    enum err e = keep_uses(t, tiering);

    if (e != ERR_NONE)
        return e;
    if (!warm_known(t->sync->warm)) {
        *ret_any = true;
        return find_away(t, tiering, page);
    }
    warm_prune(t->sync->warm, clock_wall_us() / 1000);
    order_due(t, tiering);
    return demote_asked(t);
}

static bool go_on(void *side)
{
    return side_goes_on(side);
}

static bool is_redis(void *side, const struct policy_conf *policy)
{
    return side_is_redis(side, policy);
}

static enum err hand_over(void *side, const struct slice *keys, size_t n, enum handoff_result *ret)
{
    return side_handoff(side, keys, n, ret);
}

void tiering_stores(struct side *t, struct moves_stores *ret)
{
    *ret = (struct moves_stores){.handle = t->handle,
                                 .link = t->link,
                                 .copier = &t->copier,
                                 .settings = t->settings,
                                 .epoch = t->epoch,
                                 .is_redis = is_redis,
                                 .hand_over = hand_over,
                                 .warm = t->sync->warm,
                                 .tiers = t->sync->tiers,
                                 .uses = t->sync->uses,
                                 .ops = &t->sync->ops,
                                 .go_on = go_on,
                                 .ctx = t};
}
