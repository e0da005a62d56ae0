/* sync/internal — what sync's files share: sync.c has the interface, urgent.c and worker.c a thread each, pass.c CATCHUP's pass.
 *
 * A thread works in turns. sync_enter begins a new turn and waits until no thread is at work for an older one; a thread that pauses, or
 * calls back, is not at work. */
#ifndef SYNC_INTERNAL_H
#define SYNC_INTERNAL_H

#include "router/policy.h"
#include "sync/logbook.h"
#include "sync/page.h"
#include "sync/sync.h"

#include <pthread.h>

#define SYNC_BATCH 256 /* keys of one hand-over or copy */

/* Keys that somebody waits for. */
struct ask {
    struct ask *next;
    bool copy; /* else: hand over */
    uint8_t from; /* enum record_level of its first key when it was asked for */
    int64_t asked_us;
    int64_t epoch;
    sync_done done;
    void *ctx;
    enum err error;
    size_t n;
    struct slice keys[]; /* their bytes follow */
};

/* One of the two threads and what is its own. */
struct side {
    struct sync *sync;
    pthread_t thread;
    pthread_cond_t call;
    struct archive_handle *handle;
    struct link *link;
    struct copier copier;
    struct copier_counts copied;
    struct handoff handoff;
    struct handoff_counts handed;
    uint64_t at_work; /* the turn that it works in, 0: none. Under the lock */
    /* of the turn: */
    enum sync_mode mode;
    int64_t epoch;
    const struct settings *settings;
    struct policy_set *policies;
};

struct sync {
    struct sync_ops ops;
    pthread_mutex_t lock; /* for what follows, as far as it is not atomic */
    pthread_cond_t rested;
    enum sync_mode mode;
    int64_t epoch;
    _Atomic uint64_t turn; /* from 1 */
    _Atomic bool closing;
    _Atomic bool claims_left; /* by the urgent side, or a proxy that is gone: the worker gives them back */
    const struct settings *settings;
    struct ask *asks, **asks_end;
    int64_t waiting;
    char why[160]; /* the last trouble, of either side */
    _Atomic int64_t pass_done, pass_total;
    struct side urgent, worker;
    struct moves *moves;
    struct logbook *logbook;
    struct warm *warm;
    struct tiers *tiers;
    struct uses *uses;
    struct ask *leaving; /* keys that shall leave Redis, for the worker */
};

/* The lock is held: from now on the side works in the present turn. */
void side_begin(struct side *t);
/* The lock is held. */
void side_rest(struct side *t);
/* The turn is not over. */
bool side_goes_on(const struct side *t);
/* Rests, up to ms or until it is called; false: the turn is over, and it does not work any more. */
bool side_pause(struct side *t, int64_t ms);
/* The same turn, with the newest settings; false: it is over. */
bool side_renew(struct side *t);
/* Whether Redis is to have the keys of this policy. */
bool side_is_redis(const struct side *t, const struct policy_conf *policy);
/* The lock is held, the side rests: sleeps until it is called; ms: at most, -1: for ever. */
void side_sleep(struct side *t, int64_t ms);
/* Connects to Redis unless it is. */
MUST_USE enum err side_open(struct side *t);
/* Remembers how it went. */
void side_tell(struct side *t, enum err e);
/* What a store has said about its error. */
const char *side_why(const struct side *t, enum err e);

/* Hands keys over, and again when somebody was faster. results[i]: what came of keys[i] in the end. */
MUST_USE enum err side_handoff(struct side *t, const struct slice *keys, size_t n,
                               enum handoff_result *results);

/* A copy of the keys; the rest is to be filled in. */
struct ask *ask_new(const struct slice *keys, size_t n);

/* Tiers, on the worker: the look through the archive, the order for the next sweep, the keys that operators want to leave. */
struct tiering {
    bool begun;
    int64_t hash;
    int64_t looked_us; /* when a sweep was due was looked at, mono */
    int64_t kept_us;   /* when the use of keys was kept, mono */
};
/* *ret_any: there is more to do. */
MUST_USE enum err tiering_step(struct side *t, struct tiering *tiering, struct page *page, bool *ret_any);
/* What the archive says of a page's keys becomes known. */
void tiering_see(struct side *t, const struct archive_entry *entries, size_t n);
void tiering_stores(struct side *t, struct moves_stores *ret);
/* The process ends: what it knows of the use of keys is kept. */
void tiering_end(struct side *t);
/* All that still wait. */
void tiering_refuse(struct sync *s, enum err e);

void *urgent_main(void *side);
void *worker_main(void *side);

/* CATCHUP's pass. */
struct pass {
    enum archive_filter filter;
    int64_t hash;
    unsigned clean;  /* passes over the dirty ones that have found nothing, in a row */
    bool found;      /* this one has */
    bool unfinished; /* some key has to be looked at again */
    bool over;
};
void pass_begin(struct side *t, struct pass *pass);
/* A page. */
MUST_USE enum err pass_step(struct side *t, struct pass *pass, struct page *page);

#endif
