/* backends/trace/trace — an archive around another one: measures each call, and lets a plan of faults befall them.
 * Every archive of the product is wrapped, so this is where metrics of archives come from, and where a plan can be set at any
 * moment, for tests and for game days.
 *
 *   worker ─▶ archive_commit ─▶ trace: hang · delay · not done? ─▶ sqlite | mongo ─▶ reported lost? · counted · logged ─▶ worker
 *
 * Owns:       the wrapped archive; the plan; counts and latencies of each handle, and the sums of those that are gone.
 * Invariants: without a plan a call costs two looks at the clock and a few stores more, and takes no lock.
 *             A fault is one that the contract knows for the operation.
 * Logs:       one line a call where the plan says log: it is the plan that decides, so this layer writes it.
 * Threads:    the archive as archive.h says; the functions below any, side by side with all of its calls.
 * Used by:    main, executor, proxy/admin. */
#ifndef BACKENDS_TRACE_TRACE_H
#define BACKENDS_TRACE_TRACE_H

#include "backends/archive/archive.h"
#include "backends/trace/faults.h"
#include "base/hist.h"

/* What the calls of one operation were. */
struct trace_stat {
    uint64_t errors[ERR_COUNT]; /* by what the caller was told; [ERR_NONE]: those that succeeded */
    struct hist_sum us;         /* of all calls, with what the plan made them wait */
};

/* Its kind and writers are those of the wrapped one. NULL: own_inner is NULL. */
struct archive *trace_wrap(struct archive *own_inner);

/* a is what trace_wrap returned, in all of these. */

/* A plan as backends/trace/faults.h has it, in place of the one before; calls that hang or are delayed go on. False: nothing
 * changed, and why says what is wrong. */
MUST_USE bool trace_set_plan(struct archive *a, const char *plan, char *why, size_t why_cap);
/* The plan that holds now, with the calls that are still to fail; "": none. Returns its length, as snprintf does. */
size_t trace_plan(struct archive *a, char *buf, size_t cap);
/* Clears the plan for good, so that no call waits any more: before workers are asked to end. */
void trace_release(struct archive *a);
/* Adds to *sum. */
void trace_stats(struct archive *a, enum trace_op op, struct trace_stat *sum);

#endif
