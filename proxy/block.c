#include "proxy/block.h"

#include "base/few.h"
#include "base/log.h"
#include "base/version.h"
#include "executor/op.h"
#include "proxy/copies.h"
#include "proxy/dispatch.h"
#include "proxy/hide.h"
#include "proxy/outcome.h"
#include "proxy/parked.h"
#include "resp/frame.h"
#include "router/copyable.h"
#include "router/keys.h"
#include "router/marking.h"

#include <stdio.h>
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
    bool marked;  /* STEP_OLD_EXPIRY: putting the expiry back leaves a mark */
    bool refused; /* STEP_CLIENT: it has written nothing */
    uint16_t command;
    uint32_t pushed; /* elements that a push adds */
    uint32_t first;  /* STEP_CLIENT: index of the first entry of its plan */
    size_t key, key_len;
    int64_t set_ms; /* the expiry that the plan sets */
    int64_t limit;  /* max_messages */
};

struct block {
    struct upstream *upstream;
    int64_t now_ms;
    struct entry *entries;
    size_t n, cap;
    char *keys;
    size_t keys_len, keys_cap;
    struct touched touched; /* keys that get marks */
    struct write_id id;
    int64_t epoch; /* of the loop when it was sent */
    size_t nmarks; /* requests behind the entries' */
    bool tracked, mixed, acks_both;
    bool strange, has_marked;
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
    b->n = b->keys_len = b->nmarks = 0;
    touched_init(&b->touched);
    b->id.seq = 0;
    b->tracked = b->mixed = b->acks_both = b->strange = b->has_marked = false;
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
    touched_done(&own_b->touched);
    free(own_b);
}

size_t block_commands(const struct block *b)
{
    return b->n + b->nmarks;
}

bool block_is_mixed(const struct block *b)
{
    return b->mixed;
}

bool block_acks_both(const struct block *b)
{
    return b->acks_both;
}

bool block_is_strange(const struct block *b)
{
    return b->strange;
}

bool block_has_marked(const struct block *b)
{
    return b->has_marked;
}

const struct touched *block_touched(const struct block *b)
{
    return &b->touched;
}

const struct write_id *block_id(const struct block *b)
{
    return &b->id;
}

bool block_redis_is_there(const struct block *b)
{
    return b->upstream != NULL && upstream_state(b->upstream) == UP_READY;
}

int64_t block_epoch(const struct block *b)
{
    return b->epoch;
}

void block_turn_to_archive(struct block *b)
{
    b->upstream = NULL;
    b->nmarks = 0;
    b->strange = b->has_marked = false;
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
    e->marked = key->marked;
    if (step->role == STEP_OLD_EXPIRY || step->role == STEP_CLIENT)
        keep_key(b, e, key->key);
}

/* What the plan's keys ask for beside the write. */
static void track(struct block *b, const struct plan *plan)
{
    b->tracked |= plan->tracked;
    b->mixed |= plan->mixed;
    for (size_t i = 0; i < plan->nkeys; i++) {
        if (!plan->keys[i].marked)
            continue;
        touched_add(&b->touched, plan->keys[i].key);
        b->acks_both |= plan->keys[i].policy->ack == ACK_BOTH;
    }
}

void block_add(struct block *b, struct loop *l, const struct plan *plan, struct slice raw, struct chain *out)
{
    uint32_t first = (uint32_t)b->n;

    track(b, plan);
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

/* ---- what it leaves beside itself ---- */

static void name(struct block *b, const struct loop *l)
{
    b->epoch = l->acting.epoch;
    memcpy(b->id.session, upstream_session(b->upstream), sizeof b->id.session);
    b->id.seq = upstream_next_seq(b->upstream);
}

static struct slice *touched_list(const struct block *b, struct slice *few, size_t nfew)
{
    struct slice *list = b->touched.count <= nfew ? few : malloc(b->touched.count * sizeof *list);
    if (list == NULL)
        abort();
    for (size_t i = 0; i < b->touched.count; i++)
        list[i] = touched_key(&b->touched, i);
    return list;
}

static struct marking marking_of(const struct block *b, const struct slice *keys)
{
    return (struct marking){.session = b->id.session,
                            .seq = b->id.seq,
                            .fresh = version_make(b->epoch, b->now_ms),
                            .keys = keys,
                            .nkeys = b->touched.count};
}

static void put_marks(struct block *b, struct chain *out)
{
    struct slice few[FEW_ENTRIES], *keys = touched_list(b, few, FEW_ENTRIES);
    struct marking m = marking_of(b, keys);

    marking_put(out, &m);
    b->nmarks = marking_requests(m.nkeys);
    if (keys != few)
        free(keys);
}

/* Short ones are copied, so that each does not take a chunk of its own along. */
static void put_commands(struct chain *out, struct chain *own_commands)
{
    if (own_commands->len > CHUNK_ROOM / 4) {
        chain_move(out, own_commands);
        return;
    }
    struct slice bytes = chain_flat(own_commands);
    chain_put(out, bytes.p, bytes.len);
    chain_clear(own_commands);
}

void block_track(struct slot *slot, struct chain *own_commands, struct chain *out)
{
    name(slot->block, slot->loop);
    copies_keep(slot, chain_flat(own_commands));
    put_commands(out, own_commands);
    put_marks(slot->block, out);
}

static void put_script(struct block *b, const struct plan *plan, enum resp resp, struct chain *out)
{
    struct slice few[FEW_ENTRIES], *keys = touched_list(b, few, FEW_ENTRIES);
    struct marking m = marking_of(b, keys);
    size_t n = 0;
    struct slice *expiring = malloc(b->n * sizeof *expiring);
    int64_t *expire_ms = malloc(b->n * sizeof *expire_ms);

    if (expiring == NULL || expire_ms == NULL)
        abort();
    for (size_t i = 0; i < plan->nsteps; i++) {
        if (plan->steps[i].role != STEP_EXPIRE)
            continue;
        expiring[n] = plan->keys[plan->steps[i].key].key;
        expire_ms[n++] = b->entries[i].set_ms;
    }
    struct marking_script script = {.resp = resp,
                                    .conditional = plan->conditional,
                                    .argv = plan->rewrite.argv,
                                    .argc = plan->rewrite.argc,
                                    .expiring = expiring,
                                    .expire_ms = expire_ms,
                                    .nexpiring = n};
    marking_put_script(out, &m, &script);
    free(expiring);
    free(expire_ms);
    if (keys != few)
        free(keys);
}

void block_track_script(struct slot *slot, const struct plan *plan, enum resp resp,
                        struct chain *own_commands, struct chain *out)
{
    name(slot->block, slot->loop);
    copies_keep(slot, chain_flat(own_commands));
    chain_clear(own_commands);
    put_script(slot->block, plan, resp, out);
}

/* ---- the client's own transaction ---- */

static void add_all(struct slot *slot, struct slice requests, struct chain *out)
{
    struct block *b = slot->block;
    struct session *s = slot->session;
    struct loop *l = s->loop;
    struct slice raw;
    struct request r;

    request_init(&r);
    while (request_next(&r, &requests, &raw)) {
        struct job job = {.argv = r.argv, .argc = r.argc, .raw = raw};
        job.cmd = dispatch_row(l, &job);
        const struct plan *plan =
            b->upstream != NULL ? managed_plan_redis(s, &job, true) : managed_plan(l, &job, s->resp, true);
        managed_count_json(l, plan);
        block_add(b, l, plan, job.raw, out);
        if (plan->nkeys > 0 && parked_any(l))
            parked_note(slot, plan, s->db);
        if (plan->guarded && !slot->up.guarded)
            slot->policy = loop_policy_id(l, plan->policy);
        slot->up.guarded |= plan->guarded;
    }
    request_done(&r);
}

void block_add_all(struct slot *slot, struct slice requests, struct chain *out)
{
    struct block *b = slot->block;
    struct chain commands;

    if (b->upstream == NULL || !slot->loop->acting.guarded) {
        add_all(slot, requests, out);
        return;
    }
    chain_init(&commands, out->pool);
    add_all(slot, requests, &commands);
    if (b->tracked)
        block_track(slot, &commands, out);
    else
        chain_move(out, &commands);
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
    for (size_t i = refused->first; b->entries[i].role == STEP_OLD_EXPIRY;
         i++) { /* ends at the client's step */
        const struct entry *e = &b->entries[i];
        struct slice key = entry_key(b, e);
        int64_t old_ms;
        if (!frame_number(elements[i].p + 1, elements[i].len - 3, &old_ms) || old_ms < 0 ||
            written_after(b, refused, key))
            continue; /* old < 0: the key was not there, or had no TTL, which a managed key should have */
        if (upstream_state(b->upstream) != UP_READY)
            return; /* Redis went away meanwhile: the policy's TTL stays */
        plan_undo(upstream_out(b->upstream), key, e->set_ms, old_ms, e->marked);
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
        hide_tell(e->command, slot->session != NULL ? slot->session->resp : RESP2, reply, out);
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
    size_t at = frame_aggregate(all.p, all.len, &items), n = block_commands(b);

    if (at == 0 || items != (int64_t)n)
        return false;
    for (size_t i = 0; i < n; i++) {
        size_t len = frame_length(all.p + at, all.len - at);
        if (len == 0)
            return false;
        elements[i] = (struct slice){all.p + at, len};
        at += len;
    }
    return true;
}

/* ---- what the marks tell ---- */

static void be_strange(struct block *b)
{
    b->strange = true;
    upstream_emptied(b->upstream);
}

/* What the block tells of a touched key. */
enum { SEEN = 1, WAS_ABSENT = 2, NAMED = 4, OVERWRITTEN = 8 };

struct naming {
    const struct touched *touched;
    const struct slice *argv;
    uint8_t what, *facts;
};

/* The first command that names a key decides. */
static bool note_named(void *ctx, struct key_ref ref)
{
    struct naming *n = ctx;
    size_t i = touched_find(n->touched, n->argv[ref.arg]);

    if (i < n->touched->count && (n->facts[i] & NAMED) == 0)
        n->facts[i] |= n->what;
    return true;
}

/* Fills in facts, one for each touched key: the block has seen that it was not there, so that nothing that Redis held before is missing in a
 * delta; or the first command that names it sets it as a whole, so that what Redis held before makes no difference. */
static void look_at_keys(const struct block *b, const struct op *op, const struct slice *elements, uint8_t *facts)
{
    for (size_t k = 0; k < b->n; k++) {
        size_t i = b->entries[k].role == STEP_OLD_EXPIRY ? touched_find(&b->touched, entry_key(b, &b->entries[k])) : b->touched.count;
        if (i < b->touched.count && (facts[i] & SEEN) == 0)
            facts[i] |= SEEN | (slice_is(elements[k], ":-2\r\n") ? WAS_ABSENT : 0);
    }
    for (size_t i = 0; op != NULL && i < op->nsteps; i++) {
        const struct op_step *step = &op->steps[i];
        struct naming n = {.touched = &b->touched, .argv = op->argv + step->argv, .facts = facts};
        n.what = NAMED | (copyable_overwrites(step->cmd, n.argv, step->argc) ? OVERWRITTEN : 0);
        keys_each(step->cmd, n.argv, step->argc, note_named, &n);
    }
}

/* Key i got this version. Without one, slot->copy is no delta. */
static void keep_version(struct slot *slot, size_t i, bool fresh, struct slice digits)
{
    struct op *op = slot->copy;
    int64_t version;

    if (op == NULL || !frame_number(digits.p, digits.len, &version))
        return;
    size_t k = op_find_key(op, touched_key(&slot->block->touched, i));
    if (k == op->nkeys)
        return;
    op->keys[k].copied = version;
    op->keys[k].fresh = fresh;
}

static void keep_versions(struct slot *slot, const struct slice *marks)
{
    const struct block *b = slot->block;
    uint8_t few[16] = {0}, *facts = b->touched.count <= sizeof few ? few : calloc(b->touched.count, 1);
    bool looked = false;

    if (facts == NULL)
        abort();
    for (size_t i = 0; i < b->touched.count; i++) {
        struct slice version = marks[2 * i + 1];
        bool fresh = slice_is(marks[2 * i], ":1\r\n");
        if (fresh && !looked)
            look_at_keys(b, slot->copy, marks - b->n, facts);
        looked |= fresh;
        if (version.p[0] == ':' && (!fresh || (facts[i] & (WAS_ABSENT | OVERWRITTEN)) != 0))
            keep_version(slot, i, fresh, (struct slice){version.p + 1, version.len - 3});
    }
    if (facts != few)
        free(facts);
}

static void take_marks(struct slot *slot, const struct slice *marks)
{
    struct block *b = slot->block;

    if (b->nmarks == 0)
        return;
    if (!slice_is(marks[b->nmarks - 1], ":0\r\n") || !upstream_answers_count(b->upstream)) {
        be_strange(b);
        return;
    }
    b->has_marked = b->touched.count > 0;
    keep_versions(slot, marks);
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

/* The replies of the client's commands; as_array: as the array that EXEC's is. */
static void take_all(struct slot *slot, const struct slice *elements, bool as_array)
{
    struct block *b = slot->block;
    struct chain out;
    size_t clients = 0;

    chain_init(&out, slot->reply.pool);
    for (size_t i = 0; i < b->n; i++)
        clients += b->entries[i].role == STEP_CLIENT;
    if (as_array)
        build_array(&out, clients);
    take_elements(slot, elements, &out);
    chain_clear(&slot->reply);
    slot->reply = out;
}

/* Makes the client's reply of EXEC's; as_array: how it starts when it is an array. */
static void finish(struct slot *slot, bool as_array)
{
    struct block *b = slot->block;
    size_t n = block_commands(b);
    struct slice few[16], *elements = n <= 16 ? few : calloc(n, sizeof *elements);
    struct slice all = chain_flat(&slot->reply);

    if (elements == NULL)
        abort();
    if (slot->failed || all.p[0] == '-') {
        count_refusal(slot, all);
    } else if (split(b, all, elements)) {
        take_marks(slot, elements + b->n);
        if (!b->strange)
            take_all(slot, elements, as_array);
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

/* fresh: "1" or "0"; version: a bulk, as text. A key without a version before may have held anything. */
static void keep_script_version(struct slot *slot, size_t i, struct slice fresh, struct slice version)
{
    const char *line = memchr(version.p, '\n', version.len);

    if (version.p[0] == '$' && line != NULL && version.p + version.len - line > 3 &&
        slice_is(fresh, ":0\r\n"))
        keep_version(slot, i, false, (struct slice){line + 1, (size_t)(version.p + version.len - line) - 3});
}

/* Versions of all keys, when something was written; *ret_reply is the command's. False: it is not what was asked for. */
static bool take_script(struct slot *slot, struct slice all, struct slice *ret_reply)
{
    struct block *b = slot->block;
    int64_t items;
    size_t at = frame_aggregate(all.p, all.len, &items), pairs = b->touched.count;
    static const char null[] = "_\r\n";

    if (at == 0 || (items > 1 && items / 2 != (int64_t)pairs))
        return false;
    b->has_marked = items > 1;
    *ret_reply = (struct slice){null, sizeof null - 1};
    for (size_t i = 0; i < (size_t)items; i++) {
        size_t len = frame_length(all.p + at, all.len - at);
        if (len == 0)
            return false;
        if (i % 2 == 0)
            *ret_reply = (struct slice){all.p + at, len};
        at += len;
        if (i % 2 == 1)
            keep_script_version(slot, i / 2, *ret_reply, (struct slice){all.p + at - len, len});
    }
    if (items % 2 == 0)
        *ret_reply = (struct slice){null, sizeof null - 1};
    return true;
}

static bool starts_with(struct slice s, const char *text)
{
    size_t n = strlen(text);
    return s.len >= n && memcmp(s.p, text, n) == 0;
}

void block_finish_script(struct slot *slot)
{
    struct block *b = slot->block;
    struct slice all = chain_flat(&slot->reply), reply = all;
    struct chain out;

    if (b->upstream == NULL) { /* the archive has run its steps */
        block_finish_one(slot);
        return;
    }
    if (starts_with(all, MARKING_STRANGER) || !upstream_answers_count(b->upstream)) {
        be_strange(b);
        return;
    }
    if (all.p[0] == '*' && !take_script(slot, all, &reply)) {
        chain_clear(&slot->reply);
        build_err(&slot->reply, ERR_UPSTREAM_PROTOCOL, NULL);
        return;
    }
    chain_init(&out, slot->reply.pool);
    take_client(slot, &b->entries[0], reply, &out);
    chain_clear(&slot->reply);
    slot->reply = out;
}
