#include "proxy/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/acl_log.h"
#include "proxy/admin.h"
#include "proxy/depot.h"
#include "proxy/parked.h"
#include "proxy/parking.h"
#include "proxy/digest.h"
#include "proxy/drain.h"
#include "proxy/events.h"
#include "proxy/handover.h"
#include "proxy/listener.h"
#include "proxy/limiter.h"
#include "proxy/loop.h"
#include "proxy/orders.h"
#include "proxy/overview.h"
#include "proxy/placement.h"
#include "proxy/quarantined.h"
#include "proxy/scripts.h"
#include "proxy/secure.h"
#include "proxy/series.h"
#include "proxy/takeover.h"
#include "proxy/users.h"

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

#define MAX_SIGNALS    3
#define TICKS_A_SECOND 4
#define ADMIN_TRIES    50 /* within a second */

struct server {
    struct config *config;
    bool has_config_file;
    uv_loop_t uv;
    uv_signal_t signals[MAX_SIGNALS];
    uv_timer_t tick;
    unsigned ticks;
    struct guarantee_log *guarantees;
    uv_async_t loop_ended;
    struct loop **loops;
    unsigned nloops;
    _Atomic unsigned running; /* loops that have not ended */
    struct probe *probe;
    struct scout *scout;
    struct depot *depot;
    struct users *users;
    struct limiter *limiter;
    struct parking *parking;
    struct scripts *scripts;
    struct admin *admin;
    bool admin_lent;   /* closed for a successor */
    bool admin_wanted; /* the successor failed: opened again as soon as possible */
    struct secure *secure;
    struct listen_socket *sockets;
    size_t nsockets;
    struct handover *handover; /* NULL: no successor can come */
    struct takeover *takeover; /* NULL: started without a predecessor */
    bool accepting;
    int exit_code;
    _Atomic int64_t redis_offset_us;
    _Atomic bool draining;
    int64_t started_us;
};

/* ---- queries ---- */

struct config *server_config(const struct server *s)
{
    return s->config;
}

void server_scout(const struct server *s, struct scout_report *report)
{
    scout_report(s->scout, report);
}

void server_redis_moved(const struct server *s)
{
    scout_ask(s->scout);
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

const struct listen_socket *server_sockets(const struct server *s, size_t *ret_count)
{
    *ret_count = s->nsockets;
    return s->sockets;
}

struct parking *server_parking(const struct server *s)
{
    return s->parking;
}

struct depot *server_depot(const struct server *s)
{
    return s->depot;
}

struct clerk *server_clerk(const struct server *s)
{
    return depot_clerk(s->depot);
}

struct scripts *server_scripts(const struct server *s)
{
    return s->scripts;
}

struct limiter *server_limiter(const struct server *s)
{
    return s->limiter;
}

struct users *server_users(const struct server *s)
{
    return s->users;
}

struct executor *server_executor(const struct server *s)
{
    return depot_executor(s->depot);
}

struct sync *server_sync(const struct server *s)
{
    return depot_sync(s->depot);
}

struct tracer *server_tracer(const struct server *s)
{
    return depot_tracer(s->depot);
}

struct owed *server_owed(const struct server *s)
{
    return depot_owed(s->depot);
}

struct placement *server_placement(const struct server *s)
{
    return depot_placement(s->depot);
}

int64_t server_tls_expires(const struct server *s)
{
    return secure_expires(s->secure);
}

struct handover *server_handover(const struct server *s)
{
    return s->handover;
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
    users_settings(s->users, now);
    for (unsigned i = 0; i < s->nloops; i++)
        loop_post(s->loops[i], loop_apply, (void *)settings_ref(now));
    depot_settings(s->depot, now);
    scout_ask(s->scout);
    secure_reload(s->secure, s, now, false);
}

static void on_topology(void *ctx, struct topology *t)
{
    struct server *s = ctx;
    for (unsigned i = 0; i < s->nloops; i++)
        loop_post(s->loops[i], loop_topology, t != NULL ? topology_ref(t) : NULL);
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
    const struct settings *now = config_current(s->config);
    secure_reload(s->secure, s, now, true);
    settings_unref(now);
}

/* ---- the server's commands ---- */

static void on_commands(void *ctx, const struct redisReply *commands)
{
    struct server *s = ctx;
    struct learned *learned = learned_new(commands, STATS_UNKNOWN);

    if (learned == NULL) {
        log_event(LOG_WARN, "commands_not_learned",
                  LOG_STR("reason", "the reply of COMMAND is no list of commands"));
        return;
    }
    log_event(LOG_INFO, "commands_learned", LOG_INT("beyond_the_table", (int64_t)learned_count(learned)));
    for (unsigned i = 0; i < s->nloops; i++)
        loop_post(s->loops[i], loop_learn, learned_ref(learned));
    learned_unref(learned);
}

/* ---- signals and the end ---- */

static void drain(struct server *s, int64_t ms)
{
    handover_stop(s->handover);
    takeover_stop(s->takeover);
    if (atomic_exchange(&s->draining, true)) {
        for (unsigned i = 0; i < s->nloops; i++) /* the second signal: now */
            loop_post(s->loops[i], loop_close, NULL);
        return;
    }
    if (s->accepting)
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
    handover_close(s->handover);
    admin_stop(s->admin);
    probe_stop(s->probe);
    scout_stop(s->scout);
    depot_stop(s->depot);
}

/* ---- hand-over ---- */

static void log_started(struct server *s)
{
    const struct settings *now = config_current(s->config);
    for (size_t i = 0; i < now->tls_listen.count; i++)
        log_event(LOG_INFO, "listening_tls", LOG_STR("address", now->tls_listen.items[i]), LOG_STR("cert", now->tls_cert),
                  LOG_INT("expires", secure_expires(s->secure)));
    for (size_t i = 0; i < now->listen.count; i++)
        log_event(LOG_INFO, "listening", LOG_STR("address", now->listen.items[i]),
                  LOG_INT("loops", s->nloops), LOG_STR("admin", now->admin_listen), LOG_INT("pid", getpid()));
    settings_unref(now);
}

void server_accept(struct server *s)
{
    for (size_t i = 0; i < s->nsockets; i++)
        loop_post(s->loops[s->sockets[i].loop], s->sockets[i].secure ? listener_add_secure : listener_add,
                  (void *)(intptr_t)s->sockets[i].fd);
    s->accepting = true;
    log_started(s);
}

void server_close_admin(struct server *s)
{
    s->admin_lent = s->admin != NULL || s->admin_wanted;
    s->admin_wanted = false;
    admin_stop(s->admin);
    s->admin = NULL;
}

/* Until it works: the successor that had the port may not be gone yet. */
void server_reopen_admin(struct server *s)
{
    char why[512];

    if (!s->admin_lent || server_draining(s))
        return;
    s->admin = admin_start(s, why, sizeof why);
    s->admin_lent = s->admin_wanted = s->admin == NULL;
    if (s->admin == NULL)
        log_event(LOG_WARN, "admin_closed", LOG_STR("reason", why));
}

void server_leave(struct server *s)
{
    drain(s, 0);
}

void server_give_up(struct server *s)
{
    const struct settings *now = config_current(s->config);
    s->exit_code = 1;
    drain(s, s->accepting ? now->drain_time : 0);
    settings_unref(now);
}

void server_open_handover(struct server *s)
{
    const struct settings *now = config_current(s->config);
    char why[512];
    s->handover = handover_open(s, &s->uv, now->handover, true, why, sizeof why);
    if (s->handover == NULL)
        log_event(LOG_ERROR, "handover_closed", LOG_STR("reason", why));
    settings_unref(now);
}

static void on_second(struct server *s)
{
    struct overview o;

    overview_take(&o, s);
    overview_tell_guarantees(&o, s->guarantees);
    series_second(&o);
    overview_done(&o);
    acl_log_second(clock_mono_us());
    quarantined_second(s);
    orders_second(s);
}

/* The loops read Redis's clock for every managed write: kept where no lock is needed. */
static void on_tick(uv_timer_t *timer)
{
    struct server *s = timer->data;
    struct probe_report report;
    probe_report(s->probe, &report);
    atomic_store_explicit(&s->redis_offset_us, report.clock_offset_us, memory_order_relaxed);
    if (s->admin_wanted)
        server_reopen_admin(s);
    digest_tick(clock_mono_us());
    depot_tick(s->depot, clock_mono_us());
    if (++s->ticks % TICKS_A_SECOND == 0)
        on_second(s);
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

static void add_socket(struct server *s, const char *address, int own_fd, bool secure)
{
    s->sockets = realloc(s->sockets, (s->nsockets + 1) * sizeof *s->sockets);
    char *copy = strdup(address);
    if (s->sockets == NULL || copy == NULL)
        abort();
    s->sockets[s->nsockets] = (struct listen_socket){copy, own_fd, (unsigned)s->nsockets % s->nloops, secure};
    s->nsockets++;
}

/* Those that the predecessor had. */
static bool claim_sockets(struct server *s, const char *address, bool secure)
{
    bool any = false;
    int fd;

    while (s->takeover != NULL && (fd = takeover_claim(s->takeover, address)) >= 0) {
        add_socket(s, address, fd, secure);
        any = true;
    }
    return any;
}

static bool open_sockets(struct server *s, const char *address, bool secure, char *why, size_t why_cap)
{
    unsigned copies = strncmp(address, "unix:", 5) == 0 ? 1 : s->nloops;

    for (unsigned i = 0; i < copies; i++) {
        char reason[256];
        int fd = listener_open(address, i == 0, reason, sizeof reason);
        if (fd < 0) {
            snprintf(why, why_cap, "cannot listen on %s: %s", address, reason);
            return false;
        }
        add_socket(s, address, fd, secure);
    }
    return true;
}

static bool open_list(struct server *s, const struct text_list *addresses, bool secure, char *why, size_t why_cap)
{
    for (size_t a = 0; a < addresses->count; a++)
        if (!claim_sockets(s, addresses->items[a], secure) &&
            !open_sockets(s, addresses->items[a], secure, why, why_cap))
            return false;
    return true;
}

static bool open_listeners(struct server *s, const struct settings *now, char *why, size_t why_cap)
{
    return open_list(s, &now->listen, false, why, why_cap) && open_list(s, &now->tls_listen, true, why, why_cap);
}

/* A predecessor has closed its admin server a moment ago. */
static bool start_admin(struct server *s, const struct settings *now, char *why, size_t why_cap)
{
    int tries = s->takeover != NULL ? ADMIN_TRIES : 1;

    if (now->admin_listen[0] == '\0')
        return true;
    while ((s->admin = admin_start(s, why, why_cap)) == NULL && --tries > 0)
        usleep(1000000 / ADMIN_TRIES);
    return s->admin != NULL;
}

static bool start_handover(struct server *s, const struct settings *now, char *why, size_t why_cap)
{
    if (now->handover[0] == '\0' || s->takeover != NULL)
        return true; /* after a take-over the predecessor has the socket until it ends */
    s->handover = handover_open(s, &s->uv, now->handover, false, why, why_cap);
    return s->handover != NULL;
}

/* Without anyone to take over from it is an ordinary start: so --takeover can always be given. */
static bool start_takeover(struct server *s, const struct settings *now, char *why, size_t why_cap)
{
    bool nobody = false;

    if (now->handover[0] == '\0') {
        snprintf(why, why_cap,
                 "--takeover needs the setting proxy.handover, the same as that of the running process");
        return false;
    }
    s->takeover = takeover_connect(now->handover, &nobody, why, why_cap);
    if (s->takeover == NULL && nobody)
        log_event(LOG_INFO, "takeover_from_nobody", LOG_STR("reason", why));
    return s->takeover != NULL || nobody;
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

/* One processor is left to Redis or to the clients: on two cores one loop forwards more than two do (docs/performance.md). */
static unsigned default_threads(void)
{
    unsigned processors = uv_available_parallelism();
    return processors > 1 ? processors - 1 : 1;
}

static void start_loops(struct server *s, const struct settings *now)
{
    s->loops = calloc(s->nloops, sizeof(struct loop *));
    if (s->loops == NULL)
        abort();
    atomic_store(&s->running, s->nloops);
    for (unsigned i = 0; i < s->nloops; i++)
        s->loops[i] = loop_start(s, i, now);
    struct tls_context *c = s->secure == NULL ? NULL : secure_context(s->secure);
    for (unsigned i = 0; c != NULL && i < s->nloops; i++)
        loop_post(s->loops[i], secure_loop, tls_context_ref(c));
    tls_context_unref(c);
}

static void on_redis_change(void *ctx, bool up)
{
    struct server *s = ctx;
    struct probe_report report;

    probe_report(s->probe, &report);
    placement_redis(depot_placement(s->depot), up, report.there);
}

/* Without an archive nothing depends on whether Redis is there. */
static void start_depot(struct server *s)
{
    depot_start(s->depot, &s->uv);
    if (depot_placement(s->depot) != NULL)
        probe_on_change(s->probe, on_redis_change, s);
}

/* Ports below 1024, and private keys, need root. The archive's files are opened as the user who goes on writing them: after this. */
static bool open_as_root(struct server *s, const struct settings *now, bool takeover, char *why,
                         size_t why_cap)
{
    s->secure = secure_open(now, why, why_cap);
    return s->secure != NULL && (!takeover || start_takeover(s, now, why, why_cap)) && open_listeners(s, now, why, why_cap) &&
           drop_root(now, why, why_cap);
}

static void start_parts(struct server *s, const struct settings *now, bool takeover)
{
    s->probe = probe_start(&s->uv, s->config);
    probe_on_commands(s->probe, on_commands, s);
    s->depot = depot_open(s, now, takeover);
    s->scripts = scripts_new((size_t)now->script_cache);
    s->parking = parked_parking_new();
    s->scout = scout_new(s->config, on_topology, s);
    start_loops(s, now);
    start_depot(s);
    config_subscribe(s->config, on_settings, s);
    scout_start(s->scout);
    scout_wait(s->scout, now->redis_connect_timeout); /* so that the first clients find what there is to find */
}

static void begin(struct server *s)
{
    if (s->takeover != NULL)
        takeover_start(s->takeover, s, &s->uv);
    else
        server_accept(s);
}

struct server *server_new(struct config *own_config, bool has_config_file, bool takeover, char *why,
                          size_t why_cap)
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
    events_start();
    raise_file_limit(now);
    uv_loop_init(&s->uv);
    uv_async_init(&s->uv, &s->loop_ended, on_loop_ended);
    uv_timer_init(&s->uv, &s->tick);
    s->loop_ended.data = s->tick.data = s;
    uv_timer_start(&s->tick, on_tick, 100, 1000 / TICKS_A_SECOND);
    s->guarantees = guarantee_log_new();
    start_signals(s);
    s->nloops = now->threads > 0 ? (unsigned)now->threads : default_threads();
    bool ok;
    s->limiter = limiter_new();
    s->users = users_new(now, &ok, why, why_cap);
    ok = ok && open_as_root(s, now, takeover, why, why_cap);
    start_parts(s, now, takeover);
    if (ok && depot_is_taken(s->depot)) {
        snprintf(why, why_cap, "%s", depot_why(s->depot));
        ok = false;
    }
    ok = ok && start_admin(s, now, why, why_cap) && start_handover(s, now, why, why_cap);
    settings_unref(now);
    if (ok) {
        begin(s);
        return s;
    }
    drain(s, 0);
    server_run(s);
    return NULL;
}

static void free_sockets(struct server *s)
{
    for (size_t i = 0; i < s->nsockets; i++) {
        if (!s->accepting) /* otherwise the loops have them */
            close(s->sockets[i].fd);
        free(s->sockets[i].address);
    }
    free(s->sockets);
}

int server_run(struct server *s)
{
    int code;

    uv_run(&s->uv, UV_RUN_DEFAULT);
    parking_free(s->parking);
    depot_free(s->depot); /* tells the loops, which have ended, of what they have asked for */
    for (unsigned i = 0; i < s->nloops; i++)
        loop_join_free(s->loops[i]);
    uv_loop_close(&s->uv);
    secure_free(s->secure);
    handover_free(s->handover);
    takeover_free(s->takeover);
    scout_free(s->scout);
    guarantee_log_free(s->guarantees);
    free_sockets(s);
    scripts_free(s->scripts);
    users_free(s->users);
    limiter_free(s->limiter);
    config_free(s->config);
    code = s->exit_code;
    free(s->loops);
    free(s);
    log_event(LOG_INFO, "stopped", LOG_INT("pid", getpid()));
    return code;
}
