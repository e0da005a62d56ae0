#include "proxy/metrics_tenants.h"

#include "proxy/metrics_put.h"
#include "proxy/state_tenants.h"
#include "router/rate_class.h"

void rate_limited(FILE *out, const char *name, unsigned id, const char *policy)
{
    for (int class = 0; class < RATE_CLASSES; class++)
        metrics_put(out, name, (double)STATS_SUM(policies[id].limited[class]),
                    PAIRS("policy", policy, "class", rate_class_name((enum rate_class)class)));
}

/* Calls each with the last count of every policy that has one. */
static void each_count(FILE *out, const char *name, const struct overview *o,
                       void (*each)(FILE *out, const char *name, const struct policy_conf *p, const struct tenancy *c, int64_t top))
{
    for (size_t i = 0; i < o->settings->policy_count; i++) {
        const struct policy_conf *p = &o->settings->policies[i];
        struct tenancy *c = tenants_last(depot_tenants(server_depot(o->server)), p->name);
        if (c != NULL)
            each(out, name, p, c, o->settings->tenants_top);
        tenancy_unref(c);
    }
}

static void put_counted(FILE *out, const char *name, const struct policy_conf *p, const struct tenancy *c, int64_t top)
{
    if (p->tenant_segment > 0)
        metrics_put(out, name, (double)tenancy_count(c), PAIRS("policy", p->name));
}

void tenants_counted(FILE *out, const char *name, const struct overview *o)
{
    each_count(out, name, o, put_counted);
}

static int64_t keys_of(const struct tenancy_row *row)
{
    return row->keys;
}

static int64_t bytes_of(const struct tenancy_row *row)
{
    return row->bytes;
}

/* A series for each of the first tenants, and one for the sum of all others. */
static void put_tenants(FILE *out, const char *name, const struct policy_conf *p, const struct tenancy *c, int64_t top,
                        int64_t (*value)(const struct tenancy_row *row))
{
    int64_t rest = value(tenancy_all(c));
    char tenant[TENANT_SHOWN];

    if (p->tenant_segment == 0 || rest < 0)
        return;
    for (size_t i = 0; i < tenancy_count(c) && (int64_t)i < top; i++) {
        const struct tenancy_row *row = tenancy_row(c, i);
        rest -= value(row);
        metrics_put(out, name, (double)value(row), PAIRS("policy", p->name, "tenant", tenant_shown(row->name, row->name_len, tenant)));
    }
    metrics_put(out, name, (double)rest, PAIRS("policy", p->name, "tenant", "(other)"));
}

static void put_keys(FILE *out, const char *name, const struct policy_conf *p, const struct tenancy *c, int64_t top)
{
    put_tenants(out, name, p, c, top, keys_of);
}

static void put_bytes(FILE *out, const char *name, const struct policy_conf *p, const struct tenancy *c, int64_t top)
{
    put_tenants(out, name, p, c, top, bytes_of);
}

void tenant_keys(FILE *out, const char *name, const struct overview *o)
{
    each_count(out, name, o, put_keys);
}

void tenant_bytes(FILE *out, const char *name, const struct overview *o)
{
    each_count(out, name, o, put_bytes);
}

static void put_malformed(FILE *out, const char *name, const struct policy_conf *p, const struct tenancy *c, int64_t top)
{
    if (p->format != FORMAT_ANY)
        metrics_put(out, name, (double)tenancy_all(c)->malformed, PAIRS("policy", p->name));
}

void malformed_keys(FILE *out, const char *name, const struct overview *o)
{
    each_count(out, name, o, put_malformed);
}
