#include "proxy/waiting.h"

#include "proxy/archived.h"
#include "proxy/dispatch.h"
#include "proxy/hold.h"
#include "proxy/loan.h"
#include "proxy/parked.h"
#include "proxy/tracking.h"

#include <string.h>

/* It stands before STREAMS. */
bool waiting_is_asked(const struct job *job)
{
    if ((job->cmd->flags & CMD_BLOCKING) == 0 || strncmp(job->cmd->name, "xread", 5) != 0)
        return false;
    for (size_t i = 1; i < job->argc && !slice_is(job->argv[i], "STREAMS"); i++)
        if (slice_is(job->argv[i], "BLOCK"))
            return true;
    return false;
}

static bool refuse_plan(struct session *s, const struct plan *plan, const struct job *job)
{
    build_err(slot_answer(s), plan->error, job->cmd->name);
    slot_answered(s);
    return true;
}

/* While nobody acts for the keys it is not known who will. */
bool waiting_command(struct session *s, const struct job *job)
{
    if (parked_stays(s))
        return false;
    enum gate gate = hold_gate(s, job->cmd, job->argv, job->argc);
    if (gate == GATE_REFUSED)
        parked_forget(s);
    if (gate != GATE_GO)
        return gate == GATE_REFUSED;
    if ((dispatch_home(s->loop, job) & HOME_ARCHIVE) != 0)
        return dispatch_forward(s, job);
    const struct plan *plan = managed_plan(s->loop, job, s->resp, true);
    if (plan->kind == PLAN_REFUSED)
        return refuse_plan(s, plan, job);
    return plan->policy == NULL ? loan_wait(s, job) : parked_command(s, job);
}

void waiting_recall(struct session *s)
{
    parked_recall(s);
    if (s->blocked == NULL)
        return;
    archived_recall(s);
    loan_recall(s);
}

bool waiting_unblock(struct session *s, bool with_error)
{
    if (s->parked != NULL)
        return parked_unblock(s, with_error);
    return s->blocked != NULL && (archived_unblock(s, with_error) || loan_unblock(s, with_error));
}

bool waiting_is(const struct session *s)
{
    return parked_waits(s) || (s->blocked != NULL && (s->lent_wait == NULL || loan_waits(s)));
}

void waiting_drop(struct session *s)
{
    parked_forget(s);
    tracking_drop(s);
    loan_drop(s);
}
