/* executor/run — runs a batch of ops on an archive: loads what they need, applies them in order, and commits once.
 * Owns:       the memory of a batch, given back at its end; kept between batches by its worker.
 * Invariants: ops of a batch see what those before them have done. Nothing is answered before the commit: when that fails, the ops
 *             are run again one by one, so that one's bad luck is not the others'. After run_batch each op has a reply, an error,
 *             or (op->state stays RUNNING, wants to park) found nothing to take.
 * Threads:    [worker], one per object. */
#ifndef EXECUTOR_RUN_H
#define EXECUTOR_RUN_H

#include "backends/archive/archive.h"
#include "executor/lanes.h"

struct run;

#define RUN_COME 4096

/* What it counts, any thread may read; the same for all of an archive. */
struct run_counts {
    _Atomic uint64_t batches, ops, commits, documents, races, alone, too_large;
    _Atomic uint32_t come[RUN_COME]; /* how often keys have been written that were not there, by their hash */
    _Atomic int64_t gone[RUN_COME];  /* the highest version of a key that left no document, by its hash */
    _Atomic int64_t newest;          /* the highest version that was made */
    _Atomic bool no_tombstones;      /* none has been seen since all documents were looked at */
};

struct run *run_new(struct archive_handle *own_h, struct run_counts *counts);
void run_free(struct run *own_r);

/* Runs all of batch. ops that found nothing and may wait have parks set. Returns the error of the archive's last call: ERR_NONE,
 * ERR_ARCHIVEDOWN … (races and sizes are the ops' own and not told here). */
enum err run_batch(struct run *r, const struct op_list *batch);
struct archive_handle *run_handle(struct run *r);

#endif
