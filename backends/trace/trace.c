#include "backends/trace/trace.h"

#include "base/clock.h"
#include "base/log.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Written by the handle's worker alone, read by anybody. */
struct counts {
    _Atomic uint64_t errors[ERR_COUNT];
    struct hist us;
};

struct trace_handle {
    struct archive_handle base;
    struct archive_handle *inner;
    struct trace_handle *next;
    struct counts counts[TRACE_OPS];
};

struct trace {
    struct archive base;
    struct archive_ops ops; /* the table below, with the inner one's kind and writers */
    struct archive *inner;
    _Atomic unsigned armed; /* bit 1 << op: calls look at the plan */
    pthread_mutex_t lock;   /* of all that follows */
    pthread_cond_t changed; /* generation has grown */
    uint64_t generation;    /* of the plan */
    bool released;
    struct faults plan;
    struct trace_handle *handles;
    struct trace_stat gone[TRACE_OPS]; /* of handles that were detached */
};

/* What a call is about, for its line in the log. */
struct subject {
    const struct slice *keys;
    const struct archive_write *writes;
    size_t count;
    const char *name;
};

struct span {
    enum trace_op op;
    struct subject subject;
    int64_t from_us;
    struct fault fault;
};

static const struct archive_ops trace_ops;

static struct trace *of(struct archive *a)
{
    assert(a->ops->attach == trace_ops.attach);
    return (struct trace *)a;
}

static struct archive_handle *inner_of(struct archive_handle *h)
{
    return ((struct trace_handle *)h)->inner;
}

/* ---- the plan ---- */

static void put_plan(struct trace *t, const struct faults *plan)
{
    t->plan = *plan;
    t->generation++;
    atomic_store_explicit(&t->armed, faults_ops(plan), memory_order_relaxed);
    pthread_cond_broadcast(&t->changed);
}

bool trace_set_plan(struct archive *a, const char *text, char *why, size_t why_cap)
{
    struct trace *t = of(a);
    struct faults plan;

    if (!faults_parse(text, &plan, why, why_cap))
        return false;
    pthread_mutex_lock(&t->lock);
    bool open = !t->released;
    if (open)
        put_plan(t, &plan);
    pthread_mutex_unlock(&t->lock);
    if (!open)
        snprintf(why, why_cap, "the archive is being closed");
    return open;
}

size_t trace_plan(struct archive *a, char *buf, size_t cap)
{
    struct trace *t = of(a);

    pthread_mutex_lock(&t->lock);
    size_t len = faults_print(&t->plan, buf, cap);
    pthread_mutex_unlock(&t->lock);
    return len;
}

void trace_release(struct archive *a)
{
    struct trace *t = of(a);

    pthread_mutex_lock(&t->lock);
    t->released = true;
    put_plan(t, &(struct faults){.count = 0});
    pthread_mutex_unlock(&t->lock);
}

/* ---- a call ---- */

/* Until the plan changes, or until_us (clock_mono_us) if that is not negative. The lock is held. */
static void wait_for_change(struct trace *t, uint64_t generation, int64_t until_us)
{
    struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};

    while (t->generation == generation)
        if (until_us < 0)
            pthread_cond_wait(&t->changed, &t->lock);
        else if (pthread_cond_timedwait(&t->changed, &t->lock, &until) != 0)
            return;
}

static struct fault meet(struct trace *t, enum trace_op op, int64_t now_us)
{
    pthread_mutex_lock(&t->lock);
    struct fault f = faults_draw(&t->plan, op);
    uint64_t generation = t->generation;
    if (f.hang)
        wait_for_change(t, generation, -1);
    else if (f.delay_us > 0)
        wait_for_change(t, generation, now_us + f.delay_us);
    pthread_mutex_unlock(&t->lock);
    return f;
}

/* The begin of a call; false: the inner archive is not to be asked. */
static bool enter(struct archive_handle *h, struct span *s, enum trace_op op, struct subject subject)
{
    struct trace *t = (struct trace *)h->archive;

    *s = (struct span){.op = op, .subject = subject, .from_us = clock_mono_us()};
    if ((atomic_load_explicit(&t->armed, memory_order_relaxed) & 1u << op) != 0)
        s->fault = meet(t, op, s->from_us);
    return !s->fault.skip;
}

/* The keys with blanks between them, cut where buf ends. */
static size_t keys_text(const struct subject *s, char *buf, size_t cap)
{
    size_t len = 0;

    for (size_t i = 0; i < s->count && len < cap; i++) {
        struct slice key = s->writes != NULL ? s->writes[i].entry.key : s->keys[i];
        size_t n = key.len < cap - len ? key.len : cap - len;
        if (n > 0)
            memcpy(buf + len, key.p, n);
        len += n;
        if (i + 1 < s->count && len < cap)
            buf[len++] = ' ';
    }
    return len;
}

static void log_call(const struct span *s, int64_t us, enum err error, const char *why)
{
    char keys[512];
    size_t len = keys_text(&s->subject, keys, sizeof keys);
    const char *name = s->subject.name;

    log_event(LOG_INFO, "archive_call", LOG_STR("op", trace_op_name(s->op)),
              name != NULL ? LOG_STR("name", name) : LOG_BYTES("keys", keys, len), LOG_INT("us", us),
              LOG_STR("error", error == ERR_NONE ? "none" : err_name(error)),
              LOG_STR("why", error == ERR_NONE ? "" : why));
}

/* One thread records: a load and a store are enough. */
static void count(struct counts *c, int64_t us, enum err error)
{
    uint64_t n = atomic_load_explicit(&c->errors[error], memory_order_relaxed);

    atomic_store_explicit(&c->errors[error], n + 1, memory_order_relaxed);
    hist_record(&c->us, us);
}

/* The end of a call that the inner archive answered with error, if it was asked: what the caller is told. */
static enum err leave(struct archive_handle *h, struct span *s, enum err error)
{
    struct trace_handle *th = (struct trace_handle *)h;
    int64_t us = clock_mono_us() - s->from_us;

    if (s->fault.error != ERR_NONE) {
        error = s->fault.error;
        snprintf(h->why, sizeof h->why, "by the plan of faults: %s", s->fault.name);
    } else if (error != ERR_NONE) {
        memcpy(h->why, th->inner->why, sizeof h->why);
    }
    count(&th->counts[s->op], us, error);
    if (s->fault.log)
        log_call(s, us, error, h->why);
    return error;
}

/* ---- the operations ---- */

static enum err on_load(struct archive_handle *h, const struct slice *keys, size_t n, struct arena *arena,
                        struct archive_found *found)
{
    struct span s;
    enum err e = ERR_NONE;

    if (enter(h, &s, TRACE_LOAD, (struct subject){.keys = keys, .count = n}))
        e = archive_load(inner_of(h), keys, n, arena, found);
    return leave(h, &s, e);
}

static enum err on_commit(struct archive_handle *h, const struct archive_write *writes, size_t n)
{
    struct span s;
    enum err e = ERR_NONE;

    if (enter(h, &s, TRACE_COMMIT, (struct subject){.writes = writes, .count = n}))
        e = archive_commit(inner_of(h), writes, n);
    return leave(h, &s, e);
}

static enum err on_scan(struct archive_handle *h, enum archive_filter filter, int64_t from_hash, size_t limit,
                        void (*each)(void *ctx, const struct archive_entry *e), void *ctx)
{
    struct span s;
    enum err e = ERR_NONE;

    if (enter(h, &s, TRACE_SCAN, (struct subject){.count = 0}))
        e = archive_scan(inner_of(h), filter, from_hash, limit, each, ctx);
    return leave(h, &s, e);
}

static enum err on_sweep(struct archive_handle *h, int64_t now_ms, size_t limit, size_t *ret_swept)
{
    struct span s;
    size_t swept = 0;
    enum err e = ERR_NONE;

    if (enter(h, &s, TRACE_SWEEP, (struct subject){.count = 0}))
        e = archive_sweep(inner_of(h), now_ms, limit, &swept);
    e = leave(h, &s, e);
    if (e == ERR_NONE)
        *ret_swept = swept;
    return e;
}

static enum err on_control_get(struct archive_handle *h, const char *name, struct arena *arena,
                               struct archive_found *found)
{
    struct span s;
    enum err e = ERR_NONE;

    if (enter(h, &s, TRACE_CONTROL_GET, (struct subject){.name = name}))
        e = archive_control_get(inner_of(h), name, arena, found);
    return leave(h, &s, e);
}

static enum err on_control_set(struct archive_handle *h, const char *name, int64_t expected, int64_t version,
                               const bson_t *doc)
{
    struct span s;
    enum err e = ERR_NONE;

    if (enter(h, &s, TRACE_CONTROL_SET, (struct subject){.name = name}))
        e = archive_control_set(inner_of(h), name, expected, version, doc);
    return leave(h, &s, e);
}

static enum err on_clear(struct archive_handle *h)
{
    struct span s;
    enum err e = ERR_NONE;

    if (enter(h, &s, TRACE_CLEAR, (struct subject){.count = 0}))
        e = archive_clear(inner_of(h));
    return leave(h, &s, e);
}

static enum err on_stats(struct archive_handle *h, struct archive_stats *ret)
{
    struct span s;
    enum err e = ERR_NONE;

    if (enter(h, &s, TRACE_STATS, (struct subject){.count = 0}))
        e = archive_stats(inner_of(h), ret);
    return leave(h, &s, e);
}

static enum err on_ping(struct archive_handle *h)
{
    struct span s;
    enum err e = ERR_NONE;

    if (enter(h, &s, TRACE_PING, (struct subject){.count = 0}))
        e = archive_ping(inner_of(h));
    return leave(h, &s, e);
}

/* ---- counts ---- */

static void add_counts(const struct counts *c, struct trace_stat *sum)
{
    for (int e = 0; e < ERR_COUNT; e++)
        sum->errors[e] += atomic_load_explicit(&c->errors[e], memory_order_relaxed);
    hist_add_to(&c->us, &sum->us);
}

static void add_sum(const struct trace_stat *from, struct trace_stat *sum)
{
    for (int e = 0; e < ERR_COUNT; e++)
        sum->errors[e] += from->errors[e];
    sum->us.count += from->us.count;
    sum->us.sum += from->us.sum;
    for (int i = 0; i < HIST_BUCKETS; i++)
        sum->us.buckets[i] += from->us.buckets[i];
}

void trace_stats(struct archive *a, enum trace_op op, struct trace_stat *sum)
{
    struct trace *t = of(a);

    pthread_mutex_lock(&t->lock);
    add_sum(&t->gone[op], sum);
    for (const struct trace_handle *th = t->handles; th != NULL; th = th->next)
        add_counts(&th->counts[op], sum);
    pthread_mutex_unlock(&t->lock);
}

/* ---- life ---- */

static struct archive_handle *on_attach(struct archive *a)
{
    struct trace *t = of(a);
    struct trace_handle *th = calloc(1, sizeof *th);

    if (th == NULL)
        abort();
    th->inner = archive_attach(t->inner);
    if (th->inner == NULL) {
        free(th);
        return NULL;
    }
    th->base.archive = a;
    pthread_mutex_lock(&t->lock);
    th->next = t->handles;
    t->handles = th;
    pthread_mutex_unlock(&t->lock);
    return &th->base;
}

static void on_detach(struct archive_handle *own_h)
{
    struct trace_handle *th = (struct trace_handle *)own_h;
    struct trace *t = (struct trace *)own_h->archive;

    archive_detach(th->inner);
    pthread_mutex_lock(&t->lock);
    struct trace_handle **at = &t->handles;
    while (*at != th)
        at = &(*at)->next;
    *at = th->next;
    for (int op = 0; op < TRACE_OPS; op++)
        add_counts(&th->counts[op], &t->gone[op]);
    pthread_mutex_unlock(&t->lock);
    free(th);
}

static void on_close(struct archive *own_a)
{
    struct trace *t = of(own_a);

    assert(t->handles == NULL);
    archive_close(t->inner);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

static const struct archive_ops trace_ops = {
    .close = on_close,
    .attach = on_attach,
    .detach = on_detach,
    .load = on_load,
    .commit = on_commit,
    .scan = on_scan,
    .sweep = on_sweep,
    .control_get = on_control_get,
    .control_set = on_control_set,
    .clear = on_clear,
    .stats = on_stats,
    .ping = on_ping,
};

struct archive *trace_wrap(struct archive *own_inner)
{
    if (own_inner == NULL)
        return NULL;
    struct trace *t = calloc(1, sizeof *t);
    if (t == NULL)
        abort();
    clock_cond_init(&t->changed);
    pthread_mutex_init(&t->lock, NULL);
    t->inner = own_inner;
    t->ops = trace_ops;
    t->ops.kind = archive_kind(own_inner);
    t->ops.writers = archive_writers(own_inner);
    t->base.ops = &t->ops;
    return &t->base;
}
