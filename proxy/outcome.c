#include "proxy/outcome.h"

#include "base/log.h"
#include "proxy/slowlog.h"

#include <string.h>

/* Errors that mean "the store could not take it", with the reason they are counted under. All others are the client's
 * own mistakes. */
static const struct {
    const char *prefix;
    enum persist_reason reason;
} store_errors[] = {
    {"-OOM ", PERSIST_OOM},
    {"-LOADING ", PERSIST_LOADING},
    {"-READONLY ", PERSIST_READONLY},
    {"-MISCONF ", PERSIST_MISCONF},
    {"-CLUSTERDOWN ", PERSIST_CLUSTERDOWN},
    {"-NOPERM ", PERSIST_NOPERM},
    {"-NOAUTH ", PERSIST_NOPERM},
    {"-MASTERDOWN ", PERSIST_CLUSTERDOWN},
    {"-NOREPLICAS ", PERSIST_CLUSTERDOWN},
    {"-BUSY ", PERSIST_TIMEOUT},
};

/* At most one line a second for each loop, with how many there were: a store that is down must not fill the disk. */
static void log_persist_error(struct loop *l, uint8_t policy, enum persist_reason reason)
{
    static _Thread_local int64_t last_us;
    static _Thread_local int64_t unsaid;
    const char *name = stats_policy_name(policy);

    unsaid++;
    if (l->turn.now_us - last_us < 1000000 && last_us != 0)
        return;
    log_event(LOG_ERROR, "persist_error", LOG_STR("policy", name),
              LOG_STR("store", persist_reason_store(reason)), LOG_STR("reason", persist_reason_name(reason)),
              LOG_INT("count", unsaid));
    last_us = l->turn.now_us;
    unsaid = 0;
}

static void persist_error(struct loop *l, uint8_t policy, enum persist_reason reason)
{
    counter_add(&l->stats->policies[policy].persist_errors[reason], 1);
    log_persist_error(l, policy, reason);
}

void outcome_write_error(struct loop *l, uint8_t policy, const char *line, size_t n)
{
    for (size_t i = 0; i < sizeof store_errors / sizeof store_errors[0]; i++) {
        size_t len = strlen(store_errors[i].prefix);
        if (n >= len && memcmp(line, store_errors[i].prefix, len) == 0) {
            persist_error(l, policy, store_errors[i].reason);
            return;
        }
    }
}

/* Empty arrays and nulls are misses; numbers and statuses (LLEN, TYPE) are no retrievals at all. */
static void count_retrieval(struct slot *slot, const char *p, size_t n)
{
    struct policy_stats *stats = &slot->loop->stats->policies[slot->policy];

    if (p[0] == ':' || p[0] == '+')
        return;
    if (p[0] == '-')
        counter_add(&stats->reads_error, 1);
    else if (p[0] == '_' || (n >= 3 && p[0] != '$' && p[1] == '0' && p[2] == '\r') || (n >= 2 && p[1] == '-'))
        counter_add(&stats->reads_miss, 1);
    else
        counter_add(&stats->reads_hit, 1);
}

void outcome_first_bytes(struct slot *slot, const char *p, size_t n)
{
    slot->failed = p[0] == '-';
    if (slot->retrieval)
        count_retrieval(slot, p, n);
    if (slot->failed && slot->managed_write)
        outcome_write_error(slot->loop, slot->policy, p, n);
}

static const struct {
    enum err error;
    enum persist_reason reason;
} failures[] = {
    {ERR_TIMEOUT, PERSIST_TIMEOUT},          {ERR_TOO_LARGE, PERSIST_TOO_LARGE},
    {ERR_ARCHIVEDOWN, PERSIST_ARCHIVE_DOWN}, {ERR_ARCHIVELOST, PERSIST_ARCHIVE_LOST},
    {ERR_ARCHIVEBUSY, PERSIST_ARCHIVE_BUSY}, {ERR_ARCHIVEBAD, PERSIST_ARCHIVE_REFUSED},
    {ERR_RACE, PERSIST_ARCHIVE_RACE},
};

static enum persist_reason reason_of(const struct slot *slot, enum err e)
{
    if (e == ERR_TOO_LARGE && slot->archived)
        return PERSIST_ARCHIVE_TOO_LARGE;
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (failures[i].error == e)
            return failures[i].reason;
    return PERSIST_REDISDOWN;
}

void outcome_failed(struct slot *slot, enum err e)
{
    if (e == ERR_CANCELLED && slot->archived)
        return; /* it has not begun, and nobody waits for it any more */
    if (e == ERR_SCRIPT)
        return; /* no store is to blame */
    if (slot->managed_write)
        persist_error(slot->loop, slot->policy, reason_of(slot, e));
    if (slot->retrieval)
        counter_add(&slot->loop->stats->policies[slot->policy].reads_error, 1);
}

static void record_latency(struct slot *slot, int64_t us)
{
    struct stats *stats = slot->loop->stats;

    hist_record(&stats->redis_latency, us);
    hist_window_record(&stats->redis_latency_window, us, slot->loop->turn.now_us);
}

void outcome_answered(struct slot *slot)
{
    if (slot->fast)
        record_latency(slot, slot->loop->turn.now_us - slot->up.queued_us);
    slot->fast = false;
}

void outcome_record(struct slot *slot)
{
    struct loop *l = slot->loop;
    struct stats *stats = l->stats;
    struct command_stats *c = &stats->commands[slot->command];
    int64_t us = l->turn.now_us - slot->up.queued_us;

    counter_add(&c->calls, 1);
    counter_add(&c->usec, us > 0 ? (uint64_t)us : 0);
    if (slot->failed)
        counter_add(&c->errors, 1);
    counter_add(&stats->replies, slot->session != NULL);
    if (slot->fast)
        record_latency(slot, us);
    if (us >= l->settings->slowlog_time * 1000 && slot->session != NULL)
        slowlog_add(slot, us);
}

void outcome_msg_count(struct loop *l, uint8_t policy, int64_t before)
{
    struct policy_stats *stats = &l->stats->policies[policy];
    unsigned i = 0;

    while (i < STATS_MSG_BUCKETS - 1 && before > stats_msg_bounds[i])
        i++;
    counter_add(&stats->msg_buckets[i], 1);
    counter_add(&stats->msg_count, 1);
    counter_add(&stats->msg_sum, before > 0 ? (uint64_t)before : 0);
    log_event(LOG_DEBUG, "context", LOG_STR("policy", stats_policy_name(policy)),
              LOG_INT("msg_count_before", before));
}
