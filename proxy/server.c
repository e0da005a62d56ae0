#include "proxy/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/admin.h"
#include "proxy/digest.h"
#include "proxy/drain.h"
#include "proxy/listener.h"
#include "proxy/loop.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MAX_SIGNALS 3

struct server {
    struct config *config;
    bool has_config_file;
    uv_loop_t uv;
    uv_signal_t signals[MAX_SIGNALS];
    uv_timer_t tick;
    uv_async_t loop_ended;
    struct loop **loops;
    unsigned nloops;
    _Atomic unsigned running; /* loops that have not ended */
    struct probe *probe;
    struct admin *admin;
    _Atomic int64_t redis_offset_us;
    _Atomic bool draining;
    int64_t started_us;
};

/* ---- queries ---- */

struct config *server_config(const struct server *s)
{
    return s->config;
}

void server_redis(const struct server *s, struct probe_report *report)
{
    probe_report(s->probe, report);
}

int64_t server_started_us(const struct server *s)
{
    return s->started_us;
}

bool server_draining(const struct server *s)
{
    return atomic_load(&s->draining);
}

unsigned server_threads(const struct server *s)
{
    return s->nloops;
}

bool server_has_config_file(const struct server *s)
{
    return s->has_config_file;
}

struct loop *server_loop(const struct server *s, unsigned i)
{
    return i < s->nloops ? s->loops[i] : NULL;
}

struct loop *server_least_loop(const struct server *s, struct loop *accepting)
{
    struct loop *least = accepting;
    for (unsigned i = 0; i < s->nloops; i++)
        if (atomic_load(&s->loops[i]->clients) < atomic_load(&least->clients))
            least = s->loops[i];
    return least;
}

unsigned server_clients(const struct server *s)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < s->nloops; i++)
        sum += atomic_load(&s->loops[i]->clients);
    return sum;
}

int64_t server_redis_offset_us(const struct server *s)
{
    return atomic_load_explicit(&s->redis_offset_us, memory_order_relaxed);
}

/* ---- settings ---- */

static void setup_log(const struct settings *now)
{
    log_setup((enum log_level)now->log_level, (enum log_format)now->log_format, STDERR_FILENO);
}

static void on_settings(void *ctx, const struct settings *now)
{
    struct server *s = ctx;
    setup_log(now);
    for (unsigned i = 0; i < s->nloops; i++)
        loop_post(s->loops[i], loop_apply, (void *)settings_ref(now));
}

static void reload(struct server *s)
{
    struct config_report report = {0};
    struct config_error error;

    if (config_reload(s->config, &report, &error) != ERR_NONE)
        log_event(LOG_ERROR, "reload_failed", LOG_STR("reason", error.text));
    else
        log_event(LOG_INFO, "reloaded", LOG_INT("waiting_for_restart", (int64_t)report.pending.count));
    for (size_t i = 0; i < report.pending.count; i++)
        log_event(LOG_WARN, "reload_pending", LOG_STR("setting", report.pending.items[i]),
                  LOG_STR("reason", "takes effect after a restart"));
    config_report_done(&report);
}

/* ---- signals and the end ---- */

static void drain(struct server *s, int64_t ms)
{
    if (atomic_exchange(&s->draining, true)) {
        for (unsigned i = 0; i < s->nloops; i++) /* the second signal: now */
            loop_post(s->loops[i], loop_close, NULL);
        return;
    }
    log_event(LOG_INFO, "draining", LOG_INT("clients", server_clients(s)), LOG_INT("ms", ms));
    for (unsigned i = 0; i < s->nloops; i++)
        loop_post(s->loops[i], drain_start, (void *)(intptr_t)ms);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct server *s = handle->data;
    const struct settings *now = config_current(s->config);

    if (signum == SIGHUP)
        reload(s);
    else
        drain(s, signum == SIGTERM ? now->drain_time : 0);
    settings_unref(now);
}

void server_loop_ended(struct server *s)
{
    if (atomic_fetch_sub(&s->running, 1) == 1)
        uv_async_send(&s->loop_ended);
}

static void on_loop_ended(uv_async_t *async)
{
    struct server *s = async->data;
    for (int i = 0; i < MAX_SIGNALS; i++)
        uv_close((uv_handle_t *)&s->signals[i], NULL);
    uv_close((uv_handle_t *)&s->tick, NULL);
    uv_close((uv_handle_t *)&s->loop_ended, NULL);
    admin_stop(s->admin);
    probe_stop(s->probe);
}

/* The loops read Redis's clock for every managed write: kept where no lock is needed. */
static void on_tick(uv_timer_t *timer)
{
    struct server *s = timer->data;
    struct probe_report report;
    probe_report(s->probe, &report);
    atomic_store_explicit(&s->redis_offset_us, report.clock_offset_us, memory_order_relaxed);
    digest_tick(clock_mono_us());
}

/* ---- set-up, in order ---- */

static void raise_file_limit(const struct settings *now)
{
    struct rlimit limit;
    rlim_t want = (rlim_t)now->max_clients + 512;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= want)
        return;
    limit.rlim_cur = limit.rlim_max < want ? limit.rlim_max : want;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < want)
        log_event(LOG_WARN, "file_limit", LOG_INT("open_files", (int64_t)limit.rlim_cur),
                  LOG_INT("needed_for_max_clients", (int64_t)want));
}

static bool drop_root(const struct settings *now, char *why, size_t why_cap)
{
    if (now->user == NULL || now->user[0] == '\0' || geteuid() != 0)
        return true;
    const struct passwd *pw = getpwnam(now->user);
    if (pw == NULL) {
        snprintf(why, why_cap, "proxy.user: there is no user '%s'", now->user);
        return false;
    }
    if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0) {
        snprintf(why, why_cap, "proxy.user: cannot become '%s': %s", now->user, strerror(errno));
        return false;
    }
    return true;
}

static bool open_listeners(struct server *s, const struct settings *now, char *why, size_t why_cap)
{
    for (size_t a = 0; a < now->listen.count; a++) {
        const char *address = now->listen.items[a];
        unsigned copies = strncmp(address, "unix:", 5) == 0 ? 1 : s->nloops;
        for (unsigned i = 0; i < copies; i++) {
            char reason[256];
            int fd = listener_open(address, i == 0, reason, sizeof reason);
            if (fd < 0) {
                snprintf(why, why_cap, "cannot listen on %s: %s", address, reason);
                return false;
            }
            loop_post(s->loops[i], listener_add, (void *)(intptr_t)fd);
        }
    }
    return true;
}

static bool start_admin(struct server *s, const struct settings *now, char *why, size_t why_cap)
{
    if (now->admin_listen[0] == '\0')
        return true;
    s->admin = admin_start(s, why, why_cap);
    return s->admin != NULL;
}

static void start_signals(struct server *s)
{
    static const int numbers[MAX_SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    for (int i = 0; i < MAX_SIGNALS; i++) {
        uv_signal_init(&s->uv, &s->signals[i]);
        s->signals[i].data = s;
        uv_signal_start(&s->signals[i], on_signal, numbers[i]);
    }
}

static void start_loops(struct server *s, const struct settings *now)
{
    s->nloops = now->threads > 0 ? (unsigned)now->threads : uv_available_parallelism();
    s->loops = calloc(s->nloops, sizeof(struct loop *));
    if (s->loops == NULL)
        abort();
    atomic_store(&s->running, s->nloops);
    for (unsigned i = 0; i < s->nloops; i++)
        s->loops[i] = loop_start(s, i, now);
}

struct server *server_new(struct config *own_config, bool has_config_file, bool takeover, char *why, size_t why_cap)
{
    struct server *s = calloc(1, sizeof *s);
    const struct settings *now = config_current(own_config);

    if (s == NULL)
        abort();
    signal(SIGPIPE, SIG_IGN);
    s->config = own_config;
    s->has_config_file = has_config_file;
    s->started_us = clock_wall_us();
    setup_log(now);
    raise_file_limit(now);
    uv_loop_init(&s->uv);
    uv_async_init(&s->uv, &s->loop_ended, on_loop_ended);
    uv_timer_init(&s->uv, &s->tick);
    s->loop_ended.data = s->tick.data = s;
    uv_timer_start(&s->tick, on_tick, 100, 250);
    start_signals(s);
    s->probe = probe_start(&s->uv, s->config);
    start_loops(s, now);
    config_subscribe(s->config, on_settings, s);
    bool ok = open_listeners(s, now, why, why_cap) && drop_root(now, why, why_cap);
    ok = ok && start_admin(s, now, why, why_cap);
    settings_unref(now);
    if (ok)
        return s;
    drain(s, 0);
    server_run(s);
    return NULL;
}

static void log_started(struct server *s)
{
    const struct settings *now = config_current(s->config);
    for (size_t i = 0; i < now->listen.count; i++)
        log_event(LOG_INFO, "listening", LOG_STR("address", now->listen.items[i]), LOG_INT("loops", s->nloops),
                  LOG_STR("admin", now->admin_listen), LOG_INT("pid", getpid()));
    settings_unref(now);
}

int server_run(struct server *s)
{
    if (!server_draining(s))
        log_started(s);
    uv_run(&s->uv, UV_RUN_DEFAULT);
    for (unsigned i = 0; i < s->nloops; i++)
        loop_join_free(s->loops[i]);
    uv_loop_close(&s->uv);
    config_free(s->config);
    free(s->loops);
    free(s);
    log_event(LOG_INFO, "stopped", LOG_INT("pid", getpid()));
    return 0;
}
