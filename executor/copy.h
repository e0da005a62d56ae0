/* executor/copy — whether what Redis has done can be repeated on what the archive holds (docs/protocol.md, a write while Redis acts).
 * Invariants: it can on the exact predecessor only, by Redis' clock. What is refused becomes a snapshot.
 * Threads:    [worker].          Used by: run. */
#ifndef EXECUTOR_COPY_H
#define EXECUTOR_COPY_H

#include "executor/cell.h"

#define COPY_PATIENCE_US 200000 /* how long a copy waits for the one before it */

enum copy_verdict {
    COPY_RUN,
    COPY_EARLY,   /* the state before it is still to come: replies of several connections cross */
    COPY_DONE,    /* the archive has it: by id, or as part of a later state of the same epoch */
    COPY_REFUSED, /* *ret_why says what is in the way */
};

/* cells: as op->keys. now_ms: the op's clock. */
enum copy_verdict copy_look(const struct op *op, struct cell *const *cells, int64_t now_ms,
                            const char **ret_why);

#endif
