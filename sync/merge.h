/* sync/merge — what becomes of a key of which both stores may have something: step 2 of the hand-over (docs/protocol.md).
 * Invariants: a pure function over a table of rules. Whatever Redis and the archive hold, it says one of six things, and what would be
 *             lost by it is said to be kept in quarantine.
 * Threads:    any.          Used by: sync/handoff. */
#ifndef SYNC_MERGE_H
#define SYNC_MERGE_H

#include "engine/arena.h"
#include "engine/object.h"
#include "executor/record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The executed writes that Redis tells of (cvp:sess). */
struct merge_ids {
    const struct write_id *ids;
    size_t n;
};

struct merge_case {
    int64_t epoch;               /* f, of the hand-over */
    bool versions_count;         /* Redis has kept versions all along (dual writes) */
    int64_t document;            /* its version; 0: there is none */
    bool dead;                   /* it is a tombstone, or its time is over */
    bool dirty;                  /* the archive says that Redis is owed a copy */
    const struct record *record; /* the document's */
    bool in_redis;               /* the key exists there */
    int64_t redis;               /* its version there; 0: none */
    struct merge_ids executed;
};

enum merge_action {
    MERGE_NOTHING, /* Redis has it, or nobody has */
    MERGE_STALE,   /* the document is of a later epoch: this hand-over is over */
    MERGE_CONFIRM, /* Redis has it; the document does not say so yet */
    MERGE_RESTORE, /* the document says what it shall have in this epoch; Redis has it not yet */
    MERGE_ARCHIVE, /* the document's state */
    MERGE_REPLAY,  /* Redis' state, and the journal's writes that Redis has not executed after it */
};

/* What the action would lose. */
enum merge_loss { MERGE_LOSES_NONE, MERGE_LOSES_REDIS, MERGE_LOSES_ARCHIVE };

struct merge_verdict {
    enum merge_action action;
    enum merge_loss loss;
    const char *why; /* the rule, in words */
};

struct merge_verdict merge_decide(const struct merge_case *c);

/* Whether Redis has executed this write. */
bool merge_executed(const struct merge_ids *executed, const struct write_id *id);
/* Applies those writes of the journal to o that Redis has not executed. False: the journal is damaged, o may have changed. */
bool merge_replay(const struct record *r, const struct merge_ids *executed, struct object *o,
                  struct arena *a);

#endif
