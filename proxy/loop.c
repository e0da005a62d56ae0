#include "proxy/loop.h"

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "proxy/archived.h"
#include "proxy/copies.h"
#include "proxy/listener.h"
#include "proxy/login.h"
#include "proxy/parked.h"
#include "proxy/pause.h"
#include "proxy/policing.h"
#include "proxy/monitor.h"
#include "proxy/divert.h"
#include "proxy/placement.h"
#include "proxy/secure.h"
#include "proxy/scripting.h"
#include "proxy/server.h"
#include "proxy/session.h"
#include "proxy/slot.h"
#include "proxy/subscriber.h"
#include "proxy/users.h"

#include <stdlib.h>

struct message {
    struct message *next;
    loop_fn fn;
    void *arg;
};

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

/* ---- messages from other threads ---- */

/* The lock is held. */
static void add_message(struct loop *l, loop_fn fn, void *arg)
{
    struct message *m = must(malloc(sizeof *m));
    *m = (struct message){.fn = fn, .arg = arg};
    *l->inbox_tail = m;
    l->inbox_tail = &m->next;
}

void loop_post(struct loop *l, loop_fn fn, void *arg)
{
    uv_mutex_lock(&l->inbox_lock);
    add_message(l, fn, arg);
    uv_mutex_unlock(&l->inbox_lock);
    uv_async_send(&l->inbox_wake);
}

bool loop_try_post(struct loop *l, loop_fn fn, void *arg)
{
    uv_mutex_lock(&l->inbox_lock);
    bool open = !l->closed;
    if (open)
        add_message(l, fn, arg);
    uv_mutex_unlock(&l->inbox_lock);
    if (open)
        uv_async_send(&l->inbox_wake);
    return open;
}

/* Takes all messages, and lets no more in by loop_try_post when the loop closes. */
static struct message *take_messages(struct loop *l, bool closes)
{
    uv_mutex_lock(&l->inbox_lock);
    struct message *m = l->inbox;
    l->inbox = NULL;
    l->inbox_tail = &l->inbox;
    l->closed |= closes;
    uv_mutex_unlock(&l->inbox_lock);
    return m;
}

static void run_messages(struct loop *l, struct message *m)
{
    while (m != NULL) {
        struct message *next = m->next;
        m->fn(l, m->arg);
        free(m);
        m = next;
    }
}

static void on_inbox(uv_async_t *async)
{
    struct loop *l = async->data;
    turn_now(&l->turn);
    run_messages(l, take_messages(l, false));
}

/* ---- what is done once a second, and before each flush ---- */

static void on_second(uv_timer_t *timer)
{
    struct loop *l = timer->data;
    int64_t now = turn_now(&l->turn);
    l->wall_minus_mono_us = clock_wall_us() - now;
    listener_second(l);
    secure_count(l);
    archived_second(l, now);
    copies_second(l, now);
    hold_second(l, now);
    subscriber_second(l->subscriber);
    for (struct session *s = l->sessions, *next; s != NULL; s = next) {
        next = s->next;
        session_second(s, now);
    }
}

static bool before_flush(void *ctx)
{
    struct loop *l = ctx;
    bool more = session_resume_all(l);
    archived_flush(l);
    monitor_flush(l);
    plan_clear(&l->plan);
    size_t memory = atomic_load_explicit(&l->turn.chunks.bytes, memory_order_relaxed) + l->in_bytes;
    atomic_store_explicit(&l->stats->memory, memory, memory_order_relaxed);
    return more;
}

static void count_upstream(void *ctx, enum upstream_count what, int by)
{
    struct loop *l = ctx;
    counter *counters[] = {
        [COUNT_CONNECTS] = &l->stats->upstream_connects,
        [COUNT_CONNECT_FAILURES] = &l->stats->upstream_connect_failures,
        [COUNT_LOST] = &l->stats->upstream_lost,
        [COUNT_TIMEOUTS] = &l->stats->upstream_timeouts,
        [COUNT_OPEN] = &l->stats->upstream_open,
    };
    counter_add(counters[what], (uint64_t)(int64_t)by);
    if (what == COUNT_CONNECT_FAILURES || what == COUNT_LOST || what == COUNT_TIMEOUTS)
        server_redis_moved(l->server);
}

static void on_moved(void *ctx)
{
    struct loop *l = ctx;
    server_redis_moved(l->server);
}

static void on_stranger(void *ctx, const char *run_id, int64_t epoch)
{
    struct loop *l = ctx;
    struct placement *p = server_placement(l->server);

    log_event(LOG_DEBUG, "redis_stranger", LOG_STR("run_id", run_id), LOG_INT("epoch", epoch));
    if (p != NULL)
        placement_suspect(p);
}

/* ---- settings ---- */

static void take_settings(struct loop *l, const struct settings *own)
{
    l->settings = own;
    policy_set_free(l->policies);
    l->policies = policy_set_new(own);
    policing_free(l->policing);
    l->policing = policing_new(own);
    for (size_t i = 0; i < own->policy_count && i < STATS_POLICIES; i++)
        l->policy_ids[i] = (uint8_t)stats_policy_id(own->policies[i].name);
    if (l->executor == NULL) /* there is no placement that would tell it */
        placement_copy(NULL, l->settings, &l->acting);
    else if (l->acting.serial == 0)
        acting_wait(&l->acting);
}

void loop_apply(struct loop *l, void *own_settings)
{
    const struct settings *old = l->settings;
    if (l->closed) {
        settings_unref(own_settings);
        return;
    }
    take_settings(l, own_settings);
    if (l->executor != NULL && l->acting.serial != 0)
        acting_refresh(l);
    pool_settings(&l->pool, l->settings);
    subscriber_settings(l->subscriber, l->settings);
    login_refresh(l, NULL);
    settings_unref(old);
}

void loop_learn(struct loop *l, void *own_learned)
{
    struct learned *old = l->learned;
    if (l->closed) {
        learned_unref(own_learned);
        return;
    }
    for (struct session *s = l->sessions; s != NULL; s = s->next)
        if (learned_owns(old, s->last_command))
            s->last_command = "unknown";
    l->learned = own_learned;
    learned_unref(old);
}

void loop_topology(struct loop *l, void *own_topology)
{
    if (l->closed) {
        topology_unref(own_topology);
        return;
    }
    topology_unref(l->topology);
    l->topology = own_topology;
    pool_topology(&l->pool, l->topology);
}

uint8_t loop_policy_id(const struct loop *l, const struct policy_conf *policy)
{
    return l->policy_ids[policy->index < STATS_POLICIES ? policy->index : STATS_POLICIES - 1];
}

int64_t loop_redis_now_ms(const struct loop *l)
{
    return (l->turn.now_us + l->wall_minus_mono_us + server_redis_offset_us(l->server)) / 1000;
}

int64_t loop_block_now_ms(struct loop *l)
{
    int64_t now = loop_redis_now_ms(l), first = now - BLOCK_SPREAD_MS, next = l->block_ms + 1;
    l->block_ms = first < next && next <= now ? next : first;
    return l->block_ms;
}

bool loop_over_memory(const struct loop *l)
{
    return (int64_t)STATS_SUM(memory) > l->settings->max_memory;
}

/* ---- life ---- */

static void run(void *arg)
{
    struct loop *l = arg;
    uv_run(&l->uv, UV_RUN_DEFAULT);
    server_loop_ended(l->server);
}

struct loop *loop_start(struct server *server, unsigned index, const struct settings *settings)
{
    struct loop *l = must(calloc(1, sizeof *l));
    l->index = index;
    l->server = server;
    l->executor = server_executor(server);
    l->users = users_current(server_users(server));
    l->stats = must(calloc(1, sizeof *l->stats));
    hist_window_init(&l->stats->redis_latency_window, 10 * 1000000);
    stats_register(l->stats);
    take_settings(l, settings_ref(settings));
    if (uv_loop_init(&l->uv) != 0 || turn_init(&l->turn, &l->uv, before_flush, l) != 0)
        abort();
    l->wall_minus_mono_us = clock_wall_us() - l->turn.now_us;
    request_init(&l->request);
    plan_init(&l->plan, &l->turn.chunks);
    pool_init(&l->pool, &l->turn, l->settings, &slot_upstream_ops, count_upstream, l);
    l->pool.env.on_stranger = on_stranger;
    l->pool.on_moved = on_moved;
    chain_init(&l->unheard, &l->turn.chunks);
    l->ops_tail = &l->ops;
    l->asked_tail = &l->asked;
    hold_init(l);
    l->monitors_all = monitor_count();
    l->inbox_tail = &l->inbox;
    uv_mutex_init(&l->inbox_lock);
    uv_async_init(&l->uv, &l->inbox_wake, on_inbox);
    uv_timer_init(&l->uv, &l->second);
    l->inbox_wake.data = l->second.data = l;
    uv_timer_start(&l->second, on_second, 1000, 1000);
    if (uv_thread_create(&l->thread, run, l) != 0)
        abort();
    return l;
}

void loop_close(struct loop *l, void *unused)
{
    if (l->closed)
        return;
    struct message *left = take_messages(l, true);
    listener_close_all(l);
    while (l->sessions != NULL)
        session_close(l->sessions, "shutting down");
    pause_end(l);
    archived_flush(l);
    parked_close(l);
    pool_close(&l->pool);
    subscriber_close(l->subscriber);
    uv_close((uv_handle_t *)&l->second, NULL);
    uv_close((uv_handle_t *)&l->inbox_wake, NULL);
    turn_close(&l->turn);
    run_messages(l, left); /* each sees that the loop is closed */
}

void loop_join_free(struct loop *own_l)
{
    struct loop *l = own_l;
    uv_thread_join(&l->thread);
    for (struct message *m = l->inbox, *next; m != NULL; m = next) {
        next = m->next;
        if (m->fn == loop_apply || m->fn == loop_learn || m->fn == loop_topology || m->fn == secure_loop)
            m->fn(l, m->arg); /* gives back what came too late */
        free(m);
    }
    slot_free_pool(l);
    subscriber_free(l->subscriber);
    monitor_free(l);
    divert_free(l);
    copies_end(l);
    hold_done(l);
    plan_done(&l->plan);
    request_done(&l->request);
    turn_done(&l->turn);
    policing_free(l->policing);
    policy_set_free(l->policies);
    scripting_free(l);
    learned_unref(l->learned);
    tls_context_unref(l->tls);
    login_done(l);
    topology_unref(l->topology);
    settings_unref(l->settings);
    uv_mutex_destroy(&l->inbox_lock);
    uv_loop_close(&l->uv);
    free(l); /* l->stats stays: the admin server may still read it */
}
