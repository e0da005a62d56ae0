/* backends/trace/faults — a plan of faults: what happens to which operation of an archive, from text and back.
 *
 *   op=commit delay=100ms fail=3 error=lost-after; op=ping fail=100% error=down; seed=42
 *
 * Clauses end with ';'. Each but seed begins with op=, and its words may stand in any order after that:
 *   op=OP             load commit scan sweep control_get control_set clear stats ping; control: both of them; all
 *   delay=Nms         each call waits so long first; delay=A..Bms: between A and B, at random
 *   fail=N | fail=P%  the next N calls fail, or P of a hundred at random; with
 *   error=E           down: not done · lost-before: not done, and nobody knows · lost-after: done, and nobody knows
 *                     race: as if a version was another one · bad: refused for good
 *   hang              each call waits until the plan changes
 *   log               each call leaves a line in the log
 *   seed=N            of what is random; 1 when the plan says nothing
 * A call meets every clause of its operation: delays add up, and the first that fails it decides how. An operation meets only
 * the errors that the contract has for it: no lost-… where nothing is written, race in commit and control_set only.
 *
 * Owns:    nothing.
 * Threads: one at a time; trace.c holds its lock. */
#ifndef BACKENDS_TRACE_FAULTS_H
#define BACKENDS_TRACE_FAULTS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_op {
    TRACE_LOAD,
    TRACE_COMMIT,
    TRACE_SCAN,
    TRACE_SWEEP,
    TRACE_CONTROL_GET,
    TRACE_CONTROL_SET,
    TRACE_CLEAR,
    TRACE_STATS,
    TRACE_PING,
    TRACE_OPS
};

#define FAULT_RULES     16
#define FAULT_DELAY_MAX 600000 /* ms */

struct fault_rule {
    unsigned target; /* row of the table of what op= may say */
    int64_t delay_min_ms;
    int64_t delay_max_ms;
    int64_t fail; /* calls that are still to fail, or how many of a hundred; -1: none was asked for */
    bool percent;
    unsigned error; /* row of the table of errors; 0: none */
    bool hang;
    bool log;
};

struct faults {
    struct fault_rule rules[FAULT_RULES];
    size_t count;
    uint64_t seed;
    uint64_t random; /* where the sequence that began with seed stands */
};

/* What one call meets. */
struct fault {
    int64_t delay_us;
    bool hang;
    bool log;
    bool skip;      /* the archive is not asked */
    enum err error; /* ERR_NONE: what the archive answers stands */
    const char *name;
};

/* "load"; as op= has it. */
const char *trace_op_name(enum trace_op op);

/* False: *ret is untouched and why says what is wrong, in one line. "" is a plan of no faults. */
MUST_USE bool faults_parse(const char *text, struct faults *ret, char *why, size_t why_cap);
/* The plan as faults_parse reads it, with the calls that are still to fail. Returns the length it has, as snprintf does. */
size_t faults_print(const struct faults *f, char *buf, size_t cap);
/* Bit 1 << op is set when calls of op may meet something. */
unsigned faults_ops(const struct faults *f);
/* What the next call of op meets; counts it. */
struct fault faults_draw(struct faults *f, enum trace_op op);

#endif
