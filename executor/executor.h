/* executor/executor — runs Redis commands on the archive, on threads of its own.
 *
 *   loop ─▶ op ─▶ lanes of its keys ─▶ ready ─▶ worker: load · apply · commit ─▶ done ─▶ loop
 *
 * Owns:       the archive, the workers, the lanes, and two threads more: a housekeeper, which finds out whether the archive is well
 *             and sweeps what has expired, and one that looks after what is parked (time over; another process may have written)
 *             and never asks the archive.
 * Invariants: ops with a key in common run in the order in which they were submitted, others side by side. Each op submitted is
 *             given to done exactly once; by executor_submit itself only when it is refused. Nothing here blocks a loop.
 *             While the archive refuses writes for good (full, read-only), reads are still tried.
 * Threads:    submit, cancel, report: any. done is called on a worker, on the thread of what is parked, or in submit,
 *             cancel and free; health on a worker, the housekeeper, or in watch. */
#ifndef EXECUTOR_EXECUTOR_H
#define EXECUTOR_EXECUTOR_H

#include "backends/archive/archive.h"
#include "base/hist.h"
#include "config/settings.h"
#include "executor/op.h"

struct executor;

struct executor_ops {
    /* Each op of the list (by op->next) is its maker's again. */
    void (*done)(void *ctx, struct op *own_list);
    /* The archive has become reachable, or not any more (why says what is wrong). */
    void (*health)(void *ctx, bool up, const char *why);
    void *ctx;
};

/* Takes the archive. settings: counted. */
struct executor *executor_new(struct archive *own_a, const struct settings *settings,
                              const struct executor_ops *ops);
/* Every op that was submitted ends first, parked ones as cancelled. */
void executor_free(struct executor *own_e);
/* A new snapshot. */
void executor_settings(struct executor *e, const struct settings *settings);

/* Takes the ops of the list, in its order. */
void executor_submit(struct executor *e, struct op *own_list);
/* The op's client is gone, or (client_gone false, CLIENT UNBLOCK) no longer wants to wait: an op that has not begun ends as
 * ERR_CANCELLED, or with nil. One that runs already is not stopped. The op must not be done yet: call it where done's list is
 * worked off. */
void executor_cancel(struct executor *e, struct op *op, bool client_gone);

/* Call it a few times a second: an archive that has not answered a ping for archive.timeout counts as down, whatever hangs. */
void executor_watch(struct executor *e);

struct executor_report {
    const char *kind; /* of the archive */
    bool up;
    char why[160]; /* when it is not up */
    uint64_t ops, batches, commits, documents, races, alone, too_large;
    uint64_t refused, late, failed; /* queue full; waited too long; ended by an error of the archive */
    uint64_t sweeps, swept;
    uint64_t copied, copies_refused,
        copies_failed; /* ops of role OP_COPY: done; the predecessor is missing; all other errors */
    size_t waiting, ready, running, parked, copying;
    struct hist_sum latency; /* µs from submit to done */
};
void executor_report(struct executor *e, struct executor_report *ret);
/* Whether the archive answers, as far as is known. Any thread, without a lock. */
bool executor_up(const struct executor *e);
/* Ops of role OP_COPY that were submitted and are not done yet. Any thread, without a lock. */
size_t executor_copies(struct executor *e);
struct archive *executor_archive(const struct executor *e);

#endif
