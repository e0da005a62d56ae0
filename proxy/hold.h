/* proxy/hold — requests that wait while the stores change places, and those whose end is not known because Redis was lost.
 *
 *   dispatch ─▶ hold_gate ─┬─▶ go
 *                          └─▶ PAUSE_HOLD until the next acting, or until the keys are handed over; -TRYAGAIN after failover.hold
 *   lost connection ─▶ hold_keeps ─▶ kept ─▶ (acting) ─▶ the archive, under the same id; reads to whoever acts
 *
 * Owns:       the kept slots, in the order in which they were lost; which keys are Redis' in CATCHUP.
 * Invariants: nothing of a client overtakes a kept request of it (I8). What was sent before a HOLD is counted apart from what
 *             is sent after it, so that the loop can tell when all of the former is over.
 * Threads:    [loop] only. */
#ifndef PROXY_HOLD_H
#define PROXY_HOLD_H

#include "base/err.h"
#include "proxy/acting.h"

struct loop;
struct op;
struct session;
struct slot;
struct handed;

struct fence_at;

struct hold {
    struct fence_at *fences; /* who wants to hear when all that was sent before is over (proxy/fence) */
    uint64_t flips;          /* how often `now` has changed */
    struct slot *kept, **kept_tail;
    struct handed *handed;
    size_t out[2];  /* requests for managed keys under way, sent before and after the last HOLD */
    unsigned now;   /* which of the two is the present */
    bool turn_owed; /* a HOLD has come while those before the last one are still under way */
    bool
        losing; /* Redis is lost: what is kept waits for the archive; otherwise it must be over, too, for all to be quiet */
    int64_t since_us[STATS_POLICIES]; /* mono: on HOLD since then; 0: it is not */
    bool owes_quiet;    /* placement waits to hear that all is over */
    uint64_t quiet_for; /* acting.serial */
};

void hold_init(struct loop *l);
void hold_done(struct loop *l);

/* All policies are simply Redis', and no key is away: hold_gate and hold_gate_any would say GATE_GO to everything. */
bool hold_is_calm(const struct loop *l);

enum gate { GATE_GO, GATE_WAIT, GATE_REFUSED };
/* Whether a request on these keys may go to its store now. GATE_WAIT: the session is paused. GATE_REFUSED: it was answered. */
enum gate hold_gate(struct session *s, const struct command *cmd, const struct slice *argv, size_t argc);
/* The same for the requests of a transaction; where their keys live now (enum home), and the policy of a managed one, or NULL. */
enum gate hold_gate_all(struct session *s, struct slice requests, unsigned *ret_home,
                        const struct policy_conf **ret_policy);
/* The same for what is about all keys: it would miss those for which nobody acts. */
enum gate hold_gate_any(struct session *s);
/* The same, and while keys are handed to Redis: for what may change any key. */
enum gate hold_gate_still(struct session *s);
/* Redis acts for the policy but can't be asked now: waits when another store may take over. GATE_GO: it may not. */
enum gate hold_for_redis(struct session *s, const struct policy_conf *policy);

/* Some key may have left Redis on purpose: who needs it waits until it is back. */
bool hold_tiers(const struct loop *l);

/* The slot's request has failed at Redis. True: it is kept, and ends later; false: the client has to be told. */
bool hold_keeps(struct slot *slot, enum err e, const char *detail);
/* A request for managed keys is under way; it is over, or kept. */
void hold_count(struct slot *slot);
void hold_uncount(struct slot *slot);
/* What is sent from now on is counted apart, as soon as nothing that was sent before the last such moment is under way. */
void hold_turn(struct loop *l);
/* The same for what is no slot: what hold_enter tells is given back. */
unsigned hold_enter(struct loop *l);
void hold_leave(struct loop *l, unsigned turn);
/* A write that Redis has done and its client was told of, but that the archive lacks while Redis is lost: the archive does it
 * before it acts (proxy/owed). */
void hold_owe(struct loop *l, struct op *own_op);
/* Redis acts for the op's key, in the epoch in which it was sent: whether it is lost is not known yet. */
bool hold_can_tell(const struct loop *l, const struct op *op);
/* l->acting has changed. */
void hold_acting(struct loop *l, const struct acting *before);
/* Once a second: what has waited for too long. */
void hold_second(struct loop *l, int64_t now_us);

#endif
