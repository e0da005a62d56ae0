#include "backends/redis/pool.h"

#include "backends/redis/nodes.h"
#include "backends/redis/secure.h"
#include "config/seeds.h"

#include <stdlib.h>
#include <string.h>

#define TICK_MS 10

/* Calls fn for every upstream of the pool. */
static void each(struct pool *p, void (*fn)(struct upstream *u, void *arg), void *arg)
{
    struct upstream **direct = &p->direct[0][0][0][0];
    for (size_t i = 0; i < sizeof p->direct / sizeof *direct; i++)
        if (direct[i] != NULL)
            fn(direct[i], arg);
    for (size_t i = 0; i < p->nothers; i++)
        fn(p->others[i], arg);
    for (size_t i = 0; i < p->npinned; i++)
        fn(p->pinned[i], arg);
    if (p->nodes != NULL)
        nodes_each(p->nodes, fn, arg);
}

struct tick {
    int64_t now_us;
    bool busy;
};

static void tick_one(struct upstream *u, void *arg)
{
    struct tick *t = arg;
    upstream_tick(u, t->now_us);
    t->busy |= upstream_busy(u);
}

static void on_tick(uv_timer_t *timer)
{
    struct pool *p = timer->data;
    struct tick t = {.now_us = turn_now(p->env.turn)};
    each(p, tick_one, &t);
    if (p->nodes != NULL)
        t.busy |= nodes_tick(p->nodes, t.now_us);
    if (!t.busy)
        uv_timer_stop(&p->tick);
}

static void on_wake(struct upstream_env *env)
{
    struct pool *p = (struct pool *)env; /* env is the first member */
    if (!uv_is_active((uv_handle_t *)&p->tick))
        uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
}

void pool_init(struct pool *p, struct turn *turn, const struct settings *settings,
               const struct upstream_ops *ops, void (*count)(void *ctx, enum upstream_count what, int by),
               void *ctx)
{
    *p = (struct pool){
        .env = {.turn = turn, .settings = settings, .ops = ops, .count = count, .ctx = ctx, .wake = on_wake}};
    uv_timer_init(turn->loop, &p->tick);
    p->tick.data = p;
}

static void *grow(void *list, size_t count, size_t size)
{
    void *more = realloc(list, (count + 1) * size);
    if (more == NULL)
        abort();
    return more;
}

static struct upstream *find_other(struct pool *p, enum lane lane, int db, enum resp resp)
{
    for (size_t i = 0; i < p->nothers; i++) {
        struct upstream *u = p->others[i];
        if (upstream_lane(u) == lane && upstream_db(u) == db && upstream_resp(u) == resp)
            return u;
    }
    p->others = grow(p->others, p->nothers, sizeof(struct upstream *));
    p->others[p->nothers] = upstream_new(&p->env, lane, db, resp);
    return p->others[p->nothers++];
}

struct upstream *pool_shared(struct pool *p, enum lane lane, int db, enum resp resp, uint64_t client)
{
    if (db >= POOL_DIRECT_DBS)
        return find_other(p, lane, db, resp);
    uint64_t share = client % (uint64_t)p->env.settings->redis_connections;
    if (p->clustered && db == 0)
        return nodes_shared(p->nodes, lane, resp, (unsigned)share);
    struct upstream **place = &p->direct[lane][resp - RESP2][db][share];
    if (*place == NULL)
        *place = upstream_new(&p->env, lane, db, resp);
    return *place;
}

struct upstream *pool_urgent(struct pool *p, enum resp resp)
{
    return find_other(p, LANE_URGENT, 0, resp);
}

/* The best of those that nobody has: one that is not busy with its last borrower's commands. Guarded, only such: an EXEC that ends with
 * nil leaves no trace in cvp:sess, so nothing may stand behind it whose trace would be taken for its own. Returns npinned when there is
 * none. */
static size_t find_pinned(const struct pool *p, int db, enum resp resp)
{
    size_t best = p->npinned;
    for (size_t i = 0; i < p->npinned; i++) {
        const struct upstream *u = p->pinned[i];
        if (p->lent[i] || upstream_db(u) != db || upstream_resp(u) != resp || !pool_aims_at(p, u))
            continue;
        if (upstream_in_flight(u) == 0)
            return i;
        if (!p->env.guard.on)
            best = i;
    }
    return best;
}

struct upstream *pool_borrow(struct pool *p, int db, enum resp resp)
{
    size_t i = find_pinned(p, db, resp);

    if (i == p->npinned) {
        if (pool_lent(p) >= (size_t)p->env.settings->redis_pinned_max)
            return NULL;
        p->pinned = grow(p->pinned, p->npinned, sizeof(struct upstream *));
        p->lent = grow(p->lent, p->npinned, sizeof(bool));
        p->pinned[p->npinned++] = p->clustered && db == 0
                                      ? upstream_new_at(&p->env, LANE_PINNED, resp, nodes_url(p->nodes), 0)
                                      : upstream_new(&p->env, LANE_PINNED, db, resp);
    }
    p->lent[i] = true;
    return p->pinned[i];
}

void pool_return(struct pool *p, struct upstream *own_u)
{
    for (size_t i = 0; i < p->npinned; i++)
        if (p->pinned[i] == own_u)
            p->lent[i] = false;
}

size_t pool_lent(const struct pool *p)
{
    size_t lent = 0;
    for (size_t i = 0; i < p->npinned; i++)
        lent += p->lent[i];
    return lent;
}

/* ---- a cluster ---- */

static void on_redirect(struct upstream_env *env, struct upstream *u, struct upstream_request *r,
                        const struct redirect *to)
{
    struct pool *p = (struct pool *)env; /* env is the first member */

    p->era++;
    if (nodes_redirect(p->nodes, u, r, to) && p->on_moved != NULL)
        p->on_moved(p->env.ctx);
}

void pool_topology(struct pool *p, const struct topology *t)
{
    p->clustered = t != NULL;
    p->era++;
    if (t == NULL)
        return;
    if (p->nodes == NULL)
        p->nodes = nodes_new(&p->env);
    p->env.on_redirect = on_redirect;
    nodes_take(p->nodes, t);
}

void pool_aim_any(struct pool *p)
{
    nodes_aim_any(p->nodes);
}

void pool_aim_slot(struct pool *p, uint16_t slot)
{
    nodes_aim_slot(p->nodes, slot);
}

void pool_aim_reader(struct pool *p, uint16_t slot)
{
    nodes_aim_reader(p->nodes, slot);
}

void pool_aim_master(struct pool *p, size_t i)
{
    nodes_aim_master(p->nodes, i);
}

void pool_aim_as(struct pool *p, const struct upstream *u)
{
    if (upstream_url(u) != NULL)
        nodes_aim_url(p->nodes, upstream_url(u));
    else
        nodes_aim_any(p->nodes);
}

bool pool_aims_at(const struct pool *p, const struct upstream *u)
{
    const char *at = upstream_url(u);

    if (!p->clustered || upstream_db(u) != 0)
        return at == NULL;
    return at != NULL && strcmp(at, nodes_url(p->nodes)) == 0;
}

/* ---- changes ---- */

/* A node's URL has its login in it: with another one it is another node. */
static void retire_one(struct upstream *u, void *password_too)
{
    if (upstream_url(u) == NULL || password_too != NULL)
        upstream_retire(u);
}

static bool differ(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") != 0;
}

void pool_settings(struct pool *p, const struct settings *settings)
{
    const struct settings *old = p->env.settings;
    bool login = differ(old->redis_password, settings->redis_password) || redis_secure_differs(old, settings);
    bool moved = login || differ(redis_at(old), redis_at(settings));
    p->env.settings = settings;
    if (moved)
        each(p, retire_one, login ? p : NULL);
}

static void guard_one(struct upstream *u, void *before)
{
    upstream_guard_changed(u, before);
}

void pool_guard(struct pool *p, const struct upstream_guard *guard)
{
    struct upstream_guard before = p->env.guard;

    p->env.guard = *guard;
    if (before.on || guard->on)
        each(p, guard_one, &before);
}

static void cut_one(struct upstream *u, void *arg)
{
    upstream_cut(u);
}

void pool_cut(struct pool *p)
{
    each(p, cut_one, NULL);
}

static void end_one(struct upstream *u, void *arg)
{
    upstream_free(u);
}

void pool_close(struct pool *p)
{
    uv_close((uv_handle_t *)&p->tick, NULL);
    if (p->nodes != NULL)
        nodes_cancel(p->nodes);
    each(p, end_one, NULL);
    nodes_free(p->nodes); /* after each, which has ended its connections */
    p->nodes = NULL;
    p->clustered = false;
    free(p->others);
    free(p->pinned);
    free(p->lent);
    memset(p->direct, 0, sizeof p->direct);
    p->others = p->pinned = NULL;
    p->nothers = p->npinned = 0;
}
