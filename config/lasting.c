#include "config/lasting.h"

#include "config/internal.h"
#include "config/seeds.h"

#include <stdio.h>

static bool is_cluster(const struct settings *s)
{
    return redis_kind(s->redis_url) == REDIS_CLUSTER;
}

/* Nothing carries keys between a cluster and the archive: what one has would not be seen in the other. */
static const struct policy_conf *moved_policy(const struct settings *was, const struct settings *fresh)
{
    for (size_t i = 0; i < fresh->policy_count; i++) {
        const struct policy_conf *now = &fresh->policies[i], *old = settings_policy(was, now->name);
        if (old != NULL ? old->primary != now->primary : now->primary != STORE_REDIS && !settings_has_archive(was))
            return now;
    }
    return NULL;
}

enum err lasting_check(const struct settings *was, const struct settings *fresh, struct config_error *err)
{
    const struct policy_conf *moved = is_cluster(was) ? moved_policy(was, fresh) : NULL;
    char name[sizeof err->name];

    if (is_cluster(was) != is_cluster(fresh)) {
        config_error_set(err, "redis.url", "redis.url", "it can't become a Redis Cluster, or stop being one, while running: restart");
        return ERR_CONFIG;
    }
    if (moved == NULL)
        return ERR_NONE;
    snprintf(name, sizeof name, "%s.primary", moved->name);
    config_error_set(err, name, name, "it can't change while running, because redis.url names a Redis Cluster, from which nothing "
                                      "is carried to the archive: convctl export, restart, convctl import");
    return ERR_CONFIG;
}
