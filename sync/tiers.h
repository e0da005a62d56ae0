/* sync/tiers — what is known of the use of keys, and what has become of them: the figures behind the rules and the reports of docs/tiers.md.
 * Owns:       a sketch of accesses (never too low, now and then too high), counts by policy.
 * Threads:    any; tiers_touch takes no lock. */
#ifndef SYNC_TIERS_H
#define SYNC_TIERS_H

#include "base/hist.h"
#include "base/slice.h"
#include "config/settings.h"
#include "engine/object.h"
#include "executor/record.h"

#define TIERS_LEVELS   3  /* enum record_level */
#define TIERS_POLICIES 64

struct tiers;

struct tiers *tiers_new(void);
void tiers_free(struct tiers *own_t);

/* The key is being used. */
void tiers_touch(struct tiers *t, struct slice key);
/* How often it was, since the process began; 255: as often or more often. */
unsigned tiers_accesses(const struct tiers *t, struct slice key);

/* How important it is, in hundredths: what the policy's setting names in it, else 50. */
int tiers_importance(const struct policy_conf *policy, const struct object *o);
enum record_level tiers_level(const struct policy_conf *policy, int64_t idle_ms);
/* The rules: whether a key of this importance, used so often, belongs in Redis however old it is; and whether it may leave at all. */
bool tiers_keeps(const struct policy_conf *policy, int importance, int64_t accesses);
bool tiers_lets_go(const struct policy_conf *policy, int importance, int64_t accesses);

void tiers_moved(struct tiers *t, const char *policy, enum record_level from, enum record_level to, uint64_t keys);
/* A key of this tier was asked for, and given to Redis after so long. */
void tiers_read(struct tiers *t, enum record_level from, int64_t took_us);
/* A sweep has come to its end: it has seen so many keys in Redis. */
void tiers_swept(struct tiers *t, const char *policy, int64_t working, int64_t now_us);
/* When the policy was swept last, wall; 0: never. */
int64_t tiers_last(struct tiers *t, const char *policy);

struct tiers_count {
    char policy[64];
    uint64_t moves[TIERS_LEVELS][TIERS_LEVELS]; /* [from][to] */
    int64_t working;                            /* keys in Redis at the last sweep; -1: there was none */
    int64_t swept_us;                           /* when that was, wall; 0: never */
};
size_t tiers_counts(struct tiers *t, struct tiers_count *ret, size_t cap);
void tiers_reads(struct tiers *t, enum record_level level, struct hist_sum *ret);

#endif
