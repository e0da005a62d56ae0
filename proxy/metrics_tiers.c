#include "proxy/metrics_tiers.h"

#include "proxy/metrics_put.h"
#include "proxy/server.h"
#include "sync/sync.h"

static struct tiers *tiers_of(const struct overview *o)
{
    struct sync *sync = server_sync(o->server);
    return sync != NULL ? sync_tiers(sync) : NULL;
}

static void put_away(FILE *out, const char *name, const struct overview *o, bool bytes)
{
    struct warm_count counts[TIERS_POLICIES];
    struct sync *sync = server_sync(o->server);
    size_t n = sync != NULL ? warm_counts(sync_warm(sync), counts, TIERS_POLICIES) : 0;

    for (size_t i = 0; i < n; i++)
        for (int level = RECORD_WARM; level <= RECORD_COLD; level++)
            metrics_put(out, name, (double)(bytes ? counts[i].bytes[level] : counts[i].keys[level]),
                PAIRS("policy", counts[i].policy, "tier", record_level_name((enum record_level)level)));
}

void metrics_tier_keys(FILE *out, const char *name, const struct overview *o)
{
    struct tiers_count counts[TIERS_POLICIES];
    size_t n = tiers_of(o) != NULL ? tiers_counts(tiers_of(o), counts, TIERS_POLICIES) : 0;

    for (size_t i = 0; i < n; i++)
        if (counts[i].working >= 0)
            metrics_put(out, name, (double)counts[i].working, PAIRS("policy", counts[i].policy, "tier", "working"));
    put_away(out, name, o, false);
}

void metrics_tier_bytes(FILE *out, const char *name, const struct overview *o)
{
    put_away(out, name, o, true);
}

void metrics_tier_moves(FILE *out, const char *name, const struct overview *o)
{
    struct tiers_count counts[TIERS_POLICIES];
    size_t n = tiers_of(o) != NULL ? tiers_counts(tiers_of(o), counts, TIERS_POLICIES) : 0;

    for (size_t i = 0; i < n; i++)
        for (int from = 0; from < RECORD_LEVELS; from++)
            for (int to = 0; to < RECORD_LEVELS; to++)
                if (from != to && !(from == RECORD_COLD && to == RECORD_WARM))
                    metrics_put(out, name, (double)counts[i].moves[from][to],
                        PAIRS("policy", counts[i].policy, "from", record_level_name((enum record_level)from), "to",
                              record_level_name((enum record_level)to)));
}

void metrics_tier_reads(FILE *out, const char *name, const struct overview *o)
{
    metrics_put_histogram(out, name, &o->latency, "tier", record_level_name(RECORD_WORKING));
    for (int level = RECORD_WARM; level <= RECORD_COLD; level++) {
        struct hist_sum sum = {0};
        if (tiers_of(o) != NULL)
            tiers_reads(tiers_of(o), (enum record_level)level, &sum);
        metrics_put_histogram(out, name, &sum, "tier", record_level_name((enum record_level)level));
    }
}
