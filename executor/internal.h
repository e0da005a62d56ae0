/* executor/internal — what the executor's two files share: executor.c has the workers and the interface, keeper.c the threads that
 * look after who waits and after the archive's health. */
#ifndef EXECUTOR_INTERNAL_H
#define EXECUTOR_INTERNAL_H

#include "executor/executor.h"
#include "executor/lanes.h"
#include "executor/run.h"

#include <pthread.h>

struct worker;

struct executor {
    struct archive *archive;
    struct executor_ops ops;
    pthread_mutex_t lock;
    pthread_cond_t work_reads, work_writes, work_house,
        work_waits; /* any, for workers that take both: work_writes */
    struct lanes lanes;
    struct worker *workers;
    size_t nworkers;
    pthread_t house, waits;
    struct archive_handle *house_handle;
    const struct settings *settings;
    size_t running, idle_readers, idle_writers;
    bool closing;
    _Atomic unsigned lost; /* answers that did not come, in a row */
    _Atomic bool up;
    _Atomic bool readable; /* not up only because it refuses writes (full, read-only): reads are tried */
    char why[160];
    struct run_counts counts;
    _Atomic uint64_t refused, late, failed, sweeps, swept;
    _Atomic size_t copying; /* ops that repeat what Redis has done, submitted and not over */
    _Atomic uint64_t copied, copies_refused, copies_failed;
    struct hist latency; /* under the lock */
    int64_t polled_us, pinged_us, swept_us;
    _Atomic int64_t asked_us; /* since when a ping waits for its answer; 0: none does */
};

/* A list of ops that are over, to be told when the lock is free. */
struct ends {
    struct op *head, **tail;
};

/* The lock is held for end and call_workers, and must not be for tell. */
void ends_init(struct ends *ends);
void ends_add(struct executor *e, struct ends *ends, struct op *op, int64_t now_us);
void ends_tell(struct executor *e, struct ends *ends);
void executor_call_workers(struct executor *e);

/* keeper.c */
void keeper_start(struct executor *e);
void keeper_stop(struct executor *e); /* closing is set */
/* What a call to the archive has shown. */
void keeper_judge(struct executor *e, enum err result, const char *why);

#endif
