#include "proxy/loan.h"

#include "executor/blocking.h"
#include "proxy/dispatch.h"
#include "proxy/slot.h"
#include "resp/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The request, for the case that it is called back. */
struct lent_wait {
    const struct command *cmd;
    int64_t until_us;
    bool wanted, recalled; /* it is to be called back; CLIENT UNBLOCK is on its way */
    size_t argc;
    struct slice *argv; /* into bytes */
    char bytes[];
};

void loan_count(struct loop *l)
{
    atomic_store_explicit(&l->stats->upstream_pinned, pool_lent(&l->pool), memory_order_relaxed);
}

bool loan_take(struct session *s, enum loan_use use)
{
    struct loop *l = s->loop;

    if (s->pinned == NULL) {
        s->pinned = pool_borrow(&l->pool, s->db, s->resp);
        if (s->pinned == NULL) {
            build_error(slot_answer(s), "ERR too many clients wait, watch or track at once (setting redis.pinned_max)");
            slot_answered(s);
            return false;
        }
        s->pinned_generation = 0;
        s->pinned_id = 0;
        loan_count(l);
    }
    s->pinned_for |= (uint8_t)use;
    return true;
}

void loan_end(struct session *s, enum loan_use use)
{
    if (s->pinned == NULL)
        return;
    s->pinned_for &= (uint8_t)~use;
    if (s->pinned_for != 0)
        return;
    pool_return(&s->loop->pool, s->pinned);
    s->pinned = NULL;
    loan_count(s->loop);
}

bool loan_is_lost(const struct session *s)
{
    return upstream_state(s->pinned) != UP_READY || upstream_generation(s->pinned) != s->pinned_generation;
}

/* ---- commands that wait ---- */

static struct lent_wait *keep(const struct job *job)
{
    size_t bytes = 0, at = 0;

    for (size_t i = 0; i < job->argc; i++)
        bytes += job->argv[i].len;
    struct lent_wait *w = malloc(sizeof *w + bytes);
    struct slice *argv = malloc(job->argc * sizeof *argv);
    if (w == NULL || argv == NULL)
        abort();
    *w = (struct lent_wait){.cmd = job->cmd, .argc = job->argc, .argv = argv};
    w->until_us = blocking_end(job->cmd, job->argv, job->argc);
    for (size_t i = 0; i < job->argc; i++) {
        argv[i] = (struct slice){memcpy(w->bytes + at, job->argv[i].p, job->argv[i].len), job->argv[i].len};
        at += job->argv[i].len;
    }
    return w;
}

static void wait_free(struct lent_wait *own_w)
{
    if (own_w != NULL)
        free(own_w->argv);
    free(own_w);
}

/* Which client of Redis the connection is: CLIENT UNBLOCK names it. */
static bool id_over(struct slot *slot)
{
    struct session *s = slot->session;
    struct slice reply = chain_flat(&slot->reply);

    if (s == NULL)
        return false;
    if (reply.len > 3 && reply.p[0] == ':')
        frame_number(reply.p + 1, reply.len - 3, &s->pinned_id);
    s->pinned_id_on = s->pinned != NULL ? upstream_generation(s->pinned) : 0;
    slot_take_back(slot);
    if (s->lent_wait != NULL && s->lent_wait->wanted)
        loan_recall(s);
    return true;
}

static void ask_id(struct session *s, const struct job *job)
{
    struct slot *slot = slot_new(s, SLOT_COLLECT, NULL, job->argv, job->argc);

    s->pinned_id = 0; /* it may be another connection than the last time */
    slot->then = id_over;
    build_command(upstream_out(s->pinned), "CLIENT", "ID", NULL);
    slot_send(slot, s->pinned, 1, false);
}

static bool is_nothing(struct slice reply)
{
    return slice_is(reply, "*-1\r\n") || slice_is(reply, "$-1\r\n") || slice_is(reply, "_\r\n");
}

/* It found nothing before it was called back. */
static void take_back(struct slot *slot, const struct lent_wait *w)
{
    struct session *s = slot->session;
    struct chain request;

    chain_init(&request, &s->loop->turn.chunks);
    if (!s->ending) {
        blocking_again(w->cmd, w->argv, w->argc, w->until_us, turn_now(&s->loop->turn), &request);
        session_unread(s, chain_flat(&request));
    }
    chain_clear(&request);
    slot_take_back(slot);
    session_touch(s);
}

static bool wait_over(struct slot *slot)
{
    struct session *s = slot->session;

    if (s == NULL)
        return false;
    struct lent_wait *w = s->lent_wait;
    bool back = w->recalled && is_nothing(chain_flat(&slot->reply));
    s->lent_wait = NULL;
    session_block(s, NULL);
    loan_end(s, LOAN_WAIT);
    if (back)
        take_back(slot, w);
    wait_free(w);
    return back;
}

static void send_wait(struct session *s, const struct job *job)
{
    struct upstream *u = s->pinned;

    ask_id(s, job);
    struct slot *slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    s->lent_wait = keep(job);
    int64_t until = s->lent_wait->until_us, now = s->loop->turn.now_us;
    /* What is no time to us is Redis' to refuse, or to wait for. */
    slot->up.wait_us = until == 0 || until == INT64_MAX ? INT64_MAX : until > now ? until - now : 0;
    slot->then = wait_over;
    managed_put_raw(upstream_out(u), job);
    slot_send(slot, u, 1, true);
    session_block(s, slot);
    session_pause(s, PAUSE_ORDER);
}

bool loan_wait(struct session *s, const struct job *job)
{
    if (s->in_flight > 0 && s->current != s->pinned) {
        session_pause(s, PAUSE_ORDER);
        return false;
    }
    if (!loan_take(s, LOAN_WAIT))
        return true;
    enum admission a = dispatch_admit(s, s->pinned, job);
    if (a == ADMIT_NOW)
        send_wait(s, job);
    else
        loan_end(s, LOAN_WAIT);
    return a != ADMIT_LATER;
}

/* ---- ends ---- */

bool loan_waits(const struct session *s)
{
    return s->lent_wait != NULL && s->pinned_id != 0; /* that was answered from right before it */
}

static bool unblock(struct session *s, const char *how)
{
    if (s->loop->topology != NULL)
        pool_aim_as(&s->loop->pool, s->pinned);
    struct upstream *u = pool_shared(&s->loop->pool, LANE_FAST, 0, RESP2, s->id);
    bool known = s->pinned_id != 0 && s->pinned_id_on == upstream_generation(s->pinned);
    const char *detail;
    char id[24];

    if (!known || upstream_ready(u, &detail) != ERR_NONE)
        return false;
    snprintf(id, sizeof id, "%" PRId64, s->pinned_id);
    build_command(upstream_out(u), "CLIENT", "UNBLOCK", id, how, NULL);
    slot_send_unheard(s->loop, u);
    return true;
}

void loan_recall(struct session *s)
{
    struct lent_wait *w = s->lent_wait;

    if (w == NULL || w->recalled)
        return;
    w->wanted = true;
    w->recalled = unblock(s, "TIMEOUT");
}

bool loan_unblock(struct session *s, bool with_error)
{
    return s->lent_wait != NULL && !s->lent_wait->recalled && unblock(s, with_error ? "ERROR" : "TIMEOUT");
}

void loan_drop(struct session *s)
{
    if (s->lent_wait != NULL)
        upstream_break(s->pinned);
    wait_free(s->lent_wait);
    s->lent_wait = NULL;
    loan_end(s, LOAN_WATCH | LOAN_WAIT | LOAN_TRACKING);
}
