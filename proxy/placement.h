/* proxy/placement — which store answers for each policy now.
 *
 *   primary: mongo                                   → the archive
 *   primary: redis, and Redis has acted before       → Redis, also while it is down
 *   primary: redis, and the archive has acted before → the archive, until the primary is set anew
 *   primary: redis, and nobody has acted yet         → Redis if something answers there, otherwise the archive
 *
 * So a proxy without Redis does its work, and data that one store has taken is never hidden by the other one's coming.
 * Owns:       what has acted, remembered in the archive's control document "placement"; a handle on the archive.
 * Invariants: a live change of a policy's primary wins over what was remembered, and is remembered.
 * Threads:    start, stop, redis [main]; the archive is asked on libuv's pool; settings, is_archive, copy: any. Loops get copies
 *             by loop_post. */
#ifndef PROXY_PLACEMENT_H
#define PROXY_PLACEMENT_H

#include "config/settings.h"
#include "executor/executor.h"
#include "proxy/stats.h"
#include "resp/build.h"
#include "router/command.h"
#include "router/place.h"

#include <uv.h>

struct loop;
struct server;
struct placement;

/* What a loop knows: by position in settings.policies. */
struct acting {
    bool any;     /* some policy is not simply Redis': its phase is another than PHASE_REDIS */
    bool whole;   /* a policy "*", and all before it: every key is the archive's */
    bool guarded; /* some policy may change stores: connections to Redis are checked, and writes have ids */
    uint8_t phase[STATS_POLICIES];   /* enum phase */
    bool archive[STATS_POLICIES];    /* phase ARCHIVE */
    bool keeps_id[STATS_POLICIES];   /* writes on Redis tell their session and seq (cvp:sess) */
    bool marked[STATS_POLICIES];     /* and raise the version, leave a mark, and are copied: dual writes */
    uint8_t op_role[STATS_POLICIES]; /* enum op_role of writes on the archive */
    int64_t epoch;
    char run_id[48]; /* the Redis that may be written in this epoch; "": any */
};

/* Where a command's keys live; bits. */
enum home { HOME_NONE = 0, HOME_REDIS = 1, HOME_ARCHIVE = 2, HOME_BOTH = 3 };

struct placement *placement_start(struct server *s, uv_loop_t *main_loop, struct executor *e);
void placement_stop(struct placement *own_p); /* before the executor ends; its pool work is waited for */
void placement_settings(struct placement *p, const struct settings *now);
/* The operator's word: this store answers for the policy from now on, unless its primary is the archive and archive is false. */
void placement_choose(struct placement *p, const char *policy, bool archive);
/* What the probe has found, also for the first time. there: something has answered at its address, perhaps with a refusal. */
void placement_redis(struct placement *p, bool up, bool there);
/* Whether the archive answers for the policy at this position. Any thread. */
bool placement_is_archive(const struct placement *p, size_t policy);
/* What loops are told, for policies in the order of settings; p NULL: there is no archive. */
void placement_copy(const struct placement *p, const struct settings *settings, struct acting *ret);

/* [loop] For the loop's copy (post it; arg is malloc'ed and taken). */
void placement_apply(struct loop *l, void *own_acting);
/* [loop] Where the keys of a command live now. */
enum home placement_home(const struct loop *l, const struct command *cmd, const struct slice *argv,
                         size_t argc);

#endif
