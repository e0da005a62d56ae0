#include "proxy/replicated.h"

#include "base/clock.h"
#include "proxy/dispatch.h"
#include "proxy/gather.h"
#include "proxy/internal.h"
#include "resp/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define ROUND_MS 500

/* What the client has asked for. */
struct wish {
    int64_t replicas;
    int64_t until_us; /* mono; INT64_MAX: for ever */
};

static int64_t left_ms(const struct wish *w, int64_t now_us)
{
    if (w->until_us == INT64_MAX)
        return INT64_MAX;
    return w->until_us > now_us ? (w->until_us - now_us + 999) / 1000 : 0;
}

/* ---- replies ---- */

static bool read_int(struct slice reply, int64_t *ret)
{
    return reply.len > 3 && reply.p[0] == ':' && frame_number(reply.p + 1, reply.len - 3, ret);
}

static void finish(struct gather *g, struct chain *out)
{
    int64_t least = INT64_MAX, n;

    for (size_t i = 0; i < g->n; i++) {
        if (!read_int(g->replies[i], &n)) {
            build_err(out, ERR_UPSTREAM_PROTOCOL, NULL);
            return;
        }
        least = n < least ? n : least;
    }
    build_int(out, least);
}

static void ask_again(struct slot *slot, const struct wish *w, int64_t left)
{
    struct session *s = slot->session;
    struct chain request;
    char replicas[24], ms[24];

    snprintf(replicas, sizeof replicas, "%" PRId64, w->replicas);
    snprintf(ms, sizeof ms, "%" PRId64, left == INT64_MAX ? 0 : left);
    chain_init(&request, &s->loop->turn.chunks);
    build_command(&request, "WAIT", replicas, ms, NULL);
    session_unread(s, chain_flat(&request));
    chain_clear(&request);
    slot_take_back(slot);
    session_touch(s);
}

/* slot->then of the client's: all masters have answered. */
static bool round_over(struct slot *slot)
{
    struct wish wish = *(struct wish *)slot->ctx;
    int64_t have, left = left_ms(&wish, turn_now(&slot->loop->turn));
    bool again = slot->session != NULL && !slot->session->ending && left > 0 && read_int(chain_flat(&slot->reply), &have) &&
                 have < wish.replicas;

    free(slot->ctx);
    slot->ctx = NULL;
    if (again)
        ask_again(slot, &wish, left);
    return again;
}

/* slot->then of a part. */
static bool give_back(struct slot *slot)
{
    pool_return(&slot->loop->pool, slot->ctx);
    return false;
}

/* ---- asking ---- */

static void give_all_back(struct session *s, struct upstream **lent, size_t n)
{
    for (size_t i = 0; i < n; i++)
        pool_return(&s->loop->pool, lent[i]);
}

/* One connection to each master; or the client was told why not. */
static bool borrow(struct session *s, struct upstream **lent, size_t n)
{
    const char *detail = "";
    enum err e = ERR_NONE;
    size_t have = 0;

    while (have < n && e == ERR_NONE) {
        pool_aim_master(&s->loop->pool, have);
        lent[have] = pool_borrow(&s->loop->pool, s->db, s->resp);
        if (lent[have] == NULL)
            break;
        e = upstream_ready(lent[have++], &detail);
    }
    if (have == n && e == ERR_NONE)
        return true;
    give_all_back(s, lent, have);
    if (e != ERR_NONE)
        build_err(slot_answer(s), e, detail);
    else
        build_error(slot_answer(s), "ERR too many clients wait, watch or track at once (setting redis.pinned_max)");
    slot_answered(s);
    return false;
}

static void ask_one(struct gather *g, struct session *s, size_t i, struct upstream *u, const struct wish *wish)
{
    struct slot *part = slot_new_part(s->loop, NULL, 0);
    int64_t left = left_ms(wish, s->loop->turn.now_us), ms = left < ROUND_MS ? left : ROUND_MS;
    char replicas[24], text[24];

    build_command(upstream_out(u), "PING", NULL);
    slot_send_unheard(s->loop, u);
    snprintf(replicas, sizeof replicas, "%" PRId64, wish->replicas);
    snprintf(text, sizeof text, "%" PRId64, ms > 0 ? ms : 1);
    build_command(upstream_out(u), "WAIT", replicas, text, NULL);
    part->gather = g;
    part->gather_part = (uint32_t)i;
    part->then = give_back;
    part->ctx = u;
    part->up.wait_us = ms * 1000;
    upstream_queue(u, &part->up, 1, true);
}

static void ask_all(struct session *s, const struct job *job, struct upstream **lent, const struct wish *wish)
{
    size_t n = s->loop->topology->count;
    struct gather *g = gather_new(s, job, n, finish);
    struct wish *kept = malloc(sizeof *kept);

    if (kept == NULL)
        abort();
    *kept = *wish;
    g->slot->then = round_over;
    g->slot->ctx = kept;
    session_pause(s, PAUSE_ORDER);
    for (size_t i = 0; i < n; i++)
        ask_one(g, s, i, lent[i], wish);
}

bool replicated_takes(struct session *s, const struct job *job, bool *ret_taken)
{
    struct wish wish;
    int64_t ms;

    if (!frame_number(job->argv[1].p, job->argv[1].len, &wish.replicas) ||
        !frame_number(job->argv[2].p, job->argv[2].len, &ms) || ms < 0 || ms > INT64_MAX / 2000000)
        return false;
    *ret_taken = s->in_flight == 0;
    if (s->in_flight > 0) {
        session_pause(s, PAUSE_ORDER);
        return true;
    }
    wish.until_us = ms == 0 ? INT64_MAX : s->loop->turn.now_us + ms * 1000;
    struct upstream **lent = malloc((s->loop->topology->count + 1) * sizeof(struct upstream *));
    if (lent == NULL)
        abort();
    if (borrow(s, lent, s->loop->topology->count))
        ask_all(s, job, lent, &wish);
    free(lent);
    return true;
}
