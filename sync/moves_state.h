/* sync/moves_state — what moves are made of, shared by moves.c, which takes orders and reports, and moving.c, which works.
 * Threads: as it says at each member. */
#ifndef SYNC_MOVES_STATE_H
#define SYNC_MOVES_STATE_H

#include "sync/move.h"

#include <pthread.h>

#define MOVES_KEPT 32

struct move {
    struct move_report report; /* under the lock */
    struct move_saved saved;   /* under the lock: where it could go on in another process */
    bool at_work;              /* under the lock: moves_run has it in hand */
    struct move_at at;         /* moves_run's */
    double credit;             /* keys that the rate allows now */
    int64_t credited_us, worked_us, metered_us, metered_done;
};

struct moves {
    pthread_mutex_t lock;
    struct move *list[MOVES_KEPT]; /* the oldest first */
    size_t n;
    uint64_t last_id;
    char held[160]; /* why none can run at present; "": they can */
    bool unknown;   /* what was interrupted is not known yet */
    bool changed, progressed; /* since moves_save */
    char elsewhere[MOVES_KEPT][64]; /* policies whose backfill another process has not brought to its end */
    size_t nelsewhere;
};

/* What was interrupted is in the archive, and not known before moves_bring. */
void moves_await(struct moves *m);
/* Something has happened that moves_save has not told yet; *ret_urgent: more than progress. */
bool moves_unsaved(struct moves *m, bool *ret_urgent);
/* Those that are not done, the oldest first; ret has room for MOVES_KEPT. */
size_t moves_save(struct moves *m, struct move_saved *ret);
void moves_resave(struct moves *m); /* it could not be kept */
/* Of another process that has ended: those that waited or ran are interrupted. */
void moves_bring(struct moves *m, const struct move_saved *list, size_t n);
void moves_elsewhere(struct moves *m, char (*policies)[64], size_t n);

/* The lock is held. */
bool moves_is_over(const struct move *mv);
/* The lock is held. The running one, else the one that waits for longest; NULL: none. */
struct move *moves_next(struct moves *m);
void moves_end(struct moves *m, struct move *mv, enum move_state state);
/* It is over: what it needs no more goes. */
void moves_rest(struct move *mv);
const struct move_row *moves_row(enum move_kind kind);

#endif
