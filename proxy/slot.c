#include "proxy/slot.h"

#include "base/limits.h"
#include "base/log.h"
#include "proxy/archived.h"
#include "proxy/block.h"
#include "proxy/coded.h"
#include "proxy/copies.h"
#include "proxy/gather.h"
#include "proxy/hold.h"
#include "proxy/outcome.h"
#include "proxy/parked.h"
#include "proxy/placement.h"
#include "proxy/push.h"
#include "proxy/server.h"
#include "proxy/split.h"
#include "proxy/tracking.h"
#include "proxy/tracing.h"

#include <stdlib.h>
#include <string.h>

#define FREE_SLOTS_KEEP 4096 /* a burst's memory is given back */

/* ---- memory ---- */

static struct slot *slot_take(struct loop *l)
{
    struct slot *slot = l->free_slots;
    if (slot != NULL) {
        l->free_slots = slot->next;
        l->nfree_slots--;
    } else {
        slot = malloc(sizeof *slot);
        if (slot == NULL)
            abort();
    }
    memset(slot, 0, offsetof(struct slot, preview));
    slot->loop = l;
    chain_init(&slot->reply, &l->turn.chunks);
    return slot;
}

static void slot_give(struct slot *slot)
{
    struct loop *l = slot->loop;
    chain_clear(&slot->reply);
    block_free(slot->block);
    slot_forget_copy(slot);
    if (slot->notes != NULL)
        parked_free_notes(slot);
    if (l->nfree_slots >= FREE_SLOTS_KEEP) {
        free(slot);
        return;
    }
    slot->next = l->free_slots;
    l->free_slots = slot;
    l->nfree_slots++;
}

void slot_free_orphan(struct slot *own_slot)
{
    if (own_slot->whole != NULL)
        split_part_orphan(own_slot);
    if (own_slot->gather != NULL)
        gather_part_orphan(own_slot);
    block_free(own_slot->block);
    slot_forget_copy(own_slot);
    parked_free_notes(own_slot);
    free(own_slot);
}

void slot_free_pool(struct loop *l)
{
    while (l->free_slots != NULL) {
        struct slot *slot = l->free_slots;
        l->free_slots = slot->next;
        free(slot);
    }
}

/* ---- the client's queue ---- */

static void enqueue(struct session *s, struct slot *slot)
{
    slot->session = s;
    slot->next = NULL;
    *s->tail = slot;
    s->tail = &slot->next;
    s->owed++;
}

static struct slot *dequeue(struct session *s)
{
    struct slot *slot = s->head;
    s->head = slot->next;
    if (s->head == NULL)
        s->tail = &s->head;
    s->owed--;
    if (slot->local)
        s->kept -= slot->reply.len;
    return slot;
}

bool slot_must_wait(const struct session *s)
{
    return s->owed >= (size_t)s->loop->settings->max_pipeline || s->kept > LIMIT_CLIENT_HIGH;
}

static bool may_go_on(const struct session *s)
{
    return s->owed <= (size_t)s->loop->settings->max_pipeline / 2 && s->kept <= LIMIT_CLIENT_LOW;
}

/* Lets everything leave that may: the done slots at the head, then what is there of a raw reply behind them. */
static void advance(struct session *s)
{
    while (s->head != NULL && s->head->done) {
        struct slot *slot = dequeue(s);
        if (!slot->muted)
            chain_move(&s->stream.out, &slot->reply);
        slot_give(slot);
        if (s->pushed != NULL)
            push_release(s);
    }
    if (s->head != NULL && s->head->kind == SLOT_RAW && s->head->reply.len > 0) {
        s->head->partial = true;
        chain_move(&s->stream.out, &s->head->reply);
    }
    if (may_go_on(s))
        session_resume(s, PAUSE_PIPELINE);
    session_touch(s);
}

struct chain *slot_answer(struct session *s)
{
    if ((s->mute & MUTE_NOW) != 0)
        return &s->loop->unheard;
    if (s->head == NULL)
        return &s->stream.out;
    struct slot *slot = slot_take(s->loop);
    slot->local = slot->done = true;
    enqueue(s, slot);
    return &slot->reply;
}

/* The slot that slot_answer has put at the end of the queue; what it holds may have to wait for long. */
static void keep_answer(struct session *s)
{
    struct slot *slot = (struct slot *)((char *)s->tail - offsetof(struct slot, next));
    chain_shrink(&slot->reply);
    s->kept += slot->reply.len;
}

void slot_answered(struct session *s)
{
    counter_add(&s->loop->stats->replies, 1);
    if ((s->mute & MUTE_KEPT) != 0)
        return;
    if ((s->mute & MUTE_NOW) != 0)
        chain_clear(&s->loop->unheard);
    else if (s->head != NULL)
        keep_answer(s);
    session_touch(s);
}

/* The first arguments, cut, for SLOWLOG: length byte, bytes, length byte, bytes … */
static void keep_preview(struct slot *slot, const struct slice *argv, size_t argc)
{
    size_t at = 0, i;
    bool whole = argc <= 4;
    for (i = 0; i < argc && i < 4 && at + 2 <= SLOT_PREVIEW; i++) {
        size_t room = SLOT_PREVIEW - at - 1;
        size_t n = argv[i].len < room ? argv[i].len : room;
        whole &= n == argv[i].len;
        slot->preview[at] = (char)n;
        memcpy(slot->preview + at + 1, argv[i].p, n);
        at += n + 1;
    }
    whole &= i == argc;
    slot->preview_len = (uint16_t)at;
    slot->preview_whole = whole;
}

struct slot *slot_new(struct session *s, enum slot_kind kind, const struct command *cmd,
                      const struct slice *argv, size_t argc)
{
    struct slot *slot = slot_take(s->loop);
    slot->kind = (uint8_t)kind;
    slot->command = cmd != NULL ? cmd->id : STATS_UNKNOWN;
    slot->argc = (uint32_t)argc;
    slot->elsewhere = s->db != 0;
    slot->resp = (uint8_t)s->resp;
    slot->muted = (s->mute & MUTE_NOW) != 0;
    keep_preview(slot, argv, argc);
    enqueue(s, slot);
    return slot;
}

void slot_send(struct slot *slot, struct upstream *u, uint32_t replies, bool slow)
{
    struct session *s = slot->session;
    slot->fast = !slow;
    s->current = u;
    s->in_flight++;
    if (slot->managed_write || slot->retrieval || slot->kind == SLOT_BLOCK)
        hold_count(slot);
    upstream_queue(u, &slot->up, replies, slow);
}

struct slot *slot_new_part(struct loop *l, struct split *whole, uint8_t part)
{
    struct slot *slot = slot_take(l);
    slot->kind = SLOT_COLLECT;
    slot->command = STATS_UNKNOWN;
    slot->whole = whole;
    slot->part = part;
    return slot;
}

void slot_send_unheard(struct loop *l, struct upstream *u)
{
    struct slot *slot = slot_take(l);
    slot->command = STATS_UNKNOWN;
    upstream_queue(u, &slot->up, 1, false);
}

struct slot *slot_send_own(struct loop *l, struct upstream *u, uint32_t n, bool guarded, bool (*then)(struct slot *slot), void *ctx)
{
    struct slot *slot = slot_take(l);

    slot->command = STATS_UNKNOWN;
    slot->kind = SLOT_COLLECT;
    slot->up.guarded = guarded;
    slot->then = then;
    slot->ctx = ctx;
    upstream_queue(u, &slot->up, n, false);
    return slot;
}

void slot_abandon_all(struct session *s)
{
    while (s->head != NULL) {
        struct slot *slot = dequeue(s);
        slot->session = NULL;
        if (slot->local || slot->done)
            slot_give(slot);
        else if (slot->kind ==
                 SLOT_RAW) /* finish wants to see the others whole: it may have to undo something */
            chain_clear(&slot->reply);
        else
            archived_abandon(slot);
    }
}

/* ---- replies from Redis ---- */

/* The request is over: the slot may leave when its turn comes. */
static void over(struct slot *slot)
{
    struct session *s = slot->session;

    if (slot->traced != 0)
        tracing_over(slot);
    hold_uncount(slot);
    if (slot->then != NULL && slot->then(slot))
        return;
    if (slot->whole != NULL)
        split_part_over(slot);
    else if (slot->gather != NULL)
        gather_part_over(slot);
    else
        outcome_record(slot);
    if (s == NULL) {
        slot_give(slot);
        return;
    }
    slot->done = true;
    s->in_flight--;
    if (s->in_flight == 0)
        session_resume(s, PAUSE_ORDER);
    if (slot == s->head)
        advance(s);
}

void slot_defer(struct slot *slot, const void *target)
{
    slot->up.queued_us = slot->loop->turn.now_us;
    slot->session->current = target;
    slot->session->spread.alone = true;
    slot->session->in_flight++;
    hold_count(slot);
}

void slot_take_back(struct slot *own_slot)
{
    struct session *s = own_slot->session;
    struct slot **at = &s->head;

    hold_uncount(own_slot);
    while (*at != own_slot)
        at = &(*at)->next;
    *at = own_slot->next;
    if (*at == NULL)
        s->tail = at;
    s->owed--;
    s->in_flight--;
    if (s->in_flight == 0)
        session_resume(s, PAUSE_ORDER);
    slot_give(own_slot);
}

void slot_forget_copy(struct slot *slot)
{
    if (slot->copy != NULL)
        op_free(slot->copy);
    slot->copy = NULL;
}

void slot_complete(struct slot *own_slot)
{
    over(own_slot);
}

static void raw_reply(struct slot *slot, const char *p, size_t n)
{
    struct session *s = slot->session;

    if (s == NULL || slot->muted)
        return;
    if (slot == s->head) {
        chain_put(&s->stream.out, p, n);
        slot->partial = true;
    } else {
        chain_put(&slot->reply, p, n);
    }
}

/* Gathers what finish needs. A reply beyond the limit is dropped, and finish sees an error instead. */
static void collect_reply(struct slot *slot, const char *p, size_t n)
{
    if (slot->reply.len + n <= LIMIT_COLLECT) {
        chain_put(&slot->reply, p, n);
    } else if (!slot->failed) {
        slot->failed = true;
        chain_clear(&slot->reply);
        build_error(&slot->reply, "ERR the reply is too large to be passed on by convproxy");
    }
}

/* Replies of a block: +OK, +QUEUED …, then EXEC's, the only one that may come in pieces. An error among the first is
 * the reason why EXEC aborts, and what the client is told. */
static void block_reply(struct slot *slot, const char *p, size_t n, bool of_exec)
{
    if (slot->failed)
        return;
    if (of_exec) {
        collect_reply(slot, p, n);
    } else if (p[0] == '-') {
        slot->failed = true;
        chain_put(&slot->reply, p, n);
    }
}

static void plain_reply(struct slot *slot, const char *p, size_t n)
{
    if (!slot->begun) {
        slot->begun = true;
        outcome_first_bytes(slot, p, n);
    }
    if (slot->kind == SLOT_RAW)
        raw_reply(slot, p, n);
    else
        collect_reply(slot, p, n);
}

/* The whole reply is there. What Redis has written may have to reach the archive before the client hears of it. */
static void settle(struct slot *slot)
{
    if (slot->finish != NULL)
        slot->finish(slot);
    if (slot->notes != NULL && slot->then == NULL)
        parked_tell(slot);
    if (slot->block != NULL && block_is_strange(slot->block))
        slot_fail(slot, ERR_REDISLOST, "Redis was emptied");
    else if (slot->managed_write && !placement_is_leased(server_placement(slot->loop->server)))
        slot_fail(slot, slot->archived ? ERR_ARCHIVELOST : ERR_REDISLOST, "this proxy was out of touch");
    else if (slot->traced != 0)
        tracing_take(slot);
    else if (!copies_take(slot))
        over(slot);
}

static void on_reply(struct upstream_request *r, const char *p, size_t n, bool end)
{
    struct slot *slot = (struct slot *)r;

    if (slot->kind == SLOT_BLOCK)
        block_reply(slot, p, n, !end || r->replies == 0);
    else
        plain_reply(slot, p, n);
    if (end && r->replies == 0)
        settle(slot); /* touches its session when it leaves */
    else if (slot->partial && slot->session != NULL)
        session_touch(slot->session);
}

void slot_take_reply(struct slot *own_slot, const char *p, size_t n)
{
    struct slot *slot = own_slot;

    if (slot->kind == SLOT_BLOCK)
        block_reply(slot, p, n, true);
    else
        plain_reply(slot, p, n);
    settle(slot);
}

static void on_failed(struct upstream_request *r, enum err e, const char *detail)
{
    slot_fail((struct slot *)r, e, detail);
}

void slot_fail(struct slot *own_slot, enum err e, const char *detail)
{
    if (!hold_keeps(own_slot, e, detail))
        slot_fail_now(own_slot, e, detail);
}

static void fail_reply(struct slot *slot, enum err e, const char *detail)
{
    if (slot->loop->policing != NULL && (slot->managed_write || slot->retrieval))
        coded_slot_error(&slot->reply, slot->loop, slot->policy, e, detail);
    else
        build_err(&slot->reply, e, detail);
}

void slot_fail_now(struct slot *own_slot, enum err e, const char *detail)
{
    struct slot *slot = own_slot;
    struct session *s = slot->session;

    slot->failed = true;
    chain_clear(&slot->reply);
    outcome_failed(slot, e);
    if (slot->block != NULL && !slot->managed_write)
        block_failed(slot, e);
    if (s != NULL && slot->partial)
        session_close(s,
                      "the reply was cut off"); /* nothing that follows could be told from the rest of it */
    else if (s != NULL || slot->whole != NULL || slot->gather != NULL)
        fail_reply(slot, e, detail);
    over(slot);
}

static void on_change(struct upstream *u)
{
    if (upstream_user(u) != NULL)
        tracking_changed(u);
    session_wake_waiting(upstream_owner(u));
}

/* Nobody asks for replies that come as pushes. */
static bool on_push(struct upstream *u, const char *p, size_t n)
{
    if (upstream_user(u) != NULL)
        tracking_push(u, (struct slice){p, n});
    return false;
}

/* A part goes alone anyway. Of what nobody waits for nothing is known. */
static bool may_wait(const struct upstream_request *r)
{
    const struct slot *slot = (const struct slot *)r;

    if (slot->gather != NULL || slot->whole != NULL)
        return true;
    return slot->session != NULL && slot->session->in_flight == 1;
}

const struct upstream_ops slot_upstream_ops = {on_reply, on_failed, on_change, on_push, may_wait};
