/* The replies of a connection: which request each belongs to, and what becomes of those that say "elsewhere". */
#include "backends/redis/internal.h"

static void forget_resend(struct upstream_request *r)
{
    resend_free(r->resend);
    r->resend = NULL;
}

void upstream_fail(struct upstream_env *env, struct upstream_request *r, enum err e, const char *detail)
{
    forget_resend(r);
    env->ops->on_failed(r, e, detail);
}

static void pass(struct upstream *u, struct upstream_request *r, const char *p, size_t n, bool end)
{
    if (end && --r->replies == 0) {
        queue_pop(&u->sent);
        u->answered = true;
        if (r->resend != NULL)
            forget_resend(r);
    }
    u->env->ops->on_reply(r, p, n, end);
}

/* What a block was answered before EXEC. */
static void pass_early(struct upstream *u, struct upstream_request *r)
{
    const char *p = r->resend->early;
    size_t left = r->resend->early_len;

    while (left > 0) {
        size_t n = frame_length(p, left);
        pass(u, r, p, n, true);
        p += n;
        left -= n;
    }
}

/* A transaction on a pinned connection: what it watches stays behind, so it ends as if that had changed. */
static void pass_nil(struct upstream *u, struct upstream_request *r)
{
    pass(u, r, "+OK\r\n", 5, true);
    while (r->replies > 1)
        pass(u, r, "+QUEUED\r\n", 9, true);
    pass(u, r, u->resp == RESP3 ? "_\r\n" : "*-1\r\n", u->resp == RESP3 ? 3 : 5, true);
}

static void redirect(struct upstream *u, struct upstream_request *r)
{
    struct redirect to = r->resend->to;

    if (u->lane == LANE_PINNED && r->resend->block) {
        u->env->on_redirect(u->env, u, NULL, &to);
        pass_nil(u, r);
        return;
    }
    queue_pop(&u->sent);
    u->answered = true;
    if (to.kind == REDIRECT_LATER || resend_again(r->resend))
        u->env->on_redirect(u->env, u, r, &to);
    else
        upstream_fail(u->env, r, ERR_RESHARD, "it was sent to several nodes");
}

/* It may be sent later, and there is time for that. */
static bool may_wait(const struct upstream *u, const struct upstream_request *r)
{
    return u->lane != LANE_PINNED && u->env->ops->may_wait != NULL && u->env->ops->may_wait(r) &&
           turn_now(u->env->turn) + resend_pause_us(r->resend) < r->deadline_us;
}

/* At a node: the reply may say that the request belongs elsewhere, or to a later time. */
static void deliver_kept(struct upstream *u, struct upstream_request *r, const char *p, size_t n, bool end)
{
    if (end && p[0] == '-')
        r->resend->patient = may_wait(u, r);
    if (u->master != NULL && end && !r->resend->asks && !r->resend->begun && redirect_is_unfit(p, n)) {
        r->resend->to = (struct redirect){.kind = REDIRECT_MASTER};
        redirect(u, r);
        return;
    }
    switch (resend_take(r->resend, p, n, end)) {
    case RESEND_KEEP:
        break;
    case RESEND_AGAIN:
        redirect(u, r);
        break;
    case RESEND_REPLAY:
        pass_early(u, r);
        pass(u, r, p, n, end);
        break;
    case RESEND_PASS:
        pass(u, r, p, n, end);
        break;
    }
}

/* Bytes of a reply for the oldest request. False: nobody asked for it. */
static bool deliver_reply(struct upstream *u, const char *p, size_t n, bool end)
{
    struct upstream_request *r = u->sent.head;
    if (r == NULL)
        return false;
    if (r->resend != NULL)
        deliver_kept(u, r, p, n, end);
    else
        pass(u, r, p, n, end);
    return true;
}

/* Bytes of a push, which is shown when it is whole. False: it stands for a reply that nobody asked for. */
static bool deliver_push(struct upstream *u, const char *p, size_t n, bool end)
{
    bool ok = true;

    if (u->env->ops->on_push == NULL)
        return true;
    if (!end || u->push.len > 0) {
        chain_put(&u->push, p, n);
        if (!end)
            return true;
        struct slice whole = chain_flat(&u->push);
        p = whole.p;
        n = whole.len;
    }
    if (u->env->ops->on_push(u, p, n))
        ok = deliver_reply(u, p, n, true);
    chain_clear(&u->push);
    return ok;
}

/* Hands n bytes of a frame to whom they belong. False: nobody asked for it. */
static bool deliver(struct upstream *u, const char *p, size_t n, bool end)
{
    if (!u->in_reply) {
        u->in_push = p[0] == '>';
        u->in_reply = true;
    }
    if (end)
        u->in_reply = false;
    return u->in_push ? deliver_push(u, p, n, end) : deliver_reply(u, p, n, end);
}

ssize_t upstream_take_replies(struct upstream *u, const char *p, size_t n)
{
    size_t at = 0;
    while (at < n) {
        size_t used;
        enum frame_status status = frame_scan(&u->frame, p + at, n - at, &used);
        if (status == FRAME_BAD) {
            upstream_lose(u, ERR_UPSTREAM_PROTOCOL, "malformed reply");
            return -1;
        }
        if (used > 0 && !deliver(u, p + at, used, status == FRAME_DONE)) {
            upstream_lose(u, ERR_UPSTREAM_PROTOCOL, "unexpected reply");
            return -1;
        }
        at += used;
        if (status == FRAME_MORE)
            break;
    }
    return (ssize_t)at;
}
