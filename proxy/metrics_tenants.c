#include "proxy/metrics_tenants.h"

#include "proxy/metrics_put.h"
#include "router/rate_class.h"

void rate_limited(FILE *out, const char *name, unsigned id, const char *policy)
{
    for (int class = 0; class < RATE_CLASSES; class++)
        metrics_put(out, name, (double)STATS_SUM(policies[id].limited[class]),
                    PAIRS("policy", policy, "class", rate_class_name((enum rate_class)class)));
}
