/* proxy/acting — what a loop knows of who acts: its copy of the placement's decision, and what follows from it for a request.
 * Threads: [loop] only. */
#ifndef PROXY_ACTING_H
#define PROXY_ACTING_H

#include "config/settings.h"
#include "proxy/stats.h"
#include "router/command.h"
#include "router/place.h"

struct loop;

/* What a loop knows: by position in settings.policies. */
struct acting {
    uint64_t serial; /* grows; see placement_quiet */
    bool any;        /* some policy is not simply Redis': its phase is another than PHASE_REDIS */
    bool whole;      /* a policy "*", and all before it: every key is the archive's */
    bool guarded; /* some policy may change stores: connections to Redis are checked, and writes have ids */
    uint8_t phase[STATS_POLICIES]; /* enum phase */
    bool lost[STATS_POLICIES];     /* phase HOLD because Redis is lost: nothing is waited for there */
    bool escapes[STATS_POLICIES];  /* when Redis is lost another store takes over: wait instead of failing */
    bool keeps_id[STATS_POLICIES]; /* writes on Redis tell their session and seq (cvp:sess) */
    bool marked[STATS_POLICIES];   /* and raise the version, leave a mark, and are copied: dual writes */
    uint8_t op_role[STATS_POLICIES]; /* enum op_role of writes on the archive */
    int64_t epoch;
    char run_id[48]; /* the Redis that may be written in this epoch; "": any */
    char proxy[16];  /* this process, in the names of its sessions */
};

/* Where a command's keys live; bits. */
enum home { HOME_NONE = 0, HOME_REDIS = 1, HOME_ARCHIVE = 2, HOME_BOTH = 3 };

/* Takes the loop's new copy (post it; arg is malloc'ed and taken). */
void acting_apply(struct loop *l, void *own_acting);
/* The same from what placement knows at this moment: the policies stand in another order, perhaps. */
void acting_refresh(struct loop *l);
/* Nothing was told yet: everything waits. */
void acting_wait(struct acting *a);
/* Where the keys of a command live now. */
enum home acting_home(const struct loop *l, const struct command *cmd, const struct slice *argv, size_t argc);
/* Where the policy is; NULL: no policy, which is simply Redis'. */
enum phase acting_phase(const struct acting *a, const struct policy_conf *policy);
/* Whether the archive acts for it. */
bool acting_is_archive(const struct acting *a, const struct policy_conf *policy);

#endif
