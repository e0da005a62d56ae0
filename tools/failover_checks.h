/* tools/failover_checks — what is looked at before the stores change places, and a failover or failback as it goes.
 * Owns:       the state that was last seen.
 * Invariants: checks change nothing.
 * Threads:    one.          Used by: tools/failover. */
#ifndef TOOLS_FAILOVER_CHECKS_H
#define TOOLS_FAILOVER_CHECKS_H

#include "tools/ctl.h"
#include "tools/screen.h"

struct procedure {
    const struct options *options;
    bool to_archive;
    const char *policy;
    double watch_s;
    bool dual_write_off, dry_run, force;
    cJSON *state;         /* /api/v1/state, as last seen */
    const cJSON *item;    /* of the policy, in it */
    bool acts_already;    /* the store that is wanted answers, */
    bool wanted_already;  /* and the setting says so, too */
    bool over;            /* there is nothing more to do */
    bool copied_before;   /* dual writes were on, or are not switched on */
    double errors_before; /* writes that were not stored, before the first step */
    int code;             /* of a look that failed */
};

/* Asks the proxy how all is. False after a message: code. */
bool procedure_look(struct procedure *p);
void procedure_done(struct procedure *p);
/* Says what each check has found. True: one of them says stop. */
bool failover_checks(struct procedure *p, void (*say)(const struct procedure *p, const char *step, const char *text));

#endif
