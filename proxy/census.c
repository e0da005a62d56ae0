#include "proxy/census.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdlib.h>

struct census {
    uv_loop_t *loop;
    uv_work_t work;
    struct archive_handle *handle;
    bool counting;
    uint64_t written;  /* when the last count began */
    int64_t next_us;   /* not before this after a change, */
    int64_t latest_us; /* and then in any case */
    /* The pool's while it counts. */
    enum err error;
    struct archive_stats found;
    int64_t took_us;
    pthread_mutex_t lock;
    struct archive_stats last; /* under the lock */
};

struct census *census_start(uv_loop_t *main_loop, struct archive *a)
{
    struct census *c = calloc(1, sizeof *c);

    if (c == NULL)
        abort();
    c->loop = main_loop;
    c->work.data = c;
    c->handle = archive_attach(a);
    c->last = (struct archive_stats){.documents = -1, .bytes = -1};
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void on_work(uv_work_t *work)
{
    struct census *c = work->data;

    c->error = archive_ping(c->handle); /* connects: that is not what counting costs */
    int64_t from = clock_mono_us();
    if (c->error == ERR_NONE)
        c->error = archive_stats(c->handle, &c->found);
    c->took_us = clock_mono_us() - from;
}

/* What is known stays known while the archive is away. */
static void after_work(uv_work_t *work, int status)
{
    struct census *c = work->data;
    int64_t now = clock_mono_us(), pause = c->took_us * CENSUS_SHARE;

    c->counting = false;
    if (status != 0)
        return;
    c->next_us = now + (pause > CENSUS_MIN_US ? pause : CENSUS_MIN_US);
    c->latest_us = now + (pause > CENSUS_MAX_US ? pause : CENSUS_MAX_US);
    if (c->error != ERR_NONE) {
        c->latest_us = c->next_us;
        return;
    }
    pthread_mutex_lock(&c->lock);
    c->last = c->found;
    pthread_mutex_unlock(&c->lock);
}

void census_tick(struct census *c, int64_t now_us, uint64_t written)
{
    int64_t due = written != c->written ? c->next_us : c->latest_us;

    if (c->counting || now_us < due)
        return;
    c->written = written;
    c->counting = uv_queue_work(c->loop, &c->work, on_work, after_work) == 0;
}

void census_last(struct census *c, struct archive_stats *ret)
{
    pthread_mutex_lock(&c->lock);
    *ret = c->last;
    pthread_mutex_unlock(&c->lock);
}

void census_stop(struct census *own_c)
{
    if (own_c->counting)
        uv_cancel((uv_req_t *)&own_c->work);
    while (own_c->counting)
        uv_run(own_c->loop, UV_RUN_ONCE);
    archive_detach(own_c->handle);
    pthread_mutex_destroy(&own_c->lock);
    free(own_c);
}
