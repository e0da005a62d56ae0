/* proxy/spot — where one policy is between the stores: its place, since when, and what that means for loops and for the ledger.
 * Owns:    nothing.
 * Threads: one at a time; proxy/placement holds its lock around what others read.          Used by: proxy/placement. */
#ifndef PROXY_SPOT_H
#define PROXY_SPOT_H

#include "config/settings.h"
#include "proxy/acting.h"
#include "proxy/ledger.h"
#include "router/place.h"

#define SPOT_FLAPS 10

struct spot {
    char name[64];
    enum place place, staged;        /* staged: where it goes when the ledger is saved */
    int64_t since_us, held_since_us; /* mono; held_since 0: it is not on hold */
    int64_t rest_until_us; /* mono: a change that did not come about in time is not tried again before */
    bool hurry;            /* the operator has asked for Redis */
    _Atomic uint8_t asked; /* enum wanted: what another thread has asked for, until [main] takes it */
    enum wanted order;     /* the operator's word to this process, until the ledger has it */
    bool first;            /* Redis has never acted: what it holds has no marks */
    uint64_t failovers;
    int64_t flaps_us[SPOT_FLAPS]; /* mono: the last failovers */
    int64_t wall_us, held_us, held_max_us;
};

void spot_init(struct spot *s, const char *name);
/* How long Redis must have been well before it acts for this policy again. */
int64_t spot_patience_us(const struct spot *s, enum acted acted, int64_t return_after_ms, int64_t now_us);
/* What is written down before the policy goes there; marked: every write to Redis has left a mark, so that without marks the archive
 * has all; raised: the epoch has been, for another policy. False: nothing that must outlive the proxies. */
bool spot_record(const struct spot *s, enum place to, bool marked, struct ledger *ledger, bool *raised);
void spot_enter(struct spot *s, enum place to, enum acted acted);
struct spot_view {
    bool known;  /* the ledger was read */
    bool leased; /* and may still be relied upon */
    bool safe;   /* another store takes over when Redis is lost */
};
/* Its row of acting. */
void spot_tell(const struct spot *s, const struct policy_conf *conf, enum acted acted, struct spot_view v,
               struct acting *a);

#endif
