#include "proxy/digest.h"

#include "base/log.h"
#include "proxy/stats.h"

#define PERIOD_US 60000000

struct seen {
    uint64_t appends, messages, none_before, hits, misses, errors;
};

static struct seen look(unsigned id)
{
    return (struct seen){
        .appends = STATS_SUM(policies[id].msg_count),
        .messages = STATS_SUM(policies[id].msg_sum),
        .none_before = STATS_SUM(policies[id].msg_buckets[0]),
        .hits = STATS_SUM(policies[id].reads_hit),
        .misses = STATS_SUM(policies[id].reads_miss),
        .errors = STATS_SUM(policies[id].reads_error),
    };
}

static void tell(unsigned id, const struct seen *now, const struct seen *last)
{
    uint64_t appends = now->appends - last->appends;
    uint64_t reads = now->hits + now->misses + now->errors - last->hits - last->misses - last->errors;

    if (appends == 0 && reads == 0)
        return;
    log_event(LOG_INFO, "context", LOG_STR("policy", stats_policy_name(id)),
              LOG_INT("appends", (int64_t)appends),
              LOG_DBL("msg_count_before_mean",
                      appends > 0 ? (double)(now->messages - last->messages) / (double)appends : 0),
              LOG_INT("msg_count_before_zero", (int64_t)(now->none_before - last->none_before)),
              LOG_INT("retrievals", (int64_t)reads), LOG_INT("misses", (int64_t)(now->misses - last->misses)),
              LOG_INT("errors", (int64_t)(now->errors - last->errors)));
}

void digest_tick(int64_t now_us)
{
    static struct seen last[STATS_POLICIES];
    static int64_t next_us;

    if (now_us < next_us)
        return;
    next_us = now_us + PERIOD_US;
    for (unsigned id = 0; id < STATS_POLICIES && stats_policy_name(id) != NULL; id++) {
        struct seen now = look(id);
        tell(id, &now, &last[id]);
        last[id] = now;
    }
}
