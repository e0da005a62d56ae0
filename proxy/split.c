#include "proxy/split.h"

#include "proxy/archived.h"
#include "proxy/dispatch.h"
#include "proxy/keyspace.h"
#include "resp/frame.h"

#include <stdlib.h>
#include <string.h>

static const char target; /* see session.current */

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static void split_free(struct split *own_sp)
{
    for (int i = 0; i < SPLIT_STORES; i++)
        free(own_sp->replies[i].p);
    free(own_sp->stores);
    free(own_sp);
}

/* ---- parts ---- */

bool split_start(struct session *s, const struct job *job,
                 void (*finish)(struct split *sp, struct chain *out), struct split **ret)
{
    if (s->in_flight > 0) {
        session_pause(s, PAUSE_ORDER);
        return false;
    }
    if (archived_refuses(s))
        return true;
    if (!executor_up(s->loop->executor)) { /* known before: so nothing is done by halves */
        build_err(slot_answer(s), ERR_ARCHIVEDOWN, "it did not answer lately");
        slot_answered(s);
        return true;
    }
    struct upstream *u = dispatch_upstream(s, job);
    enum admission a = dispatch_admit(s, u, job);
    if (a != ADMIT_NOW)
        return a == ADMIT_NEVER;
    struct split *sp = must(calloc(1, sizeof *sp));
    sp->slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    sp->resp = s->resp;
    sp->upstream = u;
    sp->left = SPLIT_STORES;
    sp->finish = finish;
    slot_defer(sp->slot, &target);
    *ret = sp;
    return true;
}

struct slot *split_ask_redis(struct split *sp, struct chain *requests, uint32_t n, bool slow)
{
    struct slot *part = slot_new_part(sp->slot->loop, sp, SPLIT_REDIS);
    chain_move(upstream_out(sp->upstream), requests);
    upstream_queue(sp->upstream, &part->up, n, slow);
    return part;
}

struct slot *split_ask_archive(struct split *sp, enum op_form form, struct slice requests)
{
    struct slot *part = slot_new_part(sp->slot->loop, sp, SPLIT_ARCHIVE);
    archived_send(part, op_new(form, sp->resp, requests));
    return part;
}

struct slice split_reply(const struct split *sp, enum split_store store)
{
    return (struct slice){sp->replies[store].p, sp->replies[store].len};
}

static const struct slice *first_error(const struct split *sp, struct slice *buf)
{
    for (int i = 0; i < SPLIT_STORES; i++) {
        *buf = split_reply(sp, (enum split_store)i);
        if (buf->len > 0 && buf->p[0] == '-')
            return buf;
    }
    return NULL;
}

static void complete(struct split *sp)
{
    struct slot *slot = sp->slot;
    struct slice buf;
    const struct slice *error = first_error(sp, &buf);

    slot->failed = error != NULL;
    if (error != NULL)
        chain_put(&slot->reply, error->p, error->len);
    else
        sp->finish(sp, &slot->reply);
    split_free(sp);
    slot_complete(slot);
}

void split_part_over(struct slot *part)
{
    struct split *sp = part->whole;
    struct slice reply = chain_flat(&part->reply);

    sp->replies[part->part].p = must(malloc(reply.len + 1));
    memcpy(sp->replies[part->part].p, reply.p, reply.len);
    sp->replies[part->part].len = reply.len;
    if (--sp->left == 0)
        complete(sp);
}

/* The loop's own part may have ended before, while the loop closed: whoever is the last one frees. */
void split_part_orphan(struct slot *part)
{
    struct split *sp = part->whole;

    if (--sp->left > 0)
        return;
    slot_free_orphan(sp->slot);
    split_free(sp);
}

/* ---- commands on many keys ---- */

/* Each element comes from the part that its key is in, in the order of the keys. */
static void finish_elements(struct split *sp, struct chain *out)
{
    struct slice left[SPLIT_STORES];
    int64_t items;

    for (int i = 0; i < SPLIT_STORES; i++) {
        left[i] = split_reply(sp, (enum split_store)i);
        size_t header = frame_aggregate(left[i].p, left[i].len, &items);
        left[i] = (struct slice){left[i].p + header, left[i].len - header};
    }
    build_array(out, sp->nkeys);
    for (size_t i = 0; i < sp->nkeys; i++) {
        struct slice *from = &left[sp->stores[i]];
        size_t n = frame_length(from->p, from->len);
        if (n == 0) { /* fewer than were asked for */
            chain_clear(out);
            build_err(out, ERR_UPSTREAM_PROTOCOL, NULL);
            return;
        }
        chain_put(out, from->p, n);
        *from = (struct slice){from->p + n, from->len - n};
    }
}

static void finish_sum(struct split *sp, struct chain *out)
{
    int64_t sum = 0, n = 0;

    for (int i = 0; i < SPLIT_STORES; i++) {
        struct slice reply = split_reply(sp, (enum split_store)i);
        if (reply.len < 3 || !frame_number(reply.p + 1, reply.len - 3, &n))
            n = 0;
        sum += n;
    }
    build_int(out, sum);
}

static const struct {
    const char *name;
    void (*finish)(struct split *sp, struct chain *out);
} rows[] = {
    {"mget", finish_elements}, {"del", finish_sum},    {"exists", finish_sum},
    {"touch", finish_sum},     {"unlink", finish_sum},
};

#define ROWS (sizeof rows / sizeof rows[0])

static size_t find(const struct command *cmd)
{
    size_t i = 0;
    while (i < ROWS && strcmp(rows[i].name, cmd->name) != 0)
        i++;
    return i;
}

bool split_can(const struct command *cmd)
{
    return cmd != NULL && find(cmd) < ROWS;
}

/* The verb, and those keys that are in this store. */
static void build_part(struct split *sp, const struct job *job, enum split_store store, struct chain *out)
{
    size_t n = 0;

    for (size_t i = 0; i < sp->nkeys; i++)
        n += sp->stores[i] == store;
    build_array(out, 1 + n);
    build_bulk(out, job->argv[0].p, job->argv[0].len);
    for (size_t i = 0; i < sp->nkeys; i++)
        if (sp->stores[i] == store)
            build_bulk(out, job->argv[1 + i].p, job->argv[1 + i].len);
}

static bool has_internal_key(struct session *s, const struct job *job)
{
    const struct plan *plan = managed_plan(s->loop, job, s->resp, true);

    if (plan->kind != PLAN_REFUSED)
        return false;
    build_err(slot_answer(s), plan->error, job->cmd->name);
    slot_answered(s);
    return true;
}

/* What the archive does for it counts for the policy of its first key there. */
static void count(const struct split *sp, struct slot *part, const struct job *job)
{
    struct loop *l = part->loop;
    size_t i = 0;

    while (sp->stores[i] != SPLIT_ARCHIVE)
        i++;
    part->policy = loop_policy_id(l, policy_find(l->policies, job->argv[1 + i]));
    part->managed_write = (job->cmd->flags & CMD_WRITE) != 0;
    part->retrieval = !part->managed_write;
    counter_add(&l->stats->policies[part->policy].writes, part->managed_write);
}

/* Redis' keys may be managed, too: by policies for which it acts. */
static void ask_redis_managed(struct split *sp, struct session *s, const struct job *job)
{
    struct slice *argv = must(malloc(job->argc * sizeof *argv));
    struct job part = {.cmd = job->cmd, .argv = argv, .argc = 1, .inline_ = true, .slow = job->slow};

    argv[0] = job->argv[0];
    for (size_t i = 0; i < sp->nkeys; i++)
        if (sp->stores[i] == SPLIT_REDIS)
            argv[part.argc++] = job->argv[1 + i];
    managed_plan_redis(s, &part, false);
    managed_send_part(slot_new_part(s->loop, sp, SPLIT_REDIS), sp->upstream, sp->resp, &part);
    free(argv);
}

bool split_command(struct session *s, const struct job *job)
{
    struct split *sp = NULL;
    struct chain part;

    if (has_internal_key(s, job))
        return true;
    if (!split_start(s, job, rows[find(job->cmd)].finish, &sp))
        return false;
    if (sp == NULL)
        return true;
    sp->nkeys = job->argc - 1;
    sp->stores = must(malloc(sp->nkeys));
    for (size_t i = 0; i < sp->nkeys; i++)
        sp->stores[i] = keyspace_is_archive(s->loop, job->argv[1 + i]) ? SPLIT_ARCHIVE : SPLIT_REDIS;
    ask_redis_managed(sp, s, job);
    chain_init(&part, &s->loop->turn.chunks);
    build_part(sp, job, SPLIT_ARCHIVE, &part);
    count(sp, split_ask_archive(sp, OP_ONE, chain_flat(&part)), job);
    chain_clear(&part);
    return true;
}
