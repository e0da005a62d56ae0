#include "proxy/state_parts.h"

static const char *const kinds[] = {
    [REDIS_SINGLE] = "single",
    [REDIS_SENTINEL] = "sentinel",
    [REDIS_CLUSTER] = "cluster",
};

void state_add_where(cJSON *redis, const struct overview *o)
{
    const struct scout_report *r = &o->scout;

    if (r->kind == REDIS_SINGLE)
        return;
    cJSON *where = object_in(redis, "where");
    text(where, "kind", kinds[r->kind]);
    text(where, "at", r->at);
    text(where, "error", r->error);
    number(where, "switches", (double)r->switches);
    if (r->kind == REDIS_CLUSTER) {
        number(where, "shards", (double)r->shards);
        number(where, "slots", (double)r->covered);
    }
    cJSON *peers = cJSON_AddArrayToObject(where, r->kind == REDIS_SENTINEL ? "sentinels" : "nodes");
    for (size_t i = 0; i < r->count; i++) {
        cJSON *peer = cJSON_CreateObject();
        cJSON_AddItemToArray(peers, peer);
        text(peer, "address", r->peers[i].address);
        flag(peer, "up", r->peers[i].up);
        text(peer, "error", r->peers[i].error);
    }
}
