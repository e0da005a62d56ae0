#include "proxy/metrics_redis.h"

#include "proxy/metrics_put.h"

#include <string.h>

void sentinel_up(FILE *out, const char *name, const struct overview *o)
{
    for (size_t i = 0; o->scout.kind == REDIS_SENTINEL && i < o->scout.count; i++)
        metrics_put(out, name, o->scout.peers[i].up, PAIRS("sentinel", o->scout.peers[i].address));
}

void redis_states(FILE *out, const char *name, const struct overview *o)
{
    static const char *const all[] = {"connected", "connecting", "reconnecting", "failed"};

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        metrics_put(out, name, strcmp(o->redis.state, all[i]) == 0, PAIRS("state", all[i]));
}

static void put_known(FILE *out, const char *name, enum probe_word word)
{
    if (word != PROBE_UNKNOWN)
        metrics_put(out, name, word == PROBE_OK, NULL);
}

void redis_rdb_ok(FILE *out, const char *name, const struct overview *o)
{
    put_known(out, name, o->redis.rdb_last_bgsave);
}

void redis_aof_ok(FILE *out, const char *name, const struct overview *o)
{
    put_known(out, name, o->redis.aof_last_write);
}

/* Of databases that hold something, and of 0 always: there the managed keys are, so that none is a number, too. */
static void put_databases(FILE *out, const char *name, const struct overview *o, const int64_t *counts)
{
    char db[16];

    for (int i = 0; i < PROBE_DATABASES && o->redis.version[0] != '\0'; i++) {
        if (i > 0 && o->redis.keys[i] == 0)
            continue;
        snprintf(db, sizeof db, "%d", i);
        metrics_put(out, name, (double)counts[i], PAIRS("db", db));
    }
}

void redis_keys(FILE *out, const char *name, const struct overview *o)
{
    put_databases(out, name, o, o->redis.keys);
}

void redis_keys_expiring(FILE *out, const char *name, const struct overview *o)
{
    put_databases(out, name, o, o->redis.keys_expiring);
}
