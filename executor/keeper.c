/* The threads beside the workers: one ends what has waited long enough, which the archive can't hold up; the housekeeper asks whether
 * the archive is well, and sweeps. */
#include "executor/internal.h"

#include "base/clock.h"
#include "executor/blocking.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define LOST_MAX    5       /* answers that did not come, in a row, before the archive counts as down */
#define POLL_US      250000 /* another process may have written what a parked op waits for */
#define POLL_MAX     1000   /* ops that are woken for this at once: thousands that wait must not take the writer's time */
#define TICK_US      10000
#define PING_US      500000
#define SWEEP_LIMIT  500

/* ---- health ---- */

static void set_up(struct executor *e, enum err result, const char *why)
{
    bool up = result == ERR_NONE;

    pthread_mutex_lock(&e->lock);
    bool was = atomic_load(&e->up);
    snprintf(e->why, sizeof e->why, "%s", up ? "" : why);
    e->lost = 0;
    atomic_store(&e->readable, result == ERR_ARCHIVEBAD);
    atomic_store(&e->up, up);
    if (was && !up)
        pthread_cond_signal(&e->work_house);
    pthread_mutex_unlock(&e->lock);
    if (was != up)
        e->ops.health(e->ops.ctx, up, up ? "" : why);
}

void keeper_judge(struct executor *e, enum err result, const char *why)
{
    if (result == ERR_NONE) {
        if (e->lost > 0)
            e->lost = 0;
    } else if (result == ERR_ARCHIVEDOWN) {
        set_up(e, result, why);
    } else if (result == ERR_ARCHIVELOST && ++e->lost >= LOST_MAX) {
        set_up(e, result, why);
    }
}

/* ---- who waits: a thread of its own, which the archive can't hold up ---- */

/* In turn, when there are many: those that find nothing go to the end of the list. */
static void look_again(struct executor *e)
{
    for (size_t n = e->lanes.parked.count < POLL_MAX ? e->lanes.parked.count : POLL_MAX; n > 0; n--)
        lanes_wake(&e->lanes, e->lanes.parked.head);
    executor_call_workers(e);
}

static void end_parked(struct executor *e, struct op *op, struct ends *ends, int64_t now_us)
{
    lanes_withdraw(&e->lanes, op);
    blocking_time_over(op);
    ends_add(e, ends, op, now_us);
}

/* The lock is held. */
static void look_after_parked(struct executor *e, struct ends *ends, int64_t now_us)
{
    for (struct op *op = e->lanes.parked.head, *next; op != NULL; op = next) {
        next = op->next;
        if (now_us >= op->block_until_us)
            end_parked(e, op, ends, now_us);
    }
    if (now_us - e->polled_us >= POLL_US) {
        e->polled_us = now_us;
        look_again(e);
    }
}

/* The lock is held. */
static void sleep_until(struct executor *e, pthread_cond_t *cond, int64_t pause_us)
{
    struct timespec until = clock_after_us(pause_us);

    pthread_cond_timedwait(cond, &e->lock, &until);
}

static void *keep_waits(void *arg)
{
    struct executor *e = arg;
    struct ends ends;

    pthread_mutex_lock(&e->lock);
    while (!e->closing) {
        ends_init(&ends);
        look_after_parked(e, &ends, clock_mono_us());
        if (ends.head != NULL) {
            pthread_mutex_unlock(&e->lock);
            ends_tell(e, &ends);
            pthread_mutex_lock(&e->lock);
        } else if (e->lanes.parked.count > 0) {
            sleep_until(e, &e->work_waits, TICK_US);
        } else {
            pthread_cond_wait(&e->work_waits, &e->lock);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

/* ---- the housekeeper ---- */

static void ping(struct executor *e, int64_t now_us)
{
    if (now_us - e->pinged_us < PING_US)
        return;
    e->pinged_us = now_us;
    atomic_store(&e->asked_us, clock_mono_us());
    enum err result = archive_ping(e->house_handle);
    atomic_store(&e->asked_us, 0);
    set_up(e, result, archive_why(e->house_handle));
}

void executor_watch(struct executor *e)
{
    int64_t asked = atomic_load(&e->asked_us);
    char why[64];

    pthread_mutex_lock(&e->lock);
    int64_t timeout = e->settings->archive_timeout;
    pthread_mutex_unlock(&e->lock);
    if (asked == 0 || !atomic_load(&e->up) || clock_mono_us() - asked < timeout * 1000)
        return;
    snprintf(why, sizeof why, "it has not answered for %lld ms", (long long)timeout);
    set_up(e, ERR_ARCHIVELOST, why);
}

static void sweep(struct executor *e, int64_t now_us, int64_t interval_us)
{
    size_t n = 0;

    if (now_us - e->swept_us < interval_us)
        return;
    if (!atomic_load(&e->up)) {
        e->swept_us = now_us; /* or the housekeeper would not sleep until it is up again */
        return;
    }
    enum err result = archive_sweep(e->house_handle, clock_wall_us() / 1000, SWEEP_LIMIT, &n);
    e->sweeps++;
    e->swept += n;
    if (n < SWEEP_LIMIT || result != ERR_NONE)
        e->swept_us = now_us; /* else there is more: go on at once */
}

/* The lock is held: until something may be due. */
static void sleep_house(struct executor *e, int64_t now_us)
{
    int64_t pause = PING_US;
    int64_t due = e->swept_us + e->settings->archive_sweep_interval * 1000 - now_us;

    if (due < pause)
        pause = due > 1000 ? due : 1000;
    sleep_until(e, &e->work_house, pause);
}

static void *keep_house(void *arg)
{
    struct executor *e = arg;

    ping(e, clock_mono_us());
    pthread_mutex_lock(&e->lock);
    while (!e->closing) {
        int64_t now = clock_mono_us(), interval = e->settings->archive_sweep_interval * 1000;
        pthread_mutex_unlock(&e->lock);
        ping(e, now);
        sweep(e, now, interval);
        pthread_mutex_lock(&e->lock);
        if (!e->closing)
            sleep_house(e, now);
    }
    pthread_mutex_unlock(&e->lock);
    return NULL;
}

void keeper_start(struct executor *e)
{
    e->house_handle = archive_attach(e->archive);
    e->pinged_us = -PING_US;
    if (pthread_create(&e->house, NULL, keep_house, e) != 0 || pthread_create(&e->waits, NULL, keep_waits, e) != 0)
        abort();
}

void keeper_stop(struct executor *e)
{
    pthread_join(e->house, NULL);
    pthread_join(e->waits, NULL);
    archive_detach(e->house_handle);
}
