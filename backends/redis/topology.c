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

static void add_range(struct topology *t, const redisReply *r, const struct redis_seeds *seeds,
                      const char *asked)
{
    const redisReply *master = r->element[2];
    const char *host = master->element[0]->type == REDIS_REPLY_STRING ? master->element[0]->str : "";
    bool told = host[0] != '\0' && strcmp(host, "?") != 0;
    uint16_t node = add_node(t, seeds, told ? host : asked, (int)master->element[1]->integer);

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
    }
    free(t->nodes);
    free(t);
}

bool topology_equal(const struct topology *a, const struct topology *b)
{
    if (a == b)
        return true;
    if (a == NULL || b == NULL || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (strcmp(a->nodes[i].url, b->nodes[i].url) != 0)
            return false;
    return memcmp(a->owner, b->owner, sizeof a->owner) == 0;
}
