#include "backends/redis/cluster.h"

#include "backends/redis/asker.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cluster {
    struct redis_seeds seeds;
    struct asker asker;
    char host[256]; /* of that connection */
    int port;
    struct topology *topology;
};

struct cluster *cluster_new(struct redis_seeds *own_seeds)
{
    struct cluster *x = calloc(1, sizeof *x);

    if (x == NULL)
        abort();
    x->seeds = *own_seeds;
    return x;
}

void cluster_free(struct cluster *own_x)
{
    if (own_x == NULL)
        return;
    asker_close(&own_x->asker);
    topology_unref(own_x->topology);
    redis_seeds_done(&own_x->seeds);
    free(own_x);
}

struct topology *cluster_topology(const struct cluster *x)
{
    return x->topology;
}

const struct topology_node *cluster_contact(const struct cluster *x)
{
    if (x->topology == NULL)
        return NULL;
    uint16_t asked = topology_find(x->topology, x->host, x->port);
    return &x->topology->nodes[asked != TOPOLOGY_NOBODY ? asked : 0];
}

/* One node. What it tells replaces what was known. */
static bool ask(struct cluster *x, const char *host, int port, const struct settings *s)
{
    struct asker_login login = {
        .user = x->seeds.user,
        .password = x->seeds.password != NULL ? x->seeds.password : s->redis_password,
        .settings = s,
        .tls = x->seeds.tls,
    };
    char name[sizeof x->host];

    snprintf(name, sizeof name, "%s", host); /* host may be the topology's */
    if (port != x->port || strcmp(name, x->host) != 0)
        asker_close(&x->asker);
    strcpy(x->host, name);
    x->port = port;
    if (!asker_open(&x->asker, name, port, &login))
        return false;
    redisReply *r = ASKER_ASK(&x->asker, "CLUSTER", "SLOTS");
    if (r == NULL)
        return false;
    struct topology *fresh = topology_new(r, &x->seeds, name);
    freeReplyObject(r);
    if (fresh == NULL) {
        snprintf(x->asker.why, sizeof x->asker.why, "it knows of no node that serves slots");
        return false;
    }
    topology_unref(x->topology);
    x->topology = fresh;
    return true;
}

static bool ask_anybody(struct cluster *x, const struct settings *s)
{
    char last[sizeof x->host];

    strcpy(last, x->host);
    if (last[0] != '\0' && ask(x, last, x->port, s))
        return true;
    struct topology *known = x->topology != NULL ? topology_ref(x->topology) : NULL;
    bool ok = false;
    for (size_t i = 0; known != NULL && !ok && i < known->count; i++)
        ok = ask(x, known->nodes[i].host, known->nodes[i].port, s);
    for (size_t i = 0; !ok && i < x->seeds.count; i++)
        ok = ask(x, x->seeds.hosts[i].host, x->seeds.hosts[i].port, s);
    topology_unref(known);
    return ok;
}

static void tell_nodes(const struct cluster *x, struct scout_report *report)
{
    const struct topology *t = x->topology;

    report->shards = t->count;
    report->covered = t->covered;
    report->count = t->count < SEEDS_MOST ? t->count : SEEDS_MOST;
    for (size_t i = 0; i < report->count; i++) {
        report->peers[i] = (struct scout_peer){.up = true};
        snprintf(report->peers[i].address, sizeof report->peers[i].address, "%.200s:%d", t->nodes[i].host,
                 t->nodes[i].port);
    }
}

bool cluster_look(struct cluster *x, const struct settings *s, struct scout_report *report)
{
    bool ok = ask_anybody(x, s);

    report->error[0] = '\0';
    if (!ok)
        snprintf(report->error, sizeof report->error, "no node of the cluster answers; %.200s:%d: %s",
                 x->host, x->port, x->asker.why);
    if (x->topology != NULL)
        tell_nodes(x, report);
    return ok;
}
