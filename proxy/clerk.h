/* proxy/clerk — a thread that may wait for the stores, for operators who look into them: one job after the other.
 *
 *     admin server, CONV ─▶ clerk_do ─▶ [clerk] job->run: link ─▶ Redis, archive ─▶ whoever asked is told
 *
 * Owns:       the thread, its link to Redis, its archive handle, the queue.
 * Invariants: each job that was taken is run or cancelled, exactly once. A queue of CLERK_QUEUE is full: a store that hangs must not
 *             gather everybody who asks about it.
 * Threads:    clerk_start, clerk_stop: one. clerk_do: any. Jobs: the clerk's. */
#ifndef PROXY_CLERK_H
#define PROXY_CLERK_H

#include "backends/archive/archive.h"
#include "sync/link.h"

#include <stdbool.h>

#define CLERK_QUEUE 32

struct clerk;
struct server;

/* What a job works with. */
struct clerk_tools {
    struct server *server;
    const struct settings *settings;
    struct archive_handle *archive; /* NULL: there is none */
    struct link *link;              /* open it first: clerk_redis */
};

struct clerk_job {
    struct clerk_job *next;
    /* Takes the job. tools NULL: the process ends, and it is not done. */
    void (*run)(struct clerk_job *own_job, const struct clerk_tools *tools);
};

struct clerk *clerk_start(struct server *s, struct archive *archive);
/* What is being done comes to its end: at most the stores' time-outs. NULL is fine. */
void clerk_stop(struct clerk *own_c);
/* False: it has too much to do, and the job is still the caller's. */
MUST_USE bool clerk_do(struct clerk *c, struct clerk_job *own_job);

/* Opens the link, if it is not. NULL: it is open; otherwise why not, in words. */
const char *clerk_redis(const struct clerk_tools *t);

#endif
