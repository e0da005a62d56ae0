#include "proxy/topics.h"

#include "proxy/session.h"

#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

/* What it takes in memory, counted with the input of clients: proxy.max_memory is about both. */
static size_t size_of(const struct topic *topic)
{
    return sizeof *topic + topic->name.len;
}

struct topic *topics_find(const struct topics *t, enum topic_kind kind, struct slice name)
{
    struct hashed_node *node = hashed_find(&t->named[kind], hashed_name(name, kind));

    for (; node != NULL; node = hashed_again(node)) {
        struct topic *topic = (struct topic *)node;
        if (topic->name.len == name.len && memcmp(topic->name.p, name.p, name.len) == 0)
            return topic;
    }
    return NULL;
}

struct topic *topics_hold(struct topics *t, enum topic_kind kind, struct slice name)
{
    struct topic *topic = topics_find(t, kind, name);

    if (topic == NULL) {
        topic = must(calloc(1, sizeof *topic + name.len + 1));
        topic->kind = (uint8_t)kind;
        topic->tail = &topic->links;
        topic->name = (struct slice){(char *)(topic + 1), name.len};
        memcpy(topic + 1, name.p, name.len);
        hashed_add(&t->named[kind], &topic->node, hashed_name(name, kind));
    }
    topic->holds++;
    return topic;
}

bool topics_is_unwanted(const struct topic *topic)
{
    return topic->links == NULL && topic->awaited == 0;
}

void topics_let_go(struct topics *t, struct topic *topic)
{
    if (--topic->holds > 0 || topic->links != NULL)
        return;
    hashed_remove(&t->named[topic->kind], &topic->node);
    free(topic->refusal);
    free(topic);
}

/* ---- links ---- */

struct link *topics_linked(const struct topics *t, const struct topic *topic, const struct session *s)
{
    struct hashed_node *node = hashed_find(&t->links, hashed_pair(topic, s));

    for (; node != NULL; node = hashed_again(node)) {
        struct link *link = (struct link *)node;
        if (link->topic == topic && link->session == s)
            return link;
    }
    return NULL;
}

static struct subscriptions *subscriptions_new(void)
{
    struct subscriptions *subs = must(calloc(1, sizeof *subs));

    for (int kind = 0; kind < TOPIC_KINDS; kind++)
        subs->tails[kind] = &subs->links[kind];
    return subs;
}

static void count(struct topic *topic, struct session *s, int by)
{
    struct loop *l = s->loop;

    s->subs->counts[topic->kind] += (size_t)by;
    l->in_bytes += (size_t)by * (sizeof(struct link) + size_of(topic));
    counter_add(&l->stats->pubsub_subscriptions, (uint64_t)(int64_t)by);
    topic->listeners += (size_t)by;
    headcount_add((enum topic_kind)topic->kind, topic->name, by, topic->counted ? by : 0);
}

bool topics_link(struct topics *t, struct topic *topic, struct session *s)
{
    if (topics_linked(t, topic, s) != NULL)
        return false;
    if (s->subs == NULL)
        s->subs = subscriptions_new();
    struct link *link = must(calloc(1, sizeof *link));
    struct link ***tail = &s->subs->tails[topic->kind];
    link->topic = topic;
    link->session = s;
    link->back = topic->tail;
    *topic->tail = link;
    topic->tail = &link->next;
    link->of_back = *tail;
    **tail = link;
    *tail = &link->of_next;
    hashed_add(&t->links, &link->node, hashed_pair(topic, s));
    count(topic, s, 1);
    return true;
}

void topics_unlink(struct topics *t, struct link *own_link)
{
    struct link *link = own_link;
    struct topic *topic = link->topic;
    struct session *s = link->session;

    *link->back = link->next;
    if (link->next != NULL)
        link->next->back = link->back;
    else
        topic->tail = link->back;
    *link->of_back = link->of_next;
    if (link->of_next != NULL)
        link->of_next->of_back = link->of_back;
    else
        s->subs->tails[topic->kind] = link->of_back;
    hashed_remove(&t->links, &link->node);
    count(topic, s, -1);
    free(link);
    if (s->subs->links[TOPIC_CHANNEL] == NULL && s->subs->links[TOPIC_PATTERN] == NULL &&
        s->subs->links[TOPIC_SHARD] == NULL) {
        free(s->subs);
        s->subs = NULL;
    }
}
