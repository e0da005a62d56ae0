#include "backends/redis/nodes.h"

#include "backends/redis/internal.h"
#include "backends/redis/pool.h"

#include <stdlib.h>
#include <string.h>

struct node {
    char *url;
    struct upstream *shared[2][2][POOL_CONNECTIONS_MAX];  /* [lane][resp - 2][share] */
    struct upstream *readers[2][2][POOL_CONNECTIONS_MAX]; /* the same, while it is a replica */
    struct node **replicas;
    size_t nreplicas;
};

struct nodes {
    struct upstream_env *env;
    struct node **list;
    size_t count;
    struct node **masters; /* as the topology has them */
    size_t nmasters;
    uint16_t owner[TOPOLOGY_SLOTS]; /* index in list, or TOPOLOGY_NOBODY */
    struct request_queue waiting;   /* to be sent later */
    bool reading;                   /* aim's replicas may answer, */
    unsigned turn;                  /* beginning with this one */
    struct node *aim;               /* NULL: whichever is for general questions */
};

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

struct nodes *nodes_new(struct upstream_env *env)
{
    struct nodes *n = must(calloc(1, sizeof *n));

    n->env = env;
    queue_init(&n->waiting);
    memset(n->owner, 0xff, sizeof n->owner);
    return n;
}

void nodes_each(struct nodes *n, void (*fn)(struct upstream *u, void *arg), void *arg)
{
    for (size_t i = 0; i < n->count; i++) {
        struct upstream **shared = &n->list[i]->shared[0][0][0], **readers = &n->list[i]->readers[0][0][0];
        for (size_t k = 0; k < sizeof n->list[i]->shared / sizeof *shared; k++) {
            if (shared[k] != NULL)
                fn(shared[k], arg);
            if (readers[k] != NULL)
                fn(readers[k], arg);
        }
    }
}

void nodes_free(struct nodes *own_n)
{
    if (own_n == NULL)
        return;
    for (size_t i = 0; i < own_n->count; i++) {
        free(own_n->list[i]->url);
        free(own_n->list[i]->replicas);
        free(own_n->list[i]);
    }
    free(own_n->list);
    free(own_n->masters);
    free(own_n);
}

/* The number of a node in the list, where it is from now on. */
static uint16_t find(struct nodes *n, const char *url)
{
    for (size_t i = 0; i < n->count; i++)
        if (strcmp(n->list[i]->url, url) == 0)
            return (uint16_t)i;
    if (n->count == TOPOLOGY_NOBODY)
        abort(); /* so many different nodes can't have been there */
    n->list = must(realloc(n->list, (n->count + 1) * sizeof(struct node *)));
    n->list[n->count] = must(calloc(1, sizeof(struct node)));
    n->list[n->count]->url = must(strdup(url));
    return (uint16_t)n->count++;
}

/* find may move the list: not in one expression with it. */
static struct node *node_at(struct nodes *n, const char *url)
{
    uint16_t number = find(n, url);
    return n->list[number];
}

static void take_replicas(struct nodes *n, struct node *master, const struct topology_node *t)
{
    master->replicas = must(realloc(master->replicas, (t->nreplicas + 1) * sizeof(struct node *)));
    for (size_t i = 0; i < t->nreplicas; i++)
        master->replicas[i] = node_at(n, t->replicas[i]);
    master->nreplicas = t->nreplicas;
}

void nodes_take(struct nodes *n, const struct topology *t)
{
    uint16_t *numbers = must(malloc((t->count + 1) * sizeof *numbers));

    n->masters = must(realloc(n->masters, (t->count + 1) * sizeof(struct node *)));
    for (size_t i = 0; i < t->count; i++) {
        numbers[i] = find(n, t->nodes[i].url);
        n->masters[i] = n->list[numbers[i]];
        take_replicas(n, n->masters[i], &t->nodes[i]);
    }
    n->nmasters = t->count;
    for (size_t slot = 0; slot < TOPOLOGY_SLOTS; slot++)
        n->owner[slot] = t->owner[slot] == TOPOLOGY_NOBODY ? TOPOLOGY_NOBODY : numbers[t->owner[slot]];
    free(numbers);
}

/* ---- choosing ---- */

static void aim_at(struct nodes *n, struct node *node)
{
    n->aim = node;
    n->reading = false;
}

void nodes_aim_any(struct nodes *n)
{
    aim_at(n, NULL);
}

/* Of a slot that nobody serves any node tells the client so. */
void nodes_aim_slot(struct nodes *n, uint16_t slot)
{
    aim_at(n, n->owner[slot] == TOPOLOGY_NOBODY ? NULL : n->list[n->owner[slot]]);
}

void nodes_aim_reader(struct nodes *n, uint16_t slot)
{
    nodes_aim_slot(n, slot);
    n->reading = n->aim != NULL && n->aim->nreplicas > 0;
    n->turn = slot;
}

void nodes_aim_master(struct nodes *n, size_t i)
{
    aim_at(n, i < n->nmasters ? n->masters[i] : NULL);
}

void nodes_aim_url(struct nodes *n, const char *url)
{
    aim_at(n, node_at(n, url));
}

static struct node *chosen(const struct nodes *n)
{
    if (n->aim != NULL)
        return n->aim;
    for (size_t i = 0; i < n->nmasters; i++)
        if (strcmp(n->masters[i]->url, redis_at(n->env->settings)) == 0)
            return n->masters[i];
    return n->masters[0];
}

const char *nodes_url(const struct nodes *n)
{
    return chosen(n)->url;
}

static struct upstream *shared_of(struct nodes *n, struct node *node, enum lane lane, enum resp resp,
                                  unsigned share)
{
    struct upstream **place = &node->shared[lane][resp - RESP2][share];

    if (*place == NULL)
        *place = upstream_new_at(n->env, lane, resp, node->url, share);
    return *place;
}

/* NULL: no replica can be asked now. */
static struct upstream *reader_of(struct nodes *n, struct node *node, enum lane lane, enum resp resp, unsigned share)
{
    const char *detail;

    for (size_t i = 0; i < node->nreplicas; i++) {
        struct node *replica = node->replicas[(n->turn + i) % node->nreplicas];
        struct upstream **place = &replica->readers[lane][resp - RESP2][share];
        if (*place == NULL)
            *place = upstream_new_at(n->env, lane, resp, replica->url, share);
        upstream_read_for(*place, shared_of(n, node, lane, resp, share));
        if (upstream_ready(*place, &detail) == ERR_NONE)
            return *place;
    }
    return NULL;
}

struct upstream *nodes_shared(struct nodes *n, enum lane lane, enum resp resp, unsigned share)
{
    struct upstream *reader = n->reading ? reader_of(n, n->aim, lane, resp, share) : NULL;

    return reader != NULL ? reader : shared_of(n, chosen(n), lane, resp, share);
}

/* ---- redirections ---- */

/* The URL of the node that a redirection of u names; the caller frees it. */
static char *url_of(const struct nodes *n, const struct upstream *u, const struct redirect *to)
{
    struct redis_seeds seeds;
    struct redis_url from;
    struct reason why;
    char *url = NULL;

    if (!redis_seeds_parse(n->env->settings->redis_url, &seeds, &why))
        return NULL; /* it is no cluster any more */
    if (redis_at_parse(upstream_url(u), &from, &why)) {
        url = redis_seeds_url(&seeds, to->host[0] != '\0' ? to->host : from.host, to->port);
        redis_url_done(&from);
    }
    redis_seeds_done(&seeds);
    return url;
}

static void send_again(struct nodes *n, struct upstream *u, struct upstream_request *r, struct node *node,
                       bool asking)
{
    const char *detail;
    struct upstream *to = u;

    if (upstream_lane(u) == LANE_PINNED)
        upstream_move(u, node->url); /* its borrower goes on with it, there */
    else
        to = shared_of(n, node, upstream_lane(u), upstream_resp(u), upstream_share(u));
    enum err e = upstream_ready(to, &detail);
    if (r != NULL && e != ERR_NONE)
        upstream_fail(n->env, r, e, detail);
    else if (r != NULL)
        upstream_resend(to, r, asking);
}

/* To the node that it was sent to first: who serves the slot now is told there. */
static void wait(struct nodes *n, struct upstream_request *r)
{
    r->resend->due_us = turn_now(n->env->turn) + resend_pause_us(r->resend);
    resend_later(r->resend);
    queue_push(&n->waiting, r);
    n->env->wake(n->env);
}

static void send_home(struct nodes *n, struct upstream_request *r)
{
    const char *detail;
    enum err e = upstream_ready(r->resend->home, &detail);

    if (e == ERR_NONE)
        upstream_resend(r->resend->home, r, false);
    else
        upstream_fail(n->env, r, e, detail);
}

static void send_late(struct nodes *n, struct upstream_request *r)
{
    if (n->env->ops->may_wait(r))
        send_home(n, r);
    else
        upstream_fail(n->env, r, ERR_RESHARD, "its client is gone");
}

bool nodes_tick(struct nodes *n, int64_t now_us)
{
    struct request_queue all = {.tail = &all.head};

    queue_append(&all, &n->waiting);
    while (all.head != NULL) {
        struct upstream_request *r = queue_pop(&all);
        if (r->resend->due_us <= now_us)
            send_late(n, r);
        else
            queue_push(&n->waiting, r);
    }
    return n->waiting.head != NULL;
}

void nodes_cancel(struct nodes *n)
{
    while (n->waiting.head != NULL)
        upstream_fail(n->env, queue_pop(&n->waiting), ERR_CANCELLED, "the proxy ends");
}

bool nodes_redirect(struct nodes *n, struct upstream *u, struct upstream_request *r,
                    const struct redirect *to)
{
    if (to->kind == REDIRECT_LATER) {
        wait(n, r);
        return true;
    }
    if (to->kind == REDIRECT_MASTER) {
        send_home(n, r);
        return false;
    }
    char *url = url_of(n, u, to);
    bool news = false;

    if (url == NULL) {
        if (r != NULL)
            upstream_fail(n->env, r, ERR_RESHARD, "it is no cluster any more");
        return false;
    }
    uint16_t number = find(n, url);
    if (to->kind == REDIRECT_MOVED) {
        news = n->owner[to->slot] != number;
        n->owner[to->slot] = number;
    }
    free(url);
    send_again(n, u, r, n->list[number], to->kind == REDIRECT_ASK);
    return news;
}
