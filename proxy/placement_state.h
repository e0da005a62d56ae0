/* proxy/placement_state — what placement knows, shared by its files: placement.c decides and tells,
 * agreement.c keeps the ledger, alone or with other proxies, facts.c says what is so.
 * Threads: [main], but what is atomic, and under lock what others ask for. */
#ifndef PROXY_PLACEMENT_STATE_H
#define PROXY_PLACEMENT_STATE_H

#include "proxy/errands.h"
#include "proxy/members.h"
#include "proxy/owed.h"
#include "proxy/placement.h"
#include "proxy/spot.h"

#include <pthread.h>

#define PLACEMENT_LOOPS 256

struct placement {
    pthread_mutex_t lock; /* over spots, ledger and settings for other threads; only [main] changes them */
    struct server *server;
    struct executor *executor;
    struct sync *sync;
    struct owed *owed;
    struct errands *errands;
    uv_timer_t timer;
    uv_async_t wake;
    int closing; /* handles that are not closed yet */
    char proxy[LEDGER_ID];
    const struct settings *settings, *fresh; /* fresh: those that somebody has set since; NULL: none */
    struct spot spots[STATS_POLICIES];
    size_t nspots;
    bool told_up, told_leased; /* as the loops were told last */
    uint64_t serial;           /* of what they were told */

    /* the ledger */
    bool cluster;          /* Redis is a cluster: a policy stays where its primary is, and nobody looks at Redis */
    bool shared;           /* other proxies may use the archive: leases, votes */
    bool known;            /* it was read, and when shared this proxy is a member */
    bool saving;           /* next is to become the ledger */
    bool stale;            /* it must be read again before it is changed */
    int64_t rest_until_us; /* mono: an archive that has just failed is not asked before */
    struct ledger ledger, next;
    char trouble[160];       /* under lock: why the ledger can't be read or saved; "": it can */
    int64_t serial_since_us; /* mono: since when ledger.serial is what it is */
    struct members members;
    struct member_word word;
    int64_t word_version, rounded_us; /* mono: when the last round was begun */
    _Atomic int64_t epoch;            /* the ledger's, told before the lease that came with it */
    _Atomic int64_t lease_us;         /* boot clock: until then what the ledger said may be relied upon */

    /* Redis */
    bool asked, well, there; /* a look has ended; the last one went well; something is there */
    struct redis_identity who;
    int64_t marks, well_since_us, looked_us;
    int64_t look_began_us; /* mono: of the last look that has ended */
    int64_t claimed;       /* epoch for which it was claimed last */
    bool clean;            /* no marks, as of a look that began when all was quiet */
    bool nudge; /* loops hold requests because a connection failed: they are told again after the look */
    int64_t doubt_us; /* mono: when a write was last in doubt; 0: none is */

    /* sync */
    enum sync_mode mode;
    int64_t mode_epoch;

    /* from other threads */
    _Atomic uint64_t quiet[PLACEMENT_LOOPS]; /* by loop: serial */
    _Atomic bool doubt, suspect;
    _Atomic int64_t caught_up; /* epoch */
};

/* What is so for this policy now: enum fact. */
uint32_t facts_of(const struct placement *p, const struct spot *spot, const struct policy_conf *conf,
                  int64_t now_us);
/* Each loop of this process is quiet. */
bool facts_quiet_here(const struct placement *p);
/* And so is each proxy. */
bool facts_quiet(const struct placement *p, int64_t now_us);
/* What this process owes the archive is there. */
bool facts_copied_here(const struct placement *p);
/* The last look has met the Redis of this epoch. */
bool facts_is_ours(const struct placement *p);
/* Every write of the policy to Redis has left a mark there until it was copied. */
bool facts_marked(const struct placement *p, const struct spot *spot);
/* This process can't use the Redis that acts. */
bool facts_lost_here(const struct placement *p, int64_t now_us);
/* Its word is still good. */
bool facts_leased(const struct placement *p);

/* placement.c, for agreement.c: */
void placement_step(struct placement *p);
void placement_publish(struct placement *p);
void placement_go_where(struct placement *p, struct spot *spot, enum place to);
bool placement_is_busy(const struct placement *p); /* requests wait */

#endif
