#include "proxy/subscriber.h"

#include "base/clock.h"
#include "base/log.h"
#include "proxy/message.h"
#include "proxy/push.h"
#include "proxy/server.h"
#include "proxy/slot.h"

#include <stdlib.h>
#include <string.h>

#define DEAD_US (3 * 1000000ll) /* a question waits for so long while Redis is well: its connection is dead */

/* A question to Redis; answers come in the order of the questions. */
struct ask {
    struct upstream_request up; /* first */
    struct ask *next;
    struct subscriber *sub;
    struct topic *topic; /* held; NULL: it is a PING */
    uint64_t number;
    bool leaves; /* UNSUBSCRIBE */
};

/* A SUBSCRIBE or UNSUBSCRIBE that waits until all questions up to this number are answered. */
struct join {
    struct join *next;
    struct slot *slot;
    uint64_t number;
    enum topic_kind kind;
    size_t count;           /* 0: of an UNSUBSCRIBE, whose reply is in the slot */
    struct topic *topics[]; /* held and awaited */
};

struct subscriber {
    struct pool pool; /* first: upstreams give it back */
    struct loop *loop;
    struct topics topics;
    struct upstream *upstream;
    uint64_t generation; /* of the connection that the topics' "on" is about; 0: there is none */
    uint64_t asked, answered;
    struct ask *asks, **asks_tail;
    struct join *joins, **joins_tail;
    bool refused; /* some topic was: it is asked for again, once a second */
    bool closed;
};

static const char target; /* a waiting SUBSCRIBE's */

static const char *const verbs[TOPIC_KINDS][2] = {
    [TOPIC_CHANNEL] = {"SUBSCRIBE", "UNSUBSCRIBE"},
    [TOPIC_PATTERN] = {"PSUBSCRIBE", "PUNSUBSCRIBE"},
    [TOPIC_SHARD] = {"SSUBSCRIBE", "SUNSUBSCRIBE"},
};

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

/* ---- what Redis has subscribed ---- */

static void set_counted(struct topic *topic, bool counted)
{
    int64_t missing = (int64_t)topic->listeners - 1;

    if (topic->counted != counted)
        headcount_add((enum topic_kind)topic->kind, topic->name, 0, counted ? missing : -missing);
    topic->counted = counted;
}

static void set_on(struct topic *topic, bool on)
{
    topic->on = on;
    set_counted(topic, on);
}

static bool is_asked(const struct subscriber *sub, const struct topic *topic)
{
    return topic->asked > sub->answered;
}

/* The probe has found Redis well for a while. */
static bool is_well_for_long(const struct subscriber *sub)
{
    struct probe_report report;

    server_redis(sub->loop->server, &report);
    return report.up && clock_wall_us() - report.since_us > DEAD_US;
}

static bool is_away(struct subscriber *sub)
{
    const char *detail;
    return sub->closed || upstream_ready(sub->upstream, &detail) != ERR_NONE;
}

static void ask(struct subscriber *sub, struct topic *topic, bool leaves)
{
    struct ask *a = must(calloc(1, sizeof *a));
    struct slice argv[2] = {{"PING", 4}};
    size_t argc = 1;

    a->sub = sub;
    a->number = ++sub->asked;
    a->leaves = leaves;
    a->topic = topic;
    if (topic != NULL) {
        argv[0].p = verbs[topic->kind][leaves];
        argv[0].len = strlen(argv[0].p);
        argv[argc++] = topic->name;
        topic->holds++;
        topic->asked = leaves ? 0 : a->number;
    }
    *sub->asks_tail = a;
    sub->asks_tail = &a->next;
    build_request(upstream_out(sub->upstream), argv, argc);
    upstream_queue(sub->upstream, &a->up, 1, true);
}

/* It is subscribed, or will be when Redis is back. */
static void want(struct subscriber *sub, struct topic *topic)
{
    if (!topic->on && !is_asked(sub, topic) && !is_away(sub))
        ask(sub, topic, false);
}

/* One hold less; Redis need not send its messages any more when nobody wants them. */
static void release(struct subscriber *sub, struct topic *topic)
{
    if (topics_is_unwanted(topic) && (topic->on || is_asked(sub, topic))) {
        topic->on = false;
        topic->asked = 0;
        if (!is_away(sub))
            ask(sub, topic, true);
        else
            set_counted(topic, false);
    }
    topics_let_go(&sub->topics, topic);
}

/* ---- SUBSCRIBE ---- */

void subscriber_confirm(const struct session *s, struct chain *out, const char *verb, enum topic_kind kind,
                        const struct slice *name)
{
    static const struct subscriptions none;
    const struct subscriptions *subs = s->subs != NULL ? s->subs : &none;
    size_t n = kind == TOPIC_SHARD ? subs->counts[TOPIC_SHARD] : subs->counts[TOPIC_CHANNEL] + subs->counts[TOPIC_PATTERN];

    build_push(out, s->resp, 3);
    build_text(out, verb);
    if (name != NULL)
        build_bulk(out, name->p, name->len);
    else
        build_null(out, s->resp);
    build_int(out, (int64_t)n);
}

static const char *refusal_of(const struct join *j)
{
    for (size_t i = 0; i < j->count; i++)
        if (j->topics[i]->refusal != NULL)
            return j->topics[i]->refusal;
    return NULL;
}

/* Redis is well, but does not let the subscriber in (it does not know RESP3, or the password is wrong). NULL: it does, or is away. */
static const char *why_never(struct subscriber *sub)
{
    const char *detail;
    return upstream_ready(sub->upstream, &detail) != ERR_NONE && is_well_for_long(sub) ? detail : NULL;
}

/* From here on the client hears all topics, or none. */
static void answer_join(struct subscriber *sub, struct join *j, struct session *s, struct chain *out)
{
    static const char *const told[TOPIC_KINDS] = {"subscribe", "psubscribe", "ssubscribe"};
    const char *refusal = refusal_of(j), *never = why_never(sub);

    if (refusal != NULL)
        build_error(out, refusal);
    else if (never != NULL)
        build_err(out, ERR_REDISDOWN, never);
    if (refusal != NULL || never != NULL)
        return;
    for (size_t i = 0; i < j->count; i++) {
        topics_link(&sub->topics, j->topics[i], s);
        subscriber_confirm(s, out, told[j->kind], j->kind, &j->topics[i]->name);
    }
}

static void end_join(struct subscriber *sub, struct join *own_j)
{
    for (size_t i = 0; i < own_j->count; i++) {
        own_j->topics[i]->awaited--;
        release(sub, own_j->topics[i]);
    }
    free(own_j);
}

static void take_joins(struct subscriber *sub)
{
    while (sub->joins != NULL && sub->joins->number <= sub->answered) {
        struct join *j = sub->joins;
        struct slot *slot = j->slot;
        sub->joins = j->next;
        if (sub->joins == NULL)
            sub->joins_tail = &sub->joins;
        if (slot->session != NULL && j->count > 0)
            answer_join(sub, j, slot->session, &slot->reply);
        slot_complete(slot);
        end_join(sub, j);
    }
}

static struct join *join_new(size_t count)
{
    struct join *j = must(calloc(1, sizeof *j + count * sizeof j->topics[0]));
    j->count = count;
    return j;
}

/* Nothing is in flight. As in Redis these are told like messages, also to a client that has turned replies off. */
static void answer_now(struct session *s, struct chain *own_reply)
{
    chain_move((s->mute & MUTE_KEPT) != 0 ? &s->loop->unheard : &s->stream.out, own_reply);
    counter_add(&s->loop->stats->replies, 1);
    session_touch(s);
}

static void wait_with(struct subscriber *sub, struct join *own_j, struct session *s, const struct job *job)
{
    own_j->slot = slot_new(s, SLOT_COLLECT, job->cmd, job->argv, job->argc);
    own_j->slot->muted = false;
    slot_defer(own_j->slot, &target);
    session_pause(s, PAUSE_ORDER); /* what comes next may depend on it */
    *sub->joins_tail = own_j;
    sub->joins_tail = &own_j->next;
}

static void hold_all(struct subscriber *sub, struct join *j, const struct job *job)
{
    for (size_t i = 0; i < j->count; i++) {
        struct topic *topic = topics_hold(&sub->topics, j->kind, job->argv[i + 1]);
        topic->awaited++;
        j->topics[i] = topic;
        want(sub, topic);
        if (is_asked(sub, topic) && topic->asked > j->number)
            j->number = topic->asked;
    }
}

void subscriber_join(struct session *s, enum topic_kind kind, const struct job *job)
{
    struct subscriber *sub = subscriber_of(s->loop);
    struct join *j = join_new(job->argc - 1);
    struct chain told;

    chain_init(&told, &s->loop->turn.chunks);
    j->kind = kind;
    hold_all(sub, j, job);
    if (j->number > 0) {
        wait_with(sub, j, s, job);
        return;
    }
    answer_join(sub, j, s, &told);
    answer_now(s, &told);
    end_join(sub, j);
}

/* ---- UNSUBSCRIBE ---- */

bool subscriber_leave(struct session *s, enum topic_kind kind, struct slice name)
{
    if (s->subs == NULL)
        return false;
    struct subscriber *sub = subscriber_of(s->loop);
    struct topic *topic = topics_find(&sub->topics, kind, name);
    struct link *link = topic != NULL ? topics_linked(&sub->topics, topic, s) : NULL;
    if (link == NULL)
        return false;
    topic->holds++;
    topics_unlink(&sub->topics, link);
    release(sub, topic);
    return true;
}

void subscriber_answer(struct session *s, const struct job *job, struct chain *own_reply)
{
    struct subscriber *sub = s->loop->subscriber;

    if (sub == NULL || sub->asks == NULL) {
        answer_now(s, own_reply);
        return;
    }
    struct join *j = join_new(0);
    j->number = sub->asked;
    wait_with(sub, j, s, job);
    chain_move(&j->slot->reply, own_reply);
}

const struct topic *subscriber_first(const struct session *s, enum topic_kind kind)
{
    return s->subs != NULL && s->subs->links[kind] != NULL ? s->subs->links[kind]->topic : NULL;
}

void subscriber_drop(struct session *s)
{
    for (int kind = 0; kind < TOPIC_KINDS; kind++)
        for (const struct topic *topic; (topic = subscriber_first(s, (enum topic_kind)kind)) != NULL;)
            subscriber_leave(s, (enum topic_kind)kind, topic->name);
}

/* ---- messages ---- */

/* The client's protocol decides the first byte only. Sending may close a client, which then leaves all its topics; no other one. */
static void deliver(struct subscriber *sub, struct topic *topic, struct slice push)
{
    const struct slice rest = {push.p + 1, push.len - 1};

    topic->holds++;
    for (struct link *link = topic->links, *next; link != NULL; link = next) {
        next = link->next;
        struct slice first = {link->session->resp == RESP3 ? ">" : "*", 1};
        push_send_two(link->session, first, rest);
        counter_add(&sub->loop->stats->pubsub_messages, 1);
    }
    release(sub, topic);
}

static bool on_push(struct upstream *u, const char *p, size_t n)
{
    struct subscriber *sub = ((struct loop *)upstream_owner(u))->subscriber;
    struct message m;

    if (!message_read((struct slice){p, n}, &m))
        return message_is_answer((struct slice){p, n});
    struct topic *topic = topics_find(&sub->topics, m.kind, m.name);
    if (topic != NULL && topic->links != NULL && !message_is_internal(&m))
        deliver(sub, topic, (struct slice){p, n});
    return false;
}

/* ---- answers ---- */

static void pop_ask(struct subscriber *sub)
{
    sub->answered = sub->asks->number;
    sub->asks = sub->asks->next;
    if (sub->asks == NULL)
        sub->asks_tail = &sub->asks;
}

static void heed_answer(struct subscriber *sub, struct topic *topic, const char *refusal, size_t n)
{
    free(topic->refusal);
    topic->refusal = refusal != NULL ? must(strndup(refusal, n)) : NULL;
    set_on(topic, refusal == NULL);
    if (refusal == NULL)
        return;
    sub->refused = true;
    log_event(LOG_WARN, "subscription_refused", LOG_STR("reason", topic->refusal));
}

/* p: Redis's answer; NULL: there was none. */
static void ask_over(struct ask *own_a, const char *p, size_t n)
{
    struct subscriber *sub = own_a->sub;
    struct topic *topic = own_a->topic;
    bool counts = topic != NULL && !own_a->leaves && topic->asked == own_a->number;

    pop_ask(sub); /* they end in their order, failed ones too */
    if (counts && p != NULL)
        heed_answer(sub, topic, p[0] == '-' ? p + 1 : NULL, n > 3 ? n - 3 : 0);
    if (topic != NULL && own_a->leaves)
        set_counted(topic, topic->on);
    take_joins(sub);
    if (topic != NULL)
        release(sub, topic);
    free(own_a);
}

static void on_reply(struct upstream_request *r, const char *p, size_t n, bool end)
{
    if (end)
        ask_over((struct ask *)r, p, n);
}

static void on_failed(struct upstream_request *r, enum err e, const char *detail)
{
    ask_over((struct ask *)r, NULL, 0);
}

/* ---- connections ---- */

static void forget_on(void *ctx, struct hashed_node *node)
{
    set_on((struct topic *)node, false);
}

static void want_again(void *ctx, struct hashed_node *node)
{
    struct topic *topic = (struct topic *)node;

    if (!topics_is_unwanted(topic))
        want(ctx, topic);
}

static void each_topic(struct subscriber *sub, void (*fn)(void *ctx, struct hashed_node *node))
{
    for (int kind = 0; kind < TOPIC_KINDS; kind++)
        hashed_each(&sub->topics.named[kind], fn, sub);
}

static void on_change(struct upstream *u)
{
    struct subscriber *sub = ((struct loop *)upstream_owner(u))->subscriber;
    bool ready = upstream_state(u) == UP_READY;

    if (sub->generation != 0 && (!ready || upstream_generation(u) != sub->generation)) {
        sub->generation = 0;
        each_topic(sub, forget_on);
    }
    if (ready && sub->generation == 0) {
        sub->generation = upstream_generation(u);
        each_topic(sub, want_again);
    }
}

/* A connection that a router or a fire wall has forgotten: nothing comes, not even an end. But a Redis that is busy with a script for a
 * while must not cost the subscriptions: it would not answer the probe either. */
static bool is_dead(const struct subscriber *sub)
{
    return sub->asks != NULL && sub->loop->turn.now_us - sub->asks->up.queued_us > DEAD_US && is_well_for_long(sub);
}

static bool is_heard(const struct subscriber *sub)
{
    return sub->topics.links.count > 0;
}

/* Looks whether the connection is there as long as somebody hears something: a Redis that is back is not told otherwise. */
void subscriber_second(struct subscriber *sub)
{
    if (sub == NULL || !is_heard(sub))
        return;
    if (is_dead(sub))
        upstream_give_up(sub->upstream, "Redis answers others, but not the subscriber");
    bool away = is_away(sub);
    if (sub->refused && !away) {
        sub->refused = false;
        each_topic(sub, want_again);
    }
    if (!away && sub->asks == NULL)
        ask(sub, NULL, false);
}

static const struct upstream_ops ops = {on_reply, on_failed, on_change, on_push, NULL};

/* Its connections are counted with the others. */
struct subscriber *subscriber_of(struct loop *l)
{
    if (l->subscriber != NULL)
        return l->subscriber;
    struct subscriber *sub = must(calloc(1, sizeof *sub));
    sub->loop = l;
    sub->asks_tail = &sub->asks;
    sub->joins_tail = &sub->joins;
    pool_init(&sub->pool, &l->turn, l->settings, &ops, l->pool.env.count, l);
    l->subscriber = sub;
    sub->upstream = pool_borrow(&sub->pool, 0, RESP3);
    return sub;
}

void subscriber_settings(struct subscriber *sub, const struct settings *settings)
{
    if (sub != NULL)
        pool_settings(&sub->pool, settings);
}

void subscriber_cut(struct subscriber *sub)
{
    if (sub != NULL)
        pool_cut(&sub->pool);
}

void subscriber_close(struct subscriber *sub)
{
    if (sub == NULL)
        return;
    sub->closed = true;
    pool_close(&sub->pool);
}

void subscriber_free(struct subscriber *own_sub)
{
    free(own_sub);
}
