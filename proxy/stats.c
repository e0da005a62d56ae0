#include "proxy/stats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LOOPS 257

const int64_t stats_msg_bounds[STATS_MSG_BUCKETS - 1] = {0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000};

static struct stats *loops[MAX_LOOPS];
static _Atomic unsigned nloops;

static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;
static char *_Atomic names[STATS_POLICIES];

static const struct {
    const char *store, *name;
} reasons[PERSIST_REASONS] = {
    [PERSIST_REDISDOWN] = {"redis", "redisdown"},
    [PERSIST_TIMEOUT] = {"redis", "timeout"},
    [PERSIST_OOM] = {"redis", "oom"},
    [PERSIST_LOADING] = {"redis", "loading"},
    [PERSIST_READONLY] = {"redis", "readonly"},
    [PERSIST_MISCONF] = {"redis", "misconf"},
    [PERSIST_NOPERM] = {"redis", "noperm"},
    [PERSIST_CLUSTERDOWN] = {"redis", "clusterdown"},
    [PERSIST_TOO_LARGE] = {"redis", "too_large"},
    [PERSIST_OTHER] = {"redis", "other"},
    [PERSIST_ARCHIVE_DOWN] = {"archive", "down"},
    [PERSIST_ARCHIVE_LOST] = {"archive", "lost"},
    [PERSIST_ARCHIVE_BUSY] = {"archive", "busy"},
    [PERSIST_ARCHIVE_REFUSED] = {"archive", "refused"},
    [PERSIST_ARCHIVE_RACE] = {"archive", "race"},
    [PERSIST_ARCHIVE_TOO_LARGE] = {"archive", "too_large"},
};

const char *persist_reason_name(enum persist_reason r)
{
    return reasons[r].name;
}

const char *acl_reason_name(enum acl_reason r)
{
    static const char *const words[] = {[ACL_REASON_AUTH] = "auth", [ACL_REASON_COMMAND] = "command",
                                        [ACL_REASON_KEY] = "key", [ACL_REASON_CHANNEL] = "channel"};
    return words[r];
}

const char *persist_reason_store(enum persist_reason r)
{
    return reasons[r].store;
}

void stats_register(struct stats *own_s)
{
    unsigned n = atomic_load(&nloops);
    if (n == MAX_LOOPS)
        abort();
    loops[n] = own_s;
    atomic_store(&nloops, n + 1);
}

unsigned stats_loops(void)
{
    return atomic_load(&nloops);
}

const struct stats *stats_of_loop(unsigned i)
{
    static const struct stats none;
    return i < stats_loops() ? loops[i] : &none;
}

uint64_t stats_sum(const counter *in_first)
{
    size_t offset = (size_t)((const char *)in_first - (const char *)stats_of_loop(0));
    uint64_t sum = 0;
    for (unsigned i = 0; i < stats_loops(); i++)
        sum += counter_get((const counter *)((const char *)loops[i] + offset));
    return sum;
}

unsigned stats_policy_id(const char *name)
{
    unsigned id = 0;

    pthread_mutex_lock(&names_lock);
    while (id < STATS_POLICIES - 1 && names[id] != NULL && strcmp(names[id], name) != 0)
        id++;
    if (names[id] == NULL)
        names[id] = strdup(id < STATS_POLICIES - 1 ? name : "others");
    pthread_mutex_unlock(&names_lock);
    return id;
}

const char *stats_policy_name(unsigned id)
{
    return names[id];
}
