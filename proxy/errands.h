/* proxy/errands — what placement asks of the stores, on libuv's pool: the control document, a look at Redis or a claim of it, sync's
 * mode. Each kind runs one at a time.
 * Owns:       a handle on the archive, a link to Redis.
 * Invariants: each errand ends with its callback on the main loop, unless errands_stop has begun.
 * Threads:    [main]; the work itself on the pool.          Used by: proxy/placement. */
#ifndef PROXY_ERRANDS_H
#define PROXY_ERRANDS_H

#include "executor/executor.h"
#include "proxy/members.h"
#include "sync/claim.h"
#include "sync/sync.h"

#include <uv.h>

/* What a look at Redis has found. */
struct look {
    bool well;                 /* it answers and takes writes */
    bool claimed, after_quiet; /* as the errand was ordered */
    struct redis_identity who;
    int64_t marks; /* of all policies, those that proxies have claimed too; -1: not known */
    char why[96];  /* it is not well */
};

/* One round among proxies that share an archive: the own word was written, then the ledger read, then the others' words. */
struct round {
    int64_t asked_us; /* boot clock: before the ledger was asked for */
    int64_t version;  /* of the own word now */
    struct archive_found ledger;
    size_t n;
    char ids[LEDGER_MEMBERS][LEDGER_ID];
    struct archive_found words[LEDGER_MEMBERS];
};

struct errands_ops {
    void (*read)(void *ctx, enum err e, const struct archive_found *found);
    void (*saved)(void *ctx, enum err e);
    void (*rounded)(void *ctx, enum err e, const struct round *round);
    void (*looked)(void *ctx, const struct look *look);
    void (*entered)(void *ctx); /* sync is in the mode that was asked for */
    void *ctx;
};

struct errands;

struct errands *errands_new(uv_loop_t *main_loop, struct archive *a, struct sync *sync, const char *proxy,
                            const struct errands_ops *ops);
/* Work that has not begun is called off, what has is waited for: the loop runs meanwhile. */
void errands_stop(struct errands *own_e);

/* members: those whose claims are counted among the marks; copied. */
void errands_members(struct errands *e, const struct ledger *ledger);

/* Each: nothing happens while one of its kind runs. */
void errands_read(struct errands *e, const char *control);
void errands_save(struct errands *e, const char *control, int64_t version,
                  bson_t *own_doc); /* becomes version + 1 */
/* members: whose words are read; its self's is written, on this version. */
void errands_round(struct errands *e, const char *control, const struct members *members, int64_t version,
                   bson_t *own_word);
/* claim: for this epoch; connections greeted below fence are closed. after_quiet: told back with the result. */
void errands_look(struct errands *e, const struct settings *settings, bool claim, int64_t epoch,
                  int64_t fence, bool after_quiet);
/* The next look at a Redis that is well removes the sessions of proxies that are gone: nobody will ask for them. */
void errands_tidy(struct errands *e);
void errands_enter(struct errands *e, enum sync_mode mode, int64_t epoch);

/* About the last call of the archive that failed. */
const char *errands_why(const struct errands *e);

bool errands_archive_busy(const struct errands *e);
bool errands_redis_busy(const struct errands *e);
bool errands_sync_busy(const struct errands *e);

#endif
