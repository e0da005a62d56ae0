#include "backends/redis/scout.h"

#include "backends/redis/cluster.h"
#include "backends/redis/sentinel.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define LOOK_MS  1000  /* when nothing happens */
#define SOON_MS  100   /* when nothing was found */
#define PAUSE_US 20000 /* at least, between two looks that others ask for */

struct scout {
    struct config *config;
    pthread_t thread;
    int wake; /* an eventfd */
    _Atomic bool stopping;
    scout_topology_fn *on_topology;
    void *ctx;

    char *url; /* what the following was made of */
    enum redis_kind kind;
    struct sentinel *sentinel;
    struct cluster *cluster;
    struct topology *told;
    char *found; /* the URL that was told last; NULL: none */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t looked_once;
    bool looked;
    struct scout_report report;
};

/* ---- what was found ---- */

static void set_report(struct scout *s, const struct scout_report *report)
{
    pthread_mutex_lock(&s->lock);
    s->report = *report;
    s->looked = true;
    pthread_cond_broadcast(&s->looked_once);
    pthread_mutex_unlock(&s->lock);
}

static void found(struct scout *s, const char *host, int port, char *own_url, struct scout_report *report)
{
    if (s->found != NULL && strcmp(s->found, own_url) == 0) {
        free(own_url);
        return;
    }
    report->switches += s->found != NULL;
    snprintf(report->at, sizeof report->at, "%.200s:%d", host, port);
    log_event(LOG_INFO, "redis_found", LOG_STR("host", host), LOG_INT("port", port),
              LOG_STR("by", s->kind == REDIS_SENTINEL ? "sentinel" : "cluster"));
    free(s->found);
    s->found = own_url;
    config_found(s->config, s->url, own_url);
}

static void tell_topology(struct scout *s, struct topology *t)
{
    if (topology_equal(t, s->told))
        return;
    topology_unref(s->told);
    s->told = t != NULL ? topology_ref(t) : NULL;
    if (t != NULL)
        log_event(LOG_INFO, "cluster_topology", LOG_INT("shards", (int64_t)t->count),
                  LOG_INT("slots", (int64_t)t->covered));
    s->on_topology(s->ctx, t);
}

static bool look_by_sentinels(struct scout *s, const struct settings *now, struct scout_report *report)
{
    struct sentinel_address at;

    if (!sentinel_look(s->sentinel, now, &at, report))
        return false;
    found(s, at.host, at.port, sentinel_url(s->sentinel, &at), report);
    return true;
}

static bool look_at_cluster(struct scout *s, const struct settings *now, struct scout_report *report)
{
    bool ok = cluster_look(s->cluster, now, report);
    const struct topology_node *contact = cluster_contact(s->cluster);

    if (!ok)
        return false;
    tell_topology(s, cluster_topology(s->cluster));
    char *url = strdup(contact->url);
    if (url == NULL)
        abort();
    found(s, contact->host, contact->port, url, report);
    return true;
}

/* ---- redis.url ---- */

static void forget(struct scout *s)
{
    sentinel_free(s->sentinel);
    cluster_free(s->cluster);
    s->sentinel = NULL;
    s->cluster = NULL;
    free(s->found);
    free(s->url);
    s->found = s->url = NULL;
}

/* redis.url is another one than before. */
static void begin(struct scout *s, const char *url)
{
    struct redis_seeds seeds;
    struct reason why;

    forget(s);
    s->url = strdup(url);
    if (s->url == NULL)
        abort();
    s->kind = redis_kind(url);
    if (s->kind != REDIS_SINGLE && !redis_seeds_parse(url, &seeds, &why))
        s->kind = REDIS_SINGLE; /* config has refused it: this can't be */
    if (s->kind == REDIS_SENTINEL)
        s->sentinel = sentinel_new(&seeds);
    if (s->kind == REDIS_CLUSTER)
        s->cluster = cluster_new(&seeds);
    else
        tell_topology(s, NULL);
}

/* ---- the thread ---- */

/* One look. Returns after how many ms the next is due; -1: when somebody asks. */
static int look(struct scout *s)
{
    const struct settings *now = config_current(s->config);
    struct scout_report report;
    bool ok = true;

    scout_report(s, &report);
    if (s->url == NULL || strcmp(s->url, now->redis_url) != 0) {
        begin(s, now->redis_url);
        report = (struct scout_report){.kind = s->kind};
    }
    if (s->kind == REDIS_SENTINEL)
        ok = look_by_sentinels(s, now, &report);
    else if (s->kind == REDIS_CLUSTER)
        ok = look_at_cluster(s, now, &report);
    settings_unref(now);
    set_report(s, &report);
    return s->kind == REDIS_SINGLE ? -1 : ok ? LOOK_MS : SOON_MS;
}

static void drain_wake(struct scout *s)
{
    uint64_t n;
    while (read(s->wake, &n, sizeof n) < 0 && errno == EINTR)
        ;
}

/* Until ms have passed, somebody asks, or a sentinel tells of a switch. */
static void wait_for_more(struct scout *s, int ms)
{
    struct pollfd fds[1 + SEEDS_MOST] = {{.fd = s->wake, .events = POLLIN}};
    int64_t end_us = clock_mono_us() + ms * 1000ll;

    for (;;) {
        size_t n = s->sentinel != NULL ? sentinel_fds(s->sentinel, fds + 1, SEEDS_MOST) : 0;
        int64_t left = ms < 0 ? -1 : (end_us - clock_mono_us() + 999) / 1000;
        if (ms >= 0 && left <= 0)
            return;
        int rc = poll(fds, (nfds_t)n + 1, (int)left);
        if (rc > 0 && (fds[0].revents != 0 || sentinel_heard(s->sentinel)))
            return;
    }
}

static void *run(void *arg)
{
    struct scout *s = arg;

    while (!atomic_load(&s->stopping)) {
        int64_t began_us = clock_mono_us();
        wait_for_more(s, look(s));
        drain_wake(s);
        int64_t early_us = PAUSE_US - (clock_mono_us() - began_us);
        if (early_us > 0 && !atomic_load(&s->stopping))
            usleep((useconds_t)early_us);
    }
    return NULL;
}

/* ---- public ---- */

struct scout *scout_new(struct config *config, scout_topology_fn *on_topology, void *ctx)
{
    struct scout *s = calloc(1, sizeof *s);

    if (s == NULL)
        abort();
    s->config = config;
    s->on_topology = on_topology;
    s->ctx = ctx;
    pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->looked_once);
    s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (s->wake < 0)
        abort();
    return s;
}

void scout_start(struct scout *s)
{
    if (pthread_create(&s->thread, NULL, run, s) != 0)
        abort();
}

void scout_wait(struct scout *s, int64_t ms)
{
    struct timespec until = clock_after_us(ms * 1000);

    pthread_mutex_lock(&s->lock);
    while (!s->looked && pthread_cond_timedwait(&s->looked_once, &s->lock, &until) == 0)
        ;
    pthread_mutex_unlock(&s->lock);
}

void scout_ask(struct scout *s)
{
    uint64_t one = 1;
    ssize_t n = write(s->wake, &one, sizeof one);
    (void)n; /* it fails only when it is full: then the scout wakes anyway */
}

void scout_report(struct scout *s, struct scout_report *report)
{
    pthread_mutex_lock(&s->lock);
    *report = s->report;
    pthread_mutex_unlock(&s->lock);
}

void scout_stop(struct scout *s)
{
    if (atomic_exchange(&s->stopping, true))
        return;
    scout_ask(s);
    pthread_join(s->thread, NULL);
}

void scout_free(struct scout *own_s)
{
    if (own_s == NULL)
        return;
    scout_stop(own_s);
    forget(own_s);
    topology_unref(own_s->told);
    close(own_s->wake);
    pthread_cond_destroy(&own_s->looked_once);
    pthread_mutex_destroy(&own_s->lock);
    free(own_s);
}
