#include "proxy/cluster.h"

#include "proxy/dispatch.h"
#include "proxy/everywhere.h"
#include "proxy/gather.h"
#include "proxy/hold.h"
#include "proxy/internal.h"
#include "proxy/keyspace.h"
#include "proxy/local.h"
#include "proxy/replicated.h"
#include "proxy/transaction.h"
#include "resp/frame.h"
#include "router/keys.h"
#include "router/slots.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CROSSSLOT "CROSSSLOT Keys in request don't hash to the same slot"
#define CROSSED   "CROSSSLOT Keys in request are in several slots of the cluster, and in the archive: ask for them one by one"

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

static bool refuse(struct session *s, const char *line)
{
    transaction_spoil(s);
    return local_error(s, line);
}

/* ---- in which slot ---- */

struct looking {
    const struct loop *loop;
    const struct slice *argv;
    bool elsewhere; /* some keys are not the cluster's, */
    bool archive;   /* but the archive's */
    bool reads;     /* replicas may answer it */
    int slot;       /* -1: no key of the cluster so far */
    bool mixed;     /* there are several */
};

static bool see_key(void *ctx, struct key_ref ref)
{
    struct looking *look = ctx;
    int slot = slots_of(look->argv[ref.arg]);

    if (look->elsewhere && keyspace_is_archive(look->loop, look->argv[ref.arg])) {
        look->archive = true;
        return true;
    }
    if (look->reads)
        look->reads = policy_find(look->loop->policies, look->argv[ref.arg]) == NULL;
    look->mixed |= look->slot >= 0 && look->slot != slot;
    look->slot = slot;
    return true;
}

/* By its command; its keys have a say, too. */
static bool may_read(const struct session *s, const struct job *job)
{
    return s->loop->settings->redis_replica_reads && job->cmd != NULL && (job->cmd->flags & CMD_READONLY) != 0 &&
           (job->cmd->cats & CAT_SCRIPTING) == 0 && s->pinned == NULL && !transaction_is_open(s);
}

static struct looking look_at(const struct session *s, const struct job *job)
{
    struct looking look = {
        .loop = s->loop, .argv = job->argv, .elsewhere = s->loop->acting.any && s->db == 0, .reads = may_read(s, job), .slot = -1};

    if (job->cmd != NULL)
        keys_each(job->cmd, job->argv, job->argc, see_key, &look);
    if (job->cmd != NULL && look.slot < 0 && strcmp(job->cmd->name, "spublish") == 0)
        look.slot = slots_of(job->argv[1]);
    return look;
}

static void aim(struct session *s, int slot, bool reads)
{
    if (slot < 0)
        pool_aim_any(&s->loop->pool);
    else if (reads)
        pool_aim_reader(&s->loop->pool, (uint16_t)slot);
    else
        pool_aim_slot(&s->loop->pool, (uint16_t)slot);
}

/* ---- parts ---- */

static struct upstream *aimed(struct session *s, const struct job *job)
{
    return pool_shared(&s->loop->pool, job->slow ? LANE_SLOW : LANE_FAST, s->db, s->resp, s->id);
}

/* Nothing else of the client is in flight. */
static bool may_begin(struct session *s)
{
    if (s->in_flight > 0)
        session_pause(s, PAUSE_ORDER);
    return s->in_flight == 0;
}

/* ---- keys in several slots ---- */

static const struct {
    const char *name;
    size_t step; /* arguments for each key */
    gather_fn *finish;
} splits[] = {
    {"mget", 1, gather_elements}, {"mset", 2, gather_first}, {"del", 1, gather_sum},
    {"exists", 1, gather_sum},    {"touch", 1, gather_sum},  {"unlink", 1, gather_sum},
};

#define SPLITS (sizeof splits / sizeof splits[0])

static size_t find_split(const struct command *cmd)
{
    size_t i = 0;
    while (i < SPLITS && strcmp(splits[i].name, cmd->name) != 0)
        i++;
    return i;
}

/* Which keys go together: a part for each slot. */
struct parts {
    size_t n, nkeys, step;
    bool reads;        /* replicas may answer */
    uint32_t *part_of; /* of each key */
    uint32_t *first;   /* of each part and one more: where its keys begin in order */
    uint32_t *order;   /* keys by their parts, in the client's order within each */
    uint16_t *slots;   /* of each part */
};

static void parts_done(struct parts *p)
{
    free(p->part_of);
    free(p->first);
    free(p->order);
    free(p->slots);
}

static void number_parts(struct parts *p, const struct slice *argv)
{
    uint32_t *part_of_slot = must(calloc(SLOTS, sizeof *part_of_slot)); /* plus one */

    for (size_t k = 0; k < p->nkeys; k++) {
        uint16_t slot = slots_of(argv[1 + k * p->step]);
        if (part_of_slot[slot] == 0) {
            p->slots[p->n] = slot;
            part_of_slot[slot] = (uint32_t)++p->n;
        }
        p->part_of[k] = part_of_slot[slot] - 1;
    }
    free(part_of_slot);
}

static void sort_by_part(struct parts *p)
{
    p->first = must(calloc(p->n + 1, sizeof *p->first));
    for (size_t k = 0; k < p->nkeys; k++)
        p->first[p->part_of[k] + 1]++;
    for (size_t i = 0; i < p->n; i++)
        p->first[i + 1] += p->first[i];
    uint32_t *next = must(malloc((p->n + 1) * sizeof *next));
    memcpy(next, p->first, (p->n + 1) * sizeof *next);
    for (size_t k = 0; k < p->nkeys; k++)
        p->order[next[p->part_of[k]]++] = (uint32_t)k;
    free(next);
}

static void parts_init(struct parts *p, const struct job *job, size_t step)
{
    *p = (struct parts){.nkeys = (job->argc - 1) / step, .step = step};
    p->part_of = must(malloc(p->nkeys * sizeof *p->part_of));
    p->order = must(malloc(p->nkeys * sizeof *p->order));
    p->slots = must(malloc(p->nkeys * sizeof *p->slots));
    number_parts(p, job->argv);
    sort_by_part(p);
}

static enum admission admit_parts(struct session *s, const struct job *job, const struct parts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        aim(s, p->slots[i], p->reads);
        enum admission a = dispatch_admit(s, aimed(s, job), job);
        if (a != ADMIT_NOW)
            return a;
    }
    return ADMIT_NOW;
}

static void send_parts(struct session *s, const struct job *job, struct parts *p, gather_fn *finish)
{
    struct slice *argv = must(malloc(job->argc * sizeof *argv));
    struct gather *g = gather_new(s, job, p->n, finish);

    g->nkeys = p->nkeys;
    g->part_of = p->part_of;
    p->part_of = NULL;
    argv[0] = job->argv[0];
    for (size_t i = 0; i < p->n; i++) {
        struct job part = {.cmd = job->cmd, .argv = argv, .argc = 1, .inline_ = true, .slow = job->slow};
        for (uint32_t at = p->first[i]; at < p->first[i + 1]; at++)
            for (size_t a = 0; a < p->step; a++)
                argv[part.argc++] = job->argv[1 + p->order[at] * p->step + a];
        aim(s, p->slots[i], p->reads);
        gather_send(g, s, i, &part);
    }
    free(argv);
}

static bool split(struct session *s, const struct job *job, size_t row, bool reads)
{
    struct parts parts;
    enum gate gate = s->loop->acting.any ? hold_gate(s, job->cmd, job->argv, job->argc) : GATE_GO;

    if (gate != GATE_GO)
        return gate == GATE_REFUSED;
    const struct plan *plan = managed_plan(s->loop, job, s->resp, true);
    if (plan->kind == PLAN_REFUSED) { /* before anything is done by halves */
        build_err(slot_answer(s), plan->error, job->cmd->name);
        slot_answered(s);
        return true;
    }
    if (!may_begin(s))
        return false;
    parts_init(&parts, job, splits[row].step);
    parts.reads = reads;
    enum admission a = admit_parts(s, job, &parts);
    if (a == ADMIT_NOW)
        send_parts(s, job, &parts, splits[row].finish);
    parts_done(&parts);
    return a != ADMIT_LATER;
}

/* ---- by command ---- */

/* What a Redis without a cluster answers, and what can't be right on one node of several. */
static const char *refusal(const struct session *s, const struct command *cmd)
{
    if (strncmp(cmd->name, "cluster", 7) == 0 && (cmd->name[7] == '\0' || cmd->name[7] == '|'))
        return "ERR This instance has cluster support disabled";
    if (strcmp(cmd->name, "ssubscribe") == 0)
        return "ERR not possible through convproxy while Redis is a cluster: its shards' channels are not heard (SUBSCRIBE is)";
    if (transaction_is_open(s) && (everywhere_is(cmd) || strcmp(cmd->name, "wait") == 0))
        return "ERR not possible inside MULTI while Redis is a cluster: it is about all nodes";
    return NULL;
}

/* EXEC goes where the queued commands go; a connection that watches keys can't go along. */
static bool take_exec(struct session *s)
{
    int *slot = transaction_slot(s);

    aim(s, slot != NULL ? *slot : -1, false);
    if (slot == NULL || *slot < 0 || s->pinned == NULL || pool_aims_at(&s->loop->pool, s->pinned))
        return false;
    bool moved = *slot == s->watch_slot; /* since WATCH: as if a key that is watched had changed */
    transaction_drop(s);
    if (!moved)
        return local_error(s, CROSSSLOT);
    build_null_array(slot_answer(s), s->resp);
    slot_answered(s);
    return true;
}

/* A command that waits for EXEC. */
static bool take_queued(struct session *s, const struct looking *look)
{
    int *slot = transaction_slot(s);

    if (look->slot >= 0 && *slot >= 0 && *slot != look->slot)
        return refuse(s, CROSSSLOT);
    if (look->slot >= 0)
        *slot = look->slot;
    return false;
}

static bool take_mixed(struct session *s, const struct job *job, const struct looking *look)
{
    size_t row = find_split(job->cmd);

    if (look->archive)
        return refuse(s, CROSSED);
    if (row == SPLITS || transaction_is_open(s))
        return refuse(s, CROSSSLOT);
    return split(s, job, row, look->reads);
}

/* Keys can't be told apart then; a node would blame their slots. */
static bool lacks_a_value(const struct job *job)
{
    return job->cmd != NULL && job->argc % 2 == 0 && strcmp(job->cmd->name, "mset") == 0;
}

bool cluster_takes(struct session *s, const struct job *job, bool *ret_taken)
{
    const char *why = job->cmd != NULL ? refusal(s, job->cmd) : NULL;

    *ret_taken = true;
    pool_aim_any(&s->loop->pool);
    if (why != NULL)
        return refuse(s, why);
    if (job->cmd != NULL && strcmp(job->cmd->name, "exec") == 0)
        return take_exec(s);
    if (job->cmd != NULL && !transaction_is_open(s) && strcmp(job->cmd->name, "wait") == 0)
        return replicated_takes(s, job, ret_taken);
    if (job->cmd != NULL && !transaction_is_open(s) && everywhere_is(job->cmd)) {
        *ret_taken = everywhere_command(s, job);
        return true;
    }
    if (lacks_a_value(job) && !transaction_is_open(s))
        return refuse(s, "ERR wrong number of arguments for 'mset' command");
    struct looking look = look_at(s, job);
    if (look.mixed) {
        *ret_taken = take_mixed(s, job, &look);
        return true;
    }
    aim(s, look.slot, look.reads);
    if (transaction_is_open(s))
        return take_queued(s, &look);
    bool watches = job->cmd != NULL && strcmp(job->cmd->name, "watch") == 0;
    if (watches && s->pinned != NULL && !pool_aims_at(&s->loop->pool, s->pinned))
        return refuse(s, CROSSSLOT);
    if (watches)
        s->watch_slot = look.slot;
    return false;
}

/* ---- INFO ---- */

static const struct {
    const char *from, *to;
} plain[] = {
    {"cluster_enabled:1", "cluster_enabled:0\r\n"},
    {"redis_mode:cluster", "redis_mode:standalone\r\n"},
};

struct slice cluster_plain(struct slice line)
{
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (line.len >= strlen(plain[i].from) && memcmp(line.p, plain[i].from, strlen(plain[i].from)) == 0)
            return (struct slice){plain[i].to, strlen(plain[i].to)};
    return line;
}
