#include "proxy/pubsub.h"

#include "proxy/aside.h"
#include "proxy/dispatch.h"
#include "proxy/internal.h"
#include "proxy/slot.h"
#include "proxy/subscriber.h"
#include "proxy/transaction.h"
#include "resp/frame.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- to Redis, whoever acts: channels have one home ---- */

/* missing: what finish adds. */
static bool forward(struct session *s, const struct job *job, void (*finish)(struct slot *slot), int64_t missing)
{
    struct upstream *u = dispatch_upstream(s, job);
    enum admission a = dispatch_admit(s, u, job);

    if (a != ADMIT_NOW)
        return a == ADMIT_NEVER;
    struct slot *slot = slot_new(s, finish != NULL ? SLOT_COLLECT : SLOT_RAW, job->cmd, job->argv, job->argc);
    slot->finish = finish;
    slot->missing = missing;
    managed_put_raw(upstream_out(u), job);
    slot_send(slot, u, 1, job->slow);
    return true;
}

/* Redis's number and what it lacks. Where Redis knows of none, none of our loops is subscribed at the moment. */
static int64_t whole(int64_t n, int64_t missing)
{
    return n > 0 && n + missing > 0 ? n + missing : 0;
}

/* ":2" becomes what it is with the clients behind this process's loops. */
static void add_missing(struct slot *slot)
{
    struct slice reply = chain_flat(&slot->reply);
    int64_t n;

    if (reply.len < 4 || reply.p[0] != ':' || !frame_number(reply.p + 1, reply.len - 3, &n))
        return; /* an error */
    chain_clear(&slot->reply);
    build_int(&slot->reply, whole(n, slot->missing));
}

static bool do_publish(struct session *s, const struct job *job)
{
    int64_t missing = headcount_differs() ? headcount_missing_of(job->argv[1]) : 0;
    return forward(s, job, missing != 0 ? add_missing : NULL, missing);
}

static bool do_spublish(struct session *s, const struct job *job)
{
    int64_t missing = headcount_differs() ? headcount_missing(TOPIC_SHARD, job->argv[1]) : 0;
    return forward(s, job, missing != 0 ? add_missing : NULL, missing);
}

/* ---- PUBSUB NUMSUB: names and numbers, one after the other ---- */

struct pairs {
    const char *p;
    size_t n;
};

/* The next bulk and the number behind it. False: there is none. */
static bool take_pair(struct pairs *in, struct slice *ret_name, int64_t *ret_number)
{
    size_t used = frame_length(in->p, in->n), more;
    const char *line = memchr(in->p, '\n', in->n);

    if (used == 0 || in->p[0] != '$' || line == NULL)
        return false;
    *ret_name = (struct slice){line + 1, used - (size_t)(line + 1 - in->p) - 2};
    more = frame_length(in->p + used, in->n - used);
    if (more < 4 || in->p[used] != ':' || !frame_number(in->p + used + 1, more - 3, ret_number))
        return false;
    in->p += used + more;
    in->n -= used + more;
    return true;
}

static void correct_numbers(struct slot *slot, enum topic_kind kind)
{
    struct slice reply = chain_flat(&slot->reply), name;
    struct chain out;
    int64_t items, number;
    size_t at = frame_aggregate(reply.p, reply.len, &items);

    if (at == 0)
        return; /* an error */
    struct pairs in = {reply.p + at, reply.len - at};
    chain_init(&out, slot->reply.pool);
    build_array(&out, (size_t)items);
    while (take_pair(&in, &name, &number)) {
        build_bulk(&out, name.p, name.len);
        build_int(&out, whole(number, headcount_missing(kind, name)));
    }
    chain_clear(&slot->reply);
    slot->reply = out;
}

static void correct_channels(struct slot *slot)
{
    correct_numbers(slot, TOPIC_CHANNEL);
}

static void correct_shards(struct slot *slot)
{
    correct_numbers(slot, TOPIC_SHARD);
}

static bool do_numsub(struct session *s, const struct job *job)
{
    return forward(s, job, correct_channels, 0);
}

static bool do_shardnumsub(struct session *s, const struct job *job)
{
    return forward(s, job, correct_shards, 0);
}

/* Names are the same for Redis, however many clients hear them. */
static bool do_pubsub(struct session *s, const struct job *job)
{
    return forward(s, job, NULL, 0);
}

/* ---- SUBSCRIBE and UNSUBSCRIBE ---- */

/* What is in flight must be answered first. */
static bool must_wait(struct session *s)
{
    if (s->in_flight > 0)
        s->pauses |= PAUSE_ORDER;
    return s->in_flight > 0;
}

static bool subscribe(struct session *s, const struct job *job, enum topic_kind kind)
{
    if (must_wait(s))
        return false;
    if (loop_over_memory(s->loop)) {
        build_err(slot_answer(s), ERR_NOMEM, NULL);
        slot_answered(s);
        return true;
    }
    subscriber_join(s, kind, job);
    return true;
}

static bool do_subscribe(struct session *s, const struct job *job)
{
    return subscribe(s, job, TOPIC_CHANNEL);
}

static bool do_psubscribe(struct session *s, const struct job *job)
{
    return subscribe(s, job, TOPIC_PATTERN);
}

static bool do_ssubscribe(struct session *s, const struct job *job)
{
    return subscribe(s, job, TOPIC_SHARD);
}

static void leave_named(struct session *s, const struct job *job, enum topic_kind kind, struct chain *out)
{
    for (size_t i = 1; i < job->argc; i++) {
        subscriber_leave(s, kind, job->argv[i]);
        subscriber_confirm(s, out, job->cmd->name, kind, &job->argv[i]);
    }
}

static void leave_all(struct session *s, const struct job *job, enum topic_kind kind, struct chain *out)
{
    const struct topic *topic = subscriber_first(s, kind);

    if (topic == NULL)
        subscriber_confirm(s, out, job->cmd->name, kind, NULL);
    for (; topic != NULL; topic = subscriber_first(s, kind)) {
        struct chain name;
        chain_init(&name, out->pool);
        chain_append(&name, topic->name.p, topic->name.len);
        struct slice kept = chain_flat(&name);
        subscriber_leave(s, kind, topic->name);
        subscriber_confirm(s, out, job->cmd->name, kind, &kept);
        chain_clear(&name);
    }
}

static bool unsubscribe(struct session *s, const struct job *job, enum topic_kind kind)
{
    struct chain told;

    if (must_wait(s))
        return false;
    chain_init(&told, &s->loop->turn.chunks);
    if (job->argc > 1)
        leave_named(s, job, kind, &told);
    else
        leave_all(s, job, kind, &told);
    subscriber_answer(s, job, &told);
    return true;
}

static bool do_unsubscribe(struct session *s, const struct job *job)
{
    return unsubscribe(s, job, TOPIC_CHANNEL);
}

static bool do_punsubscribe(struct session *s, const struct job *job)
{
    return unsubscribe(s, job, TOPIC_PATTERN);
}

static bool do_sunsubscribe(struct session *s, const struct job *job)
{
    return unsubscribe(s, job, TOPIC_SHARD);
}

/* ---- the table ---- */

static const struct {
    const char *name; /* a row of route PUBSUB */
    bool (*fn)(struct session *s, const struct job *job);
    bool queued;   /* inside MULTI it is a part of the transaction; otherwise it is done when EXEC is over */
    bool confined; /* RESP2 allows it to a client that is subscribed */
} handlers[] = {
    {"publish", do_publish, true, false},
    {"spublish", do_spublish, true, false},
    {"subscribe", do_subscribe, false, true},
    {"psubscribe", do_psubscribe, false, true},
    {"ssubscribe", do_ssubscribe, false, true},
    {"unsubscribe", do_unsubscribe, false, true},
    {"punsubscribe", do_punsubscribe, false, true},
    {"sunsubscribe", do_sunsubscribe, false, true},
    {"pubsub|numsub", do_numsub, true, false},
    {"pubsub|shardnumsub", do_shardnumsub, true, false},
    {"pubsub|channels", do_pubsub, true, false},
    {"pubsub|shardchannels", do_pubsub, true, false},
    {"pubsub|numpat", do_pubsub, true, false},
    {"pubsub|help", do_pubsub, true, false},
    {"pubsub", do_pubsub, true, false},
};

#define HANDLERS (sizeof handlers / sizeof handlers[0])

static size_t find(const struct command *cmd)
{
    size_t i = 0;
    while (i < HANDLERS && strcmp(handlers[i].name, cmd->name) != 0)
        i++;
    return i;
}

bool pubsub_handles(const struct command *cmd)
{
    return find(cmd) < HANDLERS;
}

bool pubsub_command(struct session *s, const struct job *job)
{
    return handlers[find(job->cmd)].fn(s, job);
}

/* The archive has no channels: what a transaction publishes there goes to Redis as soon as it is done. */
bool pubsub_in_multi(struct session *s, const struct job *job)
{
    if (job->cmd->container)
        return local_unknown_sub(s, job);
    if (handlers[find(job->cmd)].queued && !s->loop->acting.any)
        transaction_queue(s, job);
    else
        aside_takes(s, job);
    return true;
}

/* ---- a client of RESP2 that is subscribed ---- */

static bool is_allowed(const struct command *cmd)
{
    static const char *const others[] = {"ping", "quit", "reset"};

    if (cmd == NULL)
        return false;
    size_t i = find(cmd);
    if (i < HANDLERS)
        return handlers[i].confined;
    for (i = 0; i < sizeof others / sizeof others[0]; i++)
        if (strcmp(others[i], cmd->name) == 0)
            return true;
    return false;
}

bool pubsub_refuses(struct session *s, const struct job *job)
{
    char line[256];
    int n = (int)(job->argv[0].len < 64 ? job->argv[0].len : 64);
    bool exec = job->cmd != NULL && strcmp(job->cmd->name, "exec") == 0;

    if (s->resp != RESP2 || is_allowed(job->cmd))
        return false;
    snprintf(line, sizeof line,
             "%s Can't execute '%.*s': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
             exec ? "EXECABORT Transaction discarded because of:" : "ERR", job->cmd != NULL ? (int)strlen(job->cmd->name) : n, job->cmd != NULL ? job->cmd->name : job->argv[0].p);
    return local_error(s, line);
}

bool pubsub_answers_ping(struct session *s, const struct job *job)
{
    if (s->subs == NULL || s->resp != RESP2)
        return false;
    struct chain *out = slot_answer(s);
    build_array(out, 2);
    build_text(out, "pong");
    build_bulk(out, job->argc > 1 ? job->argv[1].p : "", job->argc > 1 ? job->argv[1].len : 0);
    slot_answered(s);
    return true;
}
