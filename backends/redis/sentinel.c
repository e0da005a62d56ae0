#include "backends/redis/sentinel.h"

#include "backends/redis/asker.h"
#include "base/clock.h"
#include "base/log.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_US 1000000 /* a sentinel that did not answer is asked again after this */

struct peer {
    struct asker ask, events;
    int64_t retry_us; /* not before */
    bool known, up;
    bool answered; /* in this look: */
    struct sentinel_address names;
    int64_t epoch;
};

struct sentinel {
    struct redis_seeds seeds;
    struct peer peers[SEEDS_MOST];
    struct asker master;
    struct sentinel_address master_at; /* of that connection, and what was found last */
    int64_t epoch;                     /* of what was found last; -1: nothing was */
};

struct sentinel *sentinel_new(struct redis_seeds *own_seeds)
{
    struct sentinel *x = calloc(1, sizeof *x);

    if (x == NULL)
        abort();
    x->seeds = *own_seeds;
    x->epoch = -1;
    return x;
}

void sentinel_free(struct sentinel *own_x)
{
    if (own_x == NULL)
        return;
    for (size_t i = 0; i < own_x->seeds.count; i++) {
        asker_close(&own_x->peers[i].ask);
        asker_close(&own_x->peers[i].events);
    }
    asker_close(&own_x->master);
    redis_seeds_done(&own_x->seeds);
    free(own_x);
}

/* ---- one sentinel ---- */

static void note(struct sentinel *x, size_t i, bool up)
{
    struct peer *p = &x->peers[i];

    if (!up)
        p->retry_us = clock_mono_us() + RETRY_US;
    if (!p->known || p->up != up)
        log_event(up ? LOG_INFO : LOG_WARN, up ? "sentinel_up" : "sentinel_down",
                  LOG_STR("host", x->seeds.hosts[i].host), LOG_INT("port", x->seeds.hosts[i].port),
                  LOG_STR("reason", up ? "" : p->ask.why));
    p->known = true;
    p->up = up;
}

static bool ask_about_master(struct peer *p, const char *master)
{
    redisReply *r = ASKER_ASK(&p->ask, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", master);

    if (r == NULL)
        return false;
    p->answered = sentinel_take_address(r, &p->names);
    freeReplyObject(r);
    if (!p->answered) {
        snprintf(p->ask.why, sizeof p->ask.why, "it knows no master of this name");
        return false;
    }
    r = ASKER_ASK(&p->ask, "SENTINEL", "MASTER", master);
    p->epoch = sentinel_take_epoch(r);
    freeReplyObject(r);
    return p->ask.w != NULL;
}

static void ask_peer(struct sentinel *x, size_t i, const struct asker_login *login)
{
    struct peer *p = &x->peers[i];
    const struct net_address *at = &x->seeds.hosts[i];

    p->answered = false;
    if (p->ask.w == NULL && clock_mono_us() < p->retry_us)
        return;
    bool old = p->ask.w != NULL; /* it may have ended since: then a new one tells more */
    bool ok = asker_open(&p->ask, at->host, at->port, login) && ask_about_master(p, x->seeds.master);
    if (!ok && old && p->ask.w == NULL)
        ok = asker_open(&p->ask, at->host, at->port, login) && ask_about_master(p, x->seeds.master);
    p->answered &= ok;
    note(x, i, ok);
    if (!ok || p->events.w != NULL)
        return;
    if (asker_open(&p->events, at->host, at->port, login))
        freeReplyObject(ASKER_ASK(&p->events, "SUBSCRIBE", "+switch-master"));
}

/* ---- the master ---- */

static bool is_same(const struct sentinel_address *a, const struct sentinel_address *b)
{
    return a->port == b->port && strcmp(a->host, b->host) == 0;
}

/* It says itself that it is a master. */
static bool confirm(struct sentinel *x, const struct sentinel_address *at, const struct settings *s)
{
    struct asker_login login = {
        .user = x->seeds.user,
        .password = x->seeds.password != NULL ? x->seeds.password : s->redis_password,
        .settings = s,
        .tls = x->seeds.tls,
    };

    if (!is_same(at, &x->master_at))
        asker_close(&x->master);
    x->master_at = *at;
    if (!asker_open(&x->master, at->host, at->port, &login))
        return false;
    redisReply *r = ASKER_ASK(&x->master, "ROLE");
    bool ok = sentinel_is_master(r);
    if (r != NULL && !ok)
        snprintf(x->master.why, sizeof x->master.why, "it is no master");
    freeReplyObject(r);
    return ok;
}

/* The answer that counts, or NULL. */
static const struct peer *best_answer(const struct sentinel *x)
{
    const struct peer *best = NULL;
    size_t answers = 0;

    for (size_t i = 0; i < x->seeds.count; i++) {
        const struct peer *p = &x->peers[i];
        answers += p->answered;
        if (p->answered && (best == NULL || p->epoch > best->epoch))
            best = p;
    }
    return best != NULL && best->epoch < x->epoch && answers < x->seeds.count ? NULL : best;
}

static void tell_peers(const struct sentinel *x, struct scout_report *report)
{
    report->count = x->seeds.count;
    for (size_t i = 0; i < x->seeds.count; i++) {
        struct scout_peer *to = &report->peers[i];
        const struct net_address *at = &x->seeds.hosts[i];
        snprintf(to->address, sizeof to->address, "%.200s:%d", at->host, at->port);
        snprintf(to->error, sizeof to->error, "%s", x->peers[i].up ? "" : x->peers[i].ask.why);
        to->up = x->peers[i].up;
    }
}

bool sentinel_look(struct sentinel *x, const struct settings *s, struct sentinel_address *ret,
                   struct scout_report *report)
{
    struct asker_login login = {s->redis_sentinel_user, s->redis_sentinel_password, s, x->seeds.tls};

    for (size_t i = 0; i < x->seeds.count; i++)
        ask_peer(x, i, &login);
    tell_peers(x, report);
    const struct peer *best = best_answer(x);
    if (best == NULL) {
        snprintf(report->error, sizeof report->error, "no sentinel tells where %.80s is", x->seeds.master);
        return false;
    }
    if (!confirm(x, &best->names, s)) {
        snprintf(report->error, sizeof report->error, "%.100s:%d, which the sentinels name: %s",
                 best->names.host, best->names.port, x->master.why);
        return false;
    }
    report->error[0] = '\0';
    x->epoch = best->epoch;
    *ret = best->names;
    return true;
}

char *sentinel_url(const struct sentinel *x, const struct sentinel_address *at)
{
    return redis_seeds_url(&x->seeds, at->host, at->port);
}

/* ---- between two looks ---- */

size_t sentinel_fds(const struct sentinel *x, struct pollfd *fds, size_t cap)
{
    size_t n = 0;

    for (size_t i = 0; i < x->seeds.count && n < cap; i++)
        if (x->peers[i].events.w != NULL)
            fds[n++] = (struct pollfd){.fd = asker_fd(&x->peers[i].events), .events = POLLIN};
    return n;
}

static bool is_readable(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) == 1;
}

/* Messages that are there; a connection that is lost is made anew at the next look. */
static bool read_events(struct asker *events, const char *master)
{
    bool switched = !asker_fetch(events);
    redisReply *r;

    while ((r = asker_next(events)) != NULL) {
        switched |= sentinel_is_switch(r, master);
        freeReplyObject(r);
    }
    return switched;
}

bool sentinel_heard(struct sentinel *x)
{
    bool heard = false;

    for (size_t i = 0; i < x->seeds.count; i++) {
        struct asker *events = &x->peers[i].events;
        if (events->w != NULL && is_readable(asker_fd(events)))
            heard |= read_events(events, x->seeds.master);
    }
    return heard;
}
