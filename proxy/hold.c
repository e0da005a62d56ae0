#include "proxy/hold.h"

#include "base/log.h"
#include "proxy/archived.h"
#include "proxy/block.h"
#include "proxy/copies.h"
#include "proxy/dispatch.h"
#include "proxy/fence.h"
#include "proxy/handed.h"
#include "proxy/loan.h"
#include "proxy/outcome.h"
#include "proxy/owed.h"
#include "proxy/parked.h"
#include "proxy/placement.h"
#include "proxy/server.h"
#include "proxy/slot.h"
#include "proxy/tracing.h"
#include "proxy/tracking.h"
#include "router/keys.h"
#include "sync/sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MAX 64 /* keys of one request that are asked for at once */

void hold_init(struct loop *l)
{
    l->hold.kept_tail = &l->hold.kept;
    l->hold.handed = handed_new();
}

void hold_done(struct loop *l)
{
    fence_drop(l);
    handed_free(l->hold.handed);
    l->hold.handed = NULL;
}

/* ---- what is under way ---- */

static void tell_quiet(struct loop *l)
{
    struct hold *h = &l->hold;

    if (h->turn_owed && h->out[1 - h->now] == 0) {
        h->now = 1 - h->now;
        h->flips++;
        h->turn_owed = false;
    }
    if (h->fences != NULL)
        fence_look(l);
    if (!h->owes_quiet || h->turn_owed || h->out[1 - h->now] > 0 || (h->kept != NULL && !h->losing))
        return;
    h->owes_quiet = false;
    archived_flush(l); /* copies of what is over are the executor's before */
    placement_quiet(server_placement(l->server), l->index, h->quiet_for);
}

void hold_count(struct slot *slot)
{
    if (slot->counted)
        return;
    slot->counted = true;
    slot->turn = (uint8_t)slot->loop->hold.now;
    slot->loop->hold.out[slot->turn]++;
}

void hold_uncount(struct slot *slot)
{
    if (!slot->counted)
        return;
    slot->counted = false;
    slot->loop->hold.out[slot->turn]--;
    tell_quiet(slot->loop);
}

void hold_turn(struct loop *l)
{
    l->hold.turn_owed = true;
    tell_quiet(l);
}

unsigned hold_enter(struct loop *l)
{
    l->hold.out[l->hold.now]++;
    return l->hold.now;
}

void hold_leave(struct loop *l, unsigned turn)
{
    l->hold.out[turn]--;
    tell_quiet(l);
}

/* ---- the gate ---- */

static void put_held(const struct loop *l, char *text, size_t cap)
{
    struct executor_report archive = {.why = ""};
    int n = snprintf(text, cap, "waited %lld ms", (long long)l->settings->failover_hold);

    if (l->executor != NULL && !executor_up(l->executor))
        executor_report(l->executor, &archive);
    else if (l->executor != NULL)
        placement_trouble(server_placement(l->server), archive.why, sizeof archive.why);
    if (archive.why[0] != '\0')
        snprintf(text + n, cap - (size_t)n, "; archive: %s", archive.why);
}

static enum gate wait(struct session *s, int64_t since_us)
{
    struct loop *l = s->loop;
    char text[256];

    if (s->held_since_us == 0)
        s->held_since_us = since_us;
    if (l->turn.now_us - s->held_since_us < l->settings->failover_hold * 1000) {
        session_pause(s, PAUSE_HOLD);
        return GATE_WAIT;
    }
    put_held(l, text, sizeof text);
    build_err(slot_answer(s), ERR_HELD, text);
    slot_answered(s);
    return GATE_REFUSED;
}

/* Keys of a request that stand in its way. */
struct gating {
    struct session *session;
    const struct slice *argv;
    bool leased, tiered, waits, bad, keyless;
    int64_t since_us; /* the first of those that it waits for has been on HOLD since then */
    unsigned home;
    const struct policy_conf *policy; /* of the first managed key */
    struct slice asked[ASK_MAX];
    size_t nasked;
};

static void see_catchup(struct gating *g, struct slice key)
{
    struct handed *handed = g->session->loop->hold.handed;
    struct keyid id = handed_id(handed, key);

    switch (handed_get(handed, id)) {
    case HANDED_YES:
        return;
    case HANDED_BAD:
        g->bad = true;
        return;
    case HANDED_UNKNOWN:
    case HANDED_NO:
        if (g->nasked < ASK_MAX) {
            handed_set(handed, id, HANDED_ASKED);
            g->asked[g->nasked++] = key;
        }
        break;
    case HANDED_ASKED:
        break;
    }
    g->waits = true;
}

/* A key that was demoted comes back before it is used. Until the archive was looked through any key of a policy with tiers may be one. */
static void see_tier(struct gating *g, const struct policy_conf *policy, struct slice key)
{
    struct loop *l = g->session->loop;
    struct sync *sync = server_sync(l->server);

    if (acting_phase(&l->acting, policy) != PHASE_REDIS || !g->leased)
        return;
    if (!warm_known(sync_warm(sync)) && policy != NULL && policy->tiers) {
        see_catchup(g, key);
    } else if (!warm_is_home(sync_warm(sync), key)) {
        struct keyid id = handed_id(l->hold.handed, key);
        if (handed_get(l->hold.handed, id) == HANDED_YES) /* of an earlier time */
            handed_set(l->hold.handed, id, HANDED_NO);
        see_catchup(g, key);
    } else if (policy != NULL && policy->tiers) {
        uses_touch(sync_uses(sync), key);
    }
}

/* Who comes when others have waited for failover.hold is refused at once. */
static void see_hold(struct gating *g, int64_t since_us)
{
    g->waits = true;
    if (since_us != 0 && since_us < g->since_us)
        g->since_us = since_us;
}

static bool see_key(void *ctx, struct key_ref ref)
{
    struct gating *g = ctx;
    const struct loop *l = g->session->loop;
    const struct policy_conf *policy = policy_find(l->policies, g->argv[ref.arg]);

    g->home |= acting_is_archive(&l->acting, policy) ? HOME_ARCHIVE : HOME_REDIS;
    if (g->tiered)
        see_tier(g, policy, g->argv[ref.arg]);
    if (policy == NULL || policy->index >= STATS_POLICIES)
        return true;
    g->policy = g->policy != NULL ? g->policy : policy;
    if (l->acting.phase[policy->index] == PHASE_HOLD || !g->leased)
        see_hold(g, l->hold.since_us[policy->index]);
    else if (l->acting.phase[policy->index] == PHASE_CATCHUP)
        see_catchup(g, g->argv[ref.arg]);
    return true;
}

/* What sync was asked for, until it answers. */
struct handing {
    struct server *server;
    unsigned loop;
    int64_t epoch;
    enum err result;
    size_t n;
    struct keyid ids[];
};

static void resume_all(struct loop *l)
{
    for (struct session *s = l->sessions; s != NULL; s = s->next)
        if ((s->pauses & PAUSE_HOLD) != 0 && s->kept_slots == 0)
            session_resume(s, PAUSE_HOLD);
}

static void take_handing(struct loop *l, void *own_handing)
{
    struct handing *h = own_handing;
    enum handed_state state = h->result == ERR_NONE         ? HANDED_YES
                              : h->result == ERR_ARCHIVEBAD ? HANDED_BAD
                                                            : HANDED_NO;

    if (!l->closed && h->epoch == l->acting.epoch) {
        for (size_t i = 0; i < h->n; i++)
            handed_set(l->hold.handed, h->ids[i], state);
        resume_all(l);
    }
    free(h);
}

static void on_handed(void *ctx, enum err e)
{
    struct handing *h = ctx;

    h->result = e;
    if (!loop_try_post(server_loop(h->server, h->loop), take_handing, h))
        free(h);
}

static void ask(struct gating *g)
{
    struct loop *l = g->session->loop;
    struct handing *h = malloc(sizeof *h + g->nasked * sizeof h->ids[0]);

    if (h == NULL)
        abort();
    *h = (struct handing){.server = l->server, .loop = l->index, .epoch = l->acting.epoch, .n = g->nasked};
    for (size_t i = 0; i < g->nasked; i++)
        h->ids[i] = handed_id(l->hold.handed, g->asked[i]);
    sync_handoff(server_sync(l->server), l->acting.epoch, g->asked, g->nasked, on_handed, h);
}

static enum gate judge(struct gating *g)
{
    struct session *s = g->session;

    if (g->nasked > 0)
        ask(g);
    if (g->bad) {
        build_err(slot_answer(s), ERR_ARCHIVEBAD, "the key could not be handed to Redis");
        slot_answered(s);
        return GATE_REFUSED;
    }
    if (g->keyless) {
        build_error(slot_answer(s), TRACING_REFUSAL);
        slot_answered(s);
        return GATE_REFUSED;
    }
    return g->waits ? wait(s, g->since_us) : GATE_GO;
}

static bool is_leased(const struct loop *l)
{
    return placement_is_leased(server_placement(l->server));
}

bool hold_tiers(const struct loop *l)
{
    struct sync *sync = server_sync(l->server);
    return sync != NULL && warm_active(sync_warm(sync));
}

bool hold_is_calm(const struct loop *l)
{
    return !l->acting.any && !hold_tiers(l) && is_leased(l);
}

enum gate hold_gate(struct session *s, const struct command *cmd, const struct slice *argv, size_t argc)
{
    bool leased = is_leased(s->loop);

    bool tiered = hold_tiers(s->loop);

    if ((!s->loop->acting.any && leased && !tiered) || cmd == NULL || s->db != 0)
        return GATE_GO;
    struct gating g = {.session = s, .argv = argv, .leased = leased, .tiered = tiered, .since_us = s->loop->turn.now_us};
    keys_each(cmd, argv, argc, see_key, &g);
    return judge(&g);
}

enum gate hold_gate_all(struct session *s, struct slice requests, unsigned *ret_home,
                        const struct policy_conf **ret_policy)
{
    struct gating g = {.session = s, .leased = is_leased(s->loop), .tiered = hold_tiers(s->loop) && s->db == 0, .since_us = s->loop->turn.now_us};
    struct slice raw;
    struct request r;

    request_init(&r);
    while (request_next(&r, &requests, &raw)) {
        struct job job = {.argv = r.argv, .argc = r.argc, .raw = raw};
        const struct command *cmd = dispatch_row(s->loop, &job);
        g.argv = r.argv;
        if (cmd != NULL)
            keys_each(cmd, r.argv, r.argc, see_key, &g);
        job.cmd = cmd;
        g.keyless |= tracing_refuses(s->loop, &job, s->db);
    }
    *ret_home = g.home;
    *ret_policy = g.policy;
    enum gate gate = s->db == 0 ? judge(&g) : GATE_GO;
    request_done(&r);
    return gate;
}

enum gate hold_gate_any(struct session *s)
{
    struct loop *l = s->loop;
    struct gating g = {.session = s, .since_us = l->turn.now_us};

    for (size_t i = 0; i < l->settings->policy_count && i < STATS_POLICIES; i++)
        if (l->acting.phase[i] == PHASE_HOLD)
            see_hold(&g, l->hold.since_us[i]);
    return judge(&g);
}

enum gate hold_gate_still(struct session *s)
{
    struct loop *l = s->loop;
    struct gating g = {.session = s, .since_us = l->turn.now_us};

    for (size_t i = 0; l->acting.any && i < l->settings->policy_count && i < STATS_POLICIES; i++)
        if (l->acting.phase[i] == PHASE_HOLD || l->acting.phase[i] == PHASE_CATCHUP)
            see_hold(&g, l->hold.since_us[i]);
    return judge(&g);
}

enum gate hold_for_redis(struct session *s, const struct policy_conf *policy)
{
    struct loop *l = s->loop;

    if (policy == NULL || policy->index >= STATS_POLICIES || s->db != 0 || !l->acting.escapes[policy->index])
        return GATE_GO;
    placement_suspect(server_placement(l->server));
    return wait(s, l->turn.now_us);
}

/* ---- kept requests ---- */

static size_t policy_of(const struct slot *slot)
{
    const struct loop *l = slot->loop;
    size_t i = 0;

    while (i < l->settings->policy_count && i < STATS_POLICIES && l->policy_ids[i] != slot->policy)
        i++;
    return i;
}

bool hold_keeps(struct slot *slot, enum err e, const char *detail)
{
    struct loop *l = slot->loop;
    struct session *s = slot->session;
    bool write = slot->copy != NULL, read = slot->retrieval && slot->preview_whole;
    size_t policy = policy_of(slot);

    if (!l->acting.guarded || l->closed || s == NULL || slot->partial || slot->whole != NULL ||
        slot->archived || slot->elsewhere || e == ERR_CANCELLED)
        return false;
    if ((!write && !read) || policy >= STATS_POLICIES || !l->acting.escapes[policy])
        return false;
    hold_uncount(slot);
    chain_clear(&slot->reply);
    slot->begun = slot->failed = false;
    slot->lost_as = e;
    snprintf(slot->lost_detail, sizeof slot->lost_detail, "%s", detail);
    slot->asked_next = NULL;
    *l->hold.kept_tail = slot;
    l->hold.kept_tail = &slot->asked_next;
    s->kept_slots++;
    session_pause(s, PAUSE_HOLD);
    if (write)
        placement_doubt(server_placement(l->server));
    else
        placement_suspect(server_placement(l->server));
    return true;
}

static void put_preview(const struct slot *slot, struct chain *out)
{
    size_t at = 0;

    build_array(out, slot->argc);
    for (uint32_t i = 0; i < slot->argc; i++) {
        size_t n = (unsigned char)slot->preview[at];
        build_bulk(out, slot->preview + at + 1, n);
        at += 1 + n;
    }
}

static struct op *op_of_read(struct slot *slot)
{
    struct chain request;

    chain_init(&request, &slot->loop->turn.chunks);
    put_preview(slot, &request);
    struct op *op = op_new(OP_ONE, (enum resp)slot->resp, chain_flat(&request));
    chain_clear(&request);
    return op;
}

/* The archive acts: a write goes there under its id, as what may have been done before. */
static void to_archive(struct slot *slot, size_t policy)
{
    struct loop *l = slot->loop;
    struct op *op = slot->copy != NULL ? slot->copy : op_of_read(slot);

    if (slot->copy != NULL) {
        archived_again(l, op);
        if (slot->block != NULL)
            block_turn_to_archive(slot->block);
    }
    slot->copy = NULL;
    slot->session->current = &archived_target;
    hold_count(slot);
    archived_send(slot, op);
}

/* Redis acts, after all: reads are asked again. */
static bool to_redis(struct slot *slot)
{
    struct session *s = slot->session;
    struct upstream *u = pool_shared(&slot->loop->pool, LANE_FAST, 0, (enum resp)slot->resp, s->id);
    const char *detail;

    if (slot->copy != NULL || upstream_ready(u, &detail) != ERR_NONE)
        return false;
    put_preview(slot, upstream_out(u));
    s->current = u;
    hold_count(slot);
    upstream_queue(u, &slot->up, 1, false);
    return true;
}

static void let_go(struct slot *slot)
{
    struct session *s = slot->session;

    if (s != NULL && --s->kept_slots == 0)
        session_resume(s, PAUSE_HOLD);
}

/* False: it stays. */
static bool settle(struct slot *slot)
{
    const struct acting *a = &slot->loop->acting;
    size_t policy = policy_of(slot);
    enum phase phase = policy < STATS_POLICIES ? (enum phase)a->phase[policy] : PHASE_REDIS;

    if (slot->session != NULL && phase == PHASE_HOLD)
        return false;
    if (slot->session != NULL && phase == PHASE_REDIS && slot->copy != NULL && a->escapes[policy])
        return false; /* its doubt will make Redis lost */
    let_go(slot);
    if (slot->session != NULL && phase == PHASE_ARCHIVE)
        to_archive(slot, policy);
    else if (slot->session == NULL || !to_redis(slot))
        slot_fail_now(slot, slot->lost_as, slot->lost_detail);
    return true;
}

static void settle_all(struct loop *l)
{
    struct slot *list = l->hold.kept;

    l->hold.kept = NULL;
    l->hold.kept_tail = &l->hold.kept;
    for (struct slot *slot = list, *next; slot != NULL; slot = next) {
        next = slot->asked_next;
        if (settle(slot))
            continue;
        slot->asked_next = NULL;
        *l->hold.kept_tail = slot;
        l->hold.kept_tail = &slot->asked_next;
    }
}

/* ---- writes that the archive owes ---- */

static enum phase phase_of(const struct loop *l, const struct op *op)
{
    return acting_phase(&l->acting, policy_find(l->policies, op->keys[0].key));
}

bool hold_can_tell(const struct loop *l, const struct op *op)
{
    enum phase phase = phase_of(l, op);
    bool acts = phase == PHASE_REDIS || phase == PHASE_CATCHUP;
    return acts && op->epoch == l->acting.epoch && !l->closed;
}

void hold_owe(struct loop *l, struct op *own_op)
{
    enum phase phase = phase_of(l, own_op);

    if (hold_can_tell(l, own_op))
        copies_ask(l, own_op);
    else if ((phase == PHASE_HOLD || phase == PHASE_ARCHIVE) && !l->closed)
        owed_add(server_owed(l->server), own_op);
    else
        op_free(own_op); /* Redis acts under a later epoch: what the archive lacked was settled with the change */
}

/* ---- a new acting ---- */

static void guard(struct loop *l)
{
    struct upstream_guard g = {.on = l->acting.guarded, .epoch = l->acting.epoch, .loop = l->index};

    snprintf(g.run_id, sizeof g.run_id, "%s", l->acting.run_id);
    snprintf(g.proxy, sizeof g.proxy, "%s", l->acting.proxy);
    pool_guard(&l->pool, &g);
}

static bool holds_now(const struct acting *before, const struct acting *now)
{
    for (size_t i = 0; i < STATS_POLICIES; i++)
        if (now->phase[i] == PHASE_HOLD && before->phase[i] != PHASE_HOLD)
            return true;
    return false;
}

static void note_holds(struct loop *l)
{
    for (size_t i = 0; i < STATS_POLICIES; i++) {
        bool holds = l->acting.phase[i] == PHASE_HOLD;
        if (!holds || l->hold.since_us[i] == 0)
            l->hold.since_us[i] = holds ? l->turn.now_us : 0;
    }
}

/* What is watched, and who waits for something to take, can't go along to another store. */
static void call_back(struct loop *l)
{
    for (struct session *s = l->sessions; s != NULL; s = s->next) {
        if (s->watched != NULL || (s->pinned_for & LOAN_WATCH) != 0 || s->watching > 0)
            s->watch_refused = true;
        archived_unwatch(s);
        if (s->blocked != NULL)
            archived_recall(s);
    }
}

void hold_acting(struct loop *l, const struct acting *before)
{
    struct hold *h = &l->hold;
    bool any = false;

    h->losing = false;
    for (size_t i = 0; i < STATS_POLICIES; i++) {
        any |= l->acting.phase[i] == PHASE_HOLD;
        h->losing |= l->acting.lost[i];
    }
    if (before->epoch != l->acting.epoch)
        handed_clear(h->handed);
    guard(l);
    note_holds(l);
    if (holds_now(before, &l->acting)) {
        h->turn_owed = true;
        call_back(l);
    }
    copies_recall(l);
    settle_all(l);
    resume_all(l);
    parked_acting(l);
    tracking_acting(l, before);
    h->owes_quiet = any;
    h->quiet_for = l->acting.serial;
    tell_quiet(l);
}

/* ---- time ---- */

static void drop_late(struct loop *l, int64_t now_us)
{
    struct slot **at = &l->hold.kept;

    while (*at != NULL) {
        struct slot *slot = *at;
        if (slot->session != NULL && now_us - slot->up.queued_us < 2 * l->settings->failover_hold * 1000) {
            at = &slot->asked_next;
            continue;
        }
        *at = slot->asked_next;
        let_go(slot);
        slot_fail_now(slot, slot->lost_as, slot->lost_detail);
    }
    l->hold.kept_tail = at;
    tell_quiet(l);
}

void hold_second(struct loop *l, int64_t now_us)
{
    uint64_t held = 0;

    drop_late(l, now_us);
    for (struct session *s = l->sessions; s != NULL; s = s->next) {
        if ((s->pauses & PAUSE_HOLD) == 0)
            continue;
        held++;
        if (s->kept_slots == 0 && now_us - s->held_since_us >= l->settings->failover_hold * 1000)
            session_resume(s, PAUSE_HOLD); /* it is told when it asks again */
    }
    atomic_store_explicit(&l->stats->held, held, memory_order_relaxed);
}
