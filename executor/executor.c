#include "executor/executor.h"

#include "base/clock.h"
#include "executor/blocking.h"
#include "executor/internal.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_WRITES 512 /* ops of one commit where an archive has one writer */
#define BATCH_READS  128
#define BATCH_REMOTE 64 /* ops on one key, where others go side by side */
#define READERS      2  /* beside the one writer */

struct worker {
    struct executor *executor;
    pthread_t thread;
    bool reads, writes; /* what it takes */
    struct run *run;
};

static size_t in_hand(const struct executor *e)
{
    const struct lanes *l = &e->lanes;
    return l->waiting + l->reads.count + l->writes.count + e->running;
}

/* ---- ends ---- */

void ends_init(struct ends *ends)
{
    ends->head = NULL;
    ends->tail = &ends->head;
}

static void count_copy(struct executor *e, const struct op *op)
{
    e->copied += op->error == ERR_NONE;
    e->copies_refused += op->error == ERR_RACE;
    e->copies_failed += op->error != ERR_NONE && op->error != ERR_RACE;
    e->copying--;
}

void ends_add(struct executor *e, struct ends *ends, struct op *op, int64_t now_us)
{
    if (op->role == OP_COPY)
        count_copy(e, op);
    hist_record(&e->latency, now_us - op->queued_us);
    op->state = OP_DONE;
    op->next = NULL;
    *ends->tail = op;
    ends->tail = &op->next;
}

void ends_tell(struct executor *e, struct ends *ends)
{
    if (ends->head != NULL)
        e->ops.done(e->ops.ctx, ends->head);
}

/* ---- workers ---- */

static bool has_work(const struct worker *w)
{
    const struct lanes *l = &w->executor->lanes;
    return (w->reads && l->reads.head != NULL) || (w->writes && l->writes.head != NULL);
}

static size_t batch_max(const struct worker *w)
{
    if (w->reads && w->writes)
        return BATCH_REMOTE;
    return w->writes ? BATCH_WRITES : BATCH_READS;
}

/* Where there is one writer, many keys share its commit; otherwise other workers take the other keys. */
static void take(struct worker *w, struct op_list *batch)
{
    struct executor *e = w->executor;
    size_t max = batch_max(w);

    op_list_init(batch);
    do
        lanes_take(&e->lanes, !w->writes, max, batch);
    while (!(w->reads && w->writes) && batch->count < max && has_work(w));
    e->running += batch->count;
}

/* why NULL: because of what is wrong with the archive. */
static void refuse(struct executor *e, struct op *op, const char *why)
{
    char text[sizeof e->why];

    if (op->cancelled) {
        op_fail(op, ERR_CANCELLED, "");
        return;
    }
    pthread_mutex_lock(&e->lock);
    memcpy(text, e->why, sizeof text);
    pthread_mutex_unlock(&e->lock);
    enum err error = why == NULL && atomic_load(&e->readable) ? ERR_ARCHIVEBAD : ERR_ARCHIVEDOWN;
    op_fail(op, error, why != NULL ? why : text);
}

/* What waited too long, or can't be served now, ends without being run. */
static void sort_out(struct executor *e, struct op_list *batch, struct op_list *refused)
{
    int64_t now = clock_mono_us();
    bool up = atomic_load(&e->up), readable = up || atomic_load(&e->readable);
    struct op *next;

    op_list_init(refused);
    for (struct op *op = batch->head; op != NULL; op = next) {
        next = op->next;
        bool late = now > op->deadline_us, served = op->writes ? up : readable;
        if (served && !late && !op->cancelled)
            continue;
        e->late += served && late;
        op->changed = op->parks = false;
        refuse(e, op, served ? "it waited too long for its turn" : NULL);
        op_list_remove(batch, op);
        op_list_push(refused, op);
    }
}

/* Some errors are answers: the archive has done its part. */
static bool is_failure(const struct op *op)
{
    bool answered =
        op->error == ERR_MOVED || op->error == ERR_INDOUBT || op->error == ERR_SCRIPT || (op->role == OP_COPY && op->error == ERR_RACE);
    return op->error != ERR_NONE && !answered;
}

/* The lock is held. */
static void settle(struct executor *e, struct op_list *batch, struct ends *ends)
{
    int64_t now = clock_mono_us();
    struct op *op;

    while ((op = op_list_pop(batch)) != NULL) {
        e->running--;
        e->failed += is_failure(op);
        if (op->parks && op->error == ERR_NONE && !op->cancelled && !op->timed_out && !e->closing) {
            op->deadline_us = INT64_MAX;
            lanes_park(&e->lanes, op);
            if (e->lanes.parked.count == 1)
                pthread_cond_signal(&e->work_waits);
            continue;
        }
        if (op->nwanted > 0 && op->error == ERR_NONE && !op->cancelled) {
            lanes_again(&e->lanes, op);
            continue;
        }
        if (op->parks && op->error == ERR_NONE)
            blocking_time_over(op);
        lanes_leave(&e->lanes, op);
        ends_add(e, ends, op, now);
    }
}

/* The lock is held. One idle worker for each kind of work is enough: a batch takes all there is. */
void executor_call_workers(struct executor *e)
{
    const struct lanes *l = &e->lanes;
    bool both = archive_writers(e->archive) > 1;
    size_t ready = l->reads.count + l->writes.count;

    if (both) {
        for (size_t i = 0; i < ready && i < e->idle_writers; i++)
            pthread_cond_signal(&e->work_writes);
        return;
    }
    if (l->reads.count > 0 && e->idle_readers > 0)
        pthread_cond_signal(&e->work_reads);
    if (l->writes.count > 0 && e->idle_writers > 0)
        pthread_cond_signal(&e->work_writes);
}

static void run_and_settle(struct worker *w, struct op_list *batch, struct ends *ends)
{
    struct executor *e = w->executor;
    struct op_list refused;
    enum err result = ERR_NONE;

    sort_out(e, batch, &refused);
    if (batch->count > 0) {
        result = run_batch(w->run, batch);
        keeper_judge(e, result, archive_why(run_handle(w->run)));
    }
    pthread_mutex_lock(&e->lock);
    settle(e, &refused, ends);
    settle(e, batch, ends);
    executor_call_workers(e);
    pthread_mutex_unlock(&e->lock);
}

static void wait_for_work(struct worker *w)
{
    struct executor *e = w->executor;
    size_t *idle = w->writes ? &e->idle_writers : &e->idle_readers;

    ++*idle;
    pthread_cond_wait(w->writes ? &e->work_writes : &e->work_reads, &e->lock);
    --*idle;
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct executor *e = w->executor;
    struct op_list batch;
    struct ends ends;

    pthread_mutex_lock(&e->lock);
    for (;;) {
        while (!has_work(w) && !e->closing)
            wait_for_work(w);
        if (!has_work(w))
            break;
        take(w, &batch);
        pthread_mutex_unlock(&e->lock);
        ends_init(&ends);
        run_and_settle(w, &batch, &ends);
        ends_tell(e, &ends);
        pthread_mutex_lock(&e->lock);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* ---- the interface ---- */

static void init_conds(struct executor *e)
{
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work_reads, NULL);
    pthread_cond_init(&e->work_writes, NULL);
    clock_cond_init(&e->work_house);
    clock_cond_init(&e->work_waits);
}

static void start_worker(struct executor *e, bool reads, bool writes)
{
    struct worker *w = &e->workers[e->nworkers++];

    *w = (struct worker){.executor = e, .reads = reads, .writes = writes};
    w->run = run_new(archive_attach(e->archive), &e->counts);
    if (pthread_create(&w->thread, NULL, work, w) != 0)
        abort();
}

struct executor *executor_new(struct archive *own_a, const struct settings *settings,
                              const struct executor_ops *ops)
{
    struct executor *e = calloc(1, sizeof *e);
    size_t n = archive_writers(own_a) > 1 ? (size_t)settings->archive_workers : 1 + READERS;

    if (e == NULL)
        abort();
    e->archive = own_a;
    e->ops = *ops;
    e->settings = settings_ref(settings);
    atomic_store(
        &e->up, true); /* until something shows the contrary: the first command is not refused on suspicion */
    init_conds(e);
    lanes_init(&e->lanes);
    e->workers = calloc(n, sizeof *e->workers);
    if (e->workers == NULL)
        abort();
    for (size_t i = 0; i < n; i++)
        start_worker(e, archive_writers(own_a) > 1 || i > 0, archive_writers(own_a) > 1 || i == 0);
    keeper_start(e);
    return e;
}

static void cancel_parked(struct executor *e)
{
    struct ends ends;

    ends_init(&ends);
    while (e->lanes.parked.head != NULL) {
        struct op *op = e->lanes.parked.head;
        lanes_withdraw(&e->lanes, op);
        op_fail(op, ERR_CANCELLED, "shutting down");
        ends_add(e, &ends, op, clock_mono_us());
    }
    ends_tell(e, &ends);
}

void executor_free(struct executor *own_e)
{
    struct executor *e = own_e;

    pthread_mutex_lock(&e->lock);
    e->closing = true;
    pthread_cond_broadcast(&e->work_reads);
    pthread_cond_broadcast(&e->work_writes);
    pthread_cond_broadcast(&e->work_house);
    pthread_cond_broadcast(&e->work_waits);
    pthread_mutex_unlock(&e->lock);
    keeper_stop(e);
    for (size_t i = 0; i < e->nworkers; i++) {
        pthread_join(e->workers[i].thread, NULL);
        run_free(e->workers[i].run);
    }
    cancel_parked(e);
    archive_close(e->archive);
    lanes_done(&e->lanes);
    settings_unref(e->settings);
    free(e->workers);
    free(e);
}

void executor_settings(struct executor *e, const struct settings *settings)
{
    pthread_mutex_lock(&e->lock);
    const struct settings *old = e->settings;
    e->settings = settings_ref(settings);
    pthread_mutex_unlock(&e->lock);
    settings_unref(old);
}

/* ERR_NONE: it may wait for its turn. What is known to be down is not asked: a worker that hangs would not tell. Copies come from
 * writes that Redis has done already, and are as many as clients wait for: no queue is too long for them. The lock is held. */
static enum err admit(const struct executor *e, const struct op *op)
{
    bool up = atomic_load(&e->up), readable = atomic_load(&e->readable);

    if ((in_hand(e) >= (size_t)e->settings->archive_queue && op->role != OP_COPY) || e->closing)
        return ERR_ARCHIVEBUSY;
    if (up || (readable && !op->writes))
        return ERR_NONE;
    return readable ? ERR_ARCHIVEBAD : ERR_ARCHIVEDOWN;
}

void executor_submit(struct executor *e, struct op *own_list)
{
    struct ends ends;
    int64_t now = clock_mono_us();

    ends_init(&ends);
    pthread_mutex_lock(&e->lock);
    for (struct op *op = own_list, *next; op != NULL; op = next) {
        next = op->next;
        e->copying += op->role == OP_COPY;
        op->queued_us = now;
        op->deadline_us = now + e->settings->archive_timeout * 1000;
        enum err error = admit(e, op);
        if (error == ERR_NONE) {
            lanes_enter(&e->lanes, op);
            continue;
        }
        e->refused++;
        op_fail(op, error, error == ERR_ARCHIVEBUSY ? "" : e->why);
        ends_add(e, &ends, op, now);
    }
    executor_call_workers(e);
    pthread_mutex_unlock(&e->lock);
    ends_tell(e, &ends);
}

void executor_cancel(struct executor *e, struct op *op, bool client_gone)
{
    struct ends ends;

    ends_init(&ends);
    pthread_mutex_lock(&e->lock);
    if (client_gone)
        op->cancelled = true;
    else
        op->timed_out = true;
    if (op->state == OP_PARKED) {
        lanes_withdraw(&e->lanes, op);
        if (client_gone)
            op_fail(op, ERR_CANCELLED, "the client is gone");
        else
            blocking_time_over(op);
        ends_add(e, &ends, op, clock_mono_us());
    }
    pthread_mutex_unlock(&e->lock);
    ends_tell(e, &ends);
}

bool executor_up(const struct executor *e)
{
    return atomic_load_explicit(&e->up, memory_order_relaxed);
}

size_t executor_copies(struct executor *e)
{
    return atomic_load(&e->copying);
}

struct archive *executor_archive(const struct executor *e)
{
    return e->archive;
}

void executor_report(struct executor *e, struct executor_report *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->kind = archive_kind(e->archive);
    ret->up = atomic_load(&e->up);
    ret->ops = e->counts.ops;
    ret->batches = e->counts.batches;
    ret->commits = e->counts.commits;
    ret->documents = e->counts.documents;
    ret->races = e->counts.races;
    ret->alone = e->counts.alone;
    ret->too_large = e->counts.too_large;
    ret->refused = e->refused;
    ret->late = e->late;
    ret->failed = e->failed;
    ret->sweeps = e->sweeps;
    ret->swept = e->swept;
    ret->copied = e->copied;
    ret->copies_refused = e->copies_refused;
    ret->copies_failed = e->copies_failed;
    ret->copying = e->copying;
    pthread_mutex_lock(&e->lock);
    memcpy(ret->why, e->why, sizeof ret->why);
    ret->waiting = e->lanes.waiting;
    ret->ready = e->lanes.reads.count + e->lanes.writes.count;
    ret->running = e->running;
    ret->parked = e->lanes.parked.count;
    hist_add_to(&e->latency, &ret->latency);
    pthread_mutex_unlock(&e->lock);
}
