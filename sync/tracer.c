#include "sync/tracer.h"

#include "base/clock.h"
#include "base/log.h"
#include "engine/bytes.h"
#include "router/marks.h"
#include "base/version.h"
#include "sync/carried.h"
#include "sync/changes.h"
#include "sync/doubts.h"
#include "sync/internal.h"
#include "sync/reply.h"
#include "sync/unseen.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ACTIVE     256  /* scripts that may be under way; more are only verified */
#define TOGETHER   64   /* keys that are marked in one step */
#define LOOK_MS    1000 /* how often it is seen whether something was left to a verify */

struct job {
    struct job *next;
    bool end, ran;
    uint64_t id;
    int64_t epoch;
    sync_done done;
    void *ctx;
};

struct active {
    uint64_t id; /* 0: free */
    bool traced; /* its changes have been listened for since before it was sent */
    uint64_t since; /* carried.now then */
};

struct tracer {
    struct sync *sync;
    char proxy[32];
    pthread_t thread;
    pthread_mutex_t lock; /* for jobs, fresh, closing */
    pthread_cond_t call;
    struct job *jobs, **jobs_end;
    const struct settings *fresh; /* the newest */
    bool closing;
    _Atomic uint64_t ids, scripts, keys, missed;
    /* the thread's own */
    const struct settings *settings;
    struct policy_set *policies;
    struct changes *changes;
    struct link *link;
    struct active active[ACTIVE];
    size_t nactive;
    bool told; /* that Redis refuses to tell of changes was logged */
    struct carried carried;
    struct unseen unseen;
    int64_t looked_us;
};

/* ---- scripts under way ---- */

static struct active *find(struct tracer *t, uint64_t id)
{
    for (size_t i = 0; i < ACTIVE; i++)
        if (t->active[i].id == id)
            return &t->active[i];
    return NULL;
}

static void lose_sight(struct tracer *t)
{
    for (size_t i = 0; i < ACTIVE; i++)
        t->active[i].traced = false;
}

static bool listen(struct tracer *t)
{
    bool refused;

    if (!changes_are_whole(t->changes))
        lose_sight(t); /* of those that run already */
    if (changes_begin(t->changes, t->settings, &refused) == ERR_NONE)
        return true;
    if (refused && !t->told)
        log_event(LOG_WARN, "scripts_untraced", LOG_STR("reason", changes_why(t->changes)));
    t->told |= refused;
    return false;
}

static void begin(struct tracer *t, const struct job *job)
{
    struct active *a = find(t, 0);
    bool ok = link_open(t->link, t->settings) &&
              doubts_put(t->link, t->proxy, job->id, clock_wall_us() / 1000) == ERR_NONE;

    if (a != NULL) {
        *a = (struct active){.id = job->id, .since = t->carried.now};
        t->nactive++;
        a->traced = ok && listen(t);
    }
}

/* ---- what they have changed ---- */

/* KEYS: the epoch, versions, marks, then those that were changed. ARGV: the epoch that it must be, the fresh version, and for each the
 * expiry that it gets if it has none, or 0. A Redis that was emptied or claimed anew meanwhile has lost what was changed. */
static const char mark_script[] = "#!lua flags=allow-oom\n"
                                  "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
                                  "for i = 4, #KEYS do\n"
                                  "  if ARGV[i - 1] ~= '0' and redis.call('PTTL', KEYS[i]) == -1 then\n"
                                  "    redis.call('PEXPIRE', KEYS[i], ARGV[i - 1])\n"
                                  "  end\n"
                                  "  redis.call('HSETNX', KEYS[2], KEYS[i], ARGV[2])\n"
                                  "  redis.call('HINCRBY', KEYS[2], KEYS[i], 1)\n"
                                  "  redis.call('SADD', KEYS[3], KEYS[i])\n"
                                  "end\n"
                                  "return 1\n";

struct number {
    char text[24];
};

static struct slice number(struct number *n, int64_t value)
{
    int len = snprintf(n->text, sizeof n->text, "%" PRId64, value);
    return (struct slice){n->text, (size_t)len};
}

static struct slice text(const char *s)
{
    return (struct slice){s, strlen(s)};
}

static enum err take_marked(struct tracer *t)
{
    const redisReply *r = link_get(t->link);
    int64_t done;
    enum err e = r == NULL ? ERR_REDISLOST : ERR_NONE;

    if (r != NULL && !reply_int(r, &done)) {
        link_refuse(t->link, r);
        e = ERR_REDISDOWN;
    }
    link_done(t->link);
    return e == ERR_NONE && done == 0 ? ERR_MOVED : e;
}

static enum err mark_some(struct tracer *t, int64_t epoch, const struct slice *keys, size_t n)
{
    struct slice argv[3 + 3 + TOGETHER + 2 + TOGETHER];
    struct number numbers[3 + TOGETHER];
    size_t argc = 0;

    argv[argc++] = text("EVAL");
    argv[argc++] = text(mark_script);
    argv[argc++] = number(&numbers[0], (int64_t)(3 + n));
    argv[argc++] = text(MARKS_EPOCH);
    argv[argc++] = text(MARKS_VERSION);
    argv[argc++] = text(MARKS_DIRTY);
    for (size_t i = 0; i < n; i++)
        argv[argc++] = keys[i];
    argv[argc++] = number(&numbers[1], epoch);
    argv[argc++] = number(&numbers[2], version_make(epoch, clock_wall_us() / 1000));
    for (size_t i = 0; i < n; i++) {
        const struct policy_conf *policy = policy_find(t->policies, keys[i]);
        argv[argc++] = number(&numbers[3 + i], policy != NULL ? policy->ttl : 0);
    }
    link_put(t->link, argv, argc);
    return take_marked(t);
}

static enum err mark(struct tracer *t, int64_t epoch, const struct slice *keys, size_t n)
{
    enum err e = link_open(t->link, t->settings) ? ERR_NONE : ERR_REDISDOWN;

    for (size_t i = 0; i < n && e == ERR_NONE; i += TOGETHER)
        e = mark_some(t, epoch, keys + i, n - i < TOGETHER ? n - i : TOGETHER);
    atomic_fetch_add(&t->keys, e == ERR_NONE ? n : 0);
    return e;
}

static enum err drop_doubt(struct tracer *t, uint64_t id)
{
    char buf[64];
    struct slice field = doubts_field(buf, sizeof buf, t->proxy, id);

    return doubts_drop(t->link, &field, 1);
}

/* ---- the copies that its client waits for ---- */

struct copying {
    sync_done done;
    void *ctx;
};

/* The archive may be away: then their marks stay, and the client is told as with any other write. */
static void on_copied(void *ctx, enum err e)
{
    struct copying *c = ctx;
    bool waits = e == ERR_ARCHIVEDOWN || e == ERR_ARCHIVELOST || e == ERR_ARCHIVEBAD || e == ERR_ARCHIVEBUSY ||
                 e == ERR_TOO_LARGE;

    c->done(c->ctx, waits ? ERR_NONE : e);
    free(c);
}

static void copy(struct tracer *t, const struct job *job, struct slice *keys, size_t n)
{
    size_t both = 0;

    for (size_t i = 0; i < n; i++) {
        const struct policy_conf *policy = policy_find(t->policies, keys[i]);
        if (policy != NULL && policy->ack == ACK_BOTH)
            keys[both++] = keys[i];
    }
    if (job->done == NULL)
        return;
    if (both == 0) {
        job->done(job->ctx, ERR_NONE);
        return;
    }
    struct copying *c = malloc(sizeof *c);
    if (c == NULL)
        abort();
    *c = (struct copying){job->done, job->ctx};
    sync_copy(t->sync, job->epoch, keys, both, on_copied, c);
}

/* ---- the end of one ---- */

static void leave(struct tracer *t, struct active *a)
{
    uint64_t until = t->carried.now;

    if (a != NULL) {
        a->id = 0;
        t->nactive--;
    }
    for (size_t i = 0; i < ACTIVE && t->nactive > 0; i++)
        if (t->active[i].id != 0 && t->active[i].since < until)
            until = t->active[i].since;
    carried_forget(&t->carried, until);
    if (t->nactive == 0)
        changes_end(t->changes);
}

/* What is found here may be what another one has changed, and is not found again at its end. */
static enum err find_changes(struct tracer *t, const struct job *job, struct active *a, struct arena *arena,
                             struct slice **ret_keys, size_t *ret_n)
{
    struct slice *keys = NULL;
    size_t n = 0;
    enum err e = changes_collect(t->changes, t->policies, &keys, &n);

    if (e == ERR_NONE)
        e = mark(t, job->epoch, keys, n);
    if (e != ERR_NONE) {
        lose_sight(t);
        return e;
    }
    *ret_keys = carried_with(&t->carried, a->since, arena, keys, n, ret_n);
    carried_add(&t->carried, keys, t->nactive > 1 ? n : 0);
    return job->ran ? drop_doubt(t, job->id) : ERR_NONE;
}

static void end(struct tracer *t, const struct job *job)
{
    struct active *a = find(t, job->id);
    bool traced = a != NULL && a->traced && changes_are_whole(t->changes);
    struct slice *keys = NULL;
    struct arena arena;
    size_t n = 0;

    arena_init(&arena);
    enum err e = traced ? find_changes(t, job, a, &arena, &keys, &n) : ERR_NONE;
    atomic_fetch_add(&t->scripts, 1);
    if (!traced || e != ERR_NONE || !job->ran) {
        atomic_fetch_add(&t->missed, 1);
        t->unseen.owed = true;
    }
    if (e == ERR_NONE)
        copy(t, job, keys, n);
    else if (job->done != NULL)
        job->done(job->ctx, ERR_MOVED);
    leave(t, a);
    arena_done(&arena);
}

/* ---- what was left ---- */

static bool is_running(void *ctx, struct slice field)
{
    const struct tracer *t = ctx;
    char buf[64];

    for (size_t i = 0; i < ACTIVE; i++)
        if (t->active[i].id != 0 && slice_equal(field, doubts_field(buf, sizeof buf, t->proxy, t->active[i].id)))
            return true;
    return false;
}

/* Now and then, also while one script follows the other. */
static void look(struct tracer *t)
{
    int64_t now_us = clock_mono_us();

    if (now_us - t->looked_us < LOOK_MS * 1000)
        return;
    t->looked_us = now_us;
    unseen_step(&t->unseen, t->sync, t->link, t->settings);
}

/* ---- the thread ---- */

static void take_settings(struct tracer *t, const struct settings *own_fresh)
{
    policy_set_free(t->policies);
    settings_unref(t->settings);
    t->settings = own_fresh;
    t->policies = policy_set_new(own_fresh);
    if (t->policies == NULL)
        abort();
    lose_sight(t); /* other keys may be listened for now */
    unseen_anew(&t->unseen);
}

/* The lock is held. NULL: nothing came in time. */
static struct job *next_job(struct tracer *t)
{
    struct timespec until = clock_after_us(LOOK_MS * 1000);

    if (t->jobs == NULL && !t->closing)
        pthread_cond_timedwait(&t->call, &t->lock, &until);
    struct job *job = t->jobs;
    if (job != NULL) {
        t->jobs = job->next;
        t->jobs_end = t->jobs == NULL ? &t->jobs : t->jobs_end;
    }
    return job;
}

static void work(struct tracer *t, struct job *own_job, bool closing)
{
    if (!closing)
        look(t);
    if (own_job == NULL)
        return;
    if (closing) {
        if (own_job->done != NULL)
            own_job->done(own_job->ctx, ERR_CANCELLED);
    } else if (own_job->end) {
        end(t, own_job);
    } else {
        begin(t, own_job);
        own_job->done(own_job->ctx, ERR_NONE);
    }
    free(own_job);
}

static void *tracer_main(void *arg)
{
    struct tracer *t = arg;

    for (;;) {
        pthread_mutex_lock(&t->lock);
        struct job *job = next_job(t);
        const struct settings *fresh = t->fresh;
        bool closing = t->closing;
        t->fresh = NULL;
        pthread_mutex_unlock(&t->lock);
        if (fresh != NULL)
            take_settings(t, fresh);
        if (job == NULL && closing)
            return NULL;
        work(t, job, closing);
    }
}

/* ---- the interface ---- */

struct tracer *tracer_start(struct sync *s, const struct settings *settings, const char *proxy)
{
    struct tracer *t = calloc(1, sizeof *t);

    if (t == NULL)
        abort();
    t->sync = s;
    snprintf(t->proxy, sizeof t->proxy, "%s", proxy);
    pthread_mutex_init(&t->lock, NULL);
    clock_cond_init(&t->call);
    t->jobs_end = &t->jobs;
    t->changes = changes_new();
    t->link = link_new();
    carried_init(&t->carried);
    unseen_init(&t->unseen, t->proxy, is_running, t);
    take_settings(t, settings_ref(settings));
    if (pthread_create(&t->thread, NULL, tracer_main, t) != 0)
        abort();
    return t;
}

void tracer_stop(struct tracer *own_t)
{
    if (own_t == NULL)
        return;
    pthread_mutex_lock(&own_t->lock);
    own_t->closing = true;
    pthread_cond_signal(&own_t->call);
    pthread_mutex_unlock(&own_t->lock);
    link_interrupt(own_t->link);
    changes_interrupt(own_t->changes);
    pthread_join(own_t->thread, NULL);
    changes_free(own_t->changes);
    link_free(own_t->link);
    unseen_done(&own_t->unseen);
    carried_done(&own_t->carried);
    policy_set_free(own_t->policies);
    settings_unref(own_t->settings);
    settings_unref(own_t->fresh);
    pthread_cond_destroy(&own_t->call);
    pthread_mutex_destroy(&own_t->lock);
    free(own_t);
}

void tracer_settings(struct tracer *t, const struct settings *now)
{
    pthread_mutex_lock(&t->lock);
    settings_unref(t->fresh);
    t->fresh = settings_ref(now);
    pthread_cond_signal(&t->call);
    pthread_mutex_unlock(&t->lock);
}

static void put(struct tracer *t, struct job job)
{
    struct job *j = malloc(sizeof *j);

    if (j == NULL)
        abort();
    *j = job;
    pthread_mutex_lock(&t->lock);
    *t->jobs_end = j;
    t->jobs_end = &j->next;
    pthread_cond_signal(&t->call);
    pthread_mutex_unlock(&t->lock);
}

void tracer_begin(struct tracer *t, uint64_t *ret_id, sync_done done, void *ctx)
{
    *ret_id = atomic_fetch_add(&t->ids, 1) + 1;
    put(t, (struct job){.id = *ret_id, .done = done, .ctx = ctx});
}

void tracer_end(struct tracer *t, uint64_t id, int64_t epoch, bool ran, sync_done done, void *ctx)
{
    put(t, (struct job){.end = true, .ran = ran, .id = id, .epoch = epoch, .done = done, .ctx = ctx});
}

void tracer_report(struct tracer *t, struct tracer_report *ret)
{
    *ret = (struct tracer_report){.scripts = t->scripts, .keys = t->keys, .missed = t->missed};
}
