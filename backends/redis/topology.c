#include "backends/redis/topology.h"

#include <hiredis/hiredis.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *p)
{
    if (p == NULL)
        abort();
    return p;
}

uint16_t topology_find(const struct topology *t, const char *host, int port)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->nodes[i].port == port && strcmp(t->nodes[i].host, host) == 0)
            return (uint16_t)i;
    return TOPOLOGY_NOBODY;
}

static uint16_t add_node(struct topology *t, const struct redis_seeds *seeds, const char *host, int port)
{
    uint16_t found = topology_find(t, host, port);

    if (found != TOPOLOGY_NOBODY || t->count == TOPOLOGY_MOST)
        return found;
    t->nodes = must(realloc(t->nodes, (t->count + 1) * sizeof *t->nodes));
    t->nodes[t->count] = (struct topology_node){
        .host = must(strdup(host)), .port = port, .url = redis_seeds_url(seeds, host, port)};
    return (uint16_t)t->count++;
}

static bool is_number(const redisReply *r, long long least, long long most)
{
    return r->type == REDIS_REPLY_INTEGER && r->integer >= least && r->integer <= most;
}

/* A range tells all replicas of its master; each range of the same master the same ones. One that does not tell its host is left out. */
static void add_replica(struct topology_node *node, const struct redis_seeds *seeds, const redisReply *r)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 2 || r->element[0]->type != REDIS_REPLY_STRING ||
        r->element[0]->len == 0 || strcmp(r->element[0]->str, "?") == 0 || !is_number(r->element[1], 1, 65535))
        return;
    char *url = redis_seeds_url(seeds, r->element[0]->str, (int)r->element[1]->integer);
    for (size_t i = 0; i < node->nreplicas; i++)
        if (strcmp(node->replicas[i], url) == 0) {
            free(url);
            return;
        }
    node->replicas = must(realloc(node->replicas, (node->nreplicas + 1) * sizeof(char *)));
    node->replicas[node->nreplicas++] = url;
}

/* [first, last, [host, port, …] of the master, replicas…] */
static bool is_range(const redisReply *r)
{
    if (r->type != REDIS_REPLY_ARRAY || r->elements < 3 || !is_number(r->element[0], 0, TOPOLOGY_SLOTS - 1) ||
        !is_number(r->element[1], r->element[0]->integer, TOPOLOGY_SLOTS - 1))
        return false;
    const redisReply *master = r->element[2];
    return master->type == REDIS_REPLY_ARRAY && master->elements >= 2 &&
           (master->element[0]->type == REDIS_REPLY_STRING || master->element[0]->type == REDIS_REPLY_NIL) &&
           is_number(master->element[1], 1, 65535);
}

static int by_first_slot(const void *a, const void *b)
{
    const redisReply *const *x = a, *const *y = b;
    return (x[0]->element[0]->integer > y[0]->element[0]->integer) -
           (x[0]->element[0]->integer < y[0]->element[0]->integer);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add_range(struct topology *t, const redisReply *r, const struct redis_seeds *seeds,
                      const char *asked)
{
    const redisReply *master = r->element[2];
    const char *host = master->element[0]->type == REDIS_REPLY_STRING ? master->element[0]->str : "";
    bool told = host[0] != '\0' && strcmp(host, "?") != 0;
    uint16_t node = add_node(t, seeds, told ? host : asked, (int)master->element[1]->integer);

    for (size_t i = 3; i < r->elements && node != TOPOLOGY_NOBODY; i++)
        add_replica(&t->nodes[node], seeds, r->element[i]);
    for (long long slot = r->element[0]->integer; slot <= r->element[1]->integer; slot++) {
        t->covered += t->owner[slot] == TOPOLOGY_NOBODY && node != TOPOLOGY_NOBODY;
        t->owner[slot] = node;
    }
}

struct topology *topology_new(const redisReply *slots, const struct redis_seeds *seeds, const char *host)
{
    if (slots == NULL || slots->type != REDIS_REPLY_ARRAY || slots->elements == 0)
        return NULL;
    for (size_t i = 0; i < slots->elements; i++)
        if (!is_range(slots->element[i]))
            return NULL;
    struct topology *t = must(calloc(1, sizeof *t));
    const redisReply **sorted = must(malloc(slots->elements * sizeof(const redisReply *)));

    memcpy(sorted, slots->element, slots->elements * sizeof(const redisReply *));
    qsort(sorted, slots->elements, sizeof(const redisReply *), by_first_slot);
    atomic_init(&t->refs, 1);
    memset(t->owner, 0xff, sizeof t->owner);
    for (size_t i = 0; i < slots->elements; i++)
        add_range(t, sorted[i], seeds, host);
    for (size_t i = 0; i < t->count; i++)
        if (t->nodes[i].nreplicas > 1)
            qsort(t->nodes[i].replicas, t->nodes[i].nreplicas, sizeof(char *), by_text);
    free(sorted);
    return t;
}

struct topology *topology_ref(struct topology *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void topology_unref(struct topology *t)
{
    if (t == NULL || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < t->count; i++) {
        free(t->nodes[i].host);
        free(t->nodes[i].url);
        for (size_t k = 0; k < t->nodes[i].nreplicas; k++)
            free(t->nodes[i].replicas[k]);
        free(t->nodes[i].replicas);
    }
    free(t->nodes);
    free(t);
}

static bool same_node(const struct topology_node *a, const struct topology_node *b)
{
    if (strcmp(a->url, b->url) != 0 || a->nreplicas != b->nreplicas)
        return false;
    for (size_t i = 0; i < a->nreplicas; i++)
        if (strcmp(a->replicas[i], b->replicas[i]) != 0)
            return false;
    return true;
}

bool topology_equal(const struct topology *a, const struct topology *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!same_node(&a->nodes[i], &b->nodes[i]))
            return false;
    return memcmp(a->owner, b->owner, sizeof a->owner) == 0;
}
