/* sync/tiers — which keys belong where, and what has become of them: the rules and the figures of docs/tiers.md.
 * Owns:       counts by policy. How often keys are used is sync/uses' matter.
 * Threads:    any. */
#ifndef SYNC_TIERS_H
#define SYNC_TIERS_H

#include "base/hist.h"
#include "base/slice.h"
#include "config/settings.h"
#include "engine/object.h"
#include "executor/record.h"

#define TIERS_POLICIES 64
#define TIERS_NEUTRAL  50 /* the importance of a key that tells none, in hundredths */

struct tiers;

struct tiers *tiers_new(void);
void tiers_free(struct tiers *own_t);

/* How important it is, in hundredths: what the policy's setting names in it, else TIERS_NEUTRAL. */
int tiers_importance(const struct policy_conf *policy, const struct object *o);
enum record_level tiers_level(const struct policy_conf *policy, int64_t idle_ms);
/* The rules: whether a key of this importance, used so often, belongs in Redis however old it is; and whether it may leave at all. */
bool tiers_keeps(const struct policy_conf *policy, int importance, int64_t accesses);
bool tiers_lets_go(const struct policy_conf *policy, int importance, int64_t accesses);

void tiers_moved(struct tiers *t, const char *policy, enum record_level from, enum record_level to, uint64_t keys);
/* A key of this tier was asked for, and given to Redis after so long. */
void tiers_read(struct tiers *t, enum record_level from, int64_t took_us);
/* What a sweep has seen in Redis. */
struct tiers_seen {
    int64_t keys, left;   /* left: of them, in this sweep */
    int64_t due;          /* of those that have not, who should have */
    int64_t due_since_us; /* wall: when the oldest of these was old enough */
};
void tiers_seen(struct tiers *t, const char *policy, const struct tiers_seen *seen);
/* It has been through the archive, too. */
void tiers_swept(struct tiers *t, const char *policy, int64_t now_us);
/* When the policy was swept last, wall; 0: never. */
int64_t tiers_last(struct tiers *t, const char *policy);

struct tiers_count {
    char policy[64];
    uint64_t moves[RECORD_LEVELS][RECORD_LEVELS]; /* [from][to] */
    int64_t working; /* keys in Redis at the last sweep, and what has left or come back since; -1: there was none */
    int64_t due, due_since_us; /* as of the last sweep; wall, 0: none is due */
    int64_t swept_us;                           /* when that was, wall; 0: never */
};
size_t tiers_counts(struct tiers *t, struct tiers_count *ret, size_t cap);
void tiers_reads(struct tiers *t, enum record_level level, struct hist_sum *ret);

#endif
