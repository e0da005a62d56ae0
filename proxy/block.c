#include "proxy/block.h"

#include "base/few.h"
#include "base/log.h"
#include "executor/op.h"
#include "proxy/dispatch.h"
#include "proxy/outcome.h"
#include "resp/frame.h"

#include <stdlib.h>
#include <string.h>

#define FEW_ENTRIES   4
#define FEW_KEY_BYTES 128

struct entry {
    uint8_t role;   /* enum step_role */
    uint8_t reply;  /* enum plan_reply, of STEP_CLIENT */
    uint8_t policy; /* stats id */
    bool conditional;
    bool managed;
    bool refused;    /* STEP_CLIENT: it has written nothing */
    uint16_t command;
    uint32_t pushed;   /* elements that a push adds */
    uint32_t first;    /* STEP_CLIENT: index of the first entry of its plan */
    size_t key, key_len;
    int64_t set_ms;    /* the expiry that the plan sets */
    int64_t limit;     /* max_messages */
};

struct block {
    struct upstream *upstream;
    int64_t now_ms;
    struct entry *entries;
    size_t n, cap;
    char *keys;
    size_t keys_len, keys_cap;
    struct entry few_entries[FEW_ENTRIES]; /* what one managed command needs: no more memory is asked for */
    char few_keys[FEW_KEY_BYTES];
};

void block_open(struct chain *out)
{
    static const char text[] = "*1\r\n$5\r\nMULTI\r\n";
    chain_put(out, text, sizeof text - 1);
}

void block_close(struct chain *out)
{
    static const char text[] = "*1\r\n$4\r\nEXEC\r\n";
    chain_put(out, text, sizeof text - 1);
}

struct block *block_new(struct upstream *u, int64_t redis_now_ms)
{
    struct block *b = malloc(sizeof *b);
    if (b == NULL)
        abort();
    b->upstream = u;
    b->now_ms = redis_now_ms;
    b->entries = b->few_entries;
    b->cap = FEW_ENTRIES;
    b->keys = b->few_keys;
    b->keys_cap = FEW_KEY_BYTES;
    b->n = b->keys_len = 0;
    return b;
}

void block_free(struct block *own_b)
{
    if (own_b == NULL)
        return;
    if (own_b->entries != own_b->few_entries)
        free(own_b->entries);
    if (own_b->keys != own_b->few_keys)
        free(own_b->keys);
    free(own_b);
}

size_t block_commands(const struct block *b)
{
    return b->n;
}

static struct entry *add_entry(struct block *b)
{
    b->entries = few_grow(b->entries, &b->cap, b->n + 1, sizeof *b->entries, b->few_entries);
    struct entry *e = &b->entries[b->n++];
    *e = (struct entry){.role = STEP_CLIENT};
    return e;
}

static void keep_key(struct block *b, struct entry *e, struct slice key)
{
    b->keys = few_grow(b->keys, &b->keys_cap, b->keys_len + key.len, 1, b->few_keys);
    memcpy(b->keys + b->keys_len, key.p, key.len);
    e->key = b->keys_len;
    e->key_len = key.len;
    b->keys_len += key.len;
}

static void add_step(struct block *b, struct loop *l, const struct plan *plan, size_t i, uint32_t first)
{
    const struct plan_step *step = &plan->steps[i];
    struct entry *e = add_entry(b);
    const struct plan_key *key = plan->nkeys > 0 ? &plan->keys[step->key] : NULL;

    e->role = step->role;
    e->first = first;
    e->command = plan->cmd->id;
    if (step->role == STEP_CLIENT) {
        key = plan->nkeys > 0 ? &plan->keys[0] : NULL;
        e->reply = (uint8_t)plan->reply;
        e->conditional = plan->conditional;
        e->pushed = plan->argc > 2 ? (uint32_t)plan->argc - 2 : 0;
    }
    if (key == NULL)
        return;
    e->managed = true;
    e->policy = loop_policy_id(l, key->policy);
    e->limit = key->policy->max_messages;
    e->set_ms = plan_expiry(key->policy, b->now_ms);
    if (step->role == STEP_OLD_EXPIRY || step->role == STEP_CLIENT)
        keep_key(b, e, key->key);
}

void block_add(struct block *b, struct loop *l, const struct plan *plan, struct slice raw, struct chain *out)
{
    uint32_t first = (uint32_t)b->n;

    if (plan->kind == PLAN_RAW || plan->kind == PLAN_REFUSED) { /* refused: only since it was queued */
        struct entry *e = add_entry(b);
        e->first = first;
        e->command = plan->cmd != NULL ? plan->cmd->id : STATS_UNKNOWN;
        chain_put(out, raw.p, raw.len);
        return;
    }
    for (size_t i = 0; i < plan->nsteps; i++) {
        add_step(b, l, plan, i, first);
        plan_emit(plan, i, out, b->now_ms);
    }
}

void block_mark(const struct block *b, struct op *op)
{
    for (size_t i = 0; i < b->n && i < op->nsteps; i++) {
        const struct entry *e = &b->entries[i];
        op->steps[i].conditional = e->conditional || e->reply == REPLY_SETNX;
        op->steps[i].if_written = e->role == STEP_TRIM || e->role == STEP_EXPIRE;
    }
}

void block_add_all(struct block *b, struct session *s, struct slice requests, struct chain *out)
{
    struct loop *l = s->loop;
    struct request r;
    size_t at = 0;

    request_init(&r);
    while (at < requests.len) {
        struct request_progress progress = {0};
        if (request_parse(&r, &progress, requests.p + at, requests.len - at, SIZE_MAX / 2) != REQUEST_DONE)
            abort(); /* it was parsed before it was queued */
        struct job job = {.argv = r.argv, .argc = r.argc, .raw = {requests.p + at, r.used}};
        job.cmd = dispatch_row(l, &job);
        const struct plan *plan = managed_plan(l, &job, s->resp, true);
        managed_count_json(l, plan);
        block_add(b, l, plan, job.raw, out);
        at += r.used;
    }
    request_done(&r);
}

/* ---- replies ---- */

static struct slice entry_key(const struct block *b, const struct entry *e)
{
    return (struct slice){b->keys + e->key, e->key_len};
}

/* A later command of the block has written the key: its TTL is the right one. */
static bool written_after(const struct block *b, const struct entry *refused, struct slice key)
{
    for (const struct entry *e = refused + 1; e < b->entries + b->n; e++) {
        if (e->role != STEP_CLIENT || !e->managed || e->refused)
            continue;
        struct slice other = entry_key(b, e);
        if (other.len == key.len && memcmp(other.p, key.p, key.len) == 0)
            return true;
    }
    return false;
}

/* A refused write: what EXPIRE steps did to keys that were there before is put back. */
static void undo(struct slot *slot, const struct entry *refused, const struct slice *elements)
{
    struct block *b = slot->block;
    if (b->upstream == NULL)
        return; /* the archive has skipped what belongs to a refused write */
    for (size_t i = refused->first; b->entries[i].role == STEP_OLD_EXPIRY; i++) { /* ends at the client's step */
        const struct entry *e = &b->entries[i];
        struct slice key = entry_key(b, e);
        int64_t old_ms;
        if (!frame_number(elements[i].p + 1, elements[i].len - 3, &old_ms) || old_ms < 0 || written_after(b, refused, key))
            continue; /* old < 0: the key was not there, or had no TTL, which a managed key should have */
        if (upstream_state(b->upstream) != UP_READY)
            return; /* Redis went away meanwhile: the policy's TTL stays */
        plan_undo(upstream_out(b->upstream), key, e->set_ms, old_ms);
        slot_send_unheard(slot->loop, b->upstream);
        counter_add(&slot->loop->stats->policies[e->policy].ttl_restored, 1);
    }
}

/* A push tells the length before the trim; the client hears the one after it. */
static void tell_push(struct slot *slot, const struct entry *e, struct slice reply, struct chain *out)
{
    int64_t length;
    if (reply.p[0] != ':' || !frame_number(reply.p + 1, reply.len - 3, &length)) {
        chain_put(out, reply.p, reply.len);
        return;
    }
    if (length > 0)
        outcome_msg_count(slot->loop, e->policy, length - (int64_t)e->pushed);
    build_int(out, e->limit > 0 && length > e->limit ? e->limit : length);
}

static void tell_client(struct slot *slot, const struct entry *e, struct slice reply, struct chain *out)
{
    switch ((enum plan_reply)e->reply) {
    case REPLY_AS_IS:
        chain_put(out, reply.p, reply.len);
        return;
    case REPLY_PUSH:
        tell_push(slot, e, reply, out);
        return;
    case REPLY_SETNX:
        if (reply.p[0] == '-')
            chain_put(out, reply.p, reply.len);
        else
            build_int(out, reply.p[0] == '+');
        return;
    case REPLY_NULL_ARRAY:
        if (reply.p[0] == '$' && reply.p[1] == '-')
            build_null_array(out, RESP2);
        else
            chain_put(out, reply.p, reply.len);
        return;
    }
}

static void take_client(struct slot *slot, struct entry *e, struct slice reply, struct chain *out)
{
    bool may_be_nothing = e->conditional || e->reply == REPLY_SETNX;
    e->refused = e->managed && plan_nothing_written(may_be_nothing, reply.p, reply.len);
    if (e->managed && reply.p[0] == '-')
        outcome_write_error(slot->loop, e->policy, reply.p, reply.len);
    if (e->managed && !e->refused)
        counter_add(&slot->loop->stats->policies[e->policy].writes, 1);
    tell_client(slot, e, reply, out);
}

/* All replies of the client's commands to out; then what refused ones have moved is put back. */
static void take_elements(struct slot *slot, const struct slice *elements, struct chain *out)
{
    struct block *b = slot->block;
    for (size_t i = 0; i < b->n; i++)
        if (b->entries[i].role == STEP_CLIENT)
            take_client(slot, &b->entries[i], elements[i], out);
    for (size_t i = 0; i < b->n; i++)
        if (b->entries[i].refused)
            undo(slot, &b->entries[i], elements);
}

/* Splits EXEC's array into the replies of the commands. False: it is not what was asked for. */
static bool split(const struct block *b, struct slice all, struct slice *elements)
{
    int64_t items;
    size_t at = frame_aggregate(all.p, all.len, &items);

    if (at == 0 || items != (int64_t)b->n)
        return false;
    for (size_t i = 0; i < b->n; i++) {
        size_t len = frame_length(all.p + at, all.len - at);
        if (len == 0)
            return false;
        elements[i] = (struct slice){all.p + at, len};
        at += len;
    }
    return true;
}

static void count_refusal(struct slot *slot, struct slice all)
{
    const struct block *b = slot->block;
    slot->failed = true;
    for (size_t i = 0; i < b->n; i++)
        if (b->entries[i].role == STEP_CLIENT && b->entries[i].managed)
            outcome_write_error(slot->loop, b->entries[i].policy, all.p, all.len);
}

void block_failed(const struct slot *slot, enum err e)
{
    const struct block *b = slot->block;
    struct slot told = {.loop = slot->loop, .archived = slot->archived, .managed_write = true};

    for (size_t i = 0; i < b->n; i++) {
        told.policy = b->entries[i].policy;
        if (b->entries[i].role == STEP_CLIENT && b->entries[i].managed)
            outcome_failed(&told, e);
    }
}

void block_finish_single(struct slot *slot)
{
    struct slice reply = chain_flat(&slot->reply);
    struct chain out;

    chain_init(&out, slot->reply.pool);
    take_client(slot, &slot->block->entries[0], reply, &out);
    chain_clear(&slot->reply);
    slot->reply = out;
}

/* Makes the client's reply of EXEC's; header says how it starts when it is an array. */
static void finish(struct slot *slot, bool as_array)
{
    struct block *b = slot->block;
    struct slice few[8], *elements = b->n <= 8 ? few : calloc(b->n, sizeof *elements);
    struct slice all = chain_flat(&slot->reply);
    struct chain out;
    size_t clients = 0;

    chain_init(&out, slot->reply.pool);
    if (elements == NULL)
        abort();
    if (slot->failed || all.p[0] == '-') {
        count_refusal(slot, all);
    } else if (split(b, all, elements)) {
        for (size_t i = 0; i < b->n; i++)
            clients += b->entries[i].role == STEP_CLIENT;
        if (as_array)
            build_array(&out, clients);
        take_elements(slot, elements, &out);
        chain_clear(&slot->reply);
        slot->reply = out;
    }
    if (elements != few)
        free(elements);
}

void block_finish_one(struct slot *slot)
{
    finish(slot, false);
}

/* A nil (a watched key was touched) stays as it is. */
void block_finish_all(struct slot *slot)
{
    finish(slot, true);
}
