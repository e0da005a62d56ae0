#include "proxy/internal.h"

#include "base/clock.h"
#include "proxy/depot.h"
#include "proxy/lines.h"
#include "proxy/server.h"
#include "proxy/state_tenants.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define LINES_EACH 20 /* tenants of each policy */

static void line_of(struct lines *l, const struct tenancy_row *row, const char *name)
{
    char bytes[40] = "", oldest[40] = "";

    if (row->bytes >= 0)
        snprintf(bytes, sizeof bytes, ", %" PRId64 " bytes", row->bytes);
    if (row->oldest_s >= 0)
        snprintf(oldest, sizeof oldest, ", oldest %" PRId64 " s", row->oldest_s);
    lines_add(l, "  %s: %" PRId64 " keys%s%s, %" PRId64 " without ttl", name, row->keys, bytes, oldest, row->without_ttl);
}

static void lines_of(struct lines *l, const struct policy_conf *p, struct tenancy *c)
{
    char name[TENANT_SHOWN];

    if (c == NULL) {
        lines_add(l, "policy %s: not counted yet", p->name);
        return;
    }
    const struct tenancy_row *all = tenancy_all(c);
    lines_add(l, "policy %s: %zu tenants, %" PRId64 " keys in %s, %" PRId64 " without ttl, %" PRId64 " malformed; counted %" PRId64 " s ago", p->name,
              tenancy_count(c), all->keys, tenancy_was_archive(c) ? "the archive" : "redis", all->without_ttl, all->malformed,
              (clock_wall_us() - tenancy_ended_us(c)) / 1000000);
    for (size_t i = 0; i < tenancy_count(c) && i < LINES_EACH; i++) {
        const struct tenancy_row *row = tenancy_row(c, i);
        line_of(l, row, row->name_len > 0 ? tenant_shown(row->name, row->name_len, name) : "(none)");
    }
    if (tenancy_count(c) > LINES_EACH)
        lines_add(l, "  and %zu more: GET /api/v1/tenants", tenancy_count(c) - LINES_EACH);
    tenancy_unref(c);
}

bool tenants_do_list(struct session *s, const struct job *job)
{
    const struct settings *now = s->loop->settings;
    struct lines *l = lines_new();
    char policy[80] = "";

    if (job->argc > 2)
        lines_word(job->argv[2], policy, sizeof policy);
    for (size_t i = 0; i < now->policy_count; i++)
        if (tenants_wanted(&now->policies[i]) && (policy[0] == '\0' || strcmp(policy, now->policies[i].name) == 0))
            lines_of(l, &now->policies[i], tenants_last(depot_tenants(server_depot(s->loop->server)), now->policies[i].name));
    if (l->count == 0)
        lines_add(l, "no policy has tenants: set tenant_segment");
    lines_answer(s, l);
    free(l);
    return true;
}
