#include "sync/unseen.h"

#include "base/log.h"
#include "sync/doubts.h"
#include "sync/internal.h"

#include <stdio.h>

#define LOOK_AGAIN 30 /* steps until what other proxies have left is looked for again */
#define MOVES      32

void unseen_init(struct unseen *u, const char *proxy, bool (*is_running)(void *ctx, struct slice field),
                 void *ctx)
{
    *u = (struct unseen){.proxy = proxy, .is_running = is_running, .ctx = ctx};
    arena_init(&u->arena);
}

void unseen_done(struct unseen *u)
{
    arena_done(&u->arena);
}

void unseen_anew(struct unseen *u)
{
    u->policy = 0;
    u->move = 0;
}

static bool redis_acts(struct sync *s, int64_t *ret_epoch)
{
    pthread_mutex_lock(&s->lock);
    bool acts = s->mode == SYNC_COPY;
    *ret_epoch = s->epoch;
    pthread_mutex_unlock(&s->lock);
    return acts;
}

static void look(struct unseen *u, struct link *l, const struct settings *settings)
{
    struct slice *all;
    size_t n = 0;

    arena_reset(&u->arena);
    u->nfields = 0;
    unseen_anew(u);
    if (!link_open(l, settings) || doubts_left(l, u->proxy, &u->arena, &all, &n) != ERR_NONE)
        return;
    u->fields = all;
    for (size_t i = 0; i < n; i++)
        if (!u->is_running(u->ctx, all[i]))
            all[u->nfields++] = all[i];
    u->owed = false;
    u->looks = 0;
}

static enum move_state state_of(struct sync *s, uint64_t id)
{
    struct move_report all[MOVES];
    size_t n = moves_report(sync_moves(s), all, MOVES), i = 0;

    while (i < n && all[i].id != id)
        i++;
    return i < n ? all[i].state : MOVE_FAILED;
}

static void order(struct unseen *u, struct sync *s, const struct policy_conf *policy)
{
    struct move_order o = {.kind = MOVE_VERIFY, .repair = true, .deep = true};
    char why[160];

    snprintf(o.policy, sizeof o.policy, "%s", policy->name);
    u->move = moves_order(sync_moves(s), &o, why, sizeof why);
    if (u->move != 0)
        log_event(LOG_INFO, "scripts_verify", LOG_STR("policy", policy->name),
                  LOG_STR("reason", "what a script has changed was not seen"));
}

static void next_policy(struct unseen *u)
{
    u->policy++;
    u->move = 0;
}

static void watch(struct unseen *u, struct sync *s)
{
    switch (state_of(s, u->move)) {
    case MOVE_DONE:
        next_policy(u);
        return;
    case MOVE_FAILED:
    case MOVE_ABORTED:
    case MOVE_INTERRUPTED:
        u->move = 0; /* ordered again */
        return;
    case MOVE_WAITING:
    case MOVE_RUNNING:
        return;
    }
}

static void see_to(struct unseen *u, struct sync *s, struct link *l, const struct settings *settings)
{
    if (u->policy >= settings->policy_count) {
        if (link_open(l, settings) && doubts_drop(l, u->fields, u->nfields) == ERR_NONE)
            u->nfields = 0;
        return;
    }
    const struct policy_conf *policy = &settings->policies[u->policy];
    if (!policy->dual_write)
        next_policy(u);
    else if (u->move == 0)
        order(u, s, policy);
    else
        watch(u, s);
}

void unseen_step(struct unseen *u, struct sync *s, struct link *l, const struct settings *settings)
{
    int64_t epoch;

    if (!redis_acts(s, &epoch))
        return;
    u->looks++;
    if (u->nfields > 0) {
        see_to(u, s, l, settings);
    } else if (u->owed || u->epoch != epoch || u->looks >= LOOK_AGAIN) {
        u->epoch = epoch;
        look(u, l, settings);
    }
}
